"""launcher.kernel.keyring: keys of the launcher's session are not the task's."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable

import pytest

from launcher.kernel import keyring
from launcher.kernel.libc import SyscallError, syscall

pytestmark = pytest.mark.requires("keyctl")

ADD_KEY = {"x86_64": 248, "aarch64": 217, "riscv64": 217, "ppc64le": 269, "s390x": 278}
GET_KEYRING_ID, SEARCH, READ = 0, 10, 11  # linux/keyctl.h
SESSION = -3  # KEY_SPEC_SESSION_KEYRING


def keyctl(operation: int, *arguments: object) -> int:
    return syscall("keyctl", keyring._KEYCTL[os.uname().machine], str(operation), operation, *arguments)


def session() -> int:
    return keyctl(GET_KEYRING_ID, SESSION, 0)


def add_key(secret: bytes) -> int:
    number = ADD_KEY[os.uname().machine]
    return syscall("add_key", number, "test", b"user", b"containerizer-test", secret, len(secret), SESSION)


def read_key(key: int) -> bytes:
    buffer = ctypes.create_string_buffer(64)
    size = keyctl(READ, key, buffer, len(buffer))
    return buffer.raw[:size]


def find_key() -> int:
    return keyctl(SEARCH, SESSION, b"user", b"containerizer-test", 0)


def in_child(check: Callable[[], None]) -> None:
    """Run it in a forked process, whose keyrings end with it."""
    pid = os.fork()
    if pid == 0:
        try:
            check()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_launchers_keys_stay_behind() -> None:
    def check() -> None:
        keyring.join_new_session_keyring()  # the launcher's, that the test's own is left alone
        key = add_key(b"secret")
        assert read_key(key) == b"secret"

        def check_task() -> None:
            assert find_key() == key, "inherited"
            keyring.join_new_session_keyring()
            with pytest.raises(SyscallError, match="Required key not available"):
                find_key()
            with pytest.raises(SyscallError, match="Permission denied"):
                read_key(key)  # by its number: it is nobody's here

        in_child(check_task)
        assert read_key(key) == b"secret"

    in_child(check)


def test_each_gets_one_of_its_own() -> None:
    def check() -> None:
        seen = {session()}
        for _ in range(3):
            keyring.join_new_session_keyring()
            assert session() not in seen
            seen.add(session())

    in_child(check)


def test_a_task_keeps_it_across_its_forks() -> None:
    def check() -> None:
        keyring.join_new_session_keyring()
        mine = session()

        def check_fork() -> None:
            assert session() == mine

        in_child(check_fork)

    in_child(check)
