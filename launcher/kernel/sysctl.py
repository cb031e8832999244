"""Kernel parameters that belong to a namespace, by the name that sysctl(8) gives them.

A file below /proc/sys acts on the namespaces of whoever opens it. Only the parameters listed here
do; any other is the whole host's.
"""

from __future__ import annotations

_PROC_SYS = "/proc/sys"

_KINDS = {
    **dict.fromkeys(("msgmax", "msgmnb", "msgmni", "sem"), "ipc"),
    **dict.fromkeys(("shmall", "shmmax", "shmmni", "shm_rmid_forced"), "ipc"),
    **dict.fromkeys(("hostname", "domainname"), "uts"),
}
_SWAP = str.maketrans("./", "/.")  # sysctl(8): net.ipv4.conf.eth0/100.forwarding is the device eth0.100


def namespace_of(name: str) -> str | None:
    """The kind of namespace that the parameter belongs to; None for one of the whole host."""
    parts = _parts(name)
    if not all(parts) or {".", ".."} & set(parts):
        return None
    match parts:
        case ["net", _, *_]:
            return "net"
        case ["fs", "mqueue", _]:
            return "ipc"
        case ["kernel", parameter]:
            return _KINDS.get(parameter)
    return None


def path_of(name: str) -> str:
    """Its file, which acts on the namespaces of whoever opens it."""
    return "/".join([_PROC_SYS, *_parts(name)])


def _parts(name: str) -> list[str]:
    """The path below /proc/sys. A name with slashes before dots is a path already."""
    dot, slash = name.find("."), name.find("/")
    is_path = slash >= 0 and (dot < 0 or slash < dot)
    return (name if is_path else name.translate(_SWAP)).split("/")
