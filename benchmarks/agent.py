"""`python -m benchmarks.agent`: the agent by its HTTP API, cached image, all default isolators.

- rate: containers a second (launch, wait, remove) of 8 clients, in turns with `crun run` 4 at a time;
- running: many containers at once, kill -9 of the agent, and how soon the next one has them back;
- soak: many launches, and what the agent and the host have more of afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.agent_client import Agent, Client, started
from benchmarks.interleave import Sample, machine
from benchmarks.launch_setting import Setting

CLIENTS = 8
CRUNS = 4
LAUNCHES = 120  # in each measurement of a rate
PARTS = ("rate", "running", "soak")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts",
        nargs="*",
        default=PARTS,
        metavar="PART",
        help="rate, running or soak; all of them if none is named",
    )
    parser.add_argument("--rounds", type=int, default=5, help="of the rates (%(default)s)")
    parser.add_argument("--running", type=int, default=1000, help="containers at once (%(default)s)")
    parser.add_argument("--soak", type=int, default=10_000, help="launches (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary:
        setting = Setting(Path(temporary))
        print(f"{machine()}; store on tmpfs", flush=True)
        if "rate" in arguments.parts:
            with peers.pure_v1():
                rate(setting, arguments.rounds)
        if "running" in arguments.parts:
            running(setting, arguments.running)
        if "soak" in arguments.parts:
            soak(setting, arguments.soak)


def rate(setting: Setting, rounds: int) -> None:
    print(f"\n## Containers a second: {CLIENTS} clients, and {CRUNS} crun at a time\n")
    print("| what | containers/s |\n| --- | ---: |")
    with started(setting.directories) as agent:
        lives(agent, setting, CLIENTS, "warm")
        ours, theirs = [], []
        for number in range(rounds):
            ours.append(lives(agent, setting, LAUNCHES, f"rate-{number:02}"))
            if setting.runtimes:
                theirs.append(cruns(setting))
    print(f"| the agent | {LAUNCHES / Sample(ours).median:.0f} |")
    if theirs:
        print(f"| `crun run` | {LAUNCHES / Sample(theirs).median:.0f} |", flush=True)


def lives(agent: Agent, setting: Setting, count: int, prefix: str) -> float:
    """Seconds for so many containers, by all clients."""
    return each_client(agent, setting, count, lambda client, name: client.whole_life(f"{prefix}-{name}"))


def cruns(setting: Setting) -> float:
    with ThreadPoolExecutor(CRUNS) as pool:
        begun = time.perf_counter()
        list(pool.map(partial(setting.oci, "crun"), range(LAUNCHES)))
        return time.perf_counter() - begun


def running(setting: Setting, count: int) -> None:
    print(f"\n## {count} containers at once\n")
    with started(setting.directories) as agent:
        launch = each_client(
            agent, setting, count, lambda client, name: client.launch(name, "sleep", "1000000")
        )
        print(
            f"- launched in {launch:.1f} s, {count / launch:.0f} a second; {shown(agent.figures())}",
            flush=True,
        )
        agent.kill()
    with started(setting.directories) as agent:
        print(f"- taken back {agent.ready_after:.2f} s after the start of the next agent")
        client = Client(agent.socket, setting.image)
        begun = time.perf_counter()
        listed = client.request(
            "POST", "/api/v1", {"type": "GET_CONTAINERS", "get_containers": {"show_standalone": True}}
        )
        found = len(listed["get_containers"]["containers"])
        print(f"- {found} listed with usage in {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        client.request("GET", "/state")
        print(f"- /state in {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        peers.run(
            [
                sys.executable,
                "-m",
                "containerizer",
                "--root",
                setting.directories[0],
                "--state",
                setting.directories[1],
                "ps",
            ]
        )
        print(
            f"- `containerizer ps` in {time.perf_counter() - begun:.2f} s; {shown(agent.figures())}",
            flush=True,
        )

        def end(client: Client, name: str) -> None:
            client.call("KILL_CONTAINER", name)
            client.call("WAIT_CONTAINER", name)
            client.call("REMOVE_CONTAINER", name)

        ended = each_client(agent, setting, count, end)
        print(f"- killed and removed in {ended:.1f} s; {shown(agent.figures())}", flush=True)


def each_client(agent: Agent, setting: Setting, count: int, what: Callable[[Client, str], None]) -> float:
    """Seconds for all, shared among the clients."""
    clients = [Client(agent.socket, setting.image) for _ in range(CLIENTS)]

    def share(client: Client, number: int) -> None:
        for each in range(number, count, CLIENTS):
            what(client, f"bench-{each:06}")  # of one length, as UUIDs are

    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            begun = time.perf_counter()
            list(pool.map(share, clients, range(CLIENTS)))
            return time.perf_counter() - begun
    finally:
        for client in clients:
            client.close()


def soak(setting: Setting, count: int) -> None:
    print(f"\n## {count} launches\n\n| after | s | figures |\n| ---: | ---: | --- |")
    with started(setting.directories) as agent:
        lives(agent, setting, 5 * CLIENTS, "warm-up")
        begun, step = time.perf_counter(), max(1, count // 5)
        print(f"| 0 | 0 | {shown(agent.figures())} |", flush=True)
        for done in range(0, count, step):
            lives(agent, setting, min(step, count - done), f"soak-{done}")
            print(
                f"| {done + step} | {time.perf_counter() - begun:.0f} | {shown(agent.figures())} |",
                flush=True,
            )


def shown(figures: dict[str, int]) -> str:
    return ", ".join(f"{value} {name}" for name, value in figures.items())


if __name__ == "__main__":
    main()
