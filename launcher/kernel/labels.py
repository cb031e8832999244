"""AppArmor and SELinux: whether the kernel has them, and where a task is given a profile or a label.

What is written to attr/exec holds from the next execve(2) on. See proc_pid_attr(5), and
Documentation/admin-guide/LSM of the kernel.
"""

from __future__ import annotations

import os

from launcher.kernel import files

_SECURITYFS = "/sys/kernel/security/apparmor"
_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux"
_ATTRIBUTES = "/proc/self/attr"
_LARGEST = 1 << 20  # bytes of the list of profiles


def has_apparmor(parameter: str = _APPARMOR) -> bool:
    try:
        return files.read(parameter, 16).strip() == b"Y"
    except OSError:
        return False


def apparmor_profiles(securityfs: str = _SECURITYFS) -> frozenset[str] | None:
    """The names of those that are loaded; None where that cannot be seen."""
    try:
        lines = files.read(f"{securityfs}/profiles", _LARGEST).decode(errors="replace").splitlines()
    except OSError:
        return None
    return frozenset(line.rpartition(" (")[0] for line in lines)


def has_selinux(selinuxfs: str = _SELINUX) -> bool:
    return os.path.exists(f"{selinuxfs}/enforce")


def is_selinux_label(label: str, selinuxfs: str = _SELINUX) -> bool:
    """Whether the policy that is loaded knows it."""
    try:
        descriptor = os.open(f"{selinuxfs}/context", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True  # nobody here may ask; the launch will tell
    try:
        os.write(descriptor, label.encode())
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def apparmor_file(attributes: str = _ATTRIBUTES) -> str:
    """Where AppArmor takes a profile: its own file, since Linux 5.8, or the one of whichever module."""
    return f"{attributes}/apparmor/exec" if os.path.isdir(f"{attributes}/apparmor") else f"{attributes}/exec"


def selinux_file(attributes: str = _ATTRIBUTES) -> str:
    return f"{attributes}/exec"
