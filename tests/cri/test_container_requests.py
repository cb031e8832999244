"""What a kubelet says of resources, as the limits of a request."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from containerizer.cri import container_requests
from containerizer.cri.cgroups import parent_of
from containerizer.cri.proto.common_pb2 import LinuxContainerResources
from isolators.resources import UNLIMITED
from launcher.errors import InvalidRequest

MEBIBYTE = 1 << 20


def asked(**fields: Any) -> LinuxContainerResources:
    return json_format.ParseDict(fields, LinuxContainerResources())


def limits(**fields: Any) -> dict[str, Any]:
    return container_requests.resources(asked(**fields)).limits()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"cpu_quota": -1, "cpu_shares": 0}, {}),
        ({"cpu_shares": 1}, {"cpu_shares": 2}),
        ({"memory_limit_in_bytes": 5, "memory_swap_limit_in_bytes": 5}, {"memory": 5}),
        (
            {"memory_limit_in_bytes": 5, "memory_swap_limit_in_bytes": 7},
            {"memory": 5, "memory_swap": 7},
        ),
        ({"memory_limit_in_bytes": 5, "unified": {"memory.swap.max": "0"}}, {"memory": 5}),
        ({"unified": {"memory.swap.max": "0", "memory.max": "max"}}, {}),
        ({"unified": {"memory.oom.group": "1", "pids.max": "9"}}, {"oom_group": True, "pids": 9}),
    ],
)
def test_limits_are_what_was_asked(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert limits(**fields) == expected


def test_what_is_lifted_is_unlimited() -> None:
    changed = container_requests.changed(asked(cpu_quota=-1, memory_limit_in_bytes=-1))
    assert changed.limits() == {"cpu_quota": UNLIMITED, "memory": UNLIMITED}


def test_huge_pages_that_nobody_asks_for_need_nobody_who_limits_them() -> None:
    """Kubelets name every size, with 0."""
    none = asked(hugepage_limits=[{"page_size": "2MB", "limit": 0}])
    some = asked(hugepage_limits=[{"page_size": "2MB", "limit": 2 * MEBIBYTE}])
    assert container_requests.resources(none, huge_pages=False).hugetlb is None
    assert container_requests.resources(none).hugetlb == {"2MB": 0}
    assert container_requests.resources(some, huge_pages=False).hugetlb == {"2MB": 2 * MEBIBYTE}


@pytest.mark.parametrize(
    ("text", "driver", "path"),
    [
        ("", "cgroupfs", None),
        ("/", "cgroupfs", None),
        ("/kubepods/burstable/pod1", "cgroupfs", "kubepods/burstable/pod1"),
        ("a-b-pod1.slice", "systemd", "a.slice/a-b.slice/a-b-pod1.slice"),
        ("/kubepods.slice/kubepods-pod1.slice", "systemd", "kubepods.slice/kubepods-pod1.slice"),
    ],
)
def test_cgroup_parents(text: str, driver: str, path: str | None) -> None:
    assert parent_of(text, driver) == path


@pytest.mark.parametrize(
    ("text", "driver"), [("/a/../b", "cgroupfs"), ("/kubepods/x", "systemd"), ("a--b.slice", "systemd")]
)
def test_what_is_no_cgroup_parent(text: str, driver: str) -> None:
    with pytest.raises(InvalidRequest):
        parent_of(text, driver)
