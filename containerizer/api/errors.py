"""Refusals of the API. A class is an HTTP status; its message is the body of the answer."""

from __future__ import annotations

from typing import ClassVar

from launcher.errors import ContainerizerError

# Of an answer to a launch that failed: the exit code that says why, where it is not 125.
EXIT_CODE_HEADER = "X-Containerizer-Exit-Code"


class ApiError(ContainerizerError):
    """The call was not carried out; `status` is that of the answer (RFC 9110, 15.5 and 15.6)."""

    status: ClassVar[int] = 500


class BadRequest(ApiError):
    """The request is malformed, or asks what nobody could do."""

    status = 400


class Forbidden(ApiError):
    """Whoever calls may not do this."""

    status = 403


class NotFound(ApiError):
    """There is no such container, image or file."""

    status = 404


class NotAcceptable(ApiError):
    """None of the types that the client accepts is one that this answer can have."""

    status = 406


class Conflict(ApiError):
    """Somebody else does already what can be done once."""

    status = 409


class TooLarge(ApiError):
    """The body, or a record of it, is longer than the agent takes."""

    status = 413


class UnsupportedMediaType(ApiError):
    """The body has a type in which this call cannot be made."""

    status = 415


class NotImplementedHere(ApiError):
    """A call that there is, and that an agent without a master cannot answer; or none."""

    status = 501
