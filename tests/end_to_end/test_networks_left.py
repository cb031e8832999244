"""What is left in networks, whoever is killed: nothing, or what the next who comes takes back."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import recording_plugin
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "nftables")

AT_ONCE = 8
CONTAINERS = 24


@pytest.fixture
def clean(here: Cli, network: HostNetwork) -> Iterator[None]:
    """Nothing of the default network is left at the end."""
    yield
    assert list(here.state.glob("networks/of/*/addresses/*")) == []
    for lock in here.state.glob("networks/of/*/dns"):
        with contextlib.suppress(FileNotFoundError), open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the name server's, which takes the network away
    assert network.devices() == set()
    assert network.rules() == ""
    here("network", "rm", "bridge")


@pytest.fixture
def recording(tmp_path: Path) -> list[str]:
    """Options with which `run` finds the network `lan` of a plug-in that records."""
    recording_plugin.install(tmp_path / "bin", "recording")
    (tmp_path / "net.d").mkdir()
    plugin = {"type": "recording", "log": str(tmp_path / "log"), "capabilities": {"portMappings": True}}
    value = {"cniVersion": "1.1.0", "name": "lan", "plugins": [plugin]}
    (tmp_path / "net.d" / "lan.conflist").write_text(json.dumps(value))
    return [
        "--network-cni-config-dir",
        f"{tmp_path}/net.d",
        "--network-cni-plugins-dir",
        f"{tmp_path}/bin",
    ]


def told(tmp_path: Path) -> list[tuple[str, str]]:
    """Command and network namespace of each call."""
    calls = recording_plugin.calls(tmp_path / "log")
    return [(call["command"], call["environment"].get("CNI_NETNS", "")) for call in calls]


def test_many_at_once_leave_nothing(here: Cli, busybox: str, clean: None) -> None:
    def launch(number: int) -> subprocess.CompletedProcess[str]:
        port = str(8000 + number)
        return here("run", "--rm", "--network", "bridge", "-p", f"{port}:80", busybox, "ip", "-4", "addr")

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(launch, range(CONTAINERS)))
    assert [each.stderr for each in done if each.returncode] == []
    assert all("inet 10." in each.stdout for each in done)


def test_a_network_is_left_by_who_is_killed_with_the_launcher(
    here: Cli, busybox: str, clean: None, network: HostNetwork
) -> None:
    command = ["run", "--rm", "--network", "bridge", "-p", "8080:80", busybox]
    with here.start(*command, "sh", "-c", "echo up; exec sleep 1000") as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        assert network.devices()
        process.kill()
        process.wait()
        here.kill_containers()


def test_a_launch_that_is_interrupted_in_a_plugin_is_taken_back(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    os.mkfifo(tmp_path / "log")
    path = tmp_path / "net.d" / "lan.conflist"
    path.write_text(path.read_text().replace('"type"', '"hangs": ["ADD"], "type"'))
    with here.start("run", "--rm", "--network", "lan", *recording, busybox, "true") as process:
        add = json.loads((tmp_path / "log").read_text())
        process.send_signal(signal.SIGINT)
        delete = json.loads((tmp_path / "log").read_text())
        process.wait(30)
    assert [add["command"], delete["command"]] == ["ADD", "DEL"]
    os.unlink(tmp_path / "log")


def test_a_reboot_is_told_to_plugins_by_the_next_container(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    run = ["--network", "lan", *recording, busybox]
    record = _record_of_one_that_has_ended(here, *run)
    record["boot"] = "another"
    (here.root / "networks" / "attached" / "web.json").write_text(json.dumps(record))
    (here.state / "networks" / "swept").write_text("another")
    assert here("run", "--rm", "--name", "web", "-p", "8080:80", *run, "true").returncode == 0
    (_, first), _, *others = told(tmp_path)
    assert first
    assert others[0] == ("DEL", "")  # of a namespace that is gone
    assert [command for command, _ in others[1:]] == ["ADD", "DEL"]


def test_what_cannot_be_taken_back_after_a_reboot_is_not_the_next_containers(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    run = ["--network", "lan", *recording, busybox]
    record = _record_of_one_that_has_ended(here, *run)
    record["boot"] = "another"
    record["attachments"][0]["network"]["plugins"][0]["codes"] = {"DEL": 1}
    attached = here.root / "networks" / "attached" / "web.json"
    attached.write_text(json.dumps(record))
    (here.state / "networks" / "swept").write_text("another")
    before = len(recording_plugin.calls(tmp_path / "log"))
    assert here("run", "--rm", "--name", "web", *run, "true").returncode == 0
    calls = recording_plugin.calls(tmp_path / "log")[before:]
    (added,) = [call["environment"]["CNI_CONTAINERID"] for call in calls if call["command"] == "ADD"]
    assert added != record["id"]
    (tmp_path / "bin" / "recording").write_text("#!/bin/sh\n")
    assert here("network", *recording, "gc").stdout == "web\n"


def _record_of_one_that_has_ended(here: Cli, *run: str) -> dict[str, Any]:
    assert here("run", "-d", "--name", "web", "-p", "8080:80", *run, "sleep", "1000").returncode == 0
    record: dict[str, Any] = json.loads((here.root / "networks" / "attached" / "web.json").read_text())
    assert here("rm", "-f", "web").returncode == 0
    return record


def test_gc_takes_back_what_nobody_else_would(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    run = ["--network", "lan", *recording, busybox]
    record = _record_of_one_that_has_ended(here, *run)
    (here.root / "networks" / "attached" / "web.json").write_text(json.dumps(record))
    (here.root / "networks" / "orphans").mkdir(exist_ok=True)
    orphan = {**record, "id": "db-00000000", "container": "db"}
    (here.root / "networks" / "orphans" / "db-00000000.json").write_text(json.dumps(orphan))
    torn = [
        here.root / "networks" / each for each in ("b.conflist.4194305.new", "attached/a.json.4194305.new")
    ]
    for each in torn:
        each.write_text("{")
    (here.state / "networks" / "ports").mkdir()
    (here.state / "networks" / "ports" / "tcp * 8080").symlink_to(record["id"])
    (here.state / "networks" / "ports" / "tcp * 8081").symlink_to("nobody-00000000")
    (here.state / "networks" / "namespaces" / "nobody-00000000").write_text("")
    assert here("run", "-d", "--name", "other", *run, "sleep", "1000").returncode == 0
    try:
        done = here("network", *recording, "gc")
        assert (done.returncode, done.stdout.split()) == (0, ["web", "db"]), done.stderr
        *_, first, second, collected = recording_plugin.calls(tmp_path / "log")
        ids = {call["environment"]["CNI_CONTAINERID"] for call in (first, second)}
        assert ids == {record["id"], "db-00000000"}
        assert not any(each.exists() for each in torn)
        (valid,) = collected["config"]["cni.dev/valid-attachments"]
        assert (collected["command"], valid["ifname"]) == ("GC", "eth0")
        assert valid["containerID"].startswith("other-")
    finally:
        assert here("rm", "-f", "other").returncode == 0


def test_gc_spares_containers_of_another_state_directory(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    other = Cli(here.root, tmp_path / "other", within=here.within)
    run = ["run", "-d", "--name", "web", "--network", "lan", *recording, busybox, "sleep", "1000"]
    assert other(*run).returncode == 0
    try:
        done = here("network", *recording, "gc")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert [command for command, _ in told(tmp_path)] == ["ADD", "GC"]
    finally:
        assert other("rm", "-f", "web").returncode == 0


def test_gc_of_our_own_network_removes_what_has_no_container(
    here: Cli, busybox: str, clean: None, network: HostNetwork
) -> None:
    assert here("run", "--rm", "--network", "bridge", busybox, "true").returncode == 0
    addresses = here.state / "networks" / "of" / "bridge" / "addresses"
    addresses.mkdir()
    (addresses / "10.90.0.77").symlink_to("nobody-00000000/eth0")
    assert here("network", "gc").returncode == 0
    assert not addresses.exists()


def test_a_plugin_that_could_not_delete_is_tried_by_gc(
    here: Cli, busybox: str, tmp_path: Path, recording: list[str]
) -> None:
    """Those that go on failing are told of, and kept."""
    path = tmp_path / "net.d" / "lan.conflist"
    failing = path.read_text().replace('"type"', '"codes": {"ADD": 1, "DEL": 1}, "type"')
    path.write_text(failing)
    assert here("run", "--rm", "--network", "lan", *recording, busybox, "true").returncode == 125
    done = here("network", *recording, "gc")
    assert (done.returncode, "plug-in recording failed with exit code 1" in done.stderr) == (125, True)
    assert len(list((here.root / "networks" / "orphans").iterdir())) == 1
    (tmp_path / "bin" / "recording").write_text("#!/bin/sh\n")
    assert here("network", *recording, "gc").returncode == 0
    assert list((here.root / "networks" / "orphans").iterdir()) == []
