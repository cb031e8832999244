"""The network that pods join: the first that is configured, by the names of the files, as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from isolators.network import config_list
from isolators.network.config_list import ConfigList, InvalidConfig
from launcher.errors import ContainerizerError


class NoNetwork(ContainerizerError):
    """No network is configured, or none that makes sense."""


def first(directories: Sequence[str]) -> ConfigList:
    """Read anew each time: a network that is added is there for the next pod. Raises NoNetwork."""
    found, broken = config_list.find_all(directories)
    if not found:
        raise NoNetwork(_why(broken), hint=f"put a CNI configuration into {':'.join(directories)}")
    return found[0]


def _why(broken: Sequence[InvalidConfig]) -> str:
    return "; ".join(error.message for error in broken) or "no network is configured"
