"""The step that has a security module label the task: AppArmor's profile, or SELinux' context.

From its execve(2) on, which a child of whoever writes it inherits: until then it does more than the task may.
It is written while the host's procfs is in sight, so that nothing that a container has mounted gets it
instead (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.kernel import labels
from launcher.program.files import write_file

if TYPE_CHECKING:
    from launcher.launch_info import LaunchInfo
    from launcher.program.assembler import Program


def write_labels(program: Program, info: LaunchInfo) -> None:
    if info.apparmor is not None:
        write_file(program, labels.apparmor_file(), f"exec {info.apparmor}".encode())
    if info.selinux is not None:
        write_file(program, labels.selinux_file(), info.selinux.encode())
