"""Seccomp profiles that a request names, read once: a file may change, and a launch is of what it had.

`localhost/NAME` is a file below the operator's root for them, as a kubelet has it for pods that ask for
`type: Localhost`. Nothing that a request says leads out of that directory.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from launcher.data import replace
from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from containerizer.request import ContainerRequest
    from isolators.isolator import IsolatorFlags

LOCALHOST = "localhost/"


def resolved(request: ContainerRequest, flags: IsolatorFlags) -> ContainerRequest:
    """The request with a profile's text for its name. Raises InvalidRequest."""
    profile = request.config.seccomp
    if not profile.startswith(("/", LOCALHOST)):
        return request
    from isolators.linux import seccomp_document  # for those with a profile of their own

    if profile.startswith("/"):
        text = seccomp_document.read(profile)
    else:
        text = _local(flags.seccomp_profile_root, profile.removeprefix(LOCALHOST), seccomp_document.MAX_SIZE)
    return replace(request, config=replace(request.config, seccomp=text))


def refusal(name: str) -> str | None:
    """Why this is no name of a profile below a directory, as a clause; None if it is one."""
    if not name or name.startswith("/"):
        return "is no relative path"
    return "has a '..'" if ".." in name.split("/") else None


def _local(root: str, name: str, most: int) -> str:
    """Raises InvalidRequest."""
    from launcher.kernel import safe_path

    why = refusal(name)
    if why is not None:
        raise InvalidRequest(f"the seccomp profile {name!r} {why}", hint=f"name a file in {root}")
    try:
        directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A FIFO would have us wait.
            file = safe_path.open_beneath(directory, name, os.O_RDONLY | os.O_NONBLOCK)
        finally:
            os.close(directory)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise InvalidRequest(f"the seccomp profile {name} in {root} is no file")
            with open(file, "rb", closefd=False) as opened:
                return opened.read(most + 1).decode()
        finally:
            os.close(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).removeprefix("openat2: ").lower()
        raise InvalidRequest(f"cannot read the seccomp profile {name} in {root}: {reason}") from error
