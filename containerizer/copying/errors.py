"""The error of a copy."""

from __future__ import annotations

from launcher.errors import ContainerizerError


class CopyFailed(ContainerizerError):
    """The copy was refused, or stopped in the midst; what had been copied by then is there."""
