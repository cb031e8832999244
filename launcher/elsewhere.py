"""Mounts of another mount namespace: a copy of one, attached nowhere, to be attached in a third.

The kernel copies a mount only for who is in its namespace (open_tree(2)); the copy may be attached in
any. So a process of its own enters, copies, and sends the copy.
"""

from __future__ import annotations

import os

from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import Mount
from launcher.program import mounts, runner
from launcher.program.assembler import CHANNEL, Program, Slot
from launcher.program.messages import OPENED, message_with_descriptor

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def clone_tree(mount: Mount) -> int:
    """What `mount` binds, from the namespace that it names, with its flags. Raises OSError."""
    program = Program()
    with open(mount.within, "rb") as namespace:
        entered = program.pass_descriptor(namespace.fileno())
        program.call("setns", entered, CLONE_FLAGS["mnt"], on=mount.within)
        sent = message_with_descriptor(program, OPENED)
        source: Slot | str = mount.source
        if mount.part:  # resolved by whoever binds it, as in launcher.root_filesystem
            path = os.fsencode(mount.source)
            root = program.call("openat", AT_FDCWD, path, _DIRECTORY, 0, on=mount.source)
            source = mounts.open_beneath(program, root, mount.part, on=f"{mount.source}/{mount.part}")
        recursive = mount.fstype == "rbind"
        mounts.clone_tree(
            program, source, mount.flags, recursive=recursive, on=mount.source, store=sent.descriptor
        )
        program.call("sendmsg", CHANNEL, sent.header, 0)
        program.call("exit_group", 0)
        (tree,) = runner.run(program).descriptors
    return tree
