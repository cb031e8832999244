"""Make the failure of an isolator say whose it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from isolators.isolator import Isolator
from launcher.errors import ContainerizerError, LaunchFailed


@contextlib.contextmanager
def named(isolator: Isolator) -> Iterator[None]:
    """Within this context a failure names the isolator. Raises ContainerizerError, and no OSError."""
    try:
        yield
    except ContainerizerError as error:
        if isolator.name not in error.message:
            error.message = f"isolator {isolator.name}: {error.message}"
        raise
    except OSError as error:
        raise LaunchFailed(f"isolator {isolator.name}: {error}") from error
