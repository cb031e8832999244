"""Devices by their numbers, and what may be done with them, in the words of cgroup v1's devices.list.

"c 10:229 rw" is a character device, "b 8:* m" all block devices of a driver: "r" and "w" are for
open(2), "m" is for mknod(2). See Documentation/admin-guide/cgroup-v1/devices.rst.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from typing import Any

from launcher.data import Data
from launcher.errors import InvalidRequest

ALL = "rwm"
_RULE = re.compile(r"([abc]) +(\d{1,9}|\*):(\d{1,9}|\*) +([rwm]{1,3})", re.ASCII)
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1  # linux/kdev_t.h


class DeviceRule(Data, kw_only=True):
    """Some devices, and what is allowed with them."""

    kind: str  # "b" block, "c" character
    major: int | None  # None: all
    minor: int | None
    access: str = ALL

    def __str__(self) -> str:
        major, minor = ("*" if number is None else number for number in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


def parse(text: str) -> tuple[DeviceRule, ...]:
    """The rules that the text names, with commas between them; "a" is devices of both kinds.

    Raises InvalidRequest.
    """
    return tuple(rule for part in text.split(",") for rule in _parse(part.strip()))


def _parse(text: str) -> tuple[DeviceRule, ...]:
    match = _RULE.fullmatch(text)
    if match is None:
        hint = "write it as 'c 10:229 rwm': a, b or c, numbers or *, and some of r, w and m"
        raise InvalidRequest(f"invalid device rule {text!r}", hint=hint)
    major, minor = (None if number == "*" else int(number) for number in match.group(2, 3))
    if (major or 0) > _MAX_MAJOR or (minor or 0) > _MAX_MINOR:
        hint = f"the largest numbers are {_MAX_MAJOR}:{_MAX_MINOR}"
        raise InvalidRequest(f"there is no device of the rule {text!r}", hint=hint)
    kinds = "bc" if match[1] == "a" else match[1]
    access = ordered(match[4])
    return tuple(DeviceRule(kind=kind, major=major, minor=minor, access=access) for kind in kinds)


def ordered(access: str) -> str:
    """Each letter once, as the kernel writes them."""
    return "".join(letter for letter in ALL if letter in access)


def rule_of(path: str, access: str = ALL) -> DeviceRule | None:
    """That for the device node at `path`; None if something else is there, or nothing. Raises OSError."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else None
    if kind is None:
        return None
    number = status.st_rdev
    return DeviceRule(kind=kind, major=os.major(number), minor=os.minor(number), access=access)


class Device(Data, kw_only=True):
    """A device of the host's that a request names by its path: a node, or a directory of nodes."""

    source: str  # absolute
    target: str  # in the container, absolute
    access: str = ALL

    def __str__(self) -> str:
        """As `parse_device` reads it."""
        return f"{self.source}:{self.target}:{self.access}"

    @property
    def is_restricted(self) -> bool:
        """Whether reading or writing is left out, which a node alone does not see to."""
        return not {"r", "w"} <= set(self.access)


def is_cdi(text: str) -> bool:
    """Whether it is no path, but looks like a name of CDI: "vendor.com/class=device"."""
    return not text.startswith("/") and "/" in text and "=" in text


def parse_device(text: str) -> Device:
    """What `--device HOST[:CONTAINER][:rwm]` says, as Docker has it. Raises InvalidRequest."""
    source, *rest = text.split(":")
    access = rest.pop() if rest and rest[-1] and set(rest[-1]) <= set(ALL) else ALL
    target = rest.pop(0) if rest else source
    paths = (source, target)
    if rest or len(set(access)) != len(access) or not all(os.path.isabs(path) for path in paths):
        hint = "write HOST[:CONTAINER][:rwm], paths that begin with /"
        raise InvalidRequest(f"invalid device {text!r}", hint=hint)
    return Device(source=source, target=os.path.normpath(target), access=ordered(access))


def told_apart(devices: Sequence[Device | str]) -> dict[str, tuple[Any, ...]]:
    """The fields of ContainerConfig for devices in the words of `--device`. Raises InvalidRequest."""
    texts = [device for device in devices if isinstance(device, str)]
    paths = [parse_device(text) for text in texts if not is_cdi(text)]
    return {
        "devices": (*(device for device in devices if isinstance(device, Device)), *paths),
        "cdi_devices": tuple(text for text in texts if is_cdi(text)),
    }
