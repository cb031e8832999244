"""A request's profile, compiled: what `isolators.linux.seccomp` keeps."""

from __future__ import annotations

import os
from collections.abc import Collection

from isolators.isolator import BUILTIN_SECCOMP
from isolators.linux import seccomp_document, seccomp_profile
from isolators.linux.seccomp_filter import compile_profile
from launcher.data import replace


def program(profile: str, machine: str, capabilities: Collection[str], *, keeps_projects: bool) -> bytes:
    """The flags of seccomp(2) in a byte, and the program. Raises InvalidRequest."""
    if profile == BUILTIN_SECCOMP:
        deciding = seccomp_profile.deciding(capabilities)
        built_in = seccomp_profile.profile(deciding, keeps_projects=keeps_projects)
        return b"\0" + compile_profile(built_in, machine)
    host = seccomp_document.Host(
        machine, seccomp_document.kernel_version(os.uname().release), frozenset(capabilities)
    )
    document = seccomp_document.parse(profile, host)
    rules = (*seccomp_profile.keeping_projects(limited=keeps_projects), *document.profile.rules)
    whole = replace(document.profile, rules=rules)
    return bytes([document.flags]) + compile_profile(whole, machine, document.abis)
