"""Mounts of overlayfs, on every kernel and of directories however long their paths are.

fsconfig(2) takes 255 bytes a value, and from Linux 6.8 on each lower directory by itself
("lowerdir+"). Before, all of them were one value, so there it has to be mount(2), whose options
together have one page. Either way a directory that is open may be named /proc/self/fd/<number>.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from launcher.kernel import mounts as kernel
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.launch_info import Mount
from launcher.program import mounts
from launcher.program.assembler import CHANNEL, Program, Slot
from launcher.program.messages import OPENED, message_with_descriptor

_LONGEST_VALUE = 255  # bytes
_MOST_OPTIONS = 4000  # bytes: a page, less what the kernel needs of it
_FIRST_OPENED = 512  # descriptors of the child that are above all others
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORIES = ("lowerdir+", "upperdir", "workdir")

Options = Sequence[tuple[str, str]]


def takes_each_lower_directory(release: str) -> bool:
    """Whether a kernel of this release has "lowerdir+"."""
    major, minor = (int("".join(filter(str.isdigit, part))) for part in release.split(".")[:2])
    return (major, minor) >= (6, 8)


BY_DESCRIPTOR = takes_each_lower_directory(os.uname().release)


def new_overlay(mount: Mount, *, by_descriptor: bool = BY_DESCRIPTOR) -> int:
    """Make the mount, attached nowhere. Returns its descriptor. Raises OSError."""
    if not by_descriptor:
        return _mounted_elsewhere(mount)
    with _opened(mount.options) as options:
        return kernel.new_filesystem(mount.fstype, mount.source, mount.flags, options)


def write_overlay(program: Program, mount: Mount, *, by_descriptor: bool = BY_DESCRIPTOR) -> Slot:
    """As `new_overlay`, by the child, which sees other mounts. On old kernels it is in its place then."""
    shorten = not by_descriptor and not _fits(mount.options)
    options = []
    for number, (key, value) in enumerate(mount.options, _FIRST_OPENED):
        if key in _DIRECTORIES and (shorten or len(os.fsencode(value)) > _LONGEST_VALUE):
            opened = program.call("openat", AT_FDCWD, os.fsencode(value), _DIRECTORY, on=value)
            program.call("dup3", opened, number, os.O_CLOEXEC)
            value = f"/proc/self/fd/{number}"
        options.append((key, value))
    if by_descriptor:
        return mounts.new_filesystem(program, mount.fstype, mount.source, mount.flags, options, on=mount)
    return _write_by_string(program, mount, options)


def _fits(options: Options) -> bool:
    return len(_text(options)) <= _MOST_OPTIONS


@contextlib.contextmanager
def _opened(options: Options) -> Iterator[Options]:
    """The options with long directories by descriptors of this process."""
    with contextlib.ExitStack() as opened:
        shortened = []
        for key, value in options:
            if key in _DIRECTORIES and len(os.fsencode(value)) > _LONGEST_VALUE:
                directory = os.open(value, _DIRECTORY)
                opened.callback(os.close, directory)
                value = f"/proc/self/fd/{directory}"
            shortened.append((key, value))
        yield shortened


def _mounted_elsewhere(mount: Mount) -> int:
    """By mount(2) there is no mount without a place; so it has one in another mount namespace."""
    from launcher.program import runner  # for old kernels

    program = Program()
    program.call("unshare", CLONE_FLAGS["mnt"], on="mnt")
    mounts.make_all_private(program)
    write_overlay(program, mount, by_descriptor=False)
    sent = message_with_descriptor(program, OPENED)
    mounts.clone_tree(program, mount.target, on=mount.target, store=sent.descriptor)
    program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    (tree,) = runner.run(program).descriptors
    return tree


def _write_by_string(program: Program, mount: Mount, options: Options) -> Slot:
    """Mount it on its target. Returns a descriptor of it."""
    target = os.fsencode(mount.target)
    program.call("mount", b"overlay", target, b"overlay", 0, _text(options), on=mount)
    mounted = program.call("openat", AT_FDCWD, target, os.O_PATH | os.O_CLOEXEC, on=mount.target)
    # mount(2) has no flag for some of them.
    mounts.set_attributes(program, mounted, kernel.attribute_bits(mount.flags), on=mount.target)
    return mounted


def _text(options: Options) -> bytes:
    lower = ":".join(_escape(value) for key, value in options if key == "lowerdir+")
    others = [f"{key}={_escape(value)}" if value else key for key, value in options if key != "lowerdir+"]
    return os.fsencode(",".join([f"lowerdir={lower}", *others]))


def _escape(path: str) -> str:
    """Overlayfs separates by ":" and ","; a backslash takes their meaning away."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
