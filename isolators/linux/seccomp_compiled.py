"""A request's profile, compiled: what `isolators.linux.seccomp` keeps."""

from __future__ import annotations

import os
from collections.abc import Collection

from isolators.isolator import BUILTIN_SECCOMP
from isolators.linux import seccomp_document, seccomp_profile
from isolators.linux.seccomp_document import Document
from isolators.linux.seccomp_filter import compile_profile
from launcher.data import replace
from launcher.launch_info import SeccompListener


def program(profile: str, machine: str, capabilities: Collection[str], *, keeps_projects: bool) -> bytes:
    """The flags of seccomp(2) in a byte, and the program. Raises InvalidRequest."""
    if profile == BUILTIN_SECCOMP:
        deciding = seccomp_profile.deciding(capabilities)
        built_in = seccomp_profile.profile(deciding, keeps_projects=keeps_projects)
        return b"\0" + compile_profile(built_in, machine)
    document = _parsed(profile, machine, capabilities)
    rules = (*seccomp_profile.keeping_projects(limited=keeps_projects), *document.profile.rules)
    whole = replace(document.profile, rules=rules)
    return bytes([document.flags]) + compile_profile(whole, machine, document.abis)


def listener(profile: str, machine: str, capabilities: Collection[str]) -> SeccompListener:
    """Of a profile that asks somebody. Raises InvalidRequest."""
    found = _parsed(profile, machine, capabilities).listener
    assert found is not None  # or its program would have no NEW_LISTENER
    return found


def _parsed(profile: str, machine: str, capabilities: Collection[str]) -> Document:
    kernel = seccomp_document.kernel_version(os.uname().release)
    return seccomp_document.parse(profile, seccomp_document.Host(machine, kernel, frozenset(capabilities)))
