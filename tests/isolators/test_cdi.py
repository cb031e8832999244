"""Devices by CDI, from files written by hand: what a container gets, and what is refused by its place."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from isolators.devices import told_apart
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.linux.cdi_spec import InvalidCdiSpec
from isolators.linux.devices import LinuxDevices
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import Hook, LaunchInfo, Mount
from tests.isolators.support import CONFIG, WEB

Write = Callable[..., Path]
NULL = {"path": "/dev/vendor0", "hostPath": "/dev/null", "permissions": "rw"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a specification of vendor.com/device into one of the two directories."""

    def written(devices: Any, name: str = "vendor.json", directory: str = "etc", **fields: Any) -> Path:
        spec = {"cdiVersion": "0.6.0", "kind": "vendor.com/device", "devices": devices, **fields}
        path = tmp_path / directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(spec) if name.endswith("json") else yaml.safe_dump(spec))
        return path

    return written


@pytest.fixture
def contribution(tmp_path: Path) -> Callable[..., LaunchInfo]:
    flags = IsolatorFlags(cdi_spec_dirs=(str(tmp_path / "etc"), str(tmp_path / "run")))

    def of(*names: str, config: ContainerConfig = CONFIG) -> LaunchInfo:
        return LinuxDevices(flags).contribute(WEB, replace(config, cdi_devices=names))

    return of


def device(name: str, **edits: Any) -> dict[str, Any]:
    return {"name": name, "containerEdits": edits}


@pytest.mark.parametrize("name", ["vendor.json", "vendor.yaml"])
def test_a_container_gets_what_the_device_and_all_of_the_file_need(
    write: Write, contribution: Callable[..., LaunchInfo], tmp_path: Path, name: str
) -> None:
    library = tmp_path / "library.so"
    library.touch()
    mounts = [
        {"hostPath": str(library), "containerPath": "/usr/lib/l.so", "options": ["ro", "rbind", "nosuid"]}
    ]
    own = device("one", env=["A=2", "B=x=y"], deviceNodes=[NULL], additionalGids=[44])
    write([own, device("two", env=["C=1"])], name, containerEdits={"env": ["A=1", "D=1"], "mounts": mounts})
    info = contribution("vendor.com/device=one")
    assert info.environment_edits == {"A": "2", "D": "1", "B": "x=y"}
    node = Mount(target="/dev/vendor0", fstype="bind", source="/dev/null", flags=("ro", "nosuid", "noexec"))
    shown = Mount(
        target="/usr/lib/l.so", fstype="rbind", source=str(library), flags=("nodev", "ro", "nosuid")
    )
    assert set(info.mounts) == {node, shown}
    assert info.devices == ("c 1:3 rw",)
    assert info.additional_gids == (44,)


def test_all_is_every_device_where_none_has_that_name(
    write: Write, contribution: Callable[..., LaunchInfo]
) -> None:
    write([device("0", env=["ZERO=1"]), device("1", env=["ONE=1"])])
    assert contribution("vendor.com/device=all").environment_edits == {"ZERO": "1", "ONE": "1"}
    write([device("0", env=["ZERO=1"]), device("all", env=["ALL=1"])])
    assert contribution("vendor.com/device=all").environment_edits == {"ALL": "1"}


def test_the_last_directory_wins_and_in_one_there_is_one(
    write: Write, contribution: Callable[..., LaunchInfo]
) -> None:
    write([device("one", env=["FROM=etc"])])
    write([device("one", env=["FROM=run"])], directory="run")
    assert contribution("vendor.com/device=one").environment_edits == {"FROM": "run"}
    write([device("one", env=["FROM=other"])], "other.yaml", directory="run")
    with pytest.raises(InvalidRequest, match=r"run/other\.yaml, .*run/vendor\.json"):
        contribution("vendor.com/device=one")


def test_a_tmpfs_is_made(write: Write, contribution: Callable[..., LaunchInfo]) -> None:
    options = ["nosuid", "size=64k", "rprivate"]
    mount = {"hostPath": "tmpfs", "containerPath": "/scratch", "type": "tmpfs", "options": options}
    write([device("one", mounts=[mount])])
    (made,) = contribution("vendor.com/device=one").mounts
    assert (made.fstype, made.flags, made.options) == ("tmpfs", ("nodev", "nosuid"), (("size", "64k"),))


def test_who_is_unknown_is_told_who_is_known(write: Write, contribution: Callable[..., LaunchInfo]) -> None:
    with pytest.raises(InvalidRequest, match="no file in"):
        contribution("vendor.com/device=one")
    write([device("one")])
    with pytest.raises(InvalidRequest, match=r"unknown CDI device .*=two; there are .*=one"):
        contribution("vendor.com/device=two")
    with pytest.raises(InvalidRequest, match=r"invalid CDI device 'vendor\.com/device=-'"):
        contribution("vendor.com/device=-")


def test_a_broken_file_is_in_nobodys_way_who_asks_for_another(
    write: Write, contribution: Callable[..., LaunchInfo]
) -> None:
    broken = write([device("x")], "broken.json", kind="other.com/device")
    broken.write_text("{")
    write([device("one", env=["A=1"])])
    assert contribution("vendor.com/device=one").environment_edits == {"A": "1"}
    with pytest.raises(InvalidCdiSpec, match=r"broken\.json"):
        contribution("other.com/device=x")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cdiVersion": "9.0.0"}, 'cdiVersion is "9.0.0"'),
        ({"cdiVersion": None}, "cdiVersion is null"),
        ({"kind": "vendor.com/device/x"}, "kind is"),
        ({"unheard": 1}, "unheard is 1: no such field"),
        ({"devices": [{"name": "-"}]}, r'devices\[0\].name is "-"'),
        ({"devices": [{"name": "a"}, {"name": "a"}]}, r'devices\[1\].name is "a"'),
        ({"devices": {}}, "devices is {}: it is a list"),
        ({"containerEdits": {"env": ["A"]}}, r'containerEdits.env\[0\] is "A"'),
        ({"containerEdits": {"deviceNodes": [{}]}}, r"containerEdits.deviceNodes\[0\].path is null"),
        ({"containerEdits": {"deviceNodes": [{**NULL, "permissions": "x"}]}}, "permissions"),
        ({"containerEdits": {"deviceNodes": [{**NULL, "type": "p"}]}}, "type"),
        ({"containerEdits": {"deviceNodes": [{**NULL, "uid": -1}]}}, "uid"),
        ({"containerEdits": {"mounts": [{"hostPath": "x", "containerPath": "/x"}]}}, "hostPath"),
        ({"containerEdits": {"hooks": [{"hookName": "poststop", "path": "x"}]}}, "path"),
        ({"containerEdits": {"additionalGids": ["1"]}}, "additionalGids"),
        ({"containerEdits": {"intelRdt": {"closID": "x"}}}, "intelRdt"),
        ({"containerEdits": {"netDevices": [{"name": "x"}]}}, "netDevices"),
    ],
)
def test_what_a_file_may_not_say(
    write: Write, contribution: Callable[..., LaunchInfo], fields: dict[str, Any], message: str
) -> None:
    write(fields.pop("devices", [device("one")]), **fields)
    with pytest.raises(InvalidCdiSpec, match=message):
        contribution("vendor.com/device=one")


@pytest.mark.requires("root")
def test_what_the_host_does_not_have_as_it_is_described(
    write: Write, contribution: Callable[..., LaunchInfo], tmp_path: Path
) -> None:
    os.mknod(tmp_path / "node", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    node = {"path": "/dev/x", "hostPath": str(tmp_path / "node")}
    for edits, message in (
        ({"deviceNodes": [{"path": "/dev/no-such-node"}]}, "/dev/no-such-node"),
        ({"deviceNodes": [{"path": "/etc/passwd"}]}, "/etc/passwd"),
        ({"deviceNodes": [{**node, "fileMode": 0o666}]}, "another fileMode than 666"),
        ({"deviceNodes": [{**node, "gid": 44}]}, "another gid than 44"),
        ({"mounts": [{"hostPath": "/no/such", "containerPath": "/x"}]}, "/no/such"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/x", "options": ["rshared"]}]}, "rshared"),
    ):
        write([device("one", **edits)])
        with pytest.raises(InvalidRequest, match=message):
            contribution("vendor.com/device=one")
    write([device("one", deviceNodes=[{**node, "fileMode": 0o600, "uid": 0}])])
    assert contribution("vendor.com/device=one").devices == ("c 1:3 rwm",)


def test_it_takes_a_root_filesystem(write: Write, contribution: Callable[..., LaunchInfo]) -> None:
    write([device("one")])
    with pytest.raises(InvalidRequest, match="root filesystem"):
        contribution("vendor.com/device=one", config=ContainerConfig())


def test_names_are_told_from_paths() -> None:
    apart = told_apart(["/dev/a=b", "nvidia.com/gpu=all", "/dev/null"])
    assert apart["cdi_devices"] == ("nvidia.com/gpu=all",)
    assert [each.source for each in apart["devices"]] == ["/dev/a=b", "/dev/null"]


def test_hooks_are_the_launchers_to_run(write: Write, contribution: Callable[..., LaunchInfo]) -> None:
    hook = {
        "hookName": "createContainer",
        "path": "/usr/bin/x",
        "args": ["x", "y"],
        "env": ["A=1"],
        "timeout": 5,
    }
    write([device("one", hooks=[hook])], containerEdits={"hooks": [hook]})
    wanted = Hook(
        point="createContainer", path="/usr/bin/x", argv=("x", "y"), environment=("A=1",), timeout=5
    )
    assert contribution("vendor.com/device=one").hooks == (wanted,)
    for point in ("poststop", "sometimes"):
        write([device("one", hooks=[{**hook, "hookName": point}])])
        with pytest.raises(InvalidRequest, match=point):
            contribution("vendor.com/device=one")
