"""linux/devices: what of the host's /dev a request names; in end_to_end/test_devices.py tasks use it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from isolators import catalog
from isolators.devices import Device, parse_device
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.linux.devices import LinuxDevices
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo
from tests.isolators.support import CONFIG, WEB


def contribution(*devices: str, config: ContainerConfig = CONFIG) -> LaunchInfo:
    asked = replace(config, devices=tuple(map(parse_device, devices)))
    return LinuxDevices(IsolatorFlags()).contribute(WEB, asked)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Some nodes, a file and links, as /dev/snd may have them."""
    (tmp_path / "dev" / "by-path").mkdir(parents=True)
    os.mknod(tmp_path / "dev" / "one", stat.S_IFCHR | 0o600, os.makedev(116, 1))
    os.mknod(tmp_path / "dev" / "by-path" / "two", stat.S_IFBLK | 0o600, os.makedev(7, 2))
    (tmp_path / "dev" / "file").touch()
    (tmp_path / "dev" / "by-path" / "link").symlink_to("two")
    (tmp_path / "dev" / "loop").symlink_to(".")
    return tmp_path / "dev"


@pytest.mark.parametrize(
    ("text", "source", "target", "access"),
    [
        ("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm"),
        ("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r"),
        ("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x", "rwm"),
        ("/dev/fuse:/dev//x/:wr", "/dev/fuse", "/dev/x", "rw"),
    ],
)
def test_devices_are_written_as_dockers_are(text: str, source: str, target: str, access: str) -> None:
    device = Device(source=source, target=target, access=access)
    assert parse_device(text) == device
    assert parse_device(str(device)) == device


@pytest.mark.parametrize(
    "text", ["", "fuse", "/dev/fuse:x", "/dev/fuse:", "/a:/b:/c", "/a:/b:rr", "/a:/b:rwx", "/a::r"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid device"):
        parse_device(text)


@pytest.mark.requires("root")
def test_a_directory_stands_for_all_nodes_below_it(directory: Path) -> None:
    info = contribution(f"{directory}:/dev/snd:r")
    assert {mount.target: mount.source for mount in info.mounts} == {
        "/dev/snd/one": f"{directory}/one",
        "/dev/snd/by-path/two": f"{directory}/by-path/two",
    }
    assert set(info.devices) == {"c 116:1 r", "b 7:2 r"}


@pytest.mark.requires("root")
def test_a_link_is_its_device(directory: Path) -> None:
    info = contribution(f"{directory}/by-path/link:/dev/disk")
    assert [(mount.target, mount.source) for mount in info.mounts] == [
        ("/dev/disk", f"{directory}/by-path/two")
    ]
    assert info.devices == ("b 7:2 rwm",)


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reasons = {"file": "it is none", "none": "there is no such file", "": "there is none in that directory"}
    for name, reason in reasons.items():
        with pytest.raises(InvalidRequest, match=reason):
            contribution(f"{tmp_path}/{name}")


def test_on_the_hosts_files_a_node_is_where_it_is() -> None:
    host = ContainerConfig()
    info = contribution("/dev/full:r", config=host)
    assert info == LaunchInfo(devices=("c 1:7 r",))
    with pytest.raises(InvalidRequest, match="/dev/elsewhere"):
        contribution("/dev/full:/dev/elsewhere", config=host)


def test_who_asks_for_devices_is_kept_from_others() -> None:
    asked = ContainerConfig(devices=(parse_device("/dev/null"),))
    loaded = catalog.default_for(asked)
    assert "linux/devices" in loaded
    assert asked.asked() == {"devices"}
    restricted = ContainerConfig(devices=(parse_device("/dev/null:r"),))
    assert restricted.asked() == {"devices", "device_access"}
    assert {"linux/devices", "cgroups/devices"} <= set(catalog.default_for(restricted))
