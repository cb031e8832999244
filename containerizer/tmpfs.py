"""Filesystems in memory that a request asks for: tmpfs(5), each with the size that it may have.

What is in one counts as memory of the container, and goes with it. One without a size may have half of the
host's memory, as the kernel has it, but no more than the container may.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from containerizer.units import parse_size
from isolators.isolator import ContainerConfig, shares
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount

SHM = "/dev/shm"  # noqa: S108 - where shm_open(3) looks

_RESERVED = ("/proc", "/sys", "/dev")  # mounts of our own are there
_SHUT = ("nosuid", "nodev", "noexec")  # Docker's defaults
_WORDS = {"rw": "", "nodev": "", "nosuid": "", "noexec": "", "exec": "exec", "ro": "ro"}
_NUMBERS = ("uid", "gid", "nr_inodes")
_HINT = "write PATH[:size=SIZE,mode=OCTAL,uid=N,gid=N,nr_inodes=N,exec,ro]"


class Tmpfs(Data, kw_only=True):
    """One of them."""

    target: str  # absolute, in the container
    size: int | None = None  # bytes
    mode: int = 0o1777
    uid: int | None = None
    gid: int | None = None
    nr_inodes: int | None = None
    executable: bool = False
    readonly: bool = False

    def __post_init__(self) -> None:
        _check_target(self.target)
        if self.size is not None and self.size < 1:  # which the kernel takes for no limit
            raise InvalidRequest(
                f"the tmpfs at {self.target} has the size {self.size}", hint="use at least 4k"
            )
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not (name == "nr_inodes") <= value < (1 << 32) - 1:
                raise InvalidRequest(f"the tmpfs at {self.target} has {name}={value}", hint=_HINT)
        if not 0 <= self.mode <= 0o7777:
            raise InvalidRequest(f"the tmpfs at {self.target} has the mode {self.mode:o}", hint=_HINT)

    def __str__(self) -> str:
        """As `parse` reads it."""
        options = [f"{key}={value}" for key, value in self.options]
        words = [word for word, asked in (("exec", self.executable), ("ro", self.readonly)) if asked]
        return f"{self.target}:{','.join([*options, *words])}"

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """The filesystem's own."""
        numbers = {name: getattr(self, name) for name in ("size", *_NUMBERS)}
        asked = ((name, str(value)) for name, value in numbers.items() if value is not None)
        return ("mode", f"{self.mode:o}"), *asked

    def mount(self) -> Mount:
        flags = tuple(flag for flag in _SHUT if flag != "noexec" or not self.executable)
        return Mount(
            target=self.target,
            fstype="tmpfs",
            source="shm" if self.target == SHM else "tmpfs",
            flags=("ro", *flags) if self.readonly else flags,
            options=self.options,
        )


def parse(text: str) -> Tmpfs:
    """PATH[:OPTION,…] in Docker's words. Raises InvalidRequest."""
    target, _, options = text.partition(":")
    asked: dict[str, int | bool] = {}
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        if name == "size" and equals:
            asked["size"] = _parse_size(value, target)
        elif name == "mode" and re.fullmatch("[0-7]{1,4}", value):
            asked["mode"] = int(value, 8)
        elif name in _NUMBERS and re.fullmatch(r"\d{1,10}", value, re.ASCII):
            asked[name] = int(value)
        elif option in _WORDS:
            asked |= {"exec": {"executable": True}, "ro": {"readonly": True}}.get(option, {})
        else:
            raise InvalidRequest(f"unknown option {option!r} of the tmpfs at {target}", hint=_HINT)
    _check_target(target)
    return Tmpfs(target=posixpath.normpath(target), **asked)  # type: ignore[arg-type]


def shm(size: int | str) -> Tmpfs:
    """What --shm-size asks for. Raises InvalidRequest."""
    return Tmpfs(target=SHM, size=_parse_size(size, SHM))


def check(asked: Sequence[Tmpfs], container_id: ContainerId, config: ContainerConfig) -> None:
    """Of a launch here. Raises InvalidRequest for what this host cannot hold, or what is another's."""
    targets = [each.target for each in asked]
    most = _memory_of_host()
    for each in asked:
        if targets.count(each.target) > 1:
            raise InvalidRequest(f"two tmpfs are to be at {each.target}", hint="name each place once")
        if each.size is not None and each.size > most:
            message = f"this host cannot hold a tmpfs of {each.size} bytes at {each.target}"
            raise InvalidRequest(message, hint=f"its memory and swap are {most} bytes")
    own = container_id.parent is None and not shares("ipc", config)
    if SHM in targets and not own:
        hint = "leave out --shm-size: what is shared has a size"
        raise InvalidRequest(f"{SHM} goes with an IPC namespace, which is not the container's own", hint=hint)


def contribution(asked: Sequence[Tmpfs]) -> LaunchInfo:
    """What is around others comes first."""
    return LaunchInfo(mounts=tuple(each.mount() for each in sorted(asked, key=lambda t: t.target)))


def _parse_size(value: int | str, target: str) -> int:
    try:
        return parse_size(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"invalid size {value!r} of the tmpfs at {target}", hint=error.hint) from None


def _check_target(target: str) -> None:
    if not target.startswith("/") or ".." in target.split("/") or "\0" in target:
        raise InvalidRequest(f"the place {target!r} of a tmpfs is no absolute path", hint=_HINT)
    taken = any(target == place or target.startswith(f"{place}/") for place in _RESERVED)
    if target == "/" or (taken and target != SHM):
        raise InvalidRequest(f"a tmpfs cannot be at {target}: mounts of our own are there")


def _memory_of_host() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        kibibytes = {name: int(value.split()[0]) for name, value in (line.split(":") for line in file)}
    return (kibibytes["MemTotal"] + kibibytes["SwapTotal"]) << 10
