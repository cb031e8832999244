"""`python -m containerizer`: the command, also where its script is not installed."""

from __future__ import annotations

from containerizer.cli.main import command

if __name__ == "__main__":
    command()
