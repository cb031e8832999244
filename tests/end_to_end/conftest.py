"""A containerizer command on directories of its own, and images in a real registry."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from containerizer import cgroups_root
from isolators.cgroups.subsystem import path_of
from launcher.container_id import ContainerId
from launcher.kernel import cgroups
from tests.support import images, recording_plugin
from tests.support.netns import HostNetwork, host_network
from tests.support.registry import Registry

Write = Callable[..., str]
Configure = Callable[..., str]

_ROOT = "root"
_TIMEOUT = 60  # seconds until a command counts as hung


@dataclass(frozen=True)
class Cli:
    """`containerizer` on one pair of directories."""

    root: Path
    state: Path
    within: tuple[str, ...] = ()  # the command that runs it elsewhere, such as in other namespaces
    interpreter: str = sys.executable

    @property
    def argv(self) -> list[str]:
        options = ["--root", str(self.root), "--state", str(self.state)]
        return [*self.within, self.interpreter, "-m", "containerizer", *options]

    def cgroup(self, controller: str, name: str) -> str:
        """The directory of a container's; the name has a level of nesting a dot."""
        hierarchy = cgroups.find(controller)
        assert hierarchy
        root = cgroups_root.own(str(self.state))
        return os.path.join(hierarchy.mount_point, path_of(root, ContainerId.parse(name)))

    def __call__(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [*self.argv, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start it, with pipes; whatever runs at the end of the context is killed, its containers too."""
        pipe = subprocess.PIPE
        argv = [*self.argv, *arguments]
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                self.kill_containers()

    def kill_containers(self) -> None:
        """End what runs, and wait until its supervisor, which ends as the reaper, has cleaned up."""
        for container in reversed(self.containers()):  # those in others first
            if container["running"]:
                pid = int(str(container["pid"]))
                try:
                    supervisor = os.pidfd_open(parent(pid))
                except (FileNotFoundError, ProcessLookupError):  # the end of another was its end, too
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                select.select([supervisor], [], [], _TIMEOUT)
                os.close(supervisor)

    def wait_for_reapers(self) -> None:
        """Wait until what has ended without its launcher is cleaned up."""
        deadline = time.monotonic() + _TIMEOUT
        while supervisors := [pid for pid in self._supervisors() if time.monotonic() < deadline]:
            for pid in supervisors:
                with contextlib.suppress(ProcessLookupError):
                    ended = os.pidfd_open(pid)
                    select.select([ended], [], [], _TIMEOUT)
                    os.close(ended)

    def _supervisors(self) -> Iterator[int]:
        """Supervisors, and the reapers that they become, are this process' children: it is a subreaper."""
        children = Path("/proc/thread-self/children").read_text().split()
        for pid in map(int, children):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if str(self.state).encode() in command or (not command and _is_alive(pid)):
                    yield pid  # without a command: in the middle of its execve(2)

    def left(self) -> list[str]:
        """What containers have left in both directories."""
        directories = (self.root / "containers", self.state / "containers")
        return [str(path) for directory in directories if directory.exists() for path in directory.iterdir()]

    def containers(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(self("ps", "--all", "--json").stdout)
        return listed


def _is_alive(pid: int) -> bool:
    """Whether it is no zombie, which has no command line either."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def parent(pid: int) -> int:
    """The parent of a process: of a container's first one, its supervisor."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("PPid:"))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry.start(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def busybox(registry: Registry) -> str:
    """The reference of a busybox image in the registry."""
    images.push(images.busybox(), registry.host, "busybox", "latest")
    return f"{registry.host}/busybox"


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the session, so that the image is pulled once."""
    return tmp_path_factory.mktemp("containerizer")


@pytest.fixture
def cli(request: pytest.FixtureRequest, directories: Path) -> Iterator[Cli]:
    """A command whose containers must all be gone at the end of the test; root's, unless told otherwise."""
    with contextlib.ExitStack() as stack:
        if getattr(request, "param", _ROOT) == _ROOT:
            command = Cli(directories / "root", directories / "state")
        else:
            from tests.end_to_end.ordinary_user import ordinary_user

            command = stack.enter_context(ordinary_user()).cli
        yield command
        assert command.left() == []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "anyone: run as root, and once more as an ordinary user")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("anyone"):
        needs = pytest.mark.requires("userns", "uidmap")
        people = [_ROOT, pytest.param("ordinary user", marks=needs)]
        metafunc.parametrize("cli", people, indirect=True)


@pytest.fixture
def network() -> Iterator[HostNetwork]:
    """What stands for the host's network."""
    with host_network() as made:
        yield made


@pytest.fixture
def here(directories: Path, tmp_path: Path, network: HostNetwork, busybox: str) -> Iterator[Cli]:
    """A command in that network, which its containers must have left in the end."""
    root, state = directories / "root", tmp_path / "state"
    assert Cli(root, state)("pull", busybox).returncode == 0  # there is no way to the registry from there
    command = Cli(root, state, within=network.within)
    yield command
    assert command.left() == []
    attached = root / "networks" / "attached"
    assert not attached.exists() or list(attached.iterdir()) == []
    assert list(state.glob("networks/namespaces/*")) == []
    assert not (state / "networks" / "ports").exists()


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes a network of these plug-ins; the directory's name."""
    directory = tmp_path / "net.d"
    directory.mkdir()
    recording_plugin.install(tmp_path / "bin", "recording", "further")

    def write(name: str, *plugins: dict[str, Any], version: str = "1.0.0", **options: Any) -> str:
        listed = [_with_log(plugin, tmp_path / "log") for plugin in plugins]
        value = {"cniVersion": version, "name": name, "plugins": listed, **options}
        (directory / f"{name}.conflist").write_text(json.dumps(value))
        return str(directory)

    return write


def _with_log(plugin: dict[str, Any], log: Path) -> dict[str, Any]:
    return {"log": str(log), **plugin} if plugin["type"] in ("recording", "further") else plugin


@pytest.fixture
def cni(tmp_path: Path) -> list[str]:
    """Options with which `run` finds the networks that `configure` writes."""
    plugins = f"{tmp_path}/bin:/usr/lib/cni"
    return ["--network-cni-config-dir", f"{tmp_path}/net.d", "--network-cni-plugins-dir", plugins]


@pytest.fixture
def fresh(tmp_path: Path) -> Cli:
    """A command with an empty store."""
    return Cli(tmp_path / "root", tmp_path / "state")


@pytest.fixture
def manifest(tmp_path: Path, busybox: str) -> Write:
    """Writes a manifest of these containers, each a script; the file's path."""

    def write(*containers: dict[str, Any], **spec: Any) -> str:
        whole = [_whole(container, busybox) for container in containers]
        spec["initContainers"] = [_whole(container, busybox) for container in spec.get("initContainers", ())]
        spec = {"restartPolicy": "Never", "containers": whole, **spec}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        path = tmp_path / "pod.yaml"
        path.write_text(json.dumps(pod))
        return str(path)

    return write


def _whole(container: dict[str, Any], image: str) -> dict[str, Any]:
    own = dict(container)
    script = own.pop("script", None)
    command = {} if script is None else {"command": ["sh", "-c", script]}
    return {"name": "one", "image": image, "imagePullPolicy": "IfNotPresent", **command, **own}


@pytest.fixture(scope="session")
def with_data(registry: Registry) -> str:
    """An image with something at /data, a link at /link that leads out, and another below it."""
    data = images.layer(
        [
            images.directory("data/", mode=0o2750, uid=7, gid=8),
            images.entry("data/file", b"of the image", mode=0o640, uid=9, gid=10),
            images.symlink("data/link", "file"),
            images.symlink("link", "/../../../../../../../../../../../../tmp"),
        ]
    )
    parts = images.image(*images.busybox().layers, data, config={"Env": ["PATH=/bin"]})
    images.push(parts, registry.host, "with-data", "latest")
    return f"{registry.host}/with-data"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("of the host")
    return tmp_path / "host"
