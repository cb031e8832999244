"""`make bench-cri`: what a pod takes through the CRI, ours and containerd's in turns, and 60 pods at once.

Both are asked by the same client, on tmpfs, with the same image and Debian's CNI plug-ins, in network and
mount namespaces of the benchmark's own. With a number as argument, so many pods make the load.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import apart
from benchmarks.interleave import Sample, machine, table
from tests.agent import process
from tests.cri.client import Client
from tests.support import images
from tests.support.registry import Registry

ROUNDS = 15
WARM_UP = 2
PODS, AT_ONCE = 60, 8
STEPS = ("RunPodSandbox", "CreateContainer", "StartContainer")
OURS, THEIRS = "containerizer", "containerd"
_READY = 20.0  # seconds for containerd to answer


def main() -> None:
    apart.enter()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-")))
        registry = stack.enter_context(Registry.start(directory / "registry"))
        images.push(images.busybox({"Cmd": ["sleep", "100000"]}), registry.host, "busybox", "latest")
        image = f"{registry.host}/busybox:latest"
        clients = {OURS: stack.enter_context(ours(directory / "ours"))}
        if shutil.which(THEIRS):
            clients[THEIRS] = stack.enter_context(containerd(directory / "containerd", image))
        for client in clients.values():
            client.PullImage(image={"image": image})
        print(f"{machine()}; stores on tmpfs; {ROUNDS} rounds in turns\n")
        steps(clients, image)
        for name, client in clients.items():
            load(name, client, image, int(sys.argv[1]) if len(sys.argv) > 1 else PODS)


# The runtimes --------------------------------------------------------------------------------------


def network(directory: Path, number: int) -> Path:
    """The directory of a CNI configuration of its own."""
    bridge = {
        "type": "bridge",
        "bridge": f"bench{number}",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(directory / "addresses"),
            "ranges": [[{"subnet": f"10.23{number}.0.0/16"}]],
        },
    }
    place = directory / "net.d"
    place.mkdir(parents=True)
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    value = {"cniVersion": "0.4.0", "name": f"bench{number}", "plugins": plugins}
    (place / "10-bench.conflist").write_text(json.dumps(value))
    return place


@contextlib.contextmanager
def ours(directory: Path) -> Iterator[Client]:
    networks = network(directory, 1)
    address = f"unix://{directory}/cri.sock"
    flags = ("--cri", address, f"--network-cni-config-dir={networks}", "--logging-level=WARNING")
    with process.started(directory / "root", directory / "state", *flags) as agent:
        with Client(f"{directory}/cri.sock") as client:
            yield client
        agent.stop()


@contextlib.contextmanager
def containerd(directory: Path, pause: str) -> Iterator[Client]:
    """1.6 of Debian. `pause`: the image of its sandboxes, whose command waits."""
    networks = network(directory, 2)
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    config = f"""
        version = 2
        root = "{directory}/root"
        state = "/run/containerd-bench"
        [grpc]
        address = "{directory}/containerd.sock"
        [{cri}]
        sandbox_image = "{pause}"
        restrict_oom_score_adj = true
        [{cri}.cni]
        bin_dir = "/usr/lib/cni"
        conf_dir = "{networks}"
    """
    (directory / "config.toml").write_text(config)
    log = (directory / "log").open("wb")
    argv = [THEIRS, "--config", str(directory / "config.toml"), "--log-level", "error"]
    with log, subprocess.Popen(argv, stdout=log, stderr=log) as running:
        try:
            with Client(f"{directory}/containerd.sock") as client:
                await_ready(client)
                yield client
        finally:
            running.terminate()
            running.wait()
            for cgroup in Path("/sys/fs/cgroup").glob("*/k8s.io"):  # it leaves its pods' parent
                with contextlib.suppress(OSError):
                    cgroup.rmdir()


def await_ready(client: Client) -> None:
    end = time.monotonic() + _READY
    while True:
        with contextlib.suppress(Exception):
            if all(each.status for each in client.Status().status.conditions):
                return
        if time.monotonic() > end:
            raise TimeoutError("containerd is not ready")
        time.sleep(0.1)  # between two looks


# What a pod takes ----------------------------------------------------------------------------------


def pod_config(name: str) -> dict[str, object]:
    return {
        "metadata": {"name": name, "uid": name, "namespace": "bench"},
        "log_directory": f"/run/logs/{name}",
        "linux": {},
    }


def life(client: Client, name: str, image: str) -> dict[str, float]:
    """The seconds of each step."""
    taken: dict[str, float] = {}

    def timed(step: str, action: Callable[..., str], *arguments: str) -> str:
        begun = time.perf_counter()
        result = action(client, *arguments)
        taken[step] = time.perf_counter() - begun
        return result

    pod = timed(STEPS[0], run_pod, name)
    container = timed(STEPS[1], create, pod, name, "main", image)
    timed(STEPS[2], start, container)
    timed("StopPodSandbox and RemovePodSandbox", remove, pod)
    return taken


def run_pod(client: Client, name: str) -> str:
    return str(client.RunPodSandbox(config=pod_config(name)).pod_sandbox_id)


def create(client: Client, pod: str, name: str, container: str, image: str) -> str:
    config = {
        "metadata": {"name": container},
        "image": {"image": image},
        "log_path": f"{container}.log",
        "linux": {"resources": {"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512}},
    }
    made = client.CreateContainer(pod_sandbox_id=pod, config=config, sandbox_config=pod_config(name))
    return str(made.container_id)


def start(client: Client, container: str) -> str:
    client.StartContainer(container_id=container)
    return container


def remove(client: Client, pod: str) -> str:
    client.StopPodSandbox(pod_sandbox_id=pod)
    client.RemovePodSandbox(pod_sandbox_id=pod)
    return pod


def steps(clients: dict[str, Client], image: str) -> None:
    """Each step by itself, all three, and the removal, in turns."""
    seconds: dict[str, dict[str, list[float]]] = {}
    for number in range(WARM_UP + ROUNDS):
        for who, client in clients.items():
            for step, taken in life(client, f"pod-{number}", image).items():
                if number >= WARM_UP:
                    seconds.setdefault(step, {}).setdefault(who, []).append(taken)
    together = {
        who: [sum(times) for times in zip(*(seconds[step][who] for step in STEPS), strict=True)]
        for who in clients
    }
    for step, times in {" + ".join(STEPS): together, **seconds}.items():
        print(f"{step}:\n\n{table({who: Sample(each) for who, each in times.items()}, OURS)}\n")


# Many ------------------------------------------------------------------------------------------------


def load(who: str, client: Client, image: str, pods: int) -> None:
    """Pods of two containers, so many at a time: made, ready, a command in each, stopped and removed."""
    before = traces()
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: live(client, f"load-{number}", image), range(pods)))
    elapsed = time.perf_counter() - begun
    assert not client.ListPodSandbox().items
    assert not client.ListContainers().containers
    left = {what: sorted(after - before[what])[:5] for what, after in traces().items()}
    found = {what: names for what, names in left.items() if names}
    what = f"{pods} pods of 2 containers, {AT_ONCE} at a time"
    print(f"{who}: {what}: {elapsed:.1f} s; left behind: {found or 'nothing'}")


def live(client: Client, name: str, image: str) -> None:
    pod = run_pod(client, name)
    containers = [create(client, pod, name, each, image) for each in ("a", "b")]
    for container in containers:
        start(client, container)
    status = client.PodSandboxStatus(pod_sandbox_id=pod).status
    assert status.state == 0 and status.network.ip, status
    for container in containers:
        assert client.ContainerStatus(container_id=container).status.state == 1
        assert client.ExecSync(container_id=container, cmd=["echo", name]).stdout.decode() == f"{name}\n"
    for container in containers:
        client.StopContainer(container_id=container, timeout=0)
    remove(client, pod)


def traces() -> dict[str, set[str]]:
    """What pods might leave: processes, network devices, mounts, cgroups."""
    tree = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    names = ("sleep 100000", "sleep infinity", "containerd-shim")
    devices = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "processes": {line.strip() for line in tree.splitlines() if any(name in line for name in names)},
        "devices": {line.split(": ")[1] for line in devices.splitlines() if "veth" in line},
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob("*/containerizer*/ct-*")},
    }


if __name__ == "__main__":
    main()
