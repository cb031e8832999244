"""Make the failure of an isolator say whose it is."""

from __future__ import annotations

from isolators.isolator import Isolator
from launcher.errors import ContainerizerError, LaunchFailed


class named:  # noqa: N801 - used as `with named(isolator)`; a class, for a launch enters it 70 times
    """Within this context a failure names the isolator. Raises ContainerizerError, and no OSError."""

    __slots__ = ("_isolator",)

    def __init__(self, isolator: Isolator) -> None:
        self._isolator = isolator

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ContainerizerError):
            if self._isolator.name not in error.message:
                error.message = f"isolator {self._isolator.name}: {error.message}"
        elif isinstance(error, OSError):
            raise LaunchFailed(f"isolator {self._isolator.name}: {error}") from error
