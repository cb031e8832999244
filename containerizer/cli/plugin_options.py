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
    group.add_argument(
        "--csi-plugin-config-dir", metavar="DIR", help="of plug-ins of CSI (/etc/containerizer/csi)"
    )
    group.add_argument("--csi-timeout", metavar="SECONDS", help="of one call to such a plug-in (120)")


def flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of IsolatorFlags: what was said. Raises InvalidRequest."""
    given: dict[str, Any] = {}
    directories = getattr(arguments, "docker_plugins_dir", None)
    if directories is not None:
        given["docker_plugins_dirs"] = tuple(filter(None, directories.split(":")))
    if getattr(arguments, "csi_plugin_config_dir", None) is not None:
        given["csi_plugin_config_dir"] = arguments.csi_plugin_config_dir
    for name in ("docker_volume_timeout", "csi_timeout"):
        timeout = getattr(arguments, name, None)
        if timeout is not None:
            given[name] = _seconds(timeout)
    return given


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < 1 << 20:
        raise InvalidRequest(f"invalid number of seconds {text!r}")
    return seconds
