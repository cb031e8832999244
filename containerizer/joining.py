"""Namespaces of others that a request names: found, checked, and held until the child has joined them.

A container's are held by descriptors from a verified process on, as in containerizer.entering. What
turns out to be this process' own is the host's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import entering
from containerizer import record as records
from containerizer.request import CONTAINER, ContainerRequest
from isolators.isolator import OF_HOST
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel.namespaces import kind_of

if TYPE_CHECKING:
    from containerizer.owner import Owner


@contextlib.contextmanager
def resolved(owner: Owner, request: ContainerRequest) -> Iterator[ContainerRequest]:
    """The request with paths in place of containers, valid within this context.

    Raises NoSuchContainer, and InvalidRequest for a container that does not run, or a path that
    is no such namespace.
    """
    asked = dict(request.config.namespaces)
    files = None
    with contextlib.ExitStack() as held:
        for kind, which in asked.items():
            if which.startswith(CONTAINER):
                container_id = records.find(owner.paths, which.removeprefix(CONTAINER))
                _, namespaces = held.enter_context(entering.opened(owner, container_id))
                asked[kind] = namespaces.get(kind, OF_HOST)
                files = entering.network_files(owner.paths, container_id) if kind == "net" else files
            elif which.startswith("/"):
                asked[kind] = _checked(kind, which)
        yield replace(request, config=replace(request.config, namespaces=asked, network_files=files))


def _checked(kind: str, path: str) -> str:
    """The path if it is of such a namespace; or that it is the host's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidRequest(f"cannot join the {kind} namespace {path}: {error.strerror}") from error
    try:
        found = kind_of(descriptor)
        own = os.path.samestat(os.fstat(descriptor), os.stat(f"/proc/self/ns/{kind}"))
    finally:
        os.close(descriptor)
    if found != kind:
        what = f"a {found} namespace" if found else "no namespace"
        raise InvalidRequest(f"cannot join the {kind} namespace {path}: it is {what}")
    return OF_HOST if own else path
