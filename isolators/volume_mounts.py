"""Named volumes that are more than a directory: what Docker's driver `local` mounts by type=, device= and o=.

    o=bind                        what is at `device`, a path of the host
    type=tmpfs, type=nfs, …       a filesystem, by the options of mount(8)

A filesystem is one for all containers that have the volume at a time. So it is mounted on the host, in the
volume's own directory, by the first of them, and unmounted with the last; who has it is on disk before, as
are all that have the volume (isolators.volume_store).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from isolators import answering, ownership
from isolators.volume_store import NoSuchVolume, VolumeRecord, VolumeStore, link_name
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import filesystems, mounts

_KEYS = ("type", "device", "o", "size")
_BINDS = ("bind", "rbind")
_IGNORED = ("rw", "defaults", "auto", "noauto", "_netdev", "suid", "dev", "exec")
_HINT = "use type=, device= and o=, as of mount(8), and size= with type=tmpfs"
_LINKS = "mounts"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def check(options: Mapping[str, str]) -> None:
    """Whether we take them. Raises InvalidRequest."""
    for key in options:
        if key not in _KEYS:
            raise InvalidRequest(f"unknown option {key!r} of a volume", hint=_HINT)
    fstype, device = options.get("type", ""), options.get("device", "")
    if "size" in options and fstype != "tmpfs":
        hint = "use type=tmpfs, or limit the disk of the containers (--disk)"
        raise InvalidRequest("a volume of a directory has no size of its own", hint=hint)
    if is_bind(options):
        answering.check(device)
        if not device.startswith("/") or not os.path.exists(device):
            hint = "name what is there by device=/PATH"
            raise InvalidRequest(f"the device {device!r} of the volume is not there", hint=hint)
    elif bool(fstype) != bool(device) or ("o" in options and not fstype):
        raise InvalidRequest("a volume to mount has both type= and device=", hint=_HINT)


def is_bind(options: Mapping[str, str]) -> bool:
    return bool(set(options.get("o", "").split(",")) & set(_BINDS)) or options.get("type") in _BINDS


def is_filesystem(options: Mapping[str, str]) -> bool:
    return bool(options.get("type")) and not is_bind(options)


def bind_of(options: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """How it is bound, and with which flags."""
    words = options.get("o", "").split(",")
    return "rbind" if "rbind" in words else "bind", tuple(w for w in words if w in mounts.ATTRIBUTES)


def mount(store: VolumeStore, record: VolumeRecord, holder: str) -> None:
    """Have its filesystem be mounted, for the holder too. Raises ContainerizerError."""
    with store.locked(record.name) as directory:
        os.makedirs(f"{directory}/{_LINKS}", mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.symlink(holder, f"{directory}/{_LINKS}/{link_name(holder)}")
        place = store.data(record.name)
        if not filesystems.is_mount_point(place):
            _mount(record, place)
    answering.check(place)


def release(store: VolumeStore, name: str, holder: str) -> None:
    """The holder needs it no more; without another one it is unmounted. Idempotent. Raises SyscallError."""
    with contextlib.suppress(NoSuchVolume), store.locked(name) as directory:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{directory}/{_LINKS}/{link_name(holder)}")
        _unmount_unused(store, name, directory)


def sweep(store: VolumeStore) -> list[str]:
    """Unmount what is of nobody; the volumes' names."""
    swept = []
    for record in store.all():
        if is_filesystem(record.options):
            with contextlib.suppress(NoSuchVolume), store.locked(record.name) as directory:
                if _unmount_unused(store, record.name, directory):
                    swept.append(record.name)
    return swept


def unmount_removed(store: VolumeStore, name: str) -> None:
    """Of a volume that nobody uses, and that is removed."""
    if filesystems.is_mount_point(store.data(name)):
        mounts.unmount(store.data(name))


def _unmount_unused(store: VolumeStore, name: str, directory: str) -> bool:
    links = f"{directory}/{_LINKS}"
    holders = (ownership.holder_of(links, link) for link in ownership.names(links))
    place = store.data(name)
    if any(holder and os.path.isdir(holder) for holder in holders) or not filesystems.is_mount_point(place):
        return False
    mounts.unmount(place)
    return True


def _mount(record: VolumeRecord, place: str) -> None:
    options = record.options
    words = [word for word in options.get("o", "").split(",") if word and word not in _IGNORED]
    flags = [word for word in words if word in mounts.ATTRIBUTES]
    pairs = [_option(word) for word in words if word not in mounts.ATTRIBUTES]
    if "size" in options:
        pairs.append(("size", options["size"]))
    target = os.open(place, _DIRECTORY)
    try:
        made = mounts.new_filesystem(options["type"], options["device"], flags, pairs)
        try:
            mounts.attach(made, target, place)
        finally:
            os.close(made)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ContainerizerError(
            f"cannot mount volume {record.name}, {options['device']} of type {options['type']}: {why}",
            hint="see its options by `containerizer volume inspect`, and the kernel's log",
        ) from error
    finally:
        os.close(target)


def _option(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if key == "addr" and equals:
        value = _address(value)
    return key, value


def _address(name: str) -> str:
    """The kernel looks up no names."""
    import socket  # for those with a server

    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ContainerizerError(f"cannot find the server {name} of a volume: {error}") from error
