"""The library, as a Python program uses it: several containers, and threads in the same process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Container, Containerizer, ContainerizerError
from containerizer.lifecycle import State
from containerizer.nested import ExecRequest
from containerizer.request import ContainerRequest
from launcher.base import LaunchRequest
from launcher.errors import LaunchFailed
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit, Pipes
from launcher.task import Task
from tests.launcher.support import TIMEOUT, kill, parent, wait_for_end

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


@pytest.fixture
def containerizer(directories: Path) -> Iterator[Containerizer]:
    with Containerizer(root=str(directories / "root"), state=str(directories / "state")) as c:
        yield c
    for kind in ("root", "state"):
        assert list((directories / kind / "containers").iterdir()) == []


def _output(containerizer: Containerizer, request: ContainerRequest) -> tuple[Container, str]:
    """Run a request to its end with its output in a pipe."""
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        container = containerizer.create(request, Inherit(null, writer, writer))
        container.start()
    finally:
        os.close(writer)
        os.close(null)
    with open(reader) as stream:
        text = stream.read()
    container.wait()
    return container, text


@pytest.mark.requires("cgroup1")
def test_as_the_readme_shows_it(directories: Path, busybox: str, capfd: pytest.CaptureFixture[str]) -> None:
    isolation = "filesystem/linux,docker/runtime,namespaces/pid,cgroups/cpu,cgroups/mem"
    paths = {"root": str(directories / "root"), "state": str(directories / "state")}
    with Containerizer(isolation=isolation, **paths) as c:
        container = c.launch(image=busybox, command=["echo", "hello"], cpus=0.5, mem="64m")
        termination = container.wait()
        assert termination is not None
        assert termination.exit_code == 0
    assert capfd.readouterr().out == "hello\n"


def test_a_container_has_a_life(containerizer: Containerizer, busybox: str) -> None:
    container = containerizer.launch(busybox, ["sleep", "1000"], name="life")
    assert container.state is State.RUNNING
    assert container.wait(timeout=0) is None
    assert container.usage().processes == 1
    container.kill()
    termination = container.wait()
    assert termination is not None
    assert termination.exit_status.signal == 9
    assert container.state is State.TERMINATED
    assert container.wait() is termination, "it can be asked again"


def test_a_container_that_is_not_waited_for_ends_with_the_block(directories: Path, busybox: str) -> None:
    with Containerizer(root=str(directories / "root"), state=str(directories / "state")) as c:
        container = c.launch(busybox, ["sleep", "1000"])
        pid = container.pid
        assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def test_several_at_once_in_a_process_with_threads(containerizer: Containerizer, busybox: str) -> None:
    stop = threading.Event()
    others = [threading.Thread(target=stop.wait) for _ in range(4)]
    for thread in others:
        thread.start()
    try:
        containers = [containerizer.launch(busybox, ["sh", "-c", f"exit {n}"]) for n in range(8)]
        codes = [termination.exit_code for c in containers if (termination := c.wait())]
    finally:
        stop.set()
        for thread in others:
            thread.join()
    assert codes == list(range(8))


def test_a_failed_launch_leaves_nothing_and_the_next_one_works(
    containerizer: Containerizer, busybox: str
) -> None:
    with pytest.raises(ContainerizerError, match="nope"):
        containerizer.launch(busybox, ["nope"], name="again")
    assert containerizer.containers() == []
    container = containerizer.launch(busybox, ["true"], name="again")
    assert container.wait() is not None


def test_destroy_and_remove_are_idempotent(containerizer: Containerizer, busybox: str) -> None:
    container = containerizer.launch(busybox, ["sleep", "1000"])
    assert container.destroy() is container.destroy()
    container.remove()
    container.remove()
    assert containerizer.containers() == []


@pytest.mark.parametrize("killed", ["none", "child", "supervisor"])
def test_what_is_never_started_is_taken_back(containerizer: Containerizer, busybox: str, killed: str) -> None:
    container = containerizer.create(ContainerRequest.of(busybox, ["true"]), Pipes())
    assert container.pid is not None
    if killed != "none":
        kill(container.pid if killed == "child" else parent(container.pid))
    assert container.destroy() is None
    assert container.destroy() is None
    assert containerizer.containers() == []


def test_what_is_never_started_ends_with_the_block(directories: Path, busybox: str) -> None:
    with Containerizer(root=str(directories / "root"), state=str(directories / "state")) as c:
        c.create(ContainerRequest.of(busybox, ["true"], keep=True), Pipes())
    assert not list((directories / "state" / "containers").iterdir())


@pytest.mark.requires("cgroup1")
def test_who_ends_with_its_parent_is_told_so(containerizer: Containerizer, busybox: str) -> None:
    """Even where the parent's end has taken back what the nested one's limits are watched in."""
    outer, nested = (containerizer.launch(busybox, ["sleep", "1000"], name=name) for name in ("p", "p.n"))
    outer.kill()
    for ended in (outer.wait(timeout=TIMEOUT), nested.wait(timeout=TIMEOUT)):
        assert ended is not None
        assert ended.exit_code == 128 + signal.SIGKILL


def test_one_that_has_ended_by_the_time_that_it_is_left_alone(
    containerizer: Containerizer, busybox: str
) -> None:
    """Its supervisor has told the launcher, and so leaves the rest to it."""
    container = containerizer.create(ContainerRequest.of(busybox, ["true"]), Pipes())
    assert container.pid is not None
    supervisor = os.pidfd_open(parent(container.pid))
    container.start()
    wait_for_end(supervisor)
    container.detach()
    assert containerizer.containers() == []


class Unlucky(LinuxLauncher):
    """Its supervisors are killed as soon as they can be."""

    def launch(self, request: LaunchRequest) -> Task:
        task = super().launch(request)
        kill(parent(task.pid))
        return task


def test_an_orphans_new_parent_is_no_supervisor(directories: Path, busybox: str) -> None:
    """Which would never end, and have all of the host's processes as descendants."""
    paths = {"root": str(directories / "root"), "state": str(directories / "state")}
    with Containerizer(**paths, shared_launcher=Unlucky()) as c:
        with pytest.raises(LaunchFailed, match="its supervisor was killed"):
            c.launch(busybox, ["true"])
        assert c.containers() == []


def test_the_plan_is_what_is_done(containerizer: Containerizer, busybox: str) -> None:
    request = ContainerRequest.of(busybox, ["env"], name="planned", env={"A": "1"}, user="0")
    merged = containerizer.plan(request)
    assert containerizer.containers() == [], "a plan touches nothing"
    _, text = _output(containerizer, request)
    planned = dict(merged.info.environment)
    assert dict(line.split("=", 1) for line in text.splitlines()) == {**planned, "HOME": "/root"}
    assert set(merged.owners) >= {
        "rootfs",
        "argv",
        "user",
        "environment[A]",
        "namespaces[pid]",
        "mounts[/proc]",
    }
    assert merged.owners["mounts[/proc]"] == "filesystem/linux"


def test_a_string_is_no_command(containerizer: Containerizer, busybox: str) -> None:
    with pytest.raises(ContainerizerError, match="pass a list of words"):
        containerizer.launch(busybox, "echo hello")


@pytest.mark.parametrize("name", ["alike-{}", "containers-{}", "{}"])
def test_alike_containers_have_each_their_own(containerizer: Containerizer, busybox: str, name: str) -> None:
    """From the third on only the name is put into what is known."""
    script = "hostname; cat /proc/self/cgroup; cat /mine 2>/dev/null; hostname > /mine"
    said = []
    for number in range(4):
        own = name.format(f"{number:012}")
        request = ContainerRequest.of(busybox, ["sh", "-c", script], name=own, mem="64m")
        container, text = _output(containerizer, request)
        assert text.splitlines()[0] == own
        assert text.splitlines()[-1] != own  # no file of the container before
        said.append(text.replace(own, ""))
        container.remove()
    assert said[1:] == said[:-1]


def test_a_command_in_one_of_alike_containers(containerizer: Containerizer, busybox: str) -> None:
    running = [containerizer.launch(busybox, ["sleep", "1000"]) for _ in range(3)]
    for container in running:
        request = ExecRequest(command=("sh", "-c", f"test $(hostname) = {container.id}"))
        with open(os.devnull) as null:
            command = containerizer.execute(container.id, request, Inherit(null.fileno()))
        command.start()
        termination = command.wait()
        assert termination is not None
        assert termination.exit_code == 0
    for container in running:
        container.remove()
