"""Volumes of plug-ins, as containers have them, and as those leave them who are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.process import started
from tests.end_to_end.conftest import Cli
from tests.support.sftp_plugin import SftpPlugin
from tests.support.volume_plugin import VolumePlugin, listening

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"plugged-{os.getpid()}"
MOUNT, UNMOUNT = "VolumeDriver.Mount", "VolumeDriver.Unmount"
_TIMEOUT = 60


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[VolumePlugin]:
    with listening(VolumePlugin(tmp_path / "volumes"), tmp_path / "plugins" / "storage.sock") as running:
        yield running


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    volume = f"type=volume,src={NAME},dst=/data,volume-driver=storage,volume-opt=size=1G"
    return ["--docker-plugins-dir", str(tmp_path / "plugins"), "--mount", volume]


def test_what_is_written_stays_for_the_next(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    wrote = cli("run", "--rm", *options, busybox, "sh", "-c", "echo kept > /data/file")
    assert (wrote.returncode, wrote.stderr) == (0, "")
    assert (plugin.is_mounted(NAME), plugin.volumes) == (False, {NAME: {"size": "1G"}})
    options[-1] += ",readonly"
    script = "cat /data/file; (: > /data/other) 2>&1 | grep -o Read-only"
    read = cli("run", "--rm", *options, busybox, "sh", "-c", script)
    assert read.stdout.splitlines() == ["kept", "Read-only"], read.stderr
    assert (len(plugin.named(MOUNT)), len(plugin.named(UNMOUNT))) == (2, 2)


def test_an_empty_one_begins_with_what_the_image_has(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    """As in Docker: for the first container, and where nobody has put anything there."""
    options[-1] = options[-1].replace(NAME, "copied").replace("/data", "/etc")
    script = ("sh", "-c", "grep -c nobody /etc/passwd; echo changed > /etc/passwd")
    assert cli("run", "--rm", *options, busybox, *script).stdout == "1\n"
    assert cli("run", "--rm", *options, busybox, *script).stdout == "0\n"
    options[-1] = options[-1].replace("copied", "plain") + ",volume-nocopy"
    assert "passwd" not in cli("run", "--rm", *options, busybox, "ls", "/etc").stdout.split()


def test_the_last_of_two_takes_it_away(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    names = [f"{NAME}-{each}" for each in ("a", "b")]
    for name in names:
        assert cli("run", "-d", "--name", name, *options, busybox, "sleep", "1000").returncode == 0
    assert cli("exec", names[0], "sh", "-c", "echo shared > /data/file").returncode == 0
    assert cli("exec", names[1], "cat", "/data/file").stdout == "shared\n"
    assert cli("rm", "-f", names[0]).returncode == 0
    assert plugin.is_mounted(NAME)
    assert cli("rm", "-f", names[1]).returncode == 0
    assert (plugin.is_mounted(NAME), len(plugin.named(MOUNT))) == (False, 1)


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("error", "refuses VolumeDriver.Mount: storage says no to VolumeDriver.Mount"),
        ("hang", "has not answered VolumeDriver.Mount in 1 seconds"),
    ],
)
def test_a_plugin_that_fails_ends_the_launch_with_its_reason(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str], behaviour: str, told: str
) -> None:
    plugin.behaviour[MOUNT] = behaviour
    options += ["--docker-volume-timeout", "1"]
    done = cli("run", "--name", NAME, *options, busybox, "true")
    assert (done.returncode, told in done.stderr, "docker/volume" in done.stderr) == (125, True, True)
    assert cli.left() == []
    del plugin.behaviour[MOUNT]
    assert cli("run", "--rm", "--name", NAME, *options, busybox, "true").returncode == 0


def test_one_is_made_told_and_removed_as_others_are(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    here, volume = options[:2], f"{NAME}-made"
    made = cli("volume", "create", *here, "-d", "storage", "-o", "size=2G", volume)
    assert cli("volume", "create", *here, "-d", "storage", "-o", "size=3G", volume).returncode != 0
    assert (made.stdout, plugin.volumes) == (f"{volume}\n", {volume: {"size": "2G"}}), made.stderr
    box = ("run", "-d", "--name", NAME, *here, "-v", f"{volume}:/data", busybox, "sleep", "1000")
    assert cli(*box).returncode == 0
    (told,) = json.loads(cli("volume", "inspect", *here, volume).stdout)
    assert (told["driver"], told["containers"]) == ("storage", [NAME])
    assert told["mountpoint"] == str(plugin.mounts / volume)
    refused = cli("volume", "rm", *here, volume)
    assert (refused.returncode != 0, f"in use by {NAME}" in refused.stderr) == (True, True)
    assert cli("rm", "-f", NAME).returncode == 0
    assert cli("volume", "rm", *here, volume).returncode == 0
    assert (plugin.volumes, volume in cli("volume", "ls", "-q").stdout) == ({}, False)


def test_a_volume_of_csi_and_its_secrets(cli: Cli, busybox: str, tmp_path: Path) -> None:
    csi = pytest.importorskip(
        "tests.support.csi_plugin", reason="its server is grpcio's", exc_type=ImportError
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("hunter2-of-storage")
    socket = tmp_path / "csi.sock"
    described = {"type": csi.NAME, "name": "csi", "endpoints": [{"endpoint": f"unix://{socket}"}]}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "csi.json").write_text(json.dumps(described))
    mount = "type=csi,driver=csi,src=vol-1,dst=/data,access-mode=multi_node_multi_writer,stage-secret=k=key"
    options = ["--csi-plugin-config-dir", str(tmp_path / "config"), "--mount", mount]
    options += ["--secret-resolver", "file", "--secrets-dir", str(tmp_path / "secrets")]
    with csi.listening(csi.CsiServer(tmp_path / "volumes"), socket) as plugin:
        plugin.add("vol-1")
        script = "echo kept > /data/file; echo runs; exec sleep 1000"
        with cli.start("run", "--name", NAME, *options, busybox, "sh", "-c", script) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "runs\n"
            (asked,) = plugin.named("NodeStageVolume")
            assert dict(asked.secrets) == {"k": "hunter2-of-storage"}
            found = [
                path for path in (cli.state, Path("/run/containerizer")) for path in path.rglob("*.json")
            ]
            assert [path for path in found if "hunter2" in path.read_text()] == []
            process.kill()
            process.wait(_TIMEOUT)
        cli.wait_for_reapers()
        assert (plugin.staged, plugin.published) == ({}, {})
        assert (plugin.data / "vol-1" / "file").read_text() == "kept\n"
        assert cli("rm", NAME).returncode == 0
        resolver = ("--secret-resolver", "file", "--secrets-dir", str(tmp_path / "secrets"))
        with started(cli.root, cli.state, *options[:2], *resolver) as agent:
            command = (*options[2:4], busybox, "grep", "kept", "/data/file")
            asked = cli("--agent", f"unix:{agent.socket}", "run", "--rm", *command)
            assert asked.stdout == "kept\n", asked.stderr
            agent.stop()
        assert (plugin.staged, len(plugin.named("NodeStageVolume"))) == ({}, 2)


def test_one_that_is_not_there_is_told(cli: Cli, busybox: str, options: list[str]) -> None:
    done = cli("run", "--rm", *options, busybox, "true")
    assert (done.returncode, "there is no plug-in storage" in done.stderr) == (125, True)


def test_a_launcher_that_is_killed_while_it_is_mounted(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    """Between the checkpoint and the answer: `rm` finds what to take back."""
    plugin.behaviour[MOUNT] = "hang"
    with cli.start("run", "--name", NAME, *options, busybox, "true") as process:
        assert plugin.hanging.wait(_TIMEOUT)
        process.send_signal(signal.SIGKILL)
        process.wait(_TIMEOUT)
    del plugin.behaviour[MOUNT]
    assert cli("rm", "-f", NAME).returncode == 0
    assert cli.left() == []
    assert (plugin.is_mounted(NAME), len(plugin.named(UNMOUNT))) == (False, 1)


def test_a_launcher_that_is_killed_while_it_runs(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    """The supervisor becomes the reaper, which knows no options."""
    with cli.start(
        "run", "--name", NAME, *options, busybox, "sh", "-c", "echo runs; exec sleep 1000"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGKILL)
        process.wait(_TIMEOUT)
        assert plugin.is_mounted(NAME)
    cli.wait_for_reapers()
    assert not plugin.is_mounted(NAME)
    assert cli("rm", NAME).returncode == 0


def test_an_agent_is_held_up_by_no_plugin_and_takes_back_after_a_crash(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str], tmp_path: Path
) -> None:
    flags = ["--docker-plugins-dirs", str(tmp_path / "plugins"), "--docker-volume-timeout", "2secs"]
    volume = options[2:]
    with started(cli.root, cli.state, *flags) as agent:
        client = ("--agent", f"unix:{agent.socket}")
        ran = cli(*client, "run", "-d", "--name", NAME, *volume, busybox, "sleep", "1000")
        assert ran.returncode == 0, ran.stderr
        plugin.behaviour[MOUNT] = "hang"
        other = [volume[0], volume[1].replace(NAME, "other")]
        argv = [*cli.argv, *client, "run", "--rm", *other, busybox, "true"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as hanging:
            assert plugin.hanging.wait(_TIMEOUT)
            assert agent.request("GET", "/health")[0] == 200
            assert cli(*client, "exec", NAME, "touch", "/data/file").returncode == 0
            assert hanging.stderr is not None
            assert "has not answered VolumeDriver.Mount in 2 seconds" in hanging.stderr.read()
        assert hanging.returncode != 0
        agent.kill()
    assert plugin.is_mounted(NAME)
    with started(cli.root, cli.state, *flags) as agent:
        client = ("--agent", f"unix:{agent.socket}")
        assert cli(*client, "rm", "-f", NAME).returncode == 0
        assert not plugin.is_mounted(NAME)
        agent.stop()


@pytest.mark.requires("sshfs")
def test_a_file_system_of_another_host(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """By sshfs from an SFTP server of its own: FUSE, as most of network storage."""
    remote = tmp_path / "remote"
    with listening(SftpPlugin(tmp_path / "volumes", remote), tmp_path / "plugins" / "sftp.sock") as plugin:
        options = ["--docker-plugins-dir", str(tmp_path / "plugins")]
        options += ["--mount", "type=volume,src=home,dst=/data,volume-driver=sftp"]
        script = "echo kept > /data/file; awk '$2 == \"/data\" {print $3}' /proc/mounts"
        done = cli("run", "--rm", *options, busybox, "sh", "-c", script)
        assert done.stdout == "fuse.sshfs\n", done.stderr
        assert (remote / "home" / "file").read_text() == "kept\n"
        done = cli("run", "--rm", *options, busybox, "cat", "/data/file")
        assert done.stdout == "kept\n", done.stderr
        assert not plugin.is_mounted("home")


def test_one_without_a_name_goes_from_its_plugin_too(
    cli: Cli, busybox: str, plugin: VolumePlugin, options: list[str]
) -> None:
    options[-1] = "type=volume,dst=/data,volume-driver=storage"
    done = cli("run", "--rm", *options, busybox, "sh", "-c", "echo x > /data/file")
    assert (done.returncode, done.stderr) == (0, "")
    assert plugin.named("VolumeDriver.Create") != [] and plugin.volumes == {}
