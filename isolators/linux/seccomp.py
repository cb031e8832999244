"""linux/seccomp: which system calls a task can make of all that the kernel has.

The kernel's own checks are many and young; what a task has no use for, it should not reach: new
namespaces, mounts, keyrings, BPF, io_uring, userfaultfd. See seccomp(2).
"""

from __future__ import annotations

import binascii
import functools
import os

from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED, ContainerConfig, Isolator, IsolatorFlags, Need
from isolators.linux import granted, seccomp_profile
from isolators.linux.seccomp_filter import ABIS, compile_profile
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities, seccomp
from launcher.launch_info import LaunchInfo


def _machine_is_known() -> bool:
    return os.uname().machine in ABIS


class LinuxSeccomp(Isolator):
    name = "linux/seccomp"
    needs = (
        Need("filters of system calls", seccomp.is_supported, "use a kernel with CONFIG_SECCOMP_FILTER"),
        Need(
            f"a table of the system calls of {os.uname().machine}",
            _machine_is_known,
            f"use one of {', '.join(ABIS)}, or leave linux/seccomp out of --isolation",
        ),
    )

    def __init__(self, flags: IsolatorFlags, status: str = capabilities.STATUS) -> None:
        super().__init__(flags)
        self.host = capabilities.bounding_set(status)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.seccomp == UNCONFINED:
            return LaunchInfo()
        if config.seccomp.startswith("/"):
            return LaunchInfo(seccomp=_of_file(config.seccomp, granted.granted(config, self.host)))
        if config.seccomp != BUILTIN_SECCOMP:
            hint = f"use {BUILTIN_SECCOMP}, {UNCONFINED}, or the absolute path of one"
            raise InvalidRequest(f"unknown seccomp profile {config.seccomp!r}", hint=hint)
        deciding = seccomp_profile.deciding(granted.granted(config, self.host))
        # Perhaps by a project's quota; a nested one's files are of its parent's project.
        limited = config.resources.disk is not None or config.parent is not None
        return LaunchInfo(seccomp=_builtin(deciding, os.uname().machine, keeps_projects=limited))


def _of_file(path: str, capabilities: tuple[str, ...]) -> str:
    from isolators.linux import seccomp_file  # for those with a profile of their own

    program = compile_profile(seccomp_file.read(path, capabilities), os.uname().machine)
    return binascii.b2a_base64(program, newline=False).decode()


@functools.cache
def _builtin(deciding: frozenset[str], machine: str, *, keeps_projects: bool) -> str:
    """The built-in profile's program, as it crosses to the child."""
    program = compile_profile(seccomp_profile.profile(deciding, keeps_projects=keeps_projects), machine)
    return binascii.b2a_base64(program, newline=False).decode()
