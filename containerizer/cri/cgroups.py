"""Cgroup parents as kubelets name them: paths with cgroupfs, slices with systemd."""

from __future__ import annotations

from launcher.errors import InvalidRequest

_SLICE = ".slice"


def parent_of(asked: str, driver: str) -> str | None:
    """The path below the hierarchies' mount points; None: nothing was asked. Raises InvalidRequest."""
    if not asked.strip("/"):
        return None
    if driver == "systemd":
        return _path_of_slice(asked.rpartition("/")[2])
    parts = asked.strip("/").split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise InvalidRequest(f"invalid cgroup parent {asked!r}")
    return "/".join(parts)


def _path_of_slice(name: str) -> str:
    """a-b.slice is in a.slice: systemd.slice(5)."""
    stem = name.removesuffix(_SLICE)
    words = stem.split("-")
    if stem == name or not all(words):
        hint = "with --cri-cgroup-driver=systemd it is a slice, such as kubepods-burstable.slice"
        raise InvalidRequest(f"invalid cgroup parent {name!r}", hint=hint)
    return "/".join(f"{'-'.join(words[:count])}{_SLICE}" for count in range(1, len(words) + 1))
