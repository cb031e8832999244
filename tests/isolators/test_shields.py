"""filesystem/linux, namespaces/*, network/loopback, linux/*: what each contributes, and why not more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isolators.filesystem.linux import CGROUP_BASE, FilesystemLinux
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.linux.capabilities import LinuxCapabilities
from isolators.linux.granted import DEFAULT
from isolators.linux.nnp import LinuxNnp
from isolators.namespaces.uts import UtsNamespace
from isolators.network.loopback import NetworkLoopback
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities
from launcher.launch_info import Mount
from tests.isolators.support import CONFIG, WEB, FakeCgroupfs

FLAGS = IsolatorFlags()


def changed(**fields: Any) -> ContainerConfig:
    return replace(CONFIG, **fields)


# filesystem/linux


def test_order_lets_every_mount_find_its_target() -> None:
    targets = [mount.target for mount in FilesystemLinux(FLAGS).contribute(WEB, CONFIG).mounts]
    for place, target in enumerate(targets):
        assert not any(later != target and target.startswith(f"{later}/") for later in targets[place:])


def test_nothing_but_devices_can_be_a_device() -> None:
    for mount in FilesystemLinux(FLAGS).contribute(WEB, CONFIG).mounts:
        assert {"nosuid", "noexec"} <= set(mount.flags), mount.target
        assert "nodev" in mount.flags or mount.fstype in ("bind", "devpts"), mount.target


def test_rootfs_of_the_provisioner_is_passed_on() -> None:
    overlay = Mount(target="/rootfs", fstype="overlay")
    info = FilesystemLinux(FLAGS).contribute(WEB, changed(rootfs_mounts=(overlay,), readonly_rootfs=True))
    assert (info.rootfs, info.rootfs_mounts, info.readonly_rootfs) == ("/rootfs", (overlay,), True)
    assert FilesystemLinux(FLAGS).contribute(WEB, CONFIG).readonly_rootfs is None


def test_cgroup_directories_only_where_v1_is_in_use(tmp_path: Path) -> None:
    fake = FakeCgroupfs(tmp_path)
    fake.mount_v2("pids")
    assert CGROUP_BASE not in FilesystemLinux(FLAGS, fake.mountinfo).contribute(WEB, CONFIG).mounts
    fake.mount_v1("cpu")
    assert CGROUP_BASE in FilesystemLinux(FLAGS, fake.mountinfo).contribute(WEB, CONFIG).mounts


# namespaces/uts, network/loopback


def test_hostname_is_the_name_or_as_asked() -> None:
    nested = ContainerId("nested", WEB)
    assert UtsNamespace(FLAGS).contribute(nested, CONFIG).hostname == "nested"
    info = UtsNamespace(FLAGS).contribute(WEB, changed(hostname="www.example.org"))
    assert info.hostname == info.environment["HOSTNAME"] == "www.example.org"
    assert info.file_operations[0].content == "www.example.org\n"


def test_variable_of_the_request_wins() -> None:
    info = UtsNamespace(FLAGS).contribute(WEB, changed(environment={"HOSTNAME": "mine"}))
    assert info.environment == {}


@pytest.mark.parametrize("hostname", ["", "a" * 65, "a b", "a\nb", "-a", "a/b", ".."])
@pytest.mark.parametrize("isolator", [UtsNamespace, NetworkLoopback])
def test_invalid_hostname(isolator: type[UtsNamespace | NetworkLoopback], hostname: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid host name"):
        isolator(FLAGS).contribute(WEB, changed(hostname=hostname))


def test_loopback_knows_the_own_name() -> None:
    info = NetworkLoopback(FLAGS).contribute(WEB, changed(hostname="www"))
    assert info.interfaces_up == ("lo",)
    assert "127.0.0.1\twww\n" in info.file_operations[0].content


# linux/capabilities, linux/nnp


def host_with(tmp_path: Path, *lacking: str) -> LinuxCapabilities:
    bits = sum(1 << n for n, name in enumerate(capabilities.NAMES) if name not in lacking)
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapBnd:\t{bits:016x}\n")
    return LinuxCapabilities(FLAGS, str(status))


def granted(isolator: LinuxCapabilities, add: list[str], drop: list[str]) -> set[str]:
    config = changed(capabilities_add=tuple(add), capabilities_drop=tuple(drop))
    sets = isolator.contribute(WEB, config).capabilities
    assert sets and sets.bounding == sets.effective == sets.permitted
    assert sets.inheritable == sets.ambient == ()
    return {name.removeprefix("CAP_") for name in sets.bounding}


BASE = {name.removeprefix("CAP_") for name in DEFAULT}
EVERY = {name.removeprefix("CAP_") for name in capabilities.NAMES}


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], BASE),
        (["net_admin"], [], BASE | {"NET_ADMIN"}),
        (["CAP_NET_ADMIN"], ["Cap_Chown"], (BASE | {"NET_ADMIN"}) - {"CHOWN"}),
        (["CHOWN"], ["CHOWN"], BASE),
        ([], ["ALL"], set()),
        (["KILL"], ["all"], {"KILL"}),
        (["ALL"], [], EVERY),
        (["all"], ["SYS_ADMIN"], EVERY - {"SYS_ADMIN"}),
        (["ALL"], ["ALL"], EVERY),
    ],
)
def test_add_and_drop(tmp_path: Path, add: list[str], drop: list[str], expected: set[str]) -> None:
    assert granted(host_with(tmp_path), add, drop) == expected


def test_host_without_a_default_or_with_less_than_all(tmp_path: Path) -> None:
    host = host_with(tmp_path, "CAP_MKNOD", "CAP_SYS_ADMIN")
    assert granted(host, [], []) == BASE - {"MKNOD"}
    assert granted(host, ["ALL"], []) == EVERY - {"MKNOD", "SYS_ADMIN"}
    with pytest.raises(InvalidRequest, match="cannot add capability CAP_SYS_ADMIN"):
        granted(host, ["sys_admin"], [])


@pytest.mark.parametrize(
    ("bounding", "effective", "add", "drop", "expected"),
    [
        (("chown", "CAP_KILL"), None, [], [], {"CHOWN", "KILL"}),
        (("chown", "sys_admin"), None, ["ALL"], [], {"CHOWN", "SYS_ADMIN"}),
        (("chown", "sys_admin"), None, ["SYS_ADMIN"], [], {"CHOWN", "SYS_ADMIN"}),
        (None, ("net_raw",), [], [], {"NET_RAW"}),
        (None, ("net_raw",), ["KILL"], ["net_raw"], {"KILL"}),
        (None, (), [], [], set()),
        (("net_raw", "kill"), ("net_raw",), [], [], {"NET_RAW"}),
        ((), None, ["ALL"], [], set()),
    ],
)
def test_bounds_of_the_operator(
    tmp_path: Path,
    bounding: tuple[str, ...] | None,
    effective: tuple[str, ...] | None,
    add: list[str],
    drop: list[str],
    expected: set[str],
) -> None:
    host_with(tmp_path)
    flags = IsolatorFlags(bounding_capabilities=bounding, effective_capabilities=effective)
    assert granted(LinuxCapabilities(flags, str(tmp_path / "status")), add, drop) == expected


def test_beyond_the_bounds_of_the_operator(tmp_path: Path) -> None:
    host_with(tmp_path)
    status = str(tmp_path / "status")
    bounded = LinuxCapabilities(IsolatorFlags(bounding_capabilities=("kill",)), status)
    with pytest.raises(InvalidRequest, match="cannot add capability CAP_SYS_ADMIN"):
        granted(bounded, ["SYS_ADMIN"], [])
    with pytest.raises(InvalidRequest, match="that the bounding ones have not: CAP_CHOWN"):
        LinuxCapabilities(
            IsolatorFlags(bounding_capabilities=("kill",), effective_capabilities=("kill", "chown")), status
        )


def test_unknown_capability_gets_a_guess(tmp_path: Path) -> None:
    for lists in ((["NET_ADMINN"], []), ([], ["NET_ADMINN"])):
        with pytest.raises(InvalidRequest, match="unknown capability 'NET_ADMINN'") as caught:
            granted(host_with(tmp_path), *lists)
        assert caught.value.hint == "did you mean CAP_NET_ADMIN?"


def test_no_new_privileges_can_be_waived() -> None:
    assert LinuxNnp(FLAGS).contribute(WEB, CONFIG).no_new_privileges is True
    assert LinuxNnp(FLAGS).contribute(WEB, changed(no_new_privileges=False)).no_new_privileges is None


# launcher.kernel.capabilities, in a process of its own: what is dropped is gone for good

APPLY = """
from launcher.kernel import capabilities as c
c.set_capabilities(["CAP_CHOWN"], ["CAP_CHOWN", "CAP_KILL"], ["CAP_KILL"])
print(open("/proc/self/status").read())
assert c.get_capabilities() == (("CAP_CHOWN",), ("CAP_CHOWN", "CAP_KILL"), ("CAP_KILL",))
"""


@pytest.mark.requires("root")
def test_capabilities_are_applied() -> None:
    run = subprocess.run(
        [sys.executable, "-c", APPLY], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert run.stderr == ""
    lines = [
        line.split() for line in run.stdout.splitlines() if line.startswith(("CapInh", "CapPrm", "CapEff"))
    ]
    chown, kill = 1 << 0, 1 << 5
    assert [(name, int(bits, 16)) for name, bits in lines] == [
        ("CapInh:", kill),
        ("CapPrm:", chown | kill),
        ("CapEff:", chown),
    ]


def test_names_are_the_kernels() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(capabilities.NAMES) >= min(last + 1, 41)
    assert capabilities.NUMBERS["CAP_SYS_ADMIN"] == 21
    assert capabilities.NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40
    assert os.path.exists("/proc/self/status") and capabilities.bounding_set()
