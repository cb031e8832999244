"""What pods have of ConfigMaps and Secrets, where a secret is never seen, and what they have in memory."""

from __future__ import annotations

import base64
import json
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Cli, Write

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_TIMEOUT = 60
_VALUE = "hunter2-correct-horse"
_ENCODED = base64.b64encode(_VALUE.encode()).decode()


def _with_objects(path: str, *, secret: str = _ENCODED) -> str:
    """The manifest with a ConfigMap and a Secret beside the Pod."""
    head = {"apiVersion": "v1", "metadata": {"name": "own"}}
    objects: list[dict[str, Any]] = [
        {**head, "kind": "ConfigMap", "data": {"greeting": "hello", "script": "#!/bin/sh\necho $GREETING"}},
        {**head, "kind": "Secret", "data": {"password": secret}},
    ]
    text = "\n---\n".join([Path(path).read_text(), *map(json.dumps, objects)])
    Path(path).write_text(text)
    return path


def _files_with(text: str, *directories: Path) -> list[str]:
    """Of all in these directories, but for images' own files."""
    files = (path for each in directories for path in each.rglob("*") if "store" not in path.parts)
    return [
        str(path)
        for path in files
        if stat.S_ISREG(path.lstat().st_mode) and text.encode() in path.read_bytes()
    ]


_ENV = {
    "envFrom": [{"configMapRef": {"name": "own"}}],
    "env": [
        {"name": "GREETING", "value": "$(greeting) world"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "own", "key": "password"}}},
        {"name": "URL", "value": "http://user:$(PASSWORD)@host"},
    ],
}
_VOLUMES = [
    {"name": "c", "configMap": {"name": "own", "defaultMode": 0o555}},
    {"name": "s", "secret": {"secretName": "own", "defaultMode": 0o400}},
]
_MOUNTS = {
    "volumeMounts": [
        {"name": "c", "mountPath": "/c"},
        {"name": "s", "mountPath": "/s"},
        {"name": "s", "mountPath": "/one/password", "subPath": "password"},
    ]
}


def test_variables_and_files(cli: Cli, manifest: Write) -> None:
    """The task compares, so that the secret is in no log either."""
    same = f'test "$(echo -n "$1" | base64)" = {_ENCODED}'
    script = (
        f"{same} && /c/script; stat -c %a-%u /s/password; cmp /s/password /one/password && echo same;"
        " touch /s/x /c/x 2> /dev/null || echo read-only;"
        " stat -f -c %T /s; grep -c pod-volumes /proc/mounts; true"
    )
    command = ["sh", "-c", script, "sh"]
    path = manifest({"command": command, "args": ["$(PASSWORD)"], **_ENV, **_MOUNTS}, volumes=_VOLUMES)
    done = cli("pod", "run", "--rm", _with_objects(path))
    said = [line.removeprefix("one | ") for line in done.stdout.splitlines()]
    assert said == ["hello world", "400-0", "same", "read-only", "ramfs", "0"], done.stderr


def test_a_secret_is_seen_by_the_container_only(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    probe = {"exec": {"command": ["sh", "-c", 'test -n "$PASSWORD" && touch /h/probed']}, "periodSeconds": 1}
    script = "until test -e /h/probed; do sleep 0.01; done; echo probed; sleep 1000"
    path = manifest(
        {
            "command": ["sh", "-c", script, "$(URL)"],
            "readinessProbe": probe,
            **_ENV,
            "volumeMounts": [*_MOUNTS["volumeMounts"], {"name": "h", "mountPath": "/h"}],
        },
        volumes=[
            *_VOLUMES,
            {"name": "h", "hostPath": {"path": str(tmp_path / "h"), "type": "DirectoryOrCreate"}},
        ],
        terminationGracePeriodSeconds=0,
    )
    with cli.start("pod", "run", "--rm", _with_objects(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one | probed\n", "a probe has the variables"
        asked = cli("exec", "pod.one", "sh", "-c", 'echo "$URL"; cat /s/password')
        assert asked.stdout == f"http://user:{_VALUE}@host\n{_VALUE}", asked.stderr
        shown = [cli(*words).stdout for words in (("ps", "-a", "--json"), ("pod", "ps", "--json"))]
        assert "http://user:$(PASSWORD)@host" in shown[0] or "$(URL)" in shown[0]
        assert not [text for text in shown if _VALUE in text or _ENCODED in text]
        assert _files_with(_VALUE, cli.root, cli.state) + _files_with(_ENCODED, cli.root, cli.state) == []
        assert "pod-volumes" not in Path("/proc/self/mountinfo").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(_TIMEOUT) != 0


def test_a_link_on_the_way_leads_no_secret_to_the_host(cli: Cli, manifest: Write, tmp_path: Path) -> None:
    """As /var/run is one: an absolute one, which by another process' root directory would lead to ours."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    linked = Cli(cli.root, tmp_path / "link" / "state")
    script = "echo runs; exec sleep 1000"
    path = manifest({"script": script, **_ENV, **_MOUNTS}, volumes=_VOLUMES, terminationGracePeriodSeconds=0)
    with linked.start("pod", "run", "--rm", _with_objects(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one | runs\n"
        asked = linked("exec", "pod.one", "sh", "-c", 'echo "$PASSWORD"; cat /s/password')
        assert asked.stdout == f"{_VALUE}\n{_VALUE}", asked.stderr
        assert _files_with(_VALUE, tmp_path / "real") == []
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT)


def test_no_message_has_a_secret(cli: Cli, manifest: Write) -> None:
    path = manifest({"command": ["/no/$(PASSWORD)"], **_ENV})
    done = cli("pod", "run", "--rm", _with_objects(path))
    assert done.returncode == 127
    assert "/no/$(PASSWORD)" in done.stderr
    assert _VALUE not in done.stderr


def test_who_is_killed_leaves_a_secret_to_exec_and_nothing_on_the_host(cli: Cli, manifest: Write) -> None:
    """The runner is killed: secrets stay with the containers, which go on, and go with them."""
    path = manifest({"script": "echo runs; exec sleep 1000", **_ENV, **_MOUNTS}, volumes=_VOLUMES)
    with cli.start("pod", "run", _with_objects(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one | runs\n"
        process.kill()
        process.wait(_TIMEOUT)
        assert cli("exec", "pod.one", "sh", "-c", 'echo "$PASSWORD"').stdout == f"{_VALUE}\n"
        assert cli("pod", "rm", "pod").returncode == 0
    cli.wait_for_reapers()


def test_a_volume_in_memory_has_no_room_for_more(cli: Cli, manifest: Write) -> None:
    """It is shared, by who comes later too, and its end is the pod's alone."""
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "64Ki"}}]
    mounts = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    part = {"volumeMounts": [{"name": "m", "mountPath": "/p", "subPath": "a/b"}]}
    fills = "echo x > /m/f; dd if=/dev/zero of=/m/g bs=64k count=4 2>&1 | grep -o 'No space.*'"
    path = manifest(
        {"script": "cat /m/f; stat -c %a /m; df /m | grep -c ^tmpfs", **mounts},
        initContainers=[
            {"name": "fills", "script": fills, **mounts},
            {"name": "part", "script": "rm -rf /m/g; touch /p/made", **part},
        ],
        volumes=volumes,
        securityContext={"runAsUser": 1000},
    )
    done = cli("pod", "run", "--rm", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["fills | No space left on device", "one | x", "one | 777", "one | 1"]


def test_aliases_of_hosts(cli: Cli, manifest: Write) -> None:
    aliases = [{"ip": "192.0.2.7", "hostnames": ["seven", "seven.example"]}]
    path = manifest({"script": "grep seven /etc/hosts; grep -c localhost /etc/hosts"}, hostAliases=aliases)
    done = cli("pod", "run", "--rm", path)
    assert done.stdout.splitlines() == [
        *("one | 192.0.2.7\tseven", "one | 192.0.2.7\tseven.example", "one | 2")
    ], done.stderr
    mine = {"data": {"hosts": "192.0.2.8 mine"}, "kind": "ConfigMap"}
    path = manifest(
        {
            "script": "cat /etc/hosts",
            "volumeMounts": [{"name": "c", "mountPath": "/etc/hosts", "subPath": "hosts"}],
        },
        volumes=[{"name": "c", "configMap": {"name": "m"}}],
    )
    with open(path, "a") as file:
        file.write("\n---\n" + json.dumps({"apiVersion": "v1", "metadata": {"name": "m"}, **mine}))
    done = cli("pod", "run", "--rm", path)
    assert (done.stdout, done.stderr) == ("one | 192.0.2.8 mine\n", "")


def test_what_means_nothing_here_is_named(cli: Cli, manifest: Write) -> None:
    done = cli("pod", "run", "--rm", manifest({"script": "true"}, nodeName="n", dnsPolicy="Default"))
    says = "containerizer: pod: without meaning on one host: spec.nodeName, spec.dnsPolicy\n"
    assert (done.returncode, done.stderr) == (0, says)
