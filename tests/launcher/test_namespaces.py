"""Every kind of namespace: new, another container's, the host's; and a PID namespace below another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from launcher.container_id import MAX_DEPTH
from launcher.errors import InvalidRequest, LaunchFailed
from launcher.launch_info import IdMapping
from launcher.namespaces import KINDS, NEW, below
from tests.launcher.support import PROC, WAITS, Launched, Launches, status_of

pytestmark = pytest.mark.requires("root")

# What a kind needs beside itself to be seen, or made.
BESIDE: dict[str, dict[str, str]] = {"pid": {"mnt": NEW}}
MAPS = {"uid_map": (IdMapping(0, 100000, 65536),), "gid_map": (IdMapping(0, 200000, 65536),)}


def fields(kind: str, asked: str) -> dict[str, Any]:
    maps = MAPS if (kind, asked) == ("user", NEW) else {}
    return {"namespaces": {**BESIDE.get(kind, {}), kind: asked}, **maps}


def path(launched: Launched, kind: str) -> str:
    return f"/proc/{launched.task.pid}/ns/{kind}"


def inside(launches: Launches, kind: str, **info: Any) -> str:
    """The namespace that a task sees itself in."""
    return launches.run("readlink", f"/proc/self/ns/{kind}", **info).stdout.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_new(launches: Launches, kind: str) -> None:
    assert inside(launches, kind, **fields(kind, NEW)) != os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_host(in_process: Launches, kind: str) -> None:
    assert inside(in_process, kind, namespaces={}) == os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_of_another_container(launches: Launches, kind: str) -> None:
    other = launches.start(*WAITS, **fields(kind, NEW))
    seen = os.readlink(path(other, kind))
    joining = launches.start(*WAITS, namespaces={kind: path(other, kind)})
    assert os.readlink(path(joining, kind)) == seen
    joining.task.destroy()
    assert os.readlink(path(other, kind)) == seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_is_none(in_process: Launches, kind: str) -> None:
    for missing in ("/nonexistent", "/proc/self/status"):
        with pytest.raises(LaunchFailed, match=missing):
            in_process.clone("true", namespaces={kind: missing})


def test_a_pid_namespace_below_another(launches: Launches) -> None:
    parent = launches.start(*WAITS)
    namespaces = {"mnt": NEW, "pid": below(path(parent, "pid"))}
    nested = launches.start(*WAITS, namespaces=namespaces, mounts=(PROC,))
    assert nested.line() == "runs"
    status = status_of(Path(f"/proc/{nested.task.pid}/status").read_text())
    host, in_parent, own = status["NSpid"].split()
    assert (host, own) == (str(nested.task.pid), "1")
    assert int(in_parent) > 1
    parent.task.destroy()
    assert nested.task.exit_status() is not None, "the end of the parent's namespace is the nested one's"


def test_deeper_than_the_kernel_nests(in_process: Launches) -> None:
    """However many levels there are around us."""
    below_it = NEW
    with pytest.raises(LaunchFailed, match="the kernel makes no more namespaces") as refusal:
        for _ in range(MAX_DEPTH + 1):
            deepest = in_process.start(*WAITS, namespaces={"mnt": NEW, "pid": below_it})
            below_it = below(path(deepest, "pid"))
    assert "nest 32 deep" in str(refusal.value.hint)
    assert deepest.line() == "runs"


def test_all_of_another_container(launches: Launches) -> None:
    every = dict.fromkeys(KINDS, NEW)
    other = launches.start(*WAITS, namespaces=every, mounts=(PROC,), **MAPS)
    other.line()
    joining = launches.start(*WAITS, namespaces={kind: path(other, kind) for kind in KINDS})
    joining.line()
    for kind in KINDS:
        assert os.readlink(path(joining, kind)) == os.readlink(path(other, kind))


def test_the_supervisor_stays_on_the_host(launches: Launches) -> None:
    other = launches.start(*WAITS)
    joining = launches.start(*WAITS, namespaces={k: path(other, k) for k in ("net", "mnt", "pid")})
    joining.line()
    for kind in (*KINDS, "pid_for_children", "time_for_children"):
        assert os.readlink(f"/proc/{joining.supervisor}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")


def test_clocks_of_a_time_namespace(launches: Launches) -> None:
    offset = 10 * 24 * 3600
    done = launches.run(
        "cat",
        "/proc/uptime",
        "/proc/self/timens_offsets",
        namespaces={"time": NEW},
        time_offsets={"boottime": offset, "monotonic": 7},
    )
    uptime, *offsets = done.lines
    assert float(uptime.split()[0]) > offset
    assert [line.split() for line in offsets] == [["monotonic", "7", "0"], ["boottime", str(offset), "0"]]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"namespaces": {"disk": NEW}}, "unknown kind of namespace 'disk'"),
        ({"namespaces": {"net": "other"}}, "invalid net namespace 'other'"),
        ({"namespaces": {"net": "new:/proc/1/ns/net"}}, "invalid net namespace"),
        ({"namespaces": {"user": NEW}}, "uid_map does not say who root"),
        ({"namespaces": {}, **MAPS}, "uid_map has no user namespace"),
        ({"namespaces": {"time": NEW}, "time_offsets": {"realtime": 1}}, "unknown clock 'realtime'"),
        ({"namespaces": {}, "time_offsets": {"boottime": 1}}, "no new time namespace"),
        (
            {"namespaces": {"mnt": "/proc/1/ns/mnt"}, "mounts": (PROC,)},
            "mounts would change the mount namespace",
        ),
    ],
)
def test_nonsense_is_refused(in_process: Launches, info: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        in_process.clone("true", **info)
