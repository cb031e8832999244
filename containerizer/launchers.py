"""The launchers by their names, and what each can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from containerizer.request import HOST, ContainerRequest
from isolators import catalog
from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from launcher.base import Launcher


def make(name: str, *, in_process: bool) -> Launcher:
    """The launcher of a name that `isolation` knows."""
    if name == "posix":
        from launcher.posix import PosixLauncher  # which most never ask for

        return PosixLauncher(in_process=in_process)
    from launcher.linux import LinuxLauncher

    return LinuxLauncher(in_process=in_process)


def isolation(name: str, asked: str | Sequence[str] | None, *, served: bool = False) -> Sequence[str]:
    """The isolators to load: those asked for, a list or one with commas, or else the launcher's default.

    A program's default ones have those of volumes among them. An agent (`served`) loads these as requests
    need them, or if it is told its isolators, with filesystem/linux, as the predecessor had it.

    Raises InvalidRequest for an unknown launcher.
    """
    if name not in catalog.LAUNCHERS:
        hint = f"use {' or '.join(catalog.LAUNCHERS)}"
        raise InvalidRequest(f"unknown launcher {name!r}", hint=hint)
    if asked is None:
        further = () if served else catalog.VOLUMES
        return catalog.DEFAULT_POSIX if name == "posix" else (*catalog.defaults(), *further)
    names = [word for word in asked.split(",") if word] if isinstance(asked, str) else asked
    if served and "filesystem/linux" in names:
        names = [*names, *(volume for volume in catalog.VOLUMES if volume not in names)]
    return names


def check_image(name: str, request: ContainerRequest) -> None:
    """Raises InvalidRequest for an image that the launcher cannot make the root filesystem."""
    if name == "posix" and request.image != HOST:
        hint = f"run on the image {HOST!r}, or use --launcher linux"
        raise InvalidRequest("the posix launcher cannot change the root filesystem", hint=hint)
