"""Pods by the agent's API: run by a process of their own, seen and ended by whoever asks."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer import record as records
from containerizer.client import AgentClient
from containerizer.paths import Paths
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError
from tests.agent import api
from tests.agent.process import started
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "busybox")

_VALUE = "hunter2-correct-horse"

Manifest = Callable[..., bytes]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    yield tmp_path / "root", tmp_path / "state"
    with started(tmp_path / "root", tmp_path / "state") as agent:
        client = AgentClient(f"unix://{agent.socket}")
        for each in client.pods():
            client.remove_pod(each.container_id.value, force=True)
        assert client.containers(ended=True) == []
        agent.stop()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    images.write_layout([("v1", images.busybox())], tmp_path / "layout")

    def make(script: str, name: str = "pod", **spec: Any) -> bytes:
        container = {
            "name": "one",
            "image": f"oci:{tmp_path / 'layout'}:v1",
            "command": ["sh", "-c", script],
            "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        }
        head = {"apiVersion": "v1", "metadata": {"name": name}}
        own = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
        secret = {"metadata": {"name": "s"}, "stringData": {"k": _VALUE}}
        documents = ({**head, "kind": "Pod", "spec": {**own, **spec}}, {**head, "kind": "Secret", **secret})
        return "\n---\n".join(map(json.dumps, documents)).encode()

    return make


def _phase(client: AgentClient, expected: str) -> Any:
    """Wait until the one pod is in this phase; each look is a call."""
    for _ in range(2000):
        (pod,) = client.pods()
        if pod.phase == expected:
            return pod
    raise AssertionError(f"it is {pod}")


def test_a_pod_outlives_the_agent_that_was_asked_for_it(
    places: tuple[Path, Path], manifest: Manifest
) -> None:
    text = manifest(f'test "$PASSWORD" = {_VALUE} && exec sleep 1000', nodeName="n")
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        assert client.run_pod("pod", text) == ["spec.nodeName"]
        pod = _phase(client, "Running")
        assert [member.container_id.value for member in pod.members] == ["one"]
        with pytest.raises(ContainerizerError, match="taken"):
            client.run_pod("pod", text)
        agent.kill()
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        (member,) = _phase(client, "Running").members
        assert (member.state, member.restarts) == ("running", 0)
        client.remove_pod("pod")
        assert client.pods() == []
        agent.stop()


def test_its_end_is_told_and_it_may_go_by_itself(places: tuple[Path, Path], manifest: Manifest) -> None:
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        client.run_pod("pod", manifest("exit 3"))
        (member,) = _phase(client, "Failed").members
        assert (member.exit_code, member.message, member.state) == (3, "exited with 3", "terminated")
        client.remove_pod("pod")
        client.run_pod("gone", manifest("true", name="gone"), remove=True)
        assert any(not client.pods() for _ in range(2000))
        agent.stop()


def test_what_the_operator_bounds_holds_for_pods_too(
    places: tuple[Path, Path], manifest: Manifest, tmp_path: Path
) -> None:
    """Their watcher is another process: it has the agent's flags."""
    denied = {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]}
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "a.json").write_text(json.dumps(profile))
    (tmp_path / "allowed").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "other")
    flags = (
        f"--seccomp_profile_root={tmp_path / 'profiles'}",
        "--bounding_capabilities=CHOWN,KILL",
        "--effective_capabilities=CHOWN",
        f"--host_path_volume_allowed={tmp_path / 'allowed'}",
    )
    security = {"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}
    script = "grep CapBnd: /proc/self/status; chroot / true; exit 5"
    with started(*places, *flags) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        client.run_pod("pod", manifest(script, securityContext=security))
        _phase(client, "Failed")
        with client.logs("pod.one") as entries:
            said = b"".join(entry.data for entry in entries).decode()
        assert "0000000000000001" in said, "CAP_CHOWN"
        assert "Numerical argument out of domain" in said
        client.remove_pod("pod")
        for path, kind, why in (
            (tmp_path / "other", "", "are not allowed"),
            (tmp_path / "allowed" / "link" / "made", "DirectoryOrCreate", "File exists"),
        ):
            volumes = [{"name": "v", "hostPath": {"path": str(path), "type": kind}}]
            with pytest.raises(ContainerizerError, match=why):
                client.run_pod("pod", manifest("true", volumes=volumes))
        assert list((tmp_path / "other").iterdir()) == []
        agent.stop()


_BAD_SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{a: {_VALUE}!}}\n---\n".encode()
_POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec: {containers: []}\n"


def test_what_is_no_manifest_is_refused(places: tuple[Path, Path]) -> None:
    with started(*places) as agent:
        for text, says in (
            (b"{", "is no YAML"),
            (b"[" * 100_000, "is no YAML"),
            (b"", "has no Pods"),
            (_BAD_SECRET + _POD, "data.a is not base64"),
        ):
            coded = base64.b64encode(text).decode()
            asked = {"container_id": {"value": "pod"}, "manifest": coded}
            status, answer = api.call(agent, "RUN_POD", **asked)
            assert (status, says in answer, _VALUE in answer) == (400, True, False), answer
        agent.stop()


def test_who_lies_about_the_name_gets_no_pod(places: tuple[Path, Path], manifest: Manifest) -> None:
    """Access is by the name in the call."""
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        with pytest.raises(ContainerizerError, match="the manifest's pod is 'other', not 'pod'"):
            client.run_pod("pod", manifest("true", name="other"))
        assert client.pods() == []
        for name in ("--rm", "a/b", "../x", "a\n"):
            assert api.call(agent, "RUN_POD", container_id={"value": name}, manifest="")[0] == 400
        assert api.call(agent, "REMOVE_POD", container_id={"value": "nobody"})[0] == 404
        agent.stop()


def test_by_the_command_line(places: tuple[Path, Path], tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "pod.yaml"
    path.write_bytes(manifest("echo hello; exec sleep 1000", nodeName="n"))
    with started(*places) as agent:
        far = [sys.executable, "-m", "containerizer", "--agent", f"unix://{agent.socket}", "pod"]

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*far, *words], capture_output=True, text=True, timeout=60)

        assert "cannot be chosen" in run("run", "-d", "--isolation", "x", str(path)).stderr
        done = run("run", "-d", str(path))
        assert (done.stdout, "spec.nodeName" in done.stderr) == ("pod\n", True)
        assert run("ps").stdout.splitlines()[1].split()[0] == "pod"
        (told,) = json.loads(run("ps", "--json").stdout)
        assert [each["name"] for each in told["members"]] == ["one"]
        assert any(run("logs", "pod").stdout == "hello\n" for _ in range(100))
        assert run("logs", "--tail=0", str(path), "one").returncode == 0
        assert "pod pod has no container 'two'; it has one" in run("logs", "pod", "two").stderr
        assert "no run before this one" in run("logs", "--previous", "pod").stderr
        assert "there is no pod other" in run("logs", "other").stderr
        assert run("rm", str(path)).stdout == "pod\n"
        assert json.loads(run("ps", "--json").stdout) == []
        agent.stop()


def test_the_command_follows_a_pod_of_an_agent(
    places: tuple[Path, Path], tmp_path: Path, manifest: Manifest
) -> None:
    """What it prints and ends with is what it is without an agent, and so is what signals do."""
    path = tmp_path / "pod.yaml"
    again = "test -e /v/again && exit 7; echo first; touch /v/again; exit 1"
    (container,) = json.loads(manifest(again).partition(b"\n---\n")[0])["spec"]["containers"]
    volume = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    side = {**container, "name": "side", "restartPolicy": "Always", "command": ["sleep", "1000"]}
    wait = {**container, **volume, "name": "two", "command": ["sh", "-c", "echo err >&2; printf end; exit 0"]}
    text = manifest(
        again,
        containers=[{**container, **volume}, wait],
        initContainers=[side],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    path.write_bytes(text)
    with started(*places) as agent:
        near = [sys.executable, "-m", "containerizer"]
        far = [*near, "--agent", f"unix://{agent.socket}"]
        own = [*near, "--root", str(tmp_path / "own-root"), "--state", str(tmp_path / "own-state")]

        def run(argv: list[str]) -> tuple[int, list[str], list[str]]:
            done = subprocess.run(
                [*argv, "pod", "run", "--rm", str(path)], capture_output=True, text=True, timeout=60
            )
            return done.returncode, sorted(done.stdout.splitlines()), sorted(done.stderr.splitlines())

        expected = 1, ["one | first", "two | end"], ["containerizer: pod.one: exited with 1", "two | err"]
        told = {name: run(argv) for name, argv in (("far", far), ("own", own))}
        for code, output, errors in told.values():
            assert (code, output) == expected[:2]
            assert [line for line in errors if "side" not in line] == expected[2]
        assert json.loads(subprocess.check_output([*far, "pod", "ps", "--json"])) == []

        script = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
        path.write_bytes(manifest(script, terminationGracePeriodSeconds=60))
        with subprocess.Popen([*far, "pod", "run", str(path)], stdout=subprocess.PIPE, text=True) as command:
            assert command.stdout is not None
            assert command.stdout.readline() == "one | ready\n"
            command.send_signal(signal.SIGINT)
            assert command.stdout.read() == "one | asked\n"
        assert command.returncode == 5
        (pod,) = AgentClient(f"unix://{agent.socket}").pods()
        assert pod.phase == "Failed"
        agent.stop()


def test_a_pod_that_is_lost_is_followed_to_that(places: tuple[Path, Path], manifest: Manifest) -> None:
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        client.run_pod("pod", manifest("exec sleep 1000"))
        with client.follow_pod("pod") as statuses:
            while next(statuses).phase != "Running":
                pass
            record = records.load(Paths(str(places[0]), str(places[1])), ContainerId("pod"))
            os.kill(record.owner, signal.SIGKILL)
            assert [each.phase for each in statuses][-1] == "Lost"
        with client.follow_pod("pod") as statuses:
            assert [each.phase for each in statuses] == ["Lost"]
        for nothing in ("nobody", "pod.one"):
            with pytest.raises(ContainerizerError):
                client.follow_pod(nothing)
        agent.stop()


def test_the_log_of_the_run_before(places: tuple[Path, Path], manifest: Manifest) -> None:
    with started(*places) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        client.run_pod("pod", manifest("echo $PPID over; exit 1", restartPolicy="Always"))
        for _ in range(2000):
            (pod,) = client.pods()
            if pod.members[0].restarts:
                break
        with client.logs("pod.one", previous=True) as entries:
            assert [entry.data for entry in entries] == [b"0 over\n"]
        with pytest.raises(ContainerizerError, match="no run before"), client.logs("pod", previous=True):
            pass
        agent.stop()
