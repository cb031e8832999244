"""Docker's plug-ins: found by their files, called over their sockets, and given up where they fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.docker import plugins, volume_driver
from isolators.docker.plugins import Endpoint, NoSuchPlugin, Plugin, PluginFailed, PluginRefused
from isolators.flags import IsolatorFlags
from tests.support.authority import Authority
from tests.support.serving import serving
from tests.support.volume_plugin import VolumePlugin, handler, listening

NAME = "storage"
OPTIONS = {"size": "10G"}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[VolumePlugin]:
    with listening(VolumePlugin(tmp_path / "volumes"), tmp_path / "run" / f"{NAME}.sock") as running:
        yield running


def driver(tmp_path: Path, *, timeout: float = 30, retries: float = 0) -> volume_driver.VolumeDriver:
    flags = IsolatorFlags(
        docker_plugins_dirs=(str(tmp_path / "run"), str(tmp_path / "etc")),
        docker_volume_timeout=timeout,
        docker_volume_retries=retries,
    )
    return volume_driver.find(NAME, flags)


# Where they are ----------------------------------------------------------------------------------


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_first_directory_counts_and_a_socket_before_other_files(tmp_path: Path) -> None:
    run, etc = tmp_path / "run", tmp_path / "etc"
    directories = [str(run), str(etc)]
    written(etc / f"{NAME}.json", json.dumps({"Addr": "https://json", "TLSConfig": {"CAFile": "/ca"}}))
    assert plugins.find(NAME, directories) == Endpoint(
        name=NAME, address="https://json", tls={"CAFile": "/ca"}
    )
    written(etc / NAME / f"{NAME}.spec", "tcp://spec:1\n")
    assert plugins.find(NAME, directories).address == "tcp://spec:1"
    with listening(VolumePlugin(tmp_path / "volumes"), run / NAME / f"{NAME}.sock"):
        assert plugins.find(NAME, directories).address == f"unix://{run}/{NAME}/{NAME}.sock"
        assert plugins.names(directories) == [NAME]


@pytest.mark.parametrize("name", ["", "../storage", "a/b", ".", "-x", "vieux/sshfs:latest"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoSuchPlugin, match="invalid name"):
        plugins.find(name, [str(tmp_path)])


def test_one_that_is_nowhere_is_told_with_those_that_are(tmp_path: Path) -> None:
    written(tmp_path / "other.spec", "unix:///x")
    with pytest.raises(NoSuchPlugin, match="there is no plug-in storage; start it; there are other in"):
        plugins.find(NAME, [str(tmp_path), str(tmp_path / "missing")])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Addr": '])
def test_a_file_that_describes_none_is_told(tmp_path: Path, text: str) -> None:
    written(tmp_path / f"{NAME}.json", text)
    with pytest.raises(PluginFailed, match=r"storage\.json describes no plug-in"):
        plugins.find(NAME, [str(tmp_path)])


def test_by_tcp_and_in_tls(tmp_path: Path) -> None:
    running = VolumePlugin(tmp_path / "volumes")
    with serving(handler(running)) as address:
        written(tmp_path / "run" / f"{NAME}.spec", f"tcp://{address}")
        assert driver(tmp_path).scope() == "global"
        written(tmp_path / "run" / f"{NAME}.spec", f"http://{address}/VolumeDriver/")
        with pytest.raises(PluginFailed):
            driver(tmp_path)
    (tmp_path / "run" / f"{NAME}.spec").unlink()
    authority = Authority.make(tmp_path / "authority")
    with serving(handler(running), authority.issue("plugin")) as address:
        described = {"Addr": f"https://{address}", "TLSConfig": {"CAFile": str(authority.certificate)}}
        written(tmp_path / "etc" / f"{NAME}.json", json.dumps(described))
        assert driver(tmp_path).scope() == "global"
        written(tmp_path / "etc" / f"{NAME}.json", json.dumps({"Addr": f"https://{address}"}))
        with pytest.raises(PluginFailed, match="certificate"):
            driver(tmp_path)
        insecure = {"Addr": f"tcp://{address}", "TLSConfig": {"InsecureSkipVerify": True}}
        written(tmp_path / "etc" / f"{NAME}.json", json.dumps(insecure))
        assert driver(tmp_path).scope() == "global"


# What they are asked -----------------------------------------------------------------------------


@pytest.mark.requires("root")
def test_a_volume_from_its_making_to_its_end(plugin: VolumePlugin, tmp_path: Path) -> None:
    found = driver(tmp_path)
    assert found.get("data") is None
    found.ensure("data", OPTIONS)
    found.ensure("data", OPTIONS)
    assert plugin.named("VolumeDriver.Create") == [{"Name": "data", "Opts": OPTIONS}]
    assert found.path("data") == ""
    mountpoint = found.mount("data", "id")
    assert (mountpoint, plugin.is_mounted("data")) == (found.path("data"), True)
    assert [volume.name for volume in found.list()] == ["data"]
    described = found.get("data")
    assert described is not None
    assert (described.mountpoint, described.status) == (mountpoint, {"users": 1})
    with pytest.raises(PluginRefused, match=r"refuses VolumeDriver\.Remove: volume is in use"):
        found.remove("data")
    found.unmount("data", "id")
    found.remove("data")
    assert (plugin.is_mounted("data"), found.list()) == (False, [])


def test_who_is_no_volume_driver_is_refused(plugin: VolumePlugin, tmp_path: Path) -> None:
    plugin.implements = ["NetworkDriver"]
    with pytest.raises(PluginFailed, match="is no VolumeDriver"):
        driver(tmp_path)


@pytest.mark.parametrize("behaviour", ["missing", "error"])
def test_what_a_plugin_need_not_have_is_done_without(
    plugin: VolumePlugin, tmp_path: Path, behaviour: str
) -> None:
    plugin.behaviour = dict.fromkeys(("VolumeDriver.Get", "VolumeDriver.Capabilities"), behaviour)
    found = driver(tmp_path)
    found.ensure("data", {})
    found.ensure("data", {})
    assert (len(plugin.named("VolumeDriver.Create")), found.scope()) == (2, "local")


def test_an_unknown_scope_is_local(plugin: VolumePlugin, tmp_path: Path) -> None:
    plugin.scope = "galaxy"
    assert driver(tmp_path).scope() == "local"


# When they fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("error", "refuses VolumeDriver.Create: storage says no to VolumeDriver.Create"),
        ("junk", "has answered VolumeDriver.Create with status 200: <p>"),
        ("missing", "has no VolumeDriver.Create"),
        ("die", "does not answer VolumeDriver.Create"),
    ],
)
def test_each_failure_is_told(plugin: VolumePlugin, tmp_path: Path, behaviour: str, told: str) -> None:
    found = driver(tmp_path)
    plugin.behaviour["VolumeDriver.Create"] = behaviour
    with pytest.raises(PluginFailed) as caught:
        found.create("data", {})
    assert told in str(caught.value)


@pytest.mark.parametrize("behaviour", ["hang", "dribble"])
def test_one_that_does_not_come_to_an_end_is_given_up(
    plugin: VolumePlugin, tmp_path: Path, behaviour: str
) -> None:
    found = driver(tmp_path, timeout=0.2, retries=30)
    plugin.behaviour["VolumeDriver.Create"] = behaviour
    with pytest.raises(PluginFailed, match=r"has not answered VolumeDriver\.Create in 0\.2 seconds"):
        found.create("data", {})
    assert len(plugin.named("VolumeDriver.Create")) == 1, "it is not asked twice"


def test_one_that_has_died_is_asked_again(plugin: VolumePlugin, tmp_path: Path) -> None:
    found = driver(tmp_path, retries=30)
    plugin.behaviour["VolumeDriver.Create"] = "die"

    class Once(dict[str, str]):
        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            return self.pop(key, default)

    plugin.behaviour = Once(plugin.behaviour)
    found.create("data", {})
    assert len(plugin.named("VolumeDriver.Create")) == 2


def test_one_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run" / f"{NAME}.sock"
    running = VolumePlugin(tmp_path / "volumes")
    with listening(running, path):
        endpoint = plugins.find(NAME, [str(tmp_path / "run")])
    waiting = Plugin(endpoint, retries=30)
    answers: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: answers.append(waiting.call("VolumeDriver.List", {}, 5)))
    thread.start()
    with listening(running, path):
        thread.join()
    assert answers == [{"Volumes": [], "Err": ""}]


def test_a_long_answer_is_read_whole(plugin: VolumePlugin, tmp_path: Path) -> None:
    plugin.volumes = {f"volume-{number}": {} for number in range(6000)}
    assert [volume.name for volume in driver(tmp_path).list()] == list(plugin.volumes)


def test_an_answer_without_end_fills_no_memory(plugin: VolumePlugin, tmp_path: Path) -> None:
    found = driver(tmp_path)
    plugin.volumes = {f"volume-{number}-{'x' * 1000}": {} for number in range(6000)}
    with pytest.raises(PluginFailed, match="it answers more than 4194304 bytes"):
        found.list()


# dvdcli ------------------------------------------------------------------------------------------

DVDCLI = """#!/bin/sh
echo "$@" >> {log}
case "$2 $3" in
*fails*) echo 'no such volume' >&2; exit 1;;
esac
case $1 in
mount|path) echo /mnt/volume;;
esac
"""


def test_dvdcli_is_called_for_what_is_not_found(tmp_path: Path) -> None:
    program, log = tmp_path / "dvdcli", tmp_path / "log"
    program.write_text(DVDCLI.format(log=log))
    program.chmod(0o755)
    flags = IsolatorFlags(docker_plugins_dirs=(str(tmp_path),), dvdcli=str(program))
    found = volume_driver.find("rexray", flags)
    found.ensure("data", OPTIONS)
    assert found.mount("data", "id") == "/mnt/volume"
    found.unmount("data", "id")
    which = "--volumedriver=rexray --volumename=data"
    assert log.read_text().splitlines() == [f"mount {which} --volumeopts=size=10G", f"unmount {which}"]
    with pytest.raises(PluginFailed, match="of rexray failed with exit code 1: no such volume"):
        found.mount("fails", "id")
    assert found.get("fails") is None
