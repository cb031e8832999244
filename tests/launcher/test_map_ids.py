"""Maps of user namespaces, written by an ordinary user: its own ids, and others by newuidmap(1)."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import user_namespaces
from launcher.kernel import capabilities, mounts
from launcher.user_namespaces import Map
from tests.support import kernel

pytestmark = pytest.mark.requires("root", "userns")

USER = pwd.getpwuid(1)  # every system has a second user; this one does nothing
UID, GID = USER.pw_uid, USER.pw_gid  # newgidmap wants that group
SUBORDINATE, COUNT = 700000, 65536
CONFIGURATION = ("passwd", "group", "nsswitch.conf")


def as_user(check: Callable[[], None]) -> None:
    """Run it as an ordinary user with subordinate ids, in a process and a mount namespace of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.unshare("mnt")
            subprocess.run(["/bin/mount", "--make-rprivate", "/"], check=True)
            _configure({"subuid": f"{UID}:{SUBORDINATE}:{COUNT}\n", "subgid": f"{USER.pw_name}:800000:10\n"})
            os.setgroups([])
            os.setresgid(GID, GID, GID)
            os.setresuid(UID, UID, UID)
            check()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _configure(files: dict[str, str]) -> None:
    """Cover /etc with one where the user has subordinate ids."""
    kept = {name: Path("/etc", name).read_text() for name in CONFIGURATION if Path("/etc", name).exists()}
    directory = os.open("/etc", os.O_PATH)
    tree = mounts.new_filesystem("tmpfs", "tmpfs", (), (("mode", "755"),))
    mounts.attach(tree, directory, "/etc")
    for name, text in {**kept, **files}.items():
        Path("/etc", name).write_text(text)
    os.close(tree)
    os.close(directory)


def entered(uid_map: Map, gid_map: Map) -> tuple[list[str], list[str], str]:
    """The maps, and whether groups may be dropped, as seen by who has entered such a namespace."""
    descriptor = user_namespaces.create(uid_map, gid_map)
    kernel.enter(descriptor, "user")
    kernel.show_to_ptrace()
    read = (Path("/proc/self", name).read_text() for name in ("uid_map", "gid_map", "setgroups"))
    uids, gids, setgroups = read
    return uids.split(), gids.split(), setgroups.strip()


@pytest.mark.requires("uidmap")
@pytest.mark.parametrize("hidden", [True, False])
def test_subordinate_ids(hidden: bool) -> None:
    def check() -> None:
        if not hidden:
            kernel.show_to_ptrace()  # the change of user has hidden it
        before = kernel.is_dumpable()
        uids, gids, setgroups = entered([(0, UID, 1), (1, SUBORDINATE, COUNT)], [(0, 800000, 10)])
        assert uids == [*map(str, (0, UID, 1)), *map(str, (1, SUBORDINATE, COUNT))]
        assert gids == ["0", "800000", "10"]
        assert setgroups == "allow", "no group of its own is in the map"
        assert before is not hidden
        os.setresgid(5, 5, 5)
        os.setresuid(7, 7, 7)

    as_user(check)


@pytest.mark.requires("uidmap")
@pytest.mark.parametrize(
    ("uid_map", "gid_map", "program"),
    [
        ([(0, SUBORDINATE, COUNT + 1)], [(0, 800000, 10)], "newuidmap"),
        ([(0, 0, 1)], [(0, 800000, 10)], "newuidmap"),
        ([(0, SUBORDINATE, COUNT)], [(0, SUBORDINATE, COUNT)], "newgidmap"),
    ],
)
def test_ids_of_others_are_refused(uid_map: Map, gid_map: Map, program: str) -> None:
    def check() -> None:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="not allowed") as refusal:
            user_namespaces.create(uid_map, gid_map)
        assert refusal.value.filename == program
        assert os.listdir("/proc/self/fd") == before

    as_user(check)


def test_oneself_without_any_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    def check() -> None:
        assert entered([(0, UID, 1)], [(0, GID, 1)]) == (["0", str(UID), "1"], ["0", str(GID), "1"], "deny")

    as_user(check)


def test_others_without_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    def check() -> None:
        with pytest.raises(OSError, match=r"Debian package uidmap.*newgidmap"):
            user_namespaces.create([(0, UID, 1)], [(0, 800000, 10)])

    as_user(check)


def test_who_has_the_capabilities_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its user id is: what counts is CAP_SETUID."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert shutil.which("newuidmap") is None
    pid = os.fork()
    if pid == 0:
        try:
            kernel.keep_capabilities()
            permitted = capabilities.get_capabilities()[1]
            os.setresgid(GID, GID, GID)
            os.setresuid(UID, UID, UID)
            capabilities.set_capabilities(permitted, permitted, ())
            assert entered([(0, SUBORDINATE, 5)], [(0, GID + 1, 5)])[2] == "allow"
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
