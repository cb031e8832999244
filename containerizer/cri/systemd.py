"""What is asked of systemd: a scope with a process in it, by D-Bus; see org.freedesktop.systemd1(5).

By the system bus, which kubelets with the systemd driver need, too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from launcher.errors import ContainerizerError

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection

_BOOTED = "/run/systemd/system"
_NAME, _PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_TIMEOUT = 30.0  # seconds for systemd, which may be busy, to have done it
_JOBS = 1024  # of others, that end meanwhile


class SystemdError(ContainerizerError):
    """systemd, or the bus to it, refused or did not answer."""


def is_there() -> bool:
    """Whether systemd is process 1."""
    return os.path.isdir(_BOOTED)


def start_scope(name: str, slice_: str, pid: int) -> None:
    """Have the process be in a new scope, whose cgroup is delegated and goes with its last process.

    The slice is made if there is none. Waits until it is done. Raises SystemdError.
    """
    from jeepney import MatchRule, message_bus

    properties = [
        ("Description", ("s", f"pod of containerizer: {name}")),
        ("Slice", ("s", slice_)),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("TasksMax", ("t", (1 << 64) - 1)),  # its limits are the kubelet's and ours
        ("CollectMode", ("s", "inactive-or-failed")),
        ("DefaultDependencies", ("b", False)),  # or it would end before the kubelet has ended its pods
    ]
    done = {"type": "signal", "interface": _MANAGER, "member": "JobRemoved", "path": _PATH}
    bounded = _told(f"make {name} in {slice_}")
    with bounded, _connected() as bus, bus.filter(MatchRule(**done), bufsize=_JOBS) as jobs:
        _ask(bus, message_bus.AddMatch(MatchRule(sender=_NAME, **done)))  # which sends by another name
        _call(bus, "Subscribe")
        (job,) = _call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", (name, "fail", properties, []))
        while True:
            _, path, _, result = bus.recv_until_filtered(jobs, timeout=_TIMEOUT).body
            if path == job:
                break
    if result != "done":
        raise SystemdError(f"systemd did not make {name} in {slice_}: its job was {result}")


@contextlib.contextmanager
def _connected() -> Iterator[DBusConnection]:
    from jeepney.io.blocking import open_dbus_connection

    bus = open_dbus_connection("SYSTEM")
    try:
        yield bus
    finally:
        bus.close()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Of an error of D-Bus, what it was about."""
    from jeepney import DBusErrorResponse

    hint = "look at `systemctl status` and at the system bus (Debian's dbus)"
    try:
        yield
    except DBusErrorResponse as error:
        raise SystemdError(f"systemd refuses to {what}: {error.name}: {error.data}") from error
    except TimeoutError as error:
        raise SystemdError(f"systemd does not answer: cannot {what}", hint=hint) from error
    except (OSError, ValueError, EOFError) as error:
        raise SystemdError(f"cannot ask systemd to {what}: {error}", hint=hint) from error


def _call(bus: DBusConnection, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
    from jeepney import DBusAddress, new_method_call

    manager = DBusAddress(_PATH, bus_name=_NAME, interface=_MANAGER)
    return _ask(bus, new_method_call(manager, method, signature, body))


def _ask(bus: DBusConnection, message: Any) -> Any:
    from jeepney.wrappers import unwrap_msg

    return unwrap_msg(bus.send_and_get_reply(message, timeout=_TIMEOUT))
