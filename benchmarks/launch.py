"""`make bench-launch`: launches of ours and of the runtimes installed here, in turns.

Every alternative runs `true` in busybox in the same namespaces with the same limits.

- cold: a command from the shell, image in the store;
- warm: a program that launches with the library, one container after another;
- at once: containers a second, from several processes;
- the floor: what the kernel takes for the same system calls, made by nobody who has to think;
- running: the memory of many, and a launch among many.

With a file's name as argument, what came out is drawn there as well.
"""

from __future__ import annotations

import compileall
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import docker, floor, imports, peers, running
from benchmarks.interleave import Action, Sample, interleave, machine, table
from benchmarks.launch_setting import Setting
from containerizer import Containerizer

ROUNDS = 30
# In each measurement of launches at once: so many that it is launches that are measured. The end of each
# Python that launches, and its first launches of a kind, take 20 ms, more than three launches do.
LAUNCHES = 960
LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")
COLD = "containerizer run"
WARM = "containerizer, as a library"


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary, peers.pure_v1():
        setting = Setting(Path(temporary))
        print(f"{machine()}; store on tmpfs; {ROUNDS} rounds in turns")
        with contextlib.ExitStack() as stack:
            samples = interleave(cold(setting, stack), ROUNDS)
        bars = {"from the shell, ms": shown("Cold, from the shell", samples, COLD)}
        root, state = setting.directories
        with Containerizer(root=root, state=state) as containerizer:
            samples = interleave(warm(setting, containerizer), ROUNDS)
        bars["one after another, ms"] = shown("Warm, one after another", samples, WARM)
        heading("The floor")
        for kind, seconds in floor.measure(setting, ROUNDS).items():
            print(f"- {kind}: {seconds * 1e3:.1f} ms")
        for processes in (4, 8):
            heading(f"Containers a second, {processes} at a time")
            bars[f"containers/s, {processes} at a time"] = print_rates(setting, processes)
        heading(f"Memory of a running container: {running.MANY} of ours, {running.PEERS} of podman's")
        print(running.memory(setting))
        heading("A launch among many")
        points = running.flatness(setting, print)
        heading("Imports of a cold run")
        print(imports.slowest(cold_command(setting)))
        peers.forget_podman(setting.root)
    if len(sys.argv) > 1:
        from benchmarks import plot

        plot.draw(Path(sys.argv[1]), bars, points, machine())


def heading(text: str) -> None:
    print(f"\n## {text}\n", flush=True)


def shown(title: str, samples: dict[str, Sample], reference: str) -> dict[str, float]:
    """Print the table; the medians in milliseconds, for the plot."""
    heading(title)
    print(table(samples, reference))
    return {name: sample.median * 1e3 for name, sample in samples.items()}


def cold_command(setting: Setting) -> list[str]:
    root, state = setting.directories
    return ["--root", root, "--state", state, "run", "--rm", *LIMITS, setting.image, "true"]


def cold(setting: Setting, stack: contextlib.ExitStack) -> dict[str, Action]:
    """What is started for it ends with `stack`."""
    for package in ("containerizer", "isolators", "launcher", "provisioner"):
        compileall.compile_dir(package, quiet=1)  # as an installation does
    command = str(Path(sys.executable).parent / "containerizer")
    actions: dict[str, Action] = {COLD: partial(peers.run, [command, *cold_command(setting)])}
    if peers.installed("podman"):
        podman = [*peers.podman(setting.image, setting.root), "true"]
        actions["podman run --network none"] = partial(peers.run, podman)
    if peers.installed("dockerd"):
        served = stack.enter_context(docker.command(setting.image, setting.root))
        actions["docker run --network none"] = partial(peers.run, [*served, "true"])
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


def print_rates(setting: Setting, processes: int, rounds: int = 5) -> dict[str, float]:
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
    return rates


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
