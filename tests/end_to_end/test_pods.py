"""Pods in the flesh: volumes, init containers, restarts, probes, ends, and what is left of them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from containerizer.pods.manifest import parse
from containerizer.pods.pod import Pod
from containerizer.pods.policy import Phase
from tests.end_to_end.conftest import Cli, Write
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "producer-consumer.yaml"
_TIMEOUT = 60


def _lines(process: subprocess.Popen[str], text: str) -> None:
    """Wait for a line of its output."""
    assert process.stdout is not None
    for line in process.stdout:
        if line == f"{text}\n":
            return
    raise AssertionError(f"{text!r} never came")


def test_the_example(cli: Cli, busybox: str, tmp_path: Path) -> None:
    text = _EXAMPLE.read_text().replace("registry.local:5000/busybox:1", f"{busybox}:latest")
    path = tmp_path / "example.yaml"
    path.write_text(text.replace('value: "1"', 'value: "0.01"'))
    done = cli("pod", "run", "--rm", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [f"consumer | read line {number}" for number in (1, 2, 3)]


def test_what_a_pod_shares(cli: Cli, manifest: Write) -> None:
    kinds = "for kind in net ipc uts pid mnt; do readlink /proc/self/ns/$kind; done"
    script = f"{kinds}; hostname; echo end; exec sleep 1000"
    spec = {"hostname": "together", "terminationGracePeriodSeconds": 0}
    path = manifest({"name": "a", "script": script}, {"name": "b", "script": script}, **spec)
    with cli.start("pod", "run", path) as process:
        seen: dict[str, list[str]] = {"a": [], "b": []}
        assert process.stdout is not None
        while any("end" not in lines for lines in seen.values()):
            name, _, line = process.stdout.readline().rstrip("\n").partition(" | ")
            seen[name].append(line)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=_TIMEOUT)
    a, b = seen["a"], seen["b"]
    assert a[:3] == b[:3] and a[3] != b[3] and a[4] != b[4]
    assert a[5] == "together"
    cli("pod", "rm", "pod")


def test_processes_can_be_shared(cli: Cli, manifest: Write) -> None:
    find = "ps -o pid,args | awk '/[s]leep 1234/ {print $1}'"  # and not itself
    finds = f'until test -n "$({find})"; do sleep 0.01; done; ps -o pid,user | head -2; kill $({find})'
    path = manifest(
        {"name": "seen", "script": "exec sleep 1234"},
        {"name": "sees", "script": finds},
        shareProcessNamespace=True,
    )
    done = cli("pod", "run", "--rm", path)
    assert done.stdout.splitlines()[1].split()[:4] == ["sees", "|", "1", "nobody"], "PID 1 is the pod's"
    assert (done.returncode, done.stderr) == (143, "containerizer: pod.seen: killed by SIGTERM\n")


def test_init_containers_come_first_and_one_by_one(cli: Cli, manifest: Write) -> None:
    volume = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    first = {"name": "first", "script": "echo one > /v/f", **mounts}
    second = {"name": "second", "script": "cat /v/f; echo two >> /v/f", **mounts}
    path = manifest({"script": "cat /v/f", **mounts}, initContainers=[first, second], **volume)
    assert cli("pod", "run", "--rm", path).stdout.splitlines() == ["second | one", "one | one", "one | two"]
    failing = manifest({"script": "echo never"}, initContainers=[{"name": "bad", "script": "exit 3"}])
    done = cli("pod", "run", "--rm", failing)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "containerizer: pod.bad: exited with 3\n"


def test_a_volume_in_memory_and_one_of_the_host(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    state = Path("/dev/shm") / f"containerizer-{os.getpid()}"
    in_memory = Cli(cli.root, state)
    volumes = [
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "host", "hostPath": {"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"}},
    ]
    mounts = [{"name": "memory", "mountPath": "/m"}, {"name": "host", "mountPath": "/h"}]
    path = manifest(
        {"script": "df /m | grep -c ^tmpfs; echo x > /h/f", "volumeMounts": mounts}, volumes=volumes
    )
    try:
        done = in_memory("pod", "run", "--rm", path)
    finally:
        assert list((state / "containers").iterdir()) == []
        shutil.rmtree(state)
    assert (done.stdout, done.stderr) == ("one | 1\n", "")
    assert (tmp_path / "made" / "f").read_text() == "x\n"


def test_a_claim_is_a_volume_with_a_name(cli: Cli, manifest: Write) -> None:
    """It outlives the pod, and is not removed while the pod is there."""

    def pod(script: str, **claim: Any) -> str:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "kept", **claim}}]
        mounts = [{"name": "data", "mountPath": "/d"}]
        return manifest({"script": script, "volumeMounts": mounts}, volumes=volumes)

    path = pod("echo x > /d/f; sleep 1000")
    with cli.start("pod", "run", path):
        _until(cli, lambda _: cli("exec", "pod.one", "test", "-e", "/d/f").returncode == 0)
        assert "in use by pod" in cli("volume", "rm", "kept").stderr
    cli("pod", "rm", "-f", "pod")
    done = cli("pod", "run", "--rm", pod("cat /d/f; touch /d/g || echo read-only", readOnly=True))
    assert done.stdout == "one | x\none | read-only\n"
    assert cli("volume", "rm", "kept").returncode == 0


def test_a_container_is_started_again(cli: Cli, manifest: Write) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    path = manifest({"script": "echo runs; exit 1", "readinessProbe": probe}, restartPolicy="OnFailure")
    with cli.start("pod", "run", path) as process:
        _lines(process, "one | runs")
        _until(cli, lambda pod: pod["members"][0]["restarts"] == 1)
        (pod,) = json.loads(cli("pod", "ps", "--json").stdout)
        (member,) = pod["members"]
        assert (pod["phase"], member["state"], member["exit_code"]) == ("Running", "waiting", 1)
        assert cli("pod", "ps").stdout.splitlines()[1].split()[:4] == ["pod", "0/1", "Running", "1"]
        assert cli("pod", "rm", "pod").returncode == 0
        assert process.wait(_TIMEOUT) == 1


def _until(cli: Cli, condition: Callable[[dict[str, Any]], bool]) -> None:
    """Look until it is so; each look is a process, so this is no busy loop."""
    for _ in range(200):
        pods = json.loads(cli("pod", "ps", "--json").stdout)
        if pods and condition(pods[0]):
            return
    raise AssertionError("it never was so")


class _Clock:
    """Goes on by what somebody waits for in vain."""

    def __init__(self) -> None:
        self.now = 0.0
        self.skipped: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, descriptors: Collection[int], timeout: float | None) -> None:
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN | select.POLLPRI)
        runs = len(descriptors) > 2  # besides the pod's own
        if not poll.poll(_TIMEOUT * 1000 if runs else 0) and timeout:
            self.now += timeout
            self.skipped.append(timeout)


def test_it_waits_longer_each_time(directories: Path, manifest: Write) -> None:
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "echo x >> /v/f; test $(wc -l < /v/f) = 4"
    path = manifest(
        {"script": script, **mounts}, restartPolicy="OnFailure", volumes=[{"name": "v", "emptyDir": {}}]
    )
    clock, notes = _Clock(), list[str]()
    paths = {"root": str(directories / "root"), "state": str(directories / "state")}
    with Containerizer(**paths) as owner:
        pod = Pod(
            owner,
            parse(Path(path).read_bytes()),
            note=lambda name, sentence: notes.append(sentence),
            clock=clock,
            wait=clock.wait,
        )
        assert pod.run() is Phase.SUCCEEDED
        owner.get("pod").remove(force=True)
    assert clock.skipped == [10.0, 20.0, 40.0]
    assert notes[0] == "exited with 1; it is started again in 10 s"
    assert pod.status().members[0].restarts == 3


def test_what_is_the_hosts(cli: Cli, manifest: Write) -> None:
    script = "for kind in net ipc pid; do readlink /proc/self/ns/$kind; done"
    path = manifest({"script": script}, hostNetwork=True, hostIPC=True, hostPID=True)
    expected = [f"one | {os.readlink(f'/proc/self/ns/{kind}')}" for kind in ("net", "ipc", "pid")]
    assert cli("pod", "run", "--rm", path).stdout.splitlines() == expected


def test_a_pull_can_be_given_up(cli: Cli, manifest: Write, registry: Registry) -> None:
    with FaultyProxy.start(registry.host) as proxy:
        proxy.fault("/manifests/", Fault(stall_after=1), times=100)
        path = manifest({"script": "echo never", "image": f"{proxy.host}/busybox"})
        with cli.start("pod", "run", "--rm", path) as process:
            assert proxy.stalled.acquire(timeout=_TIMEOUT)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=_TIMEOUT)
    assert (out, cli.left()) == ("", [])


def test_who_is_unhealthy_is_ended_with_its_hook(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path)}}]
    script = "trap 'echo asked; exit 5' TERM; touch /h/bad; while :; do sleep 0.01; done"
    container = {
        "script": script,
        "volumeMounts": [{"name": "h", "mountPath": "/h"}],
        "livenessProbe": {
            "exec": {"command": ["test", "!", "-e", "/h/bad"]},
            "failureThreshold": 1,
            "periodSeconds": 1,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["touch", "/h/hook"]}}},
    }
    done = cli("pod", "run", "--rm", manifest(container, volumes=volumes))
    assert (done.returncode, done.stdout) == (5, "one | asked\n")
    assert done.stderr == "containerizer: pod.one: it was unhealthy\n"
    assert (tmp_path / "hook").exists()


def test_who_does_not_end_in_time_is_killed(cli: Cli, manifest: Write) -> None:
    path = manifest(
        {"script": "trap '' TERM; echo deaf; while :; do sleep 0.01; done"}, terminationGracePeriodSeconds=0
    )
    with cli.start("pod", "run", "--rm", path) as process:
        _lines(process, "one | deaf")
        process.send_signal(signal.SIGTERM)
        assert process.wait(_TIMEOUT) == 128 + signal.SIGKILL


def test_a_pod_whose_runner_was_killed_is_lost_and_can_be_removed(cli: Cli, manifest: Write) -> None:
    with cli.start("pod", "run", manifest({"script": "echo runs; exec sleep 1000"})) as process:
        _lines(process, "one | runs")
        process.kill()
        process.wait(_TIMEOUT)
        assert "Lost" in cli("pod", "ps").stdout
        assert cli("exec", "pod.one", "true").returncode == 0, "it goes on"
        assert cli("pod", "rm", "pod").returncode == 0
    cli.wait_for_reapers()


def test_a_pod_that_somebody_kills_ends(cli: Cli, manifest: Write) -> None:
    path = manifest({"script": "echo runs; exec sleep 1000"}, restartPolicy="Always")
    with cli.start("pod", "run", "--rm", path) as process:
        _lines(process, "one | runs")
        assert cli("kill", "pod").returncode == 0
        _, errors = process.communicate(timeout=_TIMEOUT)
    assert process.returncode == 137, errors
    assert errors.splitlines()[-1] == "containerizer: pod: it was ended by somebody else"


def test_what_holds_more_than_its_limit_is_evicted(cli: Cli, manifest: Write) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "64Ki"}}]
    fills = "dd if=/dev/zero of=/v/f bs=64k count=4 2> /dev/null"
    filler = {"name": "filler", "script": fills, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    path = manifest({"script": "echo never"}, initContainers=[filler], volumes=volumes)
    done = cli("pod", "run", "--rm", path)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "containerizer: pod: evicted: volume v holds more than its limit of 64.0 KiB\n",
    )


def test_what_cannot_begin_leaves_nothing(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path / "none"), "type": "Directory"}}]
    done = cli("pod", "run", manifest({"script": "true"}, volumes=volumes))
    assert (done.returncode, done.stderr) == (
        125,
        f"containerizer: volume h: {tmp_path}/none: No such file or directory\n",
    )
    bad = manifest({"script": "true", "foo": 1})
    assert "spec.containers[0].foo is not supported" in cli("pod", "run", bad).stderr
    nobody = manifest({"script": "true", "securityContext": {"runAsNonRoot": True}})
    assert "runAsNonRoot" in cli("pod", "run", "--rm", nobody).stderr


def test_a_hook_follows_the_start(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    """The task waits for it; and is ended, when it fails."""
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path)}}]
    mounts = {"volumeMounts": [{"name": "h", "mountPath": "/h"}]}
    hook = {"lifecycle": {"postStart": {"exec": {"command": ["touch", "/h/hook"]}}}}
    script = "until test -e /h/hook; do sleep 0.01; done; echo hooked"
    done = cli("pod", "run", "--rm", manifest({"script": script, **mounts, **hook}, volumes=volumes))
    assert (done.returncode, done.stdout) == (0, "one | hooked\n"), done.stderr
    for command in (["false"], ["/no/such"]):
        hook = {"lifecycle": {"postStart": {"exec": {"command": command}}}}
        spec = {"terminationGracePeriodSeconds": 0}
        done = cli("pod", "run", "--rm", manifest({"script": "exec sleep 1000", **hook}, **spec))
        assert done.returncode == 137
        assert done.stderr.startswith("containerizer: pod.one: its postStart hook failed: ")


def test_a_pod_that_runs_by_itself(cli: Cli, manifest: Write) -> None:
    """Its logs, that of the run before among them, and its end."""
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "test -e /v/f || { touch /v/f; echo first; exit 1; }; echo second; exec sleep 1000"
    volumes = [{"name": "v", "emptyDir": {}}]
    path = manifest({"script": script, **mounts}, restartPolicy="OnFailure", volumes=volumes)
    done = cli("pod", "run", "-d", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pod\n", "")
    again = cli("pod", "run", "-d", path)
    assert (again.returncode, again.stdout) == (125, "")
    assert "taken" in again.stderr
    _until(cli, lambda pod: pod["members"][0]["restarts"] == 1)
    assert cli("pod", "logs", "--previous", "pod").stdout == "first\n"
    assert cli("pod", "logs", "--previous", "pod", "nobody").returncode == 125
    assert cli("pod", "rm", "pod").returncode == 0
    assert cli.left() == []
