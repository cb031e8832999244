"""`make bench-launch`: launches of ours and of the runtimes installed here, in turns.

Every alternative runs `true` in busybox in the same namespaces with the same limits.

- cold: a command from the shell, image in the store;
- warm: a program that launches with the library, one container after another;
- at once: containers a second, from several processes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.interleave import Action, Sample, interleave, machine, table
from containerizer import Containerizer
from tests.support import images

ROUNDS = 30
LAUNCHES = 120  # in each measurement of launches at once
LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")
COLD = "containerizer run"
WARM = "containerizer, as a library"


class Setting:
    """The directories, and the image, of one benchmark."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = images.write_layout([("latest", images.busybox())], root / "image")
        self.image = f"oci:{self.layout}:latest"
        self.directories = (str(root / "root"), str(root / "state"))
        self.runtimes = peers.installed("crun", "runc") if peers.installed("crun") else []
        if self.runtimes:
            self.bundle = peers.bundle(root / "bundle", peers.unpack(self.image, root / "unpacked"), ["true"])

    def oci(self, runtime: str, number: int = 0) -> None:
        argv = [runtime, "run", "--bundle", str(self.bundle), f"bench-{runtime}-{number}"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary, peers.pure_v1():
        setting = Setting(Path(temporary))
        print(f"{machine()}; store on tmpfs; {ROUNDS} rounds in turns\n\n## Cold, from the shell\n")
        print(table(interleave(cold(setting), ROUNDS), COLD))
        print("\n## Warm, one after another\n")
        root, state = setting.directories
        with Containerizer(root=root, state=state) as containerizer:
            print(table(interleave(warm(setting, containerizer), ROUNDS), WARM))
        for processes in (4, 8):
            print(f"\n## Containers a second, {processes} at a time\n")
            print_rates(setting, processes)
        peers.forget_podman(setting.root)


def cold(setting: Setting) -> dict[str, Action]:
    command = str(Path(sys.executable).parent / "containerizer")
    root, state = setting.directories
    ours = [command, "--root", root, "--state", state, "run", "--rm", *LIMITS, setting.image, "true"]
    actions: dict[str, Action] = {COLD: partial(peers.run, ours)}
    if peers.installed("podman"):
        podman = [*peers.podman(setting.image, setting.root), "true"]
        actions["podman run --network none"] = partial(peers.run, podman)
    return actions


def warm(setting: Setting, containerizer: Containerizer) -> dict[str, Action]:
    def ours() -> None:
        container = containerizer.launch(setting.image, ["true"], mem="64m", cpus=0.5, pids=20)
        container.wait()
        container.remove()

    actions: dict[str, Action] = {WARM: ours}
    for runtime in setting.runtimes:
        actions[f"{runtime} run, of a prepared bundle"] = partial(setting.oci, runtime)
    return actions


def print_rates(setting: Setting, processes: int, rounds: int = 3) -> None:
    """Medians of several measurements, in turns."""
    measured: dict[str, Callable[[], float]] = {WARM: partial(our_seconds, setting, processes)}
    for runtime in setting.runtimes:
        measured[f"{runtime} run"] = partial(oci_seconds, setting, runtime, processes)
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, measure in measured.items():
            seconds[name].append(measure())
    rates = {name: LAUNCHES / Sample(values).median for name, values in seconds.items()}
    print("| what | containers/s | ours / it |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rates[WARM] / rate:.2f} |")


def our_seconds(setting: Setting, processes: int) -> float:
    argv = [sys.executable, "-m", "benchmarks.worker", *setting.directories, setting.image]
    argv.append(str(LAUNCHES // processes))
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    start = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    codes = [worker.wait() for worker in workers]
    elapsed = time.perf_counter() - start
    assert codes == [0] * processes, codes
    return elapsed


def oci_seconds(setting: Setting, runtime: str, processes: int) -> float:
    with ThreadPoolExecutor(processes) as pool:
        start = time.perf_counter()
        list(pool.map(partial(setting.oci, runtime), range(LAUNCHES)))
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
