"""What the tests of volumes share."""

from __future__ import annotations

from tests.end_to_end.conftest import Cli


def out(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sh(cli: Cli, image: str, script: str, *options: str) -> str:
    return out(cli, "run", "--rm", *options, image, "sh", "-c", script)


def refusal(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert done.returncode == 125, (done.stdout, done.stderr)
    return done.stderr


def volumes(cli: Cli, *options: str) -> list[str]:
    return out(cli, "volume", "ls", "-q", *options).split()
