"""What an operator allows the fetcher."""

from __future__ import annotations

from launcher.data import Data


class FetchOptions(Data, kw_only=True):
    """Bounds for each URI, but for the cache, which all share."""

    cache_size: int = 2 << 30  # bytes, as Mesos' --fetcher_cache_size; the oldest used go first
    max_size: int = 64 << 30  # bytes of a file that is fetched
    max_unpacked: int = 64 << 30  # bytes of an archive's content
    max_entries: int = 1_000_000  # of an archive
    connect_timeout: float = 10.0  # seconds
    stall_timeout: float = 60.0  # seconds between two bytes, as Mesos' --fetcher_stall_timeout
    timeout: float = 3600.0  # seconds for everything
