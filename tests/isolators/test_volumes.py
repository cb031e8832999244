"""Volumes as data: where they may be, and who serves which."""

from __future__ import annotations

import pytest

from isolators.isolator import ContainerConfig
from isolators.volumes import BIND, CSI, NAMED, Volume, of
from launcher.errors import InvalidRequest


@pytest.mark.parametrize(
    "target",
    [
        "",
        "data",
        "/",
        "/a/../b",
        "/a/",
        "//a",
        "/proc",
        "/proc/1",
        "/proc/sys",
        "/dev",
        "/dev/pts",
        "/dev/fd",
    ],
)
def test_where_none_may_be(target: str) -> None:
    with pytest.raises(InvalidRequest):
        Volume(kind=BIND, source="/x", target=target)


@pytest.mark.parametrize("target", ["/a/b", "/proc/cpuinfo", "/dev/shm", "/dev/dri", "/sys", "/..a"])
def test_where_one_may_be(target: str) -> None:
    assert Volume(kind=BIND, source="/x", target=target).target == target


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "nothing"},
        {"propagation": "public"},
        {"recursive": "no"},
        {"flags": ("suid",)},
        {"source": "/a\0"},
        {"subpath": "../x"},
        {"subpath": "/x"},
    ],
)
def test_what_is_no_word_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        Volume(**{"kind": BIND, "source": "/x", "target": "/t", **fields})  # type: ignore[arg-type]


def test_each_kind_asks_for_its_isolator() -> None:
    own = Volume(kind=NAMED, source="n", target="/z")
    other = Volume(kind=NAMED, source="n", target="/p", driver="rexray")
    first = Volume(kind=NAMED, source="m", target="/a", driver="local")
    config = ContainerConfig(volumes=(own, other, first, Volume(kind=CSI, source="c", target="/c")))
    assert config.asked() == {"named_volumes", "docker_volumes", "csi_volumes"}
    assert of(config, "named_volumes") == [first, own]


def test_a_device_node_opens_nothing_unless_that_is_asked_for() -> None:
    assert Volume(kind=BIND, source="/x", target="/t").mount_flags == ("nodev",)
    asked = Volume(kind=BIND, source="/x", target="/t", flags=("dev", "noexec"), readonly=True)
    assert asked.mount_flags == ("ro", "noexec")
