"""What docker and podman have and is otherwise here is told in place of a guess."""

from __future__ import annotations

import pytest

from containerizer.cli import elsewhere, main, run


def test_what_is_told_is_not_there() -> None:
    parser = main.Parser(prog="containerizer run")
    run.configure(parser)
    assert elsewhere.COMMANDS.keys().isdisjoint(main.COMMANDS)
    assert elsewhere.OPTIONS.keys().isdisjoint(parser._option_string_actions)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["help"], "it is `containerizer --help`"),
        (["run", "--restart=always", "busybox"], "a pod with a restartPolicy is"),
        (["run", "-P", "busybox"], "name the ports: -p HOST:CONTAINER"),
        (["run", "--memry", "1g", "busybox"], "did you mean --memory?"),
        (["stop", "-P", "web"], "see `containerizer stop --help`"),
    ],
)
def test_what_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 125
    assert told in capsys.readouterr().err
