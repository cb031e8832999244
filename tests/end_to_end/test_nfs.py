"""Volumes on another host: by NFS from a server of the kernel's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.process import started
from tests.end_to_end.conftest import Cli
from tests.end_to_end.volume_support import out, sh
from tests.support.netns import host_network
from tests.support.nfs import NfsPlugin, NfsServer, mounted, nfs_server
from tests.support.volume_plugin import listening

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nfs")

NOBODY = 65534
_TIMEOUT = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NfsServer]:
    """It exports a directory of everybody's with a file that everybody may read, and one of root's."""
    export = tmp_path_factory.mktemp("export")
    os.chmod(export, 0o777)
    for name, mode in (("kept", 0o644), ("roots", 0o600)):
        (export / name).write_text(name)
        (export / name).chmod(mode)
    with host_network() as network, nfs_server(network, export) as running:
        yield running


@pytest.fixture
def here(directories: Path, tmp_path: Path, server: NfsServer, busybox: str) -> Iterator[Cli]:
    """A command in the network that has the server."""
    root, state = directories / "root", tmp_path / "state"
    assert Cli(root, state)("pull", busybox).returncode == 0  # there is no way to the registry from there
    command = Cli(root, state, within=server.network.within)
    yield command
    assert command.left() == []


def types() -> list[str]:
    return [line.split(" - ")[1].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def test_a_directory_of_the_host_that_is_another_hosts(
    here: Cli, busybox: str, server: NfsServer, tmp_path: Path
) -> None:
    """The server decides who may do what: root in a container is nobody there."""
    with mounted(server, tmp_path / "nfs") as path:
        script = (
            "cat /data/kept; cat /data/roots 2>&1 | grep -o denied;"
            " echo new > /data/new; stat -c %u /data/new"
        )
        told = sh(here, busybox, script, "-v", f"{path}:/data")
        assert told == f"keptdenied\n{NOBODY}\n"
        assert (server.directory / "new").stat().st_uid == NOBODY
        script = (
            "cat /data/kept; (: > /data/other) 2>&1 | grep -o Read-only;"
            " (: > /rw/users) && stat -c %u /rw/users"
        )
        options = ("--user", "1000", "-v", f"{path}:/data:ro", "-v", f"{path}:/rw")
        assert sh(here, busybox, script, *options) == "keptRead-only\n1000\n"
        assert (server.directory / "users").stat().st_uid == 1000


def test_a_named_volume_and_its_last_user(here: Cli, busybox: str, server: NfsServer) -> None:
    """By the driver `local`, in the words of mount(8)."""
    options = ("-o", "type=nfs", "-o", "device=:/", "-o", "o=addr=127.0.0.1,nfsvers=4.2")
    out(here, "volume", "create", *options, "far")
    box = ("run", "-d", "-v", "far:/data", "--name")
    for name in ("a", "b"):
        out(here, *box, name, busybox, "sleep", "1000")
    out(here, "exec", "a", "sh", "-c", "echo shared > /data/file")
    assert out(here, "exec", "b", "cat", "/data/file") == "shared\n"
    out(here, "rm", "-f", "a")
    assert "nfs4" in types()
    out(here, "rm", "-f", "b")
    assert "nfs4" not in types()
    assert (server.directory / "file").read_text() == "shared\n"
    out(here, "volume", "rm", "far")


def test_of_a_plugin(here: Cli, busybox: str, server: NfsServer, tmp_path: Path) -> None:
    with listening(NfsPlugin(tmp_path / "volumes", server), tmp_path / "plugins" / "nfs.sock") as plugin:
        options = ["--docker-plugins-dir", str(tmp_path / "plugins"), "--mount"]
        volume = "type=volume,src=far,dst=/data,volume-driver=nfs,volume-nocopy"
        script = "cat /data/kept; echo new > /data/new; awk '$2 == \"/data\" {print $3}' /proc/mounts"
        assert sh(here, busybox, script, *options, volume) == "keptnfs4\n"
        assert (plugin.is_mounted("far"), (server.directory / "new").read_text()) == (False, "new\n")
        refused = here("run", "--rm", *options, f"{volume},readonly", busybox, "touch", "/data/new")
        assert "Read-only" in refused.stderr
        assert not plugin.is_mounted("far")


def test_a_server_that_has_gone_holds_up_its_own_containers_only(
    cli: Cli, busybox: str, server: NfsServer, tmp_path: Path
) -> None:
    """More of them than an agent launches at once. What runs there can be ended, and the rest goes on."""
    with mounted(server, tmp_path / "nfs") as path, started(cli.root, cli.state, "--launches", "1") as agent:
        client = ("--agent", f"unix:{agent.socket}")
        volume = ("-v", f"{path}:/data")
        script = "cat /data/kept; exec sleep 1000"
        out(cli, *client, "run", "-d", "--name", "far", *volume, busybox, "sh", "-c", script)
        argv = [*cli.argv, *client, "run", "--rm", *volume, busybox, "true"]
        server.vanish()
        try:
            waiting = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(2)]
            assert agent.request("GET", "/health")[0] == 200
            for each in waiting:
                _, told = each.communicate(timeout=_TIMEOUT)
                assert "has not answered" in told
            assert out(cli, *client, "run", "--rm", busybox, "echo", "near") == "near\n"
            out(cli, *client, "rm", "-f", "far")
        finally:
            server.come_back()
        assert sh(cli, busybox, "cat /data/kept", *volume) == "kept"
        agent.stop()
