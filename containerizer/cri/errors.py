"""Refusals of the CRI. A class is a status of gRPC, and its message the details."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from containerizer.record import NoSuchContainer
from launcher.errors import ContainerizerError, InvalidRequest
from provisioner.errors import ImageInUse, ImageNotFound, Unauthorized

if TYPE_CHECKING:
    import grpc


class NoSuchPod(ContainerizerError):
    """Nothing is known of a pod sandbox of this id."""


class NotNow(ContainerizerError):
    """The pod or the container is in no state for that call."""


class AlreadyThere(ContainerizerError):
    """There is a pod or a container of this name and attempt."""


class TookTooLong(ContainerizerError):
    """What was to be done in a time was not, and was ended."""


class NotImplementedHere(ContainerizerError):
    """There is such a call, and this runtime does not have it."""


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (NoSuchPod, "NOT_FOUND"),
    (NoSuchContainer, "NOT_FOUND"),
    (ImageNotFound, "NOT_FOUND"),
    (NotNow, "FAILED_PRECONDITION"),
    (ImageInUse, "FAILED_PRECONDITION"),
    (AlreadyThere, "ALREADY_EXISTS"),
    (TookTooLong, "DEADLINE_EXCEEDED"),
    (NotImplementedHere, "UNIMPLEMENTED"),
    (Unauthorized, "PERMISSION_DENIED"),
    (InvalidRequest, "INVALID_ARGUMENT"),
)


def code_of(error: Exception) -> grpc.StatusCode:
    """The first that fits; UNKNOWN, as other runtimes answer what they cannot name."""
    from grpc import StatusCode

    for kind, code in _CODES:
        if isinstance(error, kind):
            return StatusCode[code]
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StatusCode.RESOURCE_EXHAUSTED if full else StatusCode.UNKNOWN
