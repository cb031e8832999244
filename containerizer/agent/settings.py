"""What an engine needs to know: directories, isolators, and how much it may do at once."""

from __future__ import annotations

from collections.abc import Sequence

from containerizer.fetcher.options import FetchOptions
from isolators.isolator import IsolatorFlags
from launcher.data import Data
from provisioner.registry.options import RegistryOptions


class ImageGc(Data, kw_only=True):
    """Which images go by themselves, and when."""

    headroom: float  # part of the disk that is to be free, 0 to 1: the oldest unused go until it is
    interval: float  # seconds between looks at the disk
    excluded: tuple[str, ...] = ()  # references of images that stay
    fresh: float = 60.0  # seconds in which what was pulled stays: between pull and container nobody holds it


class EngineSettings(Data, kw_only=True):
    """Sizes are bytes, times are seconds."""

    root: str | None = None  # images and sandboxes; None: containerizer.paths' default, as for the next
    state: str | None = None
    isolation: str | Sequence[str] | None = None  # None: the launcher's default
    launcher: str = "linux"
    image_backend: str | None = None
    image_providers: tuple[str, ...] = ("docker", "appc")  # whose images may be asked for
    registries: RegistryOptions | None = None
    fetch_options: FetchOptions | None = None  # None: the defaults
    isolator_flags: IsolatorFlags = IsolatorFlags()
    launching_lanes: int = 4  # processes that launch, at most, and so launches at once
    control_threads: int = 4  # of everything else that takes a while
    pulls: int = 4  # at once
    destroy_timeout: float = 10.0  # for what was killed to end, in one attempt
    retry_first: float = 1.0  # after a failed destroy; then twice as long each time
    retry_last: float = 60.0  # and never longer
    destroy_found: bool = False  # at the start, instead of taking back what runs
    gc_delay: float = 604800.0  # that sandboxes of ended containers stay, at most
    gc_headroom: float = 0.1  # part of the disk that is to be free: containerizer.agent.collector
    image_gc: ImageGc | None = None  # None: images stay until somebody prunes them
    gc_interval: float = 60.0  # between looks at the disk
