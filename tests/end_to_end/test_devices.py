"""--device and --device-cgroup-rule: what a task can open, in user namespaces and nested containers too."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators import catalog
from isolators.isolator import IsolatorFlags
from launcher.stdio import Inherit
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")

_ROOT = ("--cap-add", "SYSLOG")  # which kmsg asks for besides
_TRY = """
for device in "$@"; do
    (: <$device) 2>/dev/null && echo r $device
    (: >>$device) 2>/dev/null && echo w $device
done
"""
_ABLE = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", *_ROOT)
_MOUNT = "mkdir /mine && mount -t tmpfs none /mine && mknod /mine/own c 1 11"
_OPEN = "if (: </mine/own) 2>/dev/null; then echo opened; else echo denied; fi"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """That of kmsg, which no container has by itself, for everybody."""
    path = tmp_path / "kmsg"
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 11))
    os.chmod(path, 0o666)
    yield str(path)


def tried(cli: Cli, *arguments: str, devices: tuple[str, ...]) -> list[str]:
    image = arguments[-1]
    done = cli("run", "--rm", *_ROOT, *arguments[:-1], image, "sh", "-c", _TRY, "sh", *devices)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_a_device_is_there_with_what_is_allowed(cli: Cli, busybox: str, node: str) -> None:
    both = ["r /dev/kmsg", "w /dev/kmsg"]
    place = "/dev/kmsg"
    assert tried(cli, busybox, devices=(place,)) == ["w /dev/kmsg"]  # a file in /dev
    assert tried(cli, "--device", f"{node}:{place}", busybox, devices=(place,)) == both
    assert tried(cli, "--device", f"{node}:{place}:r", busybox, devices=(place,)) == both[:1]


def test_a_rule_is_for_nodes_of_its_own(cli: Cli, busybox: str) -> None:
    for rule, told in {"c 1:11 r": "opened\n", "c 1:12 r": "denied\n"}.items():
        run = ("run", "--rm", *_ABLE, "--device-cgroup-rule", rule, busybox, "sh", "-c", f"{_MOUNT}; {_OPEN}")
        assert cli(*run).stdout == told


def test_rules_are_not_for_whoever_may_mount_to_change(cli: Cli, busybox: str) -> None:
    """On v1 they are files, in what the task can mount."""
    script = f"""
mkdir /rules
mount -t cgroup -o devices rules /rules 2>/dev/null
mount -o remount,bind,rw /sys/fs/cgroup/devices 2>/dev/null
for directory in /rules /sys/fs/cgroup/devices; do
    for rule in a 'c 1:11 r'; do
        echo $rule 2>/dev/null >$directory/devices.allow
    done
done
{_MOUNT}; {_OPEN}"""
    run = ("run", "--rm", *_ABLE, "--device-cgroup-rule", "c 1:12 r", busybox, "sh", "-c", script)
    assert cli(*run).stdout == "denied\n"


def test_a_directory_of_devices(cli: Cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("zero", "sub/full"):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, 5 if name == "zero" else 7))
        os.chmod(tmp_path / name, 0o666)
    script = "head -c 3 /dev/all/zero | wc -c; echo x >/dev/all/sub/full"
    done = cli("run", "--rm", "--device", f"{tmp_path}:/dev/all", busybox, "sh", "-c", script)
    assert done.stdout.split() == ["3"]
    assert "No space left" in done.stderr


def test_in_a_user_namespace(cli: Cli, busybox: str, tmp_path: Path) -> None:
    os.mknod(tmp_path / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
    os.chmod(tmp_path / "full", 0o666)
    own = ("--userns", "100000:65536", "--device", f"{tmp_path}/full:/dev/sub/full")
    done = cli(
        "run", "--rm", *own, busybox, "sh", "-c", "id -u; cat /proc/self/uid_map; echo x >/dev/sub/full"
    )
    assert "No space left" in done.stderr
    assert "100000" in done.stdout


def test_rules_of_what_runs_are_changed(cli: Cli, busybox: str) -> None:
    script = f"{_MOUNT}; {_OPEN}; echo ready; read line; {_OPEN}"
    run = ("run", "-i", "--rm", "--name", "changing", *_ABLE, "--device-cgroup-rule", "c 1:12 r")
    with cli.start(*run, busybox, "sh", "-c", script) as process:
        assert process.stdin and process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["denied\n", "ready\n"]
        assert cli("update", "--device-cgroup-rule", "c 1:11 r", "changing").returncode == 0
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "opened\n"
        process.wait(30)


# As vendors' hooks do: finds the root filesystem by the bundle, and makes a link in it.
_LINK = """
bundle=$(sed 's/.*"bundle": "\\([^"]*\\)".*/\\1/')
root=$(sed 's/.*"root": {"path": "\\([^"]*\\)".*/\\1/' <$bundle/config.json)
cd $bundle
ln -s tool $root/opt/link
"""


def test_a_device_by_its_name_of_cdi(cli: Cli, busybox: str, tmp_path: Path, node: str) -> None:
    (tmp_path / "cdi").mkdir()
    (tmp_path / "tool").write_text("a tool\n")
    edits = {
        "env": ["VENDOR=void", "PATH=/bin"],
        "deviceNodes": [{"path": "/dev/vendor/0", "hostPath": node, "permissions": "r"}],
        "mounts": [{"hostPath": f"{tmp_path}/tool", "containerPath": "/opt/tool", "options": ["ro"]}],
        "additionalGids": [4711],
        "hooks": [{"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", _LINK]}],
    }
    spec = {
        "cdiVersion": "0.7.0",
        "kind": "vendor.com/device",
        "devices": [{"name": "0", "containerEdits": edits}],
    }
    (tmp_path / "cdi" / "vendor.json").write_text(json.dumps(spec))
    script = "echo $VENDOR $PATH; cat /opt/link; id -G; (: </dev/vendor/0) && echo read; (: >>/dev/vendor/0)"
    config = IsolatorFlags(cdi_spec_dirs=(str(tmp_path / "cdi"),))
    isolation = (*catalog.DEFAULT, "linux/devices", "cgroups/devices")
    paths = {"root": str(cli.root), "state": str(cli.state)}
    reader, writer = os.pipe()
    with Containerizer(isolation=isolation, flags=config, **paths) as containerizer, open(reader) as output:
        asked = {
            "devices": ["vendor.com/device=0"],
            "env": {"VENDOR": "all"},
            "capabilities_add": ("SYSLOG",),
        }
        request = ContainerRequest.of(busybox, ["sh", "-c", script], **asked)  # type: ignore[arg-type]
        null = os.open(os.devnull, os.O_RDWR)
        container = containerizer.create(request, Inherit(null, writer, null))
        container.start()
        os.close(writer)
        os.close(null)
        lines = output.read().splitlines()
        container.wait()
    assert lines == ["void /bin", "a tool", "0 4711", "read"]
