"""linux/seccomp: which system calls a task can make of all that the kernel has.

The kernel's own checks are many and young; what a task has no use for, it should not reach: new
namespaces, mounts, keyrings, BPF, io_uring, userfaultfd. See seccomp(2).
"""

from __future__ import annotations

import binascii
import functools
import os
from collections.abc import Hashable

from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED, ContainerConfig, Isolator, IsolatorFlags, Need
from isolators.linux import granted, seccomp_cache
from isolators.linux.seccomp_cache import Asked
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import capabilities, seccomp
from launcher.launch_info import LaunchInfo, SeccompListener

MACHINES = ("x86_64", "aarch64")  # isolators.linux.seccomp_filter.ABIS


def _machine_is_known() -> bool:
    return os.uname().machine in MACHINES


class LinuxSeccomp(Isolator):
    name = "linux/seccomp"
    needs = (
        Need("filters of system calls", seccomp.is_supported, "use a kernel with CONFIG_SECCOMP_FILTER"),
        Need(
            f"a table of the system calls of {os.uname().machine}",
            _machine_is_known,
            f"use one of {', '.join(MACHINES)}, or leave linux/seccomp out of --isolation",
        ),
    )

    def __init__(self, flags: IsolatorFlags, status: str = capabilities.STATUS) -> None:
        super().__init__(flags)
        self._bounds = granted.Bounds.of(flags, status)
        self._kept = os.path.join(flags.own_state, "seccomp")
        self._known: set[Asked] = set()  # whose programs are kept
        self._built_in: set[Hashable] = set()  # those who ask for the built-in profile, and have it kept

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        """Keep the compiled program for commands that come later."""
        likewise = config.capabilities_add, config.capabilities_drop, _is_limited(config)
        if config.seccomp == BUILTIN_SECCOMP and likewise in self._built_in:
            return
        asked = self._asked(config)
        if asked and asked not in self._known:
            seccomp_cache.keep(self._kept, asked, _program(self._kept, asked))
            self._known.add(asked)
        if config.seccomp == BUILTIN_SECCOMP:
            self._built_in.add(likewise)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = self._asked(config)
        if asked is None:
            return LaunchInfo()
        program = _program(self._kept, asked)
        text = binascii.b2a_base64(program[1:], newline=False).decode()
        listener = self._listener(asked) if program[0] & seccomp.NEW_LISTENER else None
        return LaunchInfo(seccomp=text, seccomp_flags=program[0] or None, seccomp_listener=listener)

    def _listener(self, asked: Asked) -> SeccompListener:
        """Raises InvalidRequest for one that the operator does not allow: the host's root connects to it."""
        from isolators.linux import seccomp_compiled  # for those with a profile of their own

        profile, machine, capabilities, _ = asked
        listener = seccomp_compiled.listener(profile, machine, capabilities)
        if listener.path not in self.flags.seccomp_listeners:
            hint = "the operator names those that may be (`--seccomp-listeners` of the agent)"
            raise InvalidRequest(f"the seccomp listener {listener.path} is not allowed", hint=hint)
        return listener

    def _asked(self, config: ContainerConfig) -> Asked | None:
        """All that decides about the filter; None: there is to be none. Raises InvalidRequest."""
        profile = config.seccomp
        if profile == UNCONFINED:
            return None
        if profile != BUILTIN_SECCOMP and not profile.lstrip().startswith("{"):
            hint = f"use {BUILTIN_SECCOMP}, {UNCONFINED}, or a profile's JSON or absolute path"
            raise InvalidRequest(f"unknown seccomp profile {profile!r:.60}", hint=hint)
        return profile, os.uname().machine, granted.granted(config, self._bounds), _is_limited(config)


def _is_limited(config: ContainerConfig) -> bool:
    """Its files, perhaps by a project's quota; a nested one's are of its parent's project."""
    return config.resources.disk is not None or config.parent is not None


@functools.lru_cache(maxsize=64)
def _program(kept: str, asked: Asked) -> bytes:
    """The flags of seccomp(2) in a byte, and the filter; compiled if not kept. Raises InvalidRequest."""
    found = seccomp_cache.find(kept, asked)
    if found is not None:
        return found
    from isolators.linux import seccomp_compiled  # not needed where it is kept

    profile, machine, capabilities, limited = asked
    return seccomp_compiled.program(profile, machine, capabilities, keeps_projects=limited)
