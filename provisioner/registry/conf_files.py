"""Where registries.conf and what belongs to it lie; containers-registries.conf(5) and .conf.d(5).

The file is the one that was named, or $CONTAINERS_REGISTRIES_CONF, or the user's, or the host's. To the
latter two belong drop-ins in registries.conf.d, and the aliases that podman has asked its user for.
"""

from __future__ import annotations

import os

from launcher.kernel.process import is_rootless

ENVIRONMENT = "CONTAINERS_REGISTRIES_CONF"
_HOST_FILE = "/etc/containers/registries.conf"
_SEARCHED = b"unqualified-search-registries"
_ASKED = "containers/short-name-aliases.conf"


def named(explicit: str | None) -> str | None:
    """The file that has to exist, since somebody says so."""
    return explicit or os.environ.get(ENVIRONMENT) or None


def usual() -> list[str]:
    """The host's files, existing or not; later ones replace what earlier ones say."""
    own = os.path.expanduser("~/.config/containers/registries.conf")
    path = own if os.path.exists(own) else _HOST_FILE
    return [path, *_drop_ins(f"{path}.d"), f"{_cache()}/{_ASKED}"]


def mention(name: str, explicit: str | None) -> bool:
    """Whether a short name may mean something else than by Docker's rules. Does not read TOML, for 5 ms."""
    path = named(explicit)
    for file in [path] if path else usual():
        try:
            with open(file, "rb") as opened:
                lines = [line for line in opened if not line.lstrip().startswith(b"#")]
        except OSError:  # who reads it as TOML will say so
            continue
        if any(word in line for line in lines for word in (name.encode(), _SEARCHED)):
            return True
    return False


def _drop_ins(directory: str) -> list[str]:
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [f"{directory}/{name}" for name in names if name.endswith(".conf")]


def _cache() -> str:
    """Root of an ordinary user's namespace is that user."""
    return os.path.expanduser("~/.cache") if is_rootless() else "/var/cache"
