"""The errors of the provisioner, and what their reader can do about each."""

from __future__ import annotations

import os

from launcher.errors import ContainerizerError, InvalidRequest


class Cancelled(Exception):
    """Another layer failed, or the user gave up: this one stops too. None that a caller meets."""


def reason(error: OSError) -> str:
    """The system's words, and the file that they are about if it is known."""
    file = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    return f"{error.strerror or error}{file}"


class ProvisionerError(ContainerizerError):
    """An image could not be found, fetched, verified, unpacked or removed."""


class InvalidReference(InvalidRequest, ProvisionerError):
    """An image's name is malformed, or stands for more than one image."""


class ImageNotFound(ProvisionerError):
    """Neither the store nor the source has the image, or a part of it."""


class RegistryUnreachable(ProvisionerError):
    """No answer, or no usable one, from the registry."""


class RegistryFailed(ProvisionerError):
    """The registry answers, and says that it fails or will not; the message has its words."""


class RegistryInTrouble(RegistryFailed):
    """It answers 5xx, or 408: whatever it is asked for."""


class TooManyRequests(RegistryFailed):
    """The registry limits how often it is asked, and its limit is reached."""


class RegistryConfigurationError(ProvisionerError):
    """A file of this host that says how to reach registries, or who asks, cannot be used."""


class ImageBlocked(ProvisionerError):
    """The host's registries.conf forbids the image."""


class Unauthorized(ProvisionerError):
    """The registry wants other credentials, or none would do."""


class InvalidImage(ProvisionerError):
    """A manifest, index or configuration breaks its specification."""


class UnsupportedMediaType(InvalidImage):
    """The image is made of something that cannot be run; the message names the media type."""


class UnsupportedImage(InvalidRequest, ProvisionerError):
    """The backend that was asked for cannot make a root filesystem of this image."""


class PlatformNotFound(ProvisionerError):
    """The image exists, but not for the platform that was asked."""


class DigestMismatch(ProvisionerError):
    """Content differs from what its digest or size promised."""


class InvalidLayer(ProvisionerError):
    """A layer is truncated, malformed, hostile, or larger than the limits."""


class ImageInUse(ProvisionerError):
    """The image cannot be removed; the message names the container that uses it."""


class StoreError(ProvisionerError):
    """The store on this host cannot be read or written."""
