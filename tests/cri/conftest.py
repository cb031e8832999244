"""One agent with the CRI for all of these tests, its network, and a registry with an image."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent import process
from tests.agent.process import AgentProcess
from tests.cri.client import Client
from tests.support import images
from tests.support.registry import Registry

# Of this session's own: others may run beside it.
BRIDGE = f"cri{os.getpid()}"
SUBNET = f"10.231.{os.getpid() % 256}.0/24"

PATIENCE = 10.0  # seconds


class Node:
    """What a kubelet would have: the runtime's socket, and directories."""

    def __init__(self, directory: Path, registry: str) -> None:
        self.directory = directory
        self.root, self.state = directory / "root", directory / "state"
        self.socket = directory / "cri.sock"
        self.networks = directory / "net.d"
        self.plugins = directory / "plugins"  # beside Debian's
        self.logs = directory / "logs"
        self.registry = registry
        self.image = f"{registry}/busybox:latest"

    @contextlib.contextmanager
    def agent(self, *flags: str) -> Iterator[AgentProcess]:
        """Running, with the CRI served."""
        plugins = f"{self.plugins}:/usr/lib/cni"
        networks = (f"--network-cni-config-dir={self.networks}", f"--network-cni-plugins-dir={plugins}")
        own = ("--cri", f"unix://{self.socket}", *networks, *flags)
        with process.started(self.root, self.state, *own) as agent:
            yield agent

    def client(self, version: str = "v1") -> Client:
        return Client(str(self.socket), version)

    @contextlib.contextmanager
    def resident(self) -> Iterator[None]:
        """A container that no kubelet knows: what the first makes, and the last removes, is there for all."""
        self.command("run", "-d", "--name", "resident", "host", "sleep", "infinity")
        try:
            yield
        finally:
            self.command("rm", "-f", "resident")

    def command(self, *arguments: str) -> None:
        """One of people's, by the agent's directories; it must succeed."""
        argv = [sys.executable, "-m", "containerizer", "--root", str(self.root), "--state", str(self.state)]
        subprocess.run([*argv, *arguments], check=True, stdout=subprocess.DEVNULL)

    def write_network(self) -> None:
        """A bridge, with ports of the host, by Debian's plug-ins."""
        bridge = {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.directory / "addresses"),
                "ranges": [[{"subnet": SUBNET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        self.networks.mkdir(exist_ok=True)
        value = {"cniVersion": "1.0.0", "name": "cri-test", "plugins": plugins}
        (self.networks / "10-test.conflist").write_text(json.dumps(value))


def remove_all(cri: Client) -> None:
    for pod in cri.ListPodSandbox().items:
        cri.RemovePodSandbox(pod_sandbox_id=pod.id)


@pytest.fixture(scope="session")
def threads_of_grpc() -> Iterator[None]:
    """They give back their descriptors some time after the last channel is closed."""
    before = polled()
    yield
    end = time.monotonic() + PATIENCE
    while not polled() <= before and time.monotonic() < end:
        time.sleep(0.02)  # between two looks


def polled() -> set[str]:
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return {link for link in links if os.path.islink(link) and "anon_inode:[event" in os.readlink(link)}


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, threads_of_grpc: None) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("cri")
    with Registry.start(directory / "registry") as registry:
        images.push(images.busybox(), registry.host, "busybox", "latest")
        node = Node(directory, registry.host)
        node.write_network()
        # The plug-in would make it with the first pod, and leave it.
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
        try:
            yield node
        finally:
            subprocess.run(["ip", "link", "delete", BRIDGE], stderr=subprocess.DEVNULL)
            shutil.rmtree(node.root, ignore_errors=True)


@pytest.fixture(scope="session")
def served(node: Node) -> Iterator[Node]:
    """With an agent that stays for all tests."""
    with node.agent() as agent:
        with node.client() as cri:
            cri.PullImage(image={"image": node.image})
        with node.resident():
            yield node
        agent.stop()


@pytest.fixture(scope="session", autouse=True)
def before_every_test(served: Node) -> None:
    """Of a parametrised test, fixtures of the session would come after the look at what is there before."""


@pytest.fixture
def cri(served: Node) -> Iterator[Client]:
    """A client; the pods of a test go with it."""
    with served.client() as client:
        yield client
        remove_all(client)


class Pods:
    """Pods and containers with the fields that a test is not about filled in."""

    def __init__(self, cri: Client, node: Node) -> None:
        self.cri = cri
        self.node = node

    def run(self, name: str = "pod", **config: Any) -> str:
        """The id of a pod that runs. `linux` and the like as in PodSandboxConfig."""
        handler = config.pop("runtime_handler", "")
        metadata = {"name": name, "uid": os.urandom(8).hex(), "namespace": "default"}
        config = {"metadata": metadata, "log_directory": str(self.node.logs / metadata["uid"]), **config}
        return self.cri.RunPodSandbox(config=config, runtime_handler=handler).pod_sandbox_id

    def create(self, pod: str, command: list[str] | None = None, name: str = "main", **config: Any) -> str:
        """The id of a container that is created. `context`: its LinuxContainerSecurityContext."""
        linux = {"security_context": config.pop("context", {}), "resources": config.pop("resources", {})}
        config = {
            "metadata": {"name": name},
            "image": {"image": self.node.image},
            "command": command if command is not None else ["sleep", "1000"],
            "log_path": f"{name}/0.log",
            "linux": linux,
            **config,
        }
        return self.cri.CreateContainer(pod_sandbox_id=pod, config=config).container_id

    def start(self, pod: str, command: list[str] | None = None, name: str = "main", **config: Any) -> str:
        container = self.create(pod, command, name, **config)
        self.cri.StartContainer(container_id=container)
        return container

    def sh(self, container: str, script: str) -> str:
        """What a shell in the container says; it must succeed."""
        done = self.cri.ExecSync(container_id=container, cmd=["sh", "-c", script])
        assert done.exit_code == 0, (script, done)
        return done.stdout.decode()

    def status(self, container: str) -> Any:
        return self.cri.ContainerStatus(container_id=container).status

    def log(self, container: str) -> str:
        return Path(self.status(container).log_path).read_text()


@pytest.fixture
def pods(cri: Client, served: Node) -> Pods:
    return Pods(cri, served)
