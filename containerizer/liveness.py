"""Whether a process that a record names is still that process: a pid alone may have been reused."""

from __future__ import annotations

from containerizer.record import ContainerRecord


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (proc(5), field 22); None when it is gone.

    A zombie has ended, whoever has yet to collect it.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()  # the name before it may hold anything
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_running(record: ContainerRecord) -> bool:
    """Whether the container's task runs, or somebody is still launching it."""
    if record.termination is not None:
        return False
    if record.pid is not None:
        return started_at(record.pid) == record.pid_started
    return started_at(record.owner) == record.owner_started
