"""A need that the host lacks skips, or fails where it is mandatory; an unknown one is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import requires

MARKED = """
import pytest
@pytest.mark.requires("{need}")
def test_marked():
    pass
"""


def session(tmp_path: Path, need: str, mandatory: str = "", present: bool = False) -> tuple[int, str]:
    """Run one marked test in a session of its own, on a PATH where no program is found unless present."""
    (tmp_path / "test_marked.py").write_text(MARKED.format(need=need))
    (tmp_path / "crun").touch(mode=0o755)
    path = f"{tmp_path}" if present else "/nonexistent"
    plugin = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", *plugin, str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PATH": path, requires.ENVIRONMENT: mandatory},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_present_need_lets_the_test_run(tmp_path: Path) -> None:
    code, output = session(tmp_path, "crun", present=True)
    assert (code, "1 passed" in output) == (0, True)


def test_an_absent_need_skips_with_the_reason(tmp_path: Path) -> None:
    code, output = session(tmp_path, "crun")
    assert (code, "1 skipped" in output) == (0, True)
    assert "needs crun: crun is not installed (apt-get install crun)" in output


def test_an_absent_need_fails_where_it_is_mandatory(tmp_path: Path) -> None:
    code, output = session(tmp_path, "crun", mandatory="busybox,crun")
    assert code == 1
    assert "crun is mandatory here (CONTAINERIZER_TEST_REQUIRE): crun is not installed" in output


def test_an_unknown_need_is_an_error(tmp_path: Path) -> None:
    code, output = session(tmp_path, "crunn")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "test_marked.py::test_marked requires crunn, which is no need" in output


def test_an_unknown_mandatory_need_is_an_error(tmp_path: Path) -> None:
    code, output = session(tmp_path, "crun", mandatory="crunn")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "CONTAINERIZER_TEST_REQUIRE names 'crunn'; the vocabulary is" in output


@pytest.mark.parametrize("need", requires.NEEDS)
def test_every_probe_answers(need: str) -> None:
    assert requires.missing(need) is None or requires.missing(need)
