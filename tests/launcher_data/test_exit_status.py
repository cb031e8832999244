"""ExitStatus: wait(2)'s word in the shell's convention."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.exit_status import ExitStatus


@given(st.integers(0, 255))
def test_an_exit_code_is_itself(code: int) -> None:
    status = ExitStatus.from_wait(code << 8)  # as wait(2) encodes it
    assert (status.code, status.signal, status.exit_code) == (code, None, code)


@given(st.integers(1, 64), st.sampled_from([0, 0x80]))
def test_a_signal_is_128_more_with_or_without_a_core_dump(number: int, core: int) -> None:
    status = ExitStatus.from_wait(number | core)
    assert (status.code, status.signal, status.exit_code) == (None, number, 128 + number)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", ExitStatus(code=0)),
        ("exit 7", ExitStatus(code=7)),
        ("kill -TERM $$", ExitStatus(signal=signal.SIGTERM)),
        ("kill -KILL $$", ExitStatus(signal=signal.SIGKILL)),
    ],
)
def test_what_the_kernel_reports(script: str, expected: ExitStatus) -> None:
    pid = os.posix_spawnp("sh", ["sh", "-c", script], os.environ)
    status = ExitStatus.from_wait(os.waitpid(pid, 0)[1])
    assert status == expected


def test_the_shell_agrees() -> None:
    killed = subprocess.run(["sh", "-c", "sh -c 'kill -KILL $$'; exit $?"], check=False).returncode
    assert killed == ExitStatus(signal=signal.SIGKILL).exit_code
