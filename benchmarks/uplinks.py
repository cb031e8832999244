"""`make bench-uplinks`: throughput to another host, of this one and of containers on its network device.

All of it happens in network and mount namespaces of its own, on tmpfs; the other host is one more namespace,
at the other end of a cable. iperf3 has its clients in the containers' network namespaces, but they are no
containers' processes: what is measured is the way between. Kinds that the kernel does not have are left out.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import apart, peers
from benchmarks.interleave import machine
from benchmarks.launch_setting import Setting
from benchmarks.network import SECONDS, ask, inside, ours

ROUNDS = 5
KINDS = ("macvlan", "ipvlan", "vlan")
HOST = "host"
_VLAN = 7


def main() -> None:
    apart.enter()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as root, other_host() as other:
        setting = Setting(Path(root))
        print(
            f"{machine()}; {ROUNDS} transfers of {SECONDS} s each, in turns with the host's, one TCP stream\n"
        )
        print("| device | Gbit/s | the host's, in turns | it / host |\n| --- | ---: | ---: | ---: |")
        for kind in filter(has, KINDS):
            with container(setting, kind) as pid:
                compare(kind, pid, other)


@contextlib.contextmanager
def other_host() -> Iterator[int]:
    """A process in it. The cable's end here is `up0`, and both are in a VLAN besides."""
    waits = ["unshare", "--net", "sh", "-c", "echo; exec sleep 100000"]
    with subprocess.Popen(waits, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        peer = ["type", "veth", "peer", "name", "up1", "netns", str(process.pid)]
        peers.run(["ip", "link", "add", "up0", *peer])
        for within, device, last in (([], "up0", 2), (inside(process.pid), "up1", 1)):
            peers.run([*within, "ip", "addr", "add", f"10.95.0.{last}/24", "dev", device])
            peers.run([*within, "ip", "link", "set", device, "up"])
        if has("vlan"):
            tagged = ["name", "up1.7", "type", "vlan", "id", str(_VLAN)]
            peers.run([*inside(process.pid), "ip", "link", "add", "link", "up1", *tagged])
            peers.run([*inside(process.pid), "ip", "addr", "add", "10.96.0.1/24", "dev", "up1.7"])
            peers.run([*inside(process.pid), "ip", "link", "set", "up1.7", "up"])
        try:
            yield process.pid
        finally:
            process.kill()


def has(kind: str) -> bool:
    options = ["id", "1"] if kind == "vlan" else []
    script = 'ip link add up0 type veth peer name up1 && ip link add link up0 name own0 type "$@"'
    argv = ["unshare", "--net", "sh", "-c", script, "sh", kind, *options]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def container(setting: Setting, kind: str) -> Iterator[int]:
    """Its first process."""
    third = 96 if kind == "vlan" else 95
    addresses = {"type": "static", "addresses": [{"address": f"10.{third}.0.3/24"}]}
    plugin = {"type": kind, "master": "up0", "ipam": addresses} | (
        {"vlanId": _VLAN} if kind == "vlan" else {}
    )
    directory = setting.root / f"{kind}.d"
    directory.mkdir()
    listed = {"cniVersion": "1.0.0", "name": kind, "plugins": [plugin]}
    (directory / f"{kind}.conflist").write_text(json.dumps(listed))
    network = ["--network", kind, "--network-cni-config-dir", str(directory)]
    peers.run(ours(setting, "run", "-d", "--name", kind, *network, setting.image, "sleep", "100000"))
    try:
        (running,) = json.loads(peers.output(ours(setting, "ps", "--json")))
        yield running["pid"]
    finally:
        peers.run(ours(setting, "rm", "-f", kind))


def compare(kind: str, pid: int, other: int) -> None:
    address = "10.96.0.1" if kind == "vlan" else "10.95.0.1"
    measured: dict[str, list[float]] = {kind: [], HOST: []}
    for _ in range(ROUNDS):
        measured[kind].append(transfer(inside(pid), address, other))
        measured[HOST].append(transfer([], "10.95.0.1", other))
    own, hosts = (statistics.median(measured[name]) for name in (kind, HOST))
    print(f"| {kind} | {own:.1f} | {hosts:.1f} | {own / hosts:.2f} |", flush=True)


def transfer(within: list[str], address: str, other: int) -> float:
    """Gbit/s from there to the other host."""
    listen = [*inside(other), "iperf3", "-s", "-1", "-J"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE) as listening:
        result = ask([*within, "iperf3", "-c", address, "-t", str(SECONDS), "-J"])
        listening.communicate()
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9


if __name__ == "__main__":
    main()
