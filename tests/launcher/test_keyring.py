"""Keys of the launcher's session are not the task's."""

from __future__ import annotations

import ctypes
import os
import traceback
from pathlib import Path

import pytest

from launcher.kernel import keyring
from launcher.kernel.libc import syscall
from launcher.linux import LinuxLauncher
from launcher.program.numbers import NUMBERS
from tests.launcher.support import Launches

pytestmark = pytest.mark.requires("root", "keyctl")

ADD_KEY = {"x86_64": 248, "aarch64": 217, "riscv64": 217}
SETPERM = 5  # linux/keyctl.h
SESSION = -3  # KEY_SPEC_SESSION_KEYRING
POSSESSOR_ONLY = 0x3F000000
NAME = "containerizer-test"


def add_key() -> None:
    """To a session keyring of this process' own, and visible to nobody who does not have that."""
    joined = ctypes.c_int(keyring.JOIN_SESSION_KEYRING)
    syscall("keyctl", NUMBERS["keyctl"], "session keyring", joined, None)
    number = ADD_KEY[os.uname().machine]
    key = syscall("add_key", number, NAME, b"user", NAME.encode(), b"secret", 6, ctypes.c_int(SESSION))
    syscall("keyctl", NUMBERS["keyctl"], NAME, ctypes.c_int(SETPERM), key, ctypes.c_uint(POSSESSOR_ONLY))


def test_the_launchers_keys_stay_behind(tmp_path: Path) -> None:
    pid = os.fork()  # its keyrings end with it
    if pid == 0:
        try:
            add_key()
            assert NAME in Path("/proc/keys").read_text()
            launches = Launches(LinuxLauncher(in_process=True), tmp_path)
            done = launches.run("cat", "/proc/keys")
            launches.close()
            assert done.status.code == 0
            assert NAME not in done.stdout
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
