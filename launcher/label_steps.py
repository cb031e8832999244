"""The child's step that has a security module label the task: AppArmor's profile, or SELinux' context.

From its execve(2) on: until then the child does more than the task may. It is written to the host's procfs,
so that nothing that a container has mounted gets it instead (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.kernel import labels
from launcher.program.files import write_file

if TYPE_CHECKING:
    from launcher.child import Child


def set_labels(child: Child) -> None:
    info = child.info
    if info.apparmor is not None:
        write_file(child.program, labels.apparmor_file(), f"exec {info.apparmor}".encode(), child.proc)
    if info.selinux is not None:
        write_file(child.program, labels.selinux_file(), info.selinux.encode(), child.proc)
