"""`make bench-network`: throughput, and what a launch with a network takes, ours and podman's in turns.

All of it happens in network and mount namespaces of its own, on tmpfs. The servers and clients of iperf3 are
in the containers' network namespaces, but are no containers' processes: what is measured is the way between.

PODMAN_RUNTIME=runc has podman use that instead of crun, which refuses hosts with both versions of cgroups.
With a number as argument, so many containers are launched, 8 at a time, and what they leave is looked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import apart, peers
from benchmarks.interleave import interleave, machine, table
from benchmarks.launch_setting import Setting

ROUNDS = 15
SECONDS = 2  # of each transfer
TRANSFERS = 3  # of each way, in turns
AT_ONCE = 8
OURS, PODMANS = "containerizer", "podman"
RUNTIME = os.environ.get("PODMAN_RUNTIME", "crun")
_DEFAULT = ("--network", "podman")


def main() -> None:
    apart.enter()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary, _cgroups():
        setting = Setting(Path(temporary))
        print(f"{machine()}; store on tmpfs; {ROUNDS} rounds in turns")
        try:
            launches(setting)
            throughput(setting)
            macvlan(setting)
            leftovers(setting, int(sys.argv[1]) if len(sys.argv) > 1 else 40)
        finally:
            peers.forget_podman(setting.root)


def ours(setting: Setting, *arguments: str) -> list[str]:
    root, state = setting.directories
    return [sys.executable, "-m", "containerizer", "--root", root, "--state", state, *arguments]


def podman(setting: Setting, *arguments: str) -> list[str]:
    first, *_ = (
        " ".join(peers.podman("", setting.root))
        .replace("--runtime crun", f"--runtime {RUNTIME}")
        .split(" run ")
    )
    config = ["--network-config-dir", str(setting.root / "podman-networks")]
    return [*first.split(), *config, *arguments]


def _cgroups() -> contextlib.AbstractContextManager[None]:
    """crun wants one version of cgroups; runc takes what there is."""
    return peers.pure_v1() if RUNTIME == "crun" else contextlib.nullcontext()


def _podman_run(setting: Setting, *arguments: str) -> list[str]:
    return podman(setting, "run", *_DEFAULT, *peers._PODMAN, *arguments)


# What a launch takes -------------------------------------------------------------------------------


def launches(setting: Setting) -> None:
    image = setting.image
    alternatives = {
        f"{OURS} run --network bridge": ours(setting, "run", "--rm", "--network", "bridge", image, "true"),
        f"{OURS} run": ours(setting, "run", "--rm", image, "true"),
        f"{PODMANS} run, default network": _podman_run(setting, "--rm", image, "true"),
        f"{PODMANS} run --network none": podman(
            setting, "run", "--rm", "--network", "none", *peers._PODMAN, image, "true"
        ),
    }
    print("\n## A launch, alone in its network\n")
    in_turns(alternatives)
    with running(setting):
        print("\n## A launch, with others in its network\n")
        in_turns(alternatives)


def in_turns(alternatives: Mapping[str, list[str]]) -> None:
    """Wall time, and the processor time of the command and of all that it has waited for."""
    used: dict[str, list[float]] = {name: [] for name in alternatives}

    def run(name: str) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        peers.run(alternatives[name])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    samples = interleave({name: partial(run, name) for name in alternatives}, ROUNDS)
    print(table(samples, f"{OURS} run --network bridge"))
    times = ", ".join(f"{name} {statistics.median(each) * 1e3:.0f} ms" for name, each in used.items())
    print(f"\nProcessor time: {times}")


# Throughput ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(
    setting: Setting, own: Sequence[str] = ("--network", "bridge"), of_podman: Sequence[str] = _DEFAULT
) -> Iterator[dict[str, list[int]]]:
    """Two containers of each, and their first processes."""
    image = setting.image
    for number in (1, 2):
        options = ["-d", "--name", f"n{number}"]
        peers.run(ours(setting, "run", *options, *own, image, "sleep", "100000"))
        run = podman(setting, "run", *of_podman, *peers._PODMAN, *options, image, "sleep", "100000")
        peers.run(run)
    listed = json.loads(peers.output(ours(setting, "ps", "--json")))
    inspect = podman(setting, "inspect", "--format", "{{.State.Pid}}", "n1", "n2")
    try:
        yield {
            OURS: [each["pid"] for each in sorted(listed, key=lambda each: each["id"])],
            PODMANS: [int(pid) for pid in peers.output(inspect).split()],
        }
    finally:
        peers.run(ours(setting, "rm", "-f", "n1", "n2"))
        peers.run(podman(setting, "rm", "-f", "-t", "0", "n1", "n2"))


def throughput(setting: Setting) -> None:
    print("\n## Throughput, Gbit/s (iperf3, one TCP stream)\n")
    print("| way | containerizer | podman | ours / podman |\n| --- | ---: | ---: | ---: |")
    with running(setting) as containers:
        for way in ("host to container", "container to host", "container to container"):
            measured: dict[str, list[float]] = {OURS: [], PODMANS: []}
            for _ in range(TRANSFERS):
                for name, pids in containers.items():
                    measured[name].append(transfer(way, *pids))
            first, second = (statistics.median(measured[name]) for name in (OURS, PODMANS))
            print(f"| {way} | {first:.1f} | {second:.1f} | {first / second:.2f} |")


def macvlan(setting: Setting) -> None:
    """Between two containers on one device of the host, and two namespaces with a cable between them."""
    peers.run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"])
    for device in ("up0", "up1"):
        peers.run(["ip", "link", "set", device, "up"])
    network = {"type": "macvlan", "master": "up0", "ipam": {"type": "host-local", "subnet": "10.95.0.0/24"}}
    directory = setting.root / "net.d"
    directory.mkdir()
    listed = {"cniVersion": "1.0.0", "name": "mac", "plugins": [network]}
    (directory / "mac.conflist").write_text(json.dumps(listed))
    of_podman = ["--driver", "macvlan", "--opt", "parent=up0", "--subnet", "10.96.0.0/24", "mac"]
    peers.run(podman(setting, "network", "create", *of_podman))
    options = ["--network", "mac", "--network-cni-config-dir", str(directory)]
    measured: dict[str, list[float]] = {OURS: [], PODMANS: [], "a cable": []}
    with cable() as pids, running(setting, options, ["--network", "mac"]) as containers:
        for _ in range(TRANSFERS):
            for name, pair in {**containers, "a cable": pids}.items():
                measured[name].append(transfer("container to container", *pair))
    print("\n## macvlan, container to container, Gbit/s (iperf3, one TCP stream)\n")
    print(", ".join(f"{name} {statistics.median(each):.1f}" for name, each in measured.items()))


@contextlib.contextmanager
def cable() -> Iterator[list[int]]:
    """Two processes, each in a network namespace with one end of it."""
    with contextlib.ExitStack() as stack:
        waits = ["unshare", "--net", "sh", "-c", "echo; exec sleep 100000"]
        ends = [stack.enter_context(subprocess.Popen(waits, stdout=subprocess.PIPE)) for _ in range(2)]
        for number, end in enumerate(ends):
            stack.callback(end.kill)
            assert end.stdout
            end.stdout.readline()
            if number:
                peer = ["type", "veth", "peer", "name", "eth0", "netns", str(end.pid)]
                peers.run([*inside(ends[0].pid), "ip", "link", "add", "eth0", *peer])
        for number, end in enumerate(ends, 1):
            peers.run([*inside(end.pid), "ip", "addr", "add", f"10.97.0.{number}/24", "dev", "eth0"])
            peers.run([*inside(end.pid), "ip", "link", "set", "eth0", "up"])
        yield [end.pid for end in ends]


def transfer(way: str, server: int, client: int) -> float:
    """Gbit/s between two network namespaces, or one and the host's."""
    address = (
        peers.output([*inside(server), "ip", "-o", "-4", "addr", "show", "eth0"]).split()[3].split("/")[0]
    )
    listen = [*inside(server), "iperf3", "-s", "-1", "-J"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE) as listening:
        command = ["iperf3", "-c", address, "-t", str(SECONDS), "-J"]
        command += ["-R"] if way == "container to host" else []
        within = inside(client) if way == "container to container" else []
        result = ask([*within, *command])
        listening.communicate()
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9


def ask(command: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Until the server listens."""
    while True:
        result: dict[str, dict[str, dict[str, float]]] = json.loads(peers.output(command))
        if "error" not in result:
            return result
        time.sleep(0.05)


def inside(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]


# What is left ----------------------------------------------------------------------------------------


def leftovers(setting: Setting, count: int) -> None:
    print(f"\n## {count} containers with a network and a published port each, {AT_ONCE} at a time\n")

    def launch(number: int) -> None:
        options = ["--rm", "--network", "bridge", "-p", f"{20000 + number}:80"]
        peers.run(ours(setting, "run", *options, setting.image, "true"))

    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(launch, range(count)))
    print(f"- {count / (time.perf_counter() - begun):.1f} a second")
    state = Path(setting.directories[1]) / "networks"
    with open(state / "of" / "bridge" / "dns") as name_server:
        fcntl.flock(name_server, fcntl.LOCK_EX)  # it takes the network away when nobody is left
    left = {
        "devices": [
            line for line in peers.output(["ip", "-o", "link"]).splitlines() if "ctz" in line or "ctv" in line
        ],
        "rules": [line for line in peers.output(["nft", "list", "ruleset"]).splitlines() if "ctz" in line],
        "namespaces": os.listdir(state / "namespaces"),
        "addresses": list(state.glob("of/*/addresses/*")),
        "ports": [*state.glob("ports/*"), *state.glob("holders/*")],
        "attachments": os.listdir(Path(setting.directories[0]) / "networks" / "attached"),
    }
    print(f"- left: {', '.join(f'{len(found)} {kind}' for kind, found in left.items())}")


if __name__ == "__main__":
    main()
