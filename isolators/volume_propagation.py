"""What is mounted later in a volume: whether the host's own mount lets it come in, or go out."""

from __future__ import annotations

from typing import Literal

from launcher.errors import InvalidRequest
from launcher.kernel.filesystems import propagation


def check(source: str, asked: Literal["shared", "slave"]) -> None:
    """Nothing does where the mount is private: mount_namespaces(7). Raises InvalidRequest, OSError."""
    known = ("shared",) if asked == "shared" else ("shared", "master")
    point, found = propagation(source)
    if not set(known) & set(found):
        what = "shared" if asked == "shared" else "shared or slave"
        hint = f"mount --make-rshared {point}"
        raise InvalidRequest(f"{source} lies on {point}, which is no {what} mount", hint=hint)
