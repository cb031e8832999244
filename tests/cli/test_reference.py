"""What is said of the commands is what they are."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from containerizer.cli.examples import EXAMPLES
from containerizer.cli.main import COMMANDS, Parser, main
from docs import reference

SHOWN = [name for name, command in COMMANDS.items() if not command.hidden]


def test_every_command_has_an_example() -> None:
    assert list(EXAMPLES) == [name for name in EXAMPLES if name in SHOWN]
    assert set(EXAMPLES) == set(SHOWN)


@pytest.mark.parametrize("line", [line for found in EXAMPLES.values() for line, _ in found])
def test_examples_are_understood(line: str) -> None:
    name, *words = shlex.split(line)
    module = importlib.import_module(f"containerizer.cli.{name}")
    parser = Parser(prog=f"containerizer {name}")
    module.configure(parser)
    parser.parse_args(words)


def test_help_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "containerizer run --rm -it busybox sh" in capsys.readouterr().out


def test_a_misspelt_option_is_recognized(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--memroy", "64m", "busybox"]) == 125
    assert "did you mean --memory?" in capsys.readouterr().err


@pytest.mark.requires("root")  # for others some defaults differ
@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_of_this_code(name: str) -> None:
    assert (reference.HERE / name).read_text() == reference.PAGES[name](), "`make reference` makes it anew"


def test_manual_pages(tmp_path: Path) -> None:
    pages = [*map(reference.manual, reference.pages()), reference.overview()]
    assert len(pages) > len(SHOWN)
    for text in pages:
        assert text.startswith(".TH ") and ".SH NAME" in text
    if shutil.which("groff") is not None:
        (tmp_path / "all.1").write_text("\n".join(pages))
        argv = ["groff", "-K", "utf8", "-man", "-Tutf8", "-ww", "-b", str(tmp_path / "all.1")]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_messages_that_are_explained_are_still_written() -> None:
    """Each piece of a message, between what differs, is in the sources."""
    page = (reference.HERE.parent / "troubleshooting.md").read_text()
    packages = ("launcher", "provisioner", "isolators", "containerizer")
    root = reference.HERE.parent.parent
    sources = "".join(path.read_text() for each in packages for path in (root / each).rglob("*.py"))
    messages = re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)
    assert len(messages) > 15
    for message in messages:
        for piece in filter(None, (piece.strip(": ") for piece in message.split("…"))):
            assert piece in sources, message
