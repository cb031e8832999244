"""Sidecars of pods, and parts of their volumes, however hostile what is in those."""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from containerizer.pods import fs_group, sub_paths
from containerizer.pods.containers import PodContainer
from containerizer.pods.manifest import parse
from containerizer.pods.pod import Pod
from containerizer.pods.policy import Phase
from containerizer.pods.volumes import Place, VolumeMount
from launcher.errors import InvalidRequest
from tests.end_to_end.conftest import Cli, Write

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_TIMEOUT = 60

_TIMES = 100  # so much faster the next test's clock goes


def _fast_wait(descriptors: Collection[int], timeout: float | None) -> None:
    select.select(descriptors, [], descriptors, None if timeout is None else timeout / _TIMES)


def test_sidecars_come_before_and_end_after(directories: Path, tmp_path: Path, manifest: Write) -> None:
    """They are started again, and are ended the last first; how they end counts for nothing."""
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "trap 'echo end %s >> /v/log; exit 3' TERM; echo %s >> /v/log; while :; do sleep 0.1; done"
    patient = {"periodSeconds": 10, "timeoutSeconds": _TIMEOUT * _TIMES, "failureThreshold": 1000}
    probe = {"startupProbe": {"exec": {"command": ["grep", "first", "/v/log"]}, **patient}}
    again = "test -e /v/again || { touch /v/again; exit 1; }; " + script % ("second", "second")
    sidecar = {"restartPolicy": "Always", **mount}
    first = {"name": "first", "script": script % ("first", "first"), **probe, **sidecar}
    init = {"name": "init", "script": "grep first /v/log", **mount}
    main = {"name": "main", "script": "until grep second /v/log; do sleep 0.1; done", **mount}
    path = manifest(
        main,
        initContainers=[first, init, {"name": "second", "script": again, **sidecar}],
        volumes=[{"name": "v", "hostPath": {"path": str(tmp_path)}}],
        terminationGracePeriodSeconds=_TIMEOUT * _TIMES,
    )
    written: list[tuple[str, bytes]] = []
    with Containerizer(root=str(directories / "root"), state=str(directories / "state")) as owner:
        pod = Pod(
            owner,
            parse(Path(path).read_bytes()),
            lambda name, _stream, data: written.append((name, data)),
            clock=lambda: time.monotonic() * _TIMES,
            wait=_fast_wait,
        )
        assert pod.run() is Phase.SUCCEEDED
        owner.get("pod").remove(force=True)
    assert written == [("init", b"first\n"), ("main", b"second\n")]
    assert (tmp_path / "log").read_text().splitlines() == ["first", "second", "end second", "end first"]
    assert pod.exit_code == 0
    assert {each.name: each.restarts for each in pod.status().members}["second"] >= 1


def test_parts_of_volumes(cli: Cli, manifest: Write) -> None:
    def mount(**more: str) -> dict[str, Any]:
        return {"volumeMounts": [{"name": "v", "mountPath": "/v", **more}]}

    script = (
        "mkdir -p dir; echo text > dir/file; ln -s /dir link; ln -s / root; ln -s /no/where dangling;"
        " ln -s ../../../../etc out"
    )
    init = {"name": "init", "script": f"cd /v; {script}", **mount()}
    reads = {
        "a": ("dir/file", "cat /v"),
        "b": ("link", "cat /v/file; test $(ls /v) = file"),
        "c": ("new/deep", "echo made > /v/made; stat -c %a /v"),
        "d": ("root", "test -d /v/dir && echo inside"),
    }
    users = [{"name": name, "script": text, **mount(subPath=part)} for name, (part, text) in reads.items()]
    volumes = [{"name": "v", "emptyDir": {}}]
    done = cli("pod", "run", "--rm", manifest(*users, initContainers=[init], volumes=volumes))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["a | text", "b | text", "c | 777", "d | inside"]
    for part in ("dangling", "out"):
        says = f"subPath '{part}': a link on the way leads to nothing in the volume"
        one = {"name": "e", "script": "ls /v", **mount(subPath=part)}
        done = cli("pod", "run", "--rm", manifest(one, initContainers=[init], volumes=volumes))
        assert (done.returncode, done.stdout, says in done.stderr) == (125, "", True), done.stderr


def test_volumes_are_of_the_group_that_is_asked_for(
    cli: Cli, manifest: Write, busybox: str, tmp_path: Path
) -> None:
    """Whoever the containers run as; paths of the host are not, nor what links lead to."""
    (tmp_path / "file").touch(0o600)
    cli("volume", "create", "kept")
    fill = f"mkdir /c/d; echo old > /c/d/f; chmod 600 /c/d/f; ln -s {tmp_path}/file /c/link"
    assert cli("run", "--rm", "-v", "kept:/c", busybox, "sh", "-c", fill).returncode == 0
    own = "ls -ldn $m | cut -d' ' -f1 | tr '\\n' ' '; stat -c %g $m | tr '\\n' ' '"
    script = (
        f"id -G; for m in /e /m /f/key /c /c/d/f; do {own}; done; echo; "
        "echo new > /e/new && echo new > /m/new && echo new >> /c/d/f && stat -c %g /e/new && cat /f/key"
    )
    kinds: dict[str, Any] = {
        "e": {"emptyDir": {}},
        "m": {"emptyDir": {"medium": "Memory"}},
        "f": {"configMap": {"name": "text", "defaultMode": 0o400}},
        "c": {"persistentVolumeClaim": {"claimName": "kept"}},
        "h": {"hostPath": {"path": str(tmp_path)}},
    }
    reader = {
        "name": "reader",
        "script": script,
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1001},
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in kinds],
    }
    path = manifest(
        reader,
        securityContext={"fsGroup": 2000, "supplementalGroups": [3000]},
        volumes=[{"name": name, **kind} for name, kind in kinds.items()],
    )
    text = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "text"}, "data": {"key": "value"}}
    Path(path).write_text(f"{Path(path).read_text()}\n---\n{json.dumps(text)}\n")
    done = cli("pod", "run", "--rm", path)
    assert (done.returncode, done.stderr) == (0, "")
    groups, modes, made, value = (line.removeprefix("reader | ") for line in done.stdout.splitlines())
    assert groups == "1001 2000 3000"
    files = "drwxrwsrwx 2000 drwxrwsrwx 2000 -r--r----- 2000 drwxrwsr-x 2000 -rw-rw---- 2000"
    assert (modes.split(), made, value) == (files.split(), "2000", "value")
    assert (tmp_path / "file").stat().st_gid == tmp_path.stat().st_gid == 0
    cli("volume", "rm", "kept")


@pytest.mark.parametrize(("policy", "given"), [("Always", 2000), ("OnRootMismatch", 0)])
def test_a_claim_that_was_given_before(tmp_path: Path, policy: str, given: int) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "kept"}}],
            "securityContext": {"fsGroup": 2000, "fsGroupChangePolicy": policy},
        },
    }
    asked, places = parse(json.dumps(pod).encode()), {"v": Place(path=str(tmp_path), seen=str(tmp_path))}
    fs_group.give(asked, places)
    (tmp_path / "later").touch()
    os.chown(tmp_path / "later", 0, 0)
    fs_group.give(asked, places)
    assert (tmp_path / "later").stat().st_gid == given


def test_a_part_that_is_swapped_stays_in_its_volume(tmp_path: Path) -> None:
    """Whatever a container makes of it meanwhile: a link to outside, or back."""
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "real").mkdir(parents=True)
    outside.mkdir()
    part = volume / "part"
    part.symlink_to("real")
    mount = VolumeMount(volume="v", target="/t", sub_path="part/made")
    container = PodContainer(name="c", image="i", mounts=(mount,))
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for target in ("../outside", str(outside), "real"):
                other = volume / "other"
                other.symlink_to(target)
                other.rename(part)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(500):
            with contextlib.suppress(InvalidRequest):
                sub_paths.make(container, {"v": Place(path=str(volume), seen=str(volume))})
            with contextlib.suppress(FileNotFoundError):
                (volume / "real" / "made").rmdir()
    finally:
        over.set()
        thread.join()
    assert list(outside.iterdir()) == []
