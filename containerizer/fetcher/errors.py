"""The error of the fetcher."""

from __future__ import annotations

from launcher.errors import LaunchFailed


class FetchFailed(LaunchFailed):
    """What a URI names could not be had, is not what was promised, or cannot be unpacked."""
