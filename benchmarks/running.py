"""What running containers cost: our processes' memory for each, and the next launch among many.

PSS is the proportional set size of proc_pid_smaps(5): a page that several processes share counts for
each in part, so the sum over all of them is what the host has less of.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks import peers
from benchmarks.launch_setting import Setting
from containerizer import Containerizer
from containerizer.container import Container
from launcher.stdio import Pipes, Stdio

MANY = 200
PEERS = 20  # of podman's
MOST = 1000
WINDOW = 20  # launches whose median is one point


def memory(setting: Setting) -> str:
    """A Markdown table of what each running container costs."""
    rows = [
        ("containerizer, stdio inherited", lambda: ours(setting, MANY, None)),
        ("containerizer, pipes and a log", lambda: ours(setting, MANY, Pipes())),
    ]
    if peers.installed("podman"):
        rows.append(("podman: conmon", lambda: conmon(setting, PEERS)))
    lines = ["| what | PSS a container |", "| --- | ---: |"]
    lines += [f"| {name} | {measure() / 1024:.2f} MiB |" for name, measure in rows]
    return "\n".join(lines)


def ours(setting: Setting, count: int, stdio: Stdio | None) -> float:
    """KiB a container, with its part of the fork server and of the relays."""
    root, state = setting.directories
    with Containerizer(root=root, state=state) as containerizer:
        running = launch(containerizer, setting, count, stdio)
        supervisors = [container.record.supervisor for container in running]
        server = _parent(supervisors[0] or 0)
        relays = processes_of(containerizer.paths.relays)
        return pss([server, *relays, *(pid for pid in supervisors if pid)]) / count


def processes_of(path: str) -> list[int]:
    """Those that have this in their arguments, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def launch(
    containerizer: Containerizer, setting: Setting, count: int, stdio: Stdio | None = None
) -> list[Container]:
    return [
        containerizer.launch(setting.image, ["sleep", "100000"], stdio=stdio, mem="64m", cpus=0.5, pids=20)
        for _ in range(count)
    ]


def conmon(setting: Setting, count: int) -> float:
    """KiB a container, of podman's monitors."""
    command = peers.podman(setting.image, setting.root)
    command.insert(command.index("run") + 1, "--detach")
    with ExitStack() as stack:
        for _ in range(count):
            done = subprocess.run([*command, "sleep", "100000"], check=True, capture_output=True, text=True)
            remove = [*command[: command.index("run")], "rm", "-f", "-t", "0", done.stdout.strip()]
            stack.callback(subprocess.run, remove, check=True, capture_output=True)
        found = peers.output(["pgrep", "-x", "conmon"]).split()
        return pss(map(int, found)) / count


def pss(pids: Iterable[int]) -> int:
    """KiB of all of them together."""
    return sum(_pss(pid) for pid in pids)


def flatness(setting: Setting, show: Callable[[str], None]) -> list[tuple[int, float]]:
    """Launch up to MOST containers that stay; (how many were running, median seconds of a launch)."""
    root, state = setting.directories
    points: list[tuple[int, float]] = []
    with Containerizer(root=root, state=state) as containerizer:
        launch(containerizer, setting, 1)
        while len(points) * WINDOW < MOST:
            points.append((len(points) * WINDOW, statistics.median(_timed(containerizer, setting))))
        first, last = (
            statistics.median(seconds for _, seconds in part) for part in (points[:3], points[-3:])
        )
        show(f"first {first * 1e3:.1f} ms, among {MOST} {last * 1e3:.1f} ms: {last / first:.2f} ×")
    return points


def _timed(containerizer: Containerizer, setting: Setting) -> Sequence[float]:
    seconds = []
    for _ in range(WINDOW):
        start = time.perf_counter()
        launch(containerizer, setting, 1)
        seconds.append(time.perf_counter() - start)
    return seconds


def _pss(pid: int) -> int:
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
