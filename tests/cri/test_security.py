"""What a container may do: users, groups, capabilities, seccomp, and what of /proc and /sys it sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cri.client import status_of
from tests.cri.conftest import Node, Pods
from tests.support import images

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

MASKED, READONLY = ["/proc/meminfo", "/sys/firmware", "/nothing"], ["/proc/sys"]


@pytest.fixture(scope="session")
def with_users(served: Node) -> str:
    """An image with a user who is in groups, as its reference."""
    parts = images.busybox()
    users = images.layer(
        [
            images.entry("etc/passwd", b"root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:ann:/:/bin/sh\n"),
            images.entry("etc/group", b"root:x:0:\nann:x:1000:\nwheel:x:10:ann\n"),
        ]
    )
    images.push(
        images.image(*parts.layers, users, config={"Env": ["PATH=/bin"]}), served.registry, "users", "1"
    )
    name = f"{served.registry}/users:1"
    with served.client() as cri:
        cri.PullImage(image={"image": name})
    return name


MERGE, STRICT = 0, 1


@pytest.mark.parametrize(
    ("context", "ids"),
    [
        ({}, "0 0 0"),
        ({"run_as_user": {"value": 1000}}, "1000 1000 10,1000"),
        ({"run_as_username": "ann"}, "1000 1000 10,1000"),
        ({"run_as_user": {"value": 4000}}, "4000 0 0"),
        ({"run_as_user": {"value": 1000}, "run_as_group": {"value": 2000}}, "1000 2000 10,2000"),
        ({"run_as_username": "ann", "run_as_group": {"value": 2000}}, "1000 2000 10,2000"),
        ({"run_as_user": {"value": 1000}, "supplemental_groups": [77, 78]}, "1000 1000 10,77,78,1000"),
        (
            {
                "run_as_user": {"value": 1000},
                "supplemental_groups": [77],
                "supplemental_groups_policy": STRICT,
            },
            "1000 1000 77,1000",
        ),
    ],
)
def test_users_and_groups_of_the_task_and_of_commands(
    pods: Pods, with_users: str, context: dict[str, Any], ids: str
) -> None:
    container = pods.start(pods.run(), context=context, image={"image": with_users})
    uid, gid, groups = ids.split()
    user = pods.status(container).user.linux
    assert (user.uid, user.gid) == (int(uid), int(gid))
    assert sorted(user.supplemental_groups) == sorted(map(int, groups.split(",")))
    told = pods.sh(container, "id -u; id -g; id -G").split("\n")
    assert told[:2] == [uid, gid]
    assert set(told[2].split()) == set(groups.split(","))


@pytest.mark.parametrize(
    ("context", "word"),
    [
        ({"run_as_group": {"value": 1}}, "run_as_group"),
        ({"apparmor": {"profile_type": "Localhost", "localhost_ref": "mine"}}, "mine"),
        ({"apparmor_profile": "localhost/mine"}, "mine"),
        ({"seccomp": {"profile_type": "Localhost", "localhost_ref": "relative"}}, "relative"),
        ({"seccomp_profile_path": "nonsense"}, "nonsense"),
        ({"namespace_options": {"pid": "TARGET"}}, "target_id"),
    ],
)
def test_what_cannot_be_granted_is_refused(pods: Pods, context: dict[str, Any], word: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pods.run(), context=context)
    code, details = status_of(refused.value)
    assert (code, word in details) == ("INVALID_ARGUMENT", True), details


def capabilities(pods: Pods, container: str, which: str = "CapBnd") -> int:
    return int(pods.sh(container, f"grep {which} /proc/self/status").split()[1], 16)


CHOWN, NET_ADMIN, SYS_ADMIN = 1 << 0, 1 << 12, 1 << 21


def test_capabilities_are_added_and_dropped(pods: Pods) -> None:
    pod = pods.run()

    def of(name: str, **asked: list[str]) -> int:
        return capabilities(pods, pods.start(pod, name=name, context={"capabilities": asked}))

    default = of("default")
    assert default & CHOWN
    assert not default & NET_ADMIN
    assert of("one", add_capabilities=["NET_ADMIN"]) == default | NET_ADMIN
    assert of("less", drop_capabilities=["CHOWN"]) == default & ~CHOWN
    assert of("none", drop_capabilities=["ALL"]) == 0
    assert of("only", add_capabilities=["CHOWN"], drop_capabilities=["ALL"]) == CHOWN
    assert of("all", add_capabilities=["ALL"]) & SYS_ADMIN


def test_ambient_capabilities_are_other_users_too(pods: Pods) -> None:
    asked = {"add_capabilities": ["NET_ADMIN"], "add_ambient_capabilities": ["NET_ADMIN"]}
    context = {"run_as_user": {"value": 1000}, "capabilities": asked}
    container = pods.start(pods.run(), context=context)
    assert capabilities(pods, container, "CapEff") == NET_ADMIN


def test_no_new_privileges(pods: Pods) -> None:
    pod = pods.run()
    for name, asked in (("yes", True), ("no", False)):
        container = pods.start(pod, name=name, context={"no_new_privs": asked})
        assert pods.sh(container, "grep NoNewPrivs /proc/self/status").split()[1] == str(int(asked))


@pytest.mark.parametrize(
    ("context", "mode"),
    [
        ({}, "0"),
        ({"seccomp": {"profile_type": "RuntimeDefault"}}, "2"),
        ({"seccomp": {"profile_type": "Unconfined"}}, "0"),
        ({"seccomp_profile_path": "runtime/default"}, "2"),
        ({"seccomp_profile_path": "docker/default"}, "2"),
        ({"seccomp_profile_path": "unconfined"}, "0"),
    ],
)
def test_seccomp_by_the_type_of_profile_and_by_its_old_name(
    pods: Pods, context: dict[str, Any], mode: str
) -> None:
    container = pods.start(pods.run(), context=context)
    assert pods.sh(container, "grep ^Seccomp: /proc/self/status").split()[1] == mode


@pytest.mark.parametrize("old", [False, True])
def test_seccomp_by_a_file(pods: Pods, tmp_path: Path, *, old: bool) -> None:
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    context: dict[str, Any] = {"seccomp": {"profile_type": "Localhost", "localhost_ref": str(profile)}}
    if old:
        context = {"seccomp_profile_path": f"localhost/{profile}"}
    container = pods.start(pods.run(), context=context)
    assert "No space left" in pods.sh(container, "mkdir /x 2>&1 || true")


def test_paths_are_masked_and_read_only_as_asked(pods: Pods) -> None:
    pod = pods.run()
    strict = {"masked_paths": MASKED, "readonly_paths": READONLY}
    container = pods.start(pod, name="strict", context=strict)
    assert pods.sh(container, "cat /proc/meminfo") == ""
    assert "Read-only" in pods.sh(container, "(echo 1 > /proc/sys/vm/swappiness) 2>&1; true")
    container = pods.start(pod, name="open")
    assert (
        pods.sh(container, "grep -c MemTotal /proc/meminfo; grep -c ' /proc/sys ' /proc/mounts; true")
        == "1\n0\n"
    )


def test_the_root_filesystem_is_read_only(pods: Pods) -> None:
    container = pods.start(pods.run(), context={"readonly_rootfs": True})
    assert "Read-only" in pods.sh(container, "touch /x 2>&1; true")


def test_a_privileged_container_has_the_nodes_devices_and_sys(pods: Pods) -> None:
    pod = pods.run(linux={"security_context": {"privileged": True}})
    container = pods.start(pod, context={"privileged": True})
    assert capabilities(pods, container) & SYS_ADMIN
    assert pods.sh(container, "grep ^Seccomp: /proc/self/status").split()[1] == "0"
    assert "rw" in pods.sh(container, "grep ' /sys sysfs ' /proc/mounts").split()[3].split(",")
    pods.sh(container, "cd /sys/fs/cgroup; test ! -d memory || cd memory; mkdir mine && rmdir mine")
    node = {path.name for path in Path("/dev").iterdir() if path.is_char_device() or path.is_block_device()}
    assert node - {"console", "ptmx", "core"} <= set(pods.sh(container, "ls /dev").split())


def test_the_oom_score_is_set_and_clamped(pods: Pods) -> None:
    pod = pods.run()
    container = pods.start(pod, name="high", resources={"oom_score_adj": 900})
    assert pods.sh(container, "cat /proc/self/oom_score_adj") == "900\n"
    container = pods.start(pod, name="low", resources={"oom_score_adj": -999})
    assert int(pods.sh(container, "cat /proc/self/oom_score_adj")) <= 0
