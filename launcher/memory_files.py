"""Files in memory: secrets, which no disk has, swapped or not, and no directory of the host.

They lie in a ramfs, one for each launch, that is attached nowhere (launcher/kernel/ramfs.py). A container has
copies of mounts of single files of it. The kernel copies what is attached only (before Linux 6.15), and so a
process of its own attaches the ramfs, in a mount namespace that goes with it, and sends the copies:
launcher/elsewhere.py does likewise.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Sequence

from launcher.errors import InvalidRequest
from launcher.kernel import ramfs
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import IdMapping, LaunchInfo, MemoryFile, Mount
from launcher.program import mounts, runner
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, message_with_descriptor


def trees(info: LaunchInfo, opened: contextlib.ExitStack) -> dict[str, int]:
    """Detached mounts of the files that `info` mounts, by target. Raises OSError, InvalidRequest."""
    asked = [mount for mount in info.mounts if mount.file is not None]
    if not asked:
        return {}
    with ramfs.directory("secret") as directory:
        for number, mount in enumerate(asked):
            assert mount.file is not None
            _write(directory, str(number), mount.file, info)
        copies = _copied(directory, asked)
    for copy in copies:
        opened.callback(os.close, copy)
    return dict(zip((mount.target for mount in asked), copies, strict=True))


def _write(directory: int, name: str, file: MemoryFile, info: LaunchInfo) -> None:
    descriptor = ramfs.write(directory, name, base64.b64decode(file.content))
    try:
        os.fchown(descriptor, _outside(file.uid, info.uid_map), _outside(file.gid, info.gid_map))
        os.fchmod(descriptor, file.mode)
    finally:
        os.close(descriptor)


def _outside(number: int, mapping: Sequence[IdMapping] | None) -> int:
    """The host's id of an id in the container. Raises InvalidRequest."""
    if mapping is None:
        return number
    for part in mapping:
        if part.inside <= number < part.inside + part.count:
            return part.outside + number - part.inside
    raise InvalidRequest(f"the owner {number} of a secret has no id in the container's user namespace")


def _copied(directory: int, asked: Sequence[Mount]) -> list[int]:
    """Copies of mounts of the files "0", "1" … of the directory, attached nowhere."""
    program = Program()
    filesystem = program.pass_descriptor(directory)
    program.call("unshare", CLONE_FLAGS["mnt"], on="mnt")
    mounts.make_all_private(program)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    root = program.call("openat", AT_FDCWD, b"/", flags, 0, on="/")
    mounts.attach(program, filesystem, root, "/")
    for number, mount in enumerate(asked):
        sent = message_with_descriptor(program, OPENED)
        file = program.call("openat", filesystem, str(number).encode(), os.O_PATH | os.O_CLOEXEC, 0)
        mounts.clone_tree(program, file, mount.flags, on=mount.target, store=sent.descriptor)
        program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    return runner.run(program).descriptors
