"""containerizer: runs tasks in containers on Linux, without a daemon.

    with Containerizer() as c:
        container = c.launch(image="busybox", command=["echo", "hello"], cpus=0.5, mem="64m")
        print(container.wait().exit_code)

The names below are loaded when they are first used, so that the import itself costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.containerizer import Containerizer
    from containerizer.request import ContainerRequest
    from containerizer.termination import Termination
    from launcher.errors import ContainerizerError

__all__ = ["Container", "ContainerRequest", "Containerizer", "ContainerizerError", "Termination"]

_HOME = {
    "Container": "containerizer.container",
    "ContainerRequest": "containerizer.request",
    "Containerizer": "containerizer.containerizer",
    "ContainerizerError": "launcher.errors",
    "Termination": "containerizer.termination",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: PEP 562."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
