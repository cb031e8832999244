"""Privileged: the opposite of every shield. Such a container is the host's root, and meant to be.

What stays are namespaces, and cgroups: they are how a container is told from the host's processes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from isolators.devices import Device
from isolators.isolator import UNCONFINED

# Of ContainerConfig.
FIELDS: Mapping[str, Any] = {
    "capabilities_add": ("ALL",),
    "no_new_privileges": False,
    "seccomp": UNCONFINED,
    "apparmor": UNCONFINED,
    "masked_paths": (),
    "readonly_paths": (),
    "writable_sysfs": True,
}

_OWN_DEVICES = ("pts", "shm", "mqueue", "ptmx", "console", "fd", "stdin", "stdout", "stderr", "core")
_STANDARD_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def all_devices() -> Iterator[Device]:
    """The host's, but those that every container has its own of."""
    for directory, names, nodes in os.walk("/dev"):
        if directory == "/dev":
            names[:] = [name for name in names if name not in _OWN_DEVICES]
            nodes = [name for name in nodes if name not in (*_OWN_DEVICES, *_STANDARD_DEVICES)]
        for path in (os.path.join(directory, name) for name in sorted(nodes)):
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield Device(source=path, target=path)
