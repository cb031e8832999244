"""cgroups/devices: what a task can open of nodes that are there, on v1 and by a program on v2."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.device_program import program
from isolators.cgroups.devices import CgroupsDevices
from isolators.devices import DeviceRule, parse, rule_of
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import bpf, cgroups
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, go, task

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}-devices")

# Opens each node for reading and for writing, and says which it could: "kmsg:r kmsg:w".
_TRY = """
import os, sys
for path in sys.stdin.readline().split():
    for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY), ("b", os.O_RDWR)):
        try:
            os.close(os.open(path, flags | os.O_NONBLOCK))
            print(f"{os.path.basename(path)}:{letter}", end=" ", flush=True)
        except PermissionError:
            pass
print("end", flush=True)
"""


@pytest.fixture(params=["v1", "v2"])
def devices(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CgroupsDevices]:
    """On each version that this host has: where it has both, v1 is what would be used."""
    wanted = "cgroup" if request.param == "v1" else "cgroup2"
    with open(cgroups.MOUNTINFO) as file:
        lines = [line for line in file if f" - {wanted} " in line]
    (tmp_path / "mountinfo").write_text("".join(lines))
    mountinfo = str(tmp_path / "mountinfo")
    if CgroupsDevices.find(mountinfo) is None:
        pytest.skip(f"this host controls no devices by cgroup {request.param}")
    isolator = CgroupsDevices(FLAGS, mountinfo)
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def nodes(tmp_path: Path) -> str:
    """Paths of nodes, for `opened`: null, which is allowed, kmsg and loop0, which are not."""
    numbers = {"null": (1, 3), "kmsg": (1, 11), "loop0": (7, 0)}
    for name, (major, minor) in numbers.items():
        kind = stat.S_IFBLK if name == "loop0" else stat.S_IFCHR
        os.mknod(tmp_path / name, kind | 0o600, os.makedev(major, minor))
    return " ".join(str(tmp_path / name) for name in numbers)


def prepare(isolator: CgroupsDevices, container_id: ContainerId, rules: str | None, *granted: str) -> None:
    asked = replace(CONFIG, resources=Resources(device_rules=rules), granted_devices=granted)
    isolator.prepare(container_id, asked)


def opened(isolator: CgroupsDevices, container_id: ContainerId, nodes: str) -> set[str]:
    """What a task in the container can open, e.g. "kmsg:r"; "b" is both ways at once."""
    with task(_TRY) as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        go(process)
        return words(process, nodes)


def words(process: subprocess.Popen[bytes], nodes: str) -> set[str]:
    assert process.stdin and process.stdout
    process.stdin.write(nodes.encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline().decode().split()
    assert line[-1] == "end"
    return set(line[:-1])


NULL = {"null:r", "null:w", "null:b"}
KMSG = {"kmsg:r", "kmsg:w", "kmsg:b"}


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_rules_are_obeyed_lowered_and_raised(devices: CgroupsDevices, nodes: str, depth: int) -> None:
    container = WEB
    prepare(devices, container, "c 1:11 rw")
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        prepare(devices, container, "c 1:11 rw")
    assert opened(devices, container, nodes) == NULL | KMSG
    devices.update(container, Resources(device_rules="c 1:11 r"))
    assert opened(devices, container, nodes) == NULL | {"kmsg:r"}
    devices.update(container, Resources())
    assert opened(devices, container, nodes) == NULL
    devices.update(container, Resources(device_rules="c 1:11 w, c 1:11 r"))
    assert opened(devices, container, nodes) == NULL | KMSG
    devices.cleanup(WEB)
    assert not os.path.exists(devices.cgroup(WEB))


@pytest.mark.requires("root", "cgroup")
def test_a_nested_one_can_use_no_more_than_its_parent(devices: CgroupsDevices, nodes: str) -> None:
    nested = ContainerId("nested", WEB)
    prepare(devices, WEB, "b 7:* rw")
    if devices.hierarchy.version == 1:
        with pytest.raises(CgroupError, match="operation not permitted") as caught:
            prepare(devices, nested, "c 1:11 r")
        assert caught.value.hint and "may not use that device itself" in caught.value.hint
        prepare(devices, nested, None)
    else:
        prepare(devices, nested, "c 1:11 r")
    assert opened(devices, nested, nodes) == NULL
    devices.update(nested, Resources(device_rules="b 7:0 r"))
    assert opened(devices, nested, nodes) == NULL | {"loop0:r"}
    devices.update(WEB, Resources())
    assert opened(devices, nested, nodes) == NULL


@pytest.mark.requires("root", "cgroup")
def test_what_others_have_given_stays_when_the_request_changes(devices: CgroupsDevices, nodes: str) -> None:
    prepare(devices, WEB, None, "c 1:11 r")
    assert opened(devices, WEB, nodes) == NULL | {"kmsg:r"}
    devices.update(WEB, Resources(device_rules="b 7:0 r"))
    assert opened(devices, WEB, nodes) == NULL | {"kmsg:r", "loop0:r"}
    assert devices.status(WEB)["devices_granted"] == ["c 1:11 r"]
    prepare(devices, WEB, None)
    assert opened(devices, WEB, nodes) == NULL


@pytest.mark.requires("root", "cgroup")
def test_nodes_of_everything_can_be_made(devices: CgroupsDevices, tmp_path: Path) -> None:
    prepare(devices, WEB, None)
    node = tmp_path / "node"
    made = f"import os, stat\nos.mknod({str(node)!r}, stat.S_IFBLK | 0o600, os.makedev(7, 0))\nprint('made')"
    with task(made) as process:
        cgroups.attach(devices.cgroup(WEB), process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"made\n"


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize(
    "rules",
    ["", "c 1:3", "d 1:3 r", "c 1:3 x", "c -1:3 r", "c 1:3 rwmr", "c 4096:0 r", "c 1:1048576 r", "c 1 r"],
)
def test_bad_rules_are_refused_before_anything_is_made(devices: CgroupsDevices, rules: str) -> None:
    with pytest.raises(InvalidRequest, match="device"):
        devices.check(Resources(device_rules=rules))
    assert not os.path.exists(devices.cgroup(WEB))


def test_rules_are_written_as_the_kernel_does() -> None:
    assert [str(rule) for rule in parse("c 10:229 mrw, a 7:* r")] == ["c 10:229 rwm", "b 7:* r", "c 7:* r"]
    assert rule_of("/dev/null", "r") == DeviceRule(kind="c", major=1, minor=3, access="r")
    assert rule_of("/dev") is None
    assert rule_of("/dev/no-such-device") is None


@pytest.mark.requires("root")
def test_the_kernel_takes_programs_of_all_kinds_of_rules() -> None:
    if not bpf.is_supported():
        pytest.skip("no program can be loaded here")
    rules = parse("a *:* rwm,b *:* m,c 4095:1048575 r,c 1:* rw,b *:3 w")
    os.close(bpf.load(program(rules * 50), "test"))


def test_a_request_without_rules_asks_for_nothing() -> None:
    assert "device_rules" not in ContainerConfig().asked()


# Opens the node again and again, until there is a line to read; then says how often, and how often in vain.
_AGAIN = """
import os, select, sys
path = sys.stdin.readline().strip()
print(flush=True)
opened = refused = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        opened += 1
    except PermissionError:
        refused += 1
print(opened, refused, flush=True)
"""


@pytest.mark.requires("root", "cgroup")
def test_what_stays_allowed_is_so_all_the_time(devices: CgroupsDevices, nodes: str) -> None:
    prepare(devices, WEB, "c 1:11 r")
    with task(_AGAIN) as process:
        cgroups.attach(devices.cgroup(WEB), process.pid)
        go(process)
        assert process.stdin and process.stdout
        process.stdin.write(nodes.split()[1].encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"
        for number in range(200):
            more = f"c 1:11 r,b 7:{number} rw" if number % 2 else "c 1:11 rw"
            devices.update(WEB, Resources(device_rules=more))
        go(process)
        opened, refused = map(int, process.stdout.readline().split())
    assert opened > 0
    assert refused == 0
