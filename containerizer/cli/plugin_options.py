"""Options of plug-ins that bring volumes: where they are, and how long they may take."""

from __future__ import annotations

import argparse
from typing import Any

from launcher.errors import InvalidRequest


def add(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    group.add_argument(
        "--docker-plugins-dir",
        metavar="DIR[:DIR]",
        help="where Docker's plug-ins are (/run/docker/plugins:/etc/docker/plugins:/usr/lib/docker/plugins)",
    )
    group.add_argument("--docker-volume-timeout", metavar="SECONDS", help="of a plug-in, to mount one (120)")


def flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of IsolatorFlags: what was said. Raises InvalidRequest."""
    given: dict[str, Any] = {}
    directories = getattr(arguments, "docker_plugins_dir", None)
    if directories is not None:
        given["docker_plugins_dirs"] = tuple(filter(None, directories.split(":")))
    timeout = getattr(arguments, "docker_volume_timeout", None)
    if timeout is not None:
        given["docker_volume_timeout"] = _seconds(timeout)
    return given


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < 1 << 20:
        raise InvalidRequest(f"invalid number of seconds {text!r}")
    return seconds
