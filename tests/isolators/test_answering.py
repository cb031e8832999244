"""A path is asked for by a process that may be left behind, where a server could keep it waiting."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators import answering
from launcher.kernel import filesystems
from tests.support.sftp_plugin import SftpPlugin

needs = pytest.mark.requires("root", "sshfs")


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[SftpPlugin]:
    plugin = SftpPlugin(tmp_path / "volumes", tmp_path / "remote")
    (plugin.mounts / "far").mkdir()
    plugin.mount("far")
    yield plugin
    plugin.unmount("far")


@needs
def test_a_server_that_hangs_and_goes_on(plugin: SftpPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """FUSE: not even SIGKILL ends who waits for it."""
    monkeypatch.setattr(answering, "_TIMEOUT", 0.5)
    monkeypatch.setattr(answering, "_BRIEF", 0.25)
    path = str(plugin.mounts / "far")
    answering.check(path)
    answering.check(f"{path}/missing")
    (server,) = plugin.servers.values()
    server.send_signal(signal.SIGSTOP)
    try:
        for patience in ("0.5", "0.25", "0.25"):
            with pytest.raises(answering.NotAnswering, match=f"far has not answered in {patience} s"):
                answering.check(path)
        answering.check(str(plugin.mounts))
    finally:
        server.send_signal(signal.SIGCONT)
    monkeypatch.setattr(answering, "_BRIEF", 60.0)
    answering.check(path)
    assert path not in answering._silent
    while answering._left:  # they have their answers, too
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        answering._collect_left()


def test_nobody_looks_where_nothing_can_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    automount = {"/proc/sys/fs/binfmt_misc": "autofs"}  # of any systemd
    monkeypatch.setattr(filesystems, "mount_points", lambda: {"/": "ext4", "/tmp": "tmpfs", **automount})
    monkeypatch.setattr(os, "posix_spawn", None)
    answering.check("/")


def test_mount_points_have_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in proc_pid_mountinfo(5), whatever is in them."""
    known = filesystems.mount_points()
    assert known["/proc"] == "proc"
    assert filesystems.is_mount_point("/proc")
    assert not filesystems.is_mount_point(str(tmp_path))
    (tmp_path / "link").symlink_to("/")
    assert filesystems.is_mount_point(f"{tmp_path}/link/proc")
    assert filesystems._unescaped(r"/a\040b\134c\011\012") == "/a b\\c\t\n"
