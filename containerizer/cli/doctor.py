"""Say what this host has and lacks, and the command that mends it. Exits with 1 if it lacks anything."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
from collections.abc import Iterator

from containerizer.cli.table import add_json_option, print_data
from isolators import catalog
from isolators.namespaces import subordinate_ids
from launcher.data import Data, asdict
from launcher.errors import ContainerizerError
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import machine, runner
from launcher.program.assembler import Program
from provisioner.backends import choose

_OLDEST_KERNEL = (5, 12)  # mount_setattr(2); openat2 is of 5.6, close_range of 5.9


class Finding(Data):
    """One thing that was looked at."""

    what: str
    present: bool
    mend: str


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    findings = list(_examine(arguments.root, arguments.state))
    if arguments.format != "table":
        print_data([asdict(finding) for finding in findings], arguments.format)
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.present else 'LACK'}  {finding.what}")
            if not finding.present:
                print(f"      mend it: {finding.mend}")
    return 0 if all(finding.present for finding in findings) else 1


def _examine(root: str, state: str) -> Iterator[Finding]:
    yield from _privileges()
    yield _kernel(platform.release())
    yield Finding("overlayfs", _has_filesystem("overlay"), "modprobe overlay")
    yield _child()
    choice = choose.best(root)
    yield Finding(f"image backend {choice.name}: {choice.reason}", True, "")
    for directory in (root, state):
        ancestor = _existing(directory)
        writable = os.access(ancestor, os.W_OK)
        yield Finding(f"directory {directory}", writable, f"make {ancestor} writable, or choose another")
    seen = set()
    for description in catalog.describe():
        for need in description.needs:
            if need.what not in seen:
                seen.add(need.what)
                yield _need(need, description.name)


def _privileges() -> Iterator[Finding]:
    """Root's, or what an ordinary user needs in their place."""
    if os.geteuid() == 0:
        yield Finding("root privileges", True, "")
        return
    allowed = "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=65536"
    yield Finding("user namespaces for ordinary users", _may_unshare(), allowed)
    for program in ("newuidmap", "newgidmap"):
        found = shutil.which(program) is not None
        yield Finding(f"{program} (for more users in containers than root)", found, "apt-get install uidmap")
    user = str(os.getuid())
    for path in (subordinate_ids.SUBUID, subordinate_ids.SUBGID):
        try:
            subordinate_ids.of_user(user, path)
        except ContainerizerError as error:
            yield Finding(f"subordinate ids in {path}", False, error.hint or str(error))
        else:
            yield Finding(f"subordinate ids in {path}", True, "")


def _may_unshare() -> bool:
    program = Program()
    program.call("unshare", CLONE_FLAGS["user"], on="user")
    program.call("exit_group", 0)
    try:
        runner.run(program)
    except OSError:
        return False
    return True


def _need(need: catalog.NeedStatus, isolator: str) -> Finding:
    if need.optional and not need.present:
        return Finding(f"no {need.what.removeprefix('a ')}, and so no {isolator}", True, "")
    return Finding(f"{need.what} (for {isolator})", need.present, need.mend)


def _kernel(release: str) -> Finding:
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    oldest = ".".join(map(str, _OLDEST_KERNEL))
    return Finding(
        f"Linux {oldest} or newer (this is {release})", version >= _OLDEST_KERNEL, "upgrade the kernel"
    )


def _child() -> Finding:
    """What lies between clone and exec: a launch works either way."""
    obstacle = machine.obstacle()
    way = f"an interpreter, which takes 20 ms more: {obstacle}" if obstacle else "machine code"
    return Finding(f"launches by {way}", True, "")


def _has_filesystem(name: str) -> bool:
    with open("/proc/filesystems") as file:
        return any(line.split()[-1] == name for line in file)


def _existing(directory: str) -> str:
    """The directory, or its nearest ancestor that exists."""
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return directory
