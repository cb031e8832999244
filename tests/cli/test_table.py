"""Tables: whole for programs, as wide as the terminal for people."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from containerizer.cli.table import print_table

ROWS = [("a", "x" * 60, "short"), ("b", "y", "z" * 60)]


def test_elsewhere_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "MIDDLE", "LAST"), ROWS)
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.index("LAST") == 4 + 3 + 60 + 3
    assert first.endswith("short") and second.endswith("z" * 60)


@pytest.mark.parametrize(("columns", "whole"), [(80, False), (200, True), (10, False)])
def test_a_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch, columns: int, whole: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        with monkeypatch.context() as patched, open(theirs, "w", closefd=False) as output:
            patched.setattr(sys, "stdout", output)
            patched.setattr(os, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
            print_table(("NAME", "MIDDLE", "LAST"), ROWS)
        lines = os.read(ours, 10_000).decode().splitlines()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ("…" not in "".join(lines)) == whole
    narrowest = 4 + 3 + 12 + 3 + 12  # below that there is nothing to read
    assert max(map(len, lines)) <= max(columns, narrowest)
