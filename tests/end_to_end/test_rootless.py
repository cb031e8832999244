"""What an ordinary user does without any privilege: the same commands, in a user namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.ordinary_user import (
    COUNT,
    FIRST,
    UID,
    User,
    holder,
    kill_holder,
    ordinary_user,
    task_of,
)

pytestmark = pytest.mark.requires("root", "userns", "uidmap", "overlay", "busybox")


@pytest.fixture(params=["with subordinate ids"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    with ordinary_user(subordinate=request.param == "with subordinate ids") as made:
        yield made


def test_root_inside_is_the_user_outside(user: User) -> None:
    assert user.run(user.image, "id", "-u") == "0\n"
    assert user("run", "-d", "--name", "box", user.image, "sleep", "1000").returncode == 0
    task = task_of(user, "box")
    status = Path(f"/proc/{task}/status").read_text()
    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}" in status
    mapping = Path(f"/proc/{task}/uid_map").read_text().split()
    assert mapping == ["0", str(UID), "1", "1", str(FIRST), str(COUNT)]


def test_there_are_as_many_users_as_subordinate_ids(user: User) -> None:
    script = "touch /tmp/f && chown 65:7 /tmp/f && stat -c %u:%g /tmp/f"
    assert user.run(user.image, "sh", "-c", script) == "65:7\n"
    assert user.run("-u", "1000:1000", user.image, "id", "-u") == "1000\n"


def test_a_container_is_as_shut_as_roots(user: User) -> None:
    script = (
        "cat /sys/class/net/*/operstate; hostname; ls /proc/1/root/home 2>&1; grep NoNewPrivs /proc/1/status"
    )
    lines = user.run("--name", "shut", user.image, "sh", "-c", script).splitlines()
    assert lines[1:] == ["shut", "ls: /proc/1/root/home: No such file or directory", "NoNewPrivs:\t1"]
    done = user(
        "run", "--rm", user.image, "sh", "-c", "mount -t tmpfs x /tmp; echo > /proc/sys/kernel/hostname"
    )
    assert "permission denied (are you root?)" in done.stderr
    assert "Read-only file system" in done.stderr


def test_what_people_do_with_containers(user: User) -> None:
    assert (
        user("run", "-d", "--name", "box", user.image, "sh", "-c", "echo said; exec sleep 1000").returncode
        == 0
    )
    assert user("exec", "box", "sh", "-c", "echo here > /file; id -u").stdout == "0\n"
    assert user("cp", "box:/file", str(user.home)).returncode == 0
    assert (user.home / "file").read_text() == "here\n"
    assert (user.home / "file").stat().st_uid == UID
    assert user("logs", "box").stdout == "said\n"
    assert "root" in user("top", "box").stdout
    assert "a cgroup of v2 that is yours" in user("pause", "box").stderr
    assert user("stop", "-t", "0", "box").returncode == 0
    assert user("wait", "box").stdout == "137\n"
    assert user("rm", "box").returncode == 0
    assert user("run", user.image, "sh", "-c", "exit 7").returncode == 7


def test_a_pod(user: User) -> None:
    script = ["sh", "-c", "echo here > /own/file; until nc -w 5 127.0.0.1 80; do sleep 0.05; done"]
    container = {"image": user.image, "volumeMounts": [{"name": "own", "mountPath": "/own"}]}
    spec = {
        "restartPolicy": "Never",
        "containers": [
            container | {"name": "one", "command": script},
            container | {"name": "two", "command": ["nc", "-l", "-p", "80", "-e", "cat", "/own/file"]},
        ],
        "volumes": [{"name": "own", "emptyDir": {}}],
    }
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    done = user("pod", "run", "--rm", "-", stdin=json.dumps(manifest))
    assert (done.returncode, done.stdout) == (0, "one | here\n"), done.stderr


def test_the_hosts_network(user: User) -> None:
    script = "ls /sys/class/net; ls /sys/fs/cgroup | wc -l; echo > /sys/class/net/lo/mtu"
    done = user("run", "--rm", "--network", "host", user.image, "sh", "-c", script)
    *devices, cgroups = done.stdout.split()
    assert (set(devices), cgroups) == (set(os.listdir("/sys/class/net")), "0")
    assert "Read-only file system" in done.stderr


def test_an_image_backend_that_copies(user: User) -> None:
    script = "echo own > /bin/own && rm /bin/ls && cat /bin/own && test ! -e /bin/ls"
    copied = ["--image-provisioner-backend", "copy"]
    assert user.run(*copied, user.image, "sh", "-c", script) == "own\n"
    assert (
        user.run(*copied, "-u", "7:8", user.image, "sh", "-c", "stat -c %u:%g /bin/ls; id -u") == "0:0\n7\n"
    )
    plan = user("plan", "--json", user.image)
    assert '"fstype": "overlay"' in plan.stdout  # and otherwise, it is overlayfs that puts layers together


def test_limits_that_root_alone_can_set_are_refused_by_name(user: User) -> None:
    done = user("run", "--rm", "-m", "64m", user.image, "true")
    assert done.returncode == 125
    assert "memory" in done.stderr
    assert "permission to make cgroups" in done.stderr
    done = user("run", "--rm", "--isolation", "cgroups/pids", user.image, "true")
    assert "isolator cgroups/pids cannot work here: this host lacks permission to make cgroups" in done.stderr


def test_limits_are_left_out_and_told_of_by_best_effort(user: User) -> None:
    limits = ["-m", "64m", "--pids-limit", "9", "--best-effort"]
    done = user("run", "--rm", *limits, user.image, "echo", "on")
    assert (done.returncode, done.stdout) == (0, "on\n"), done.stderr
    said = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in said] == ["memory is not limited", "pids is not limited"]
    assert all("permission to make cgroups" in line for line in said)


def test_networks_are_refused_by_what_they_take(user: User) -> None:
    done = user("run", "--rm", "--network", "bridge", user.image, "true")
    assert (done.returncode, "this host lacks permission to change its network" in done.stderr) == (125, True)


def test_all_commands_share_the_namespaces_that_the_first_has_made(user: User) -> None:
    argv = user.argv("run", "--rm", user.image, "true")
    running = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate(timeout=60)[1] for process in running] == [b""] * 4
    assert [process.returncode for process in running] == [0] * 4
    first = holder(user)
    assert user.run(user.image, "echo", "on") == "on\n"
    assert holder(user) == first


def test_who_has_lost_the_namespaces_makes_others(user: User) -> None:
    user.run(user.image, "true")
    kill_holder(user)
    assert user.run(user.image, "echo", "again") == "again\n"


def test_what_runs_keeps_the_namespaces(user: User) -> None:
    assert user("run", "-d", "--name", "box", user.image, "sleep", "1000").returncode == 0
    for _ in range(2):
        kill_holder(user)
        done = user("exec", "box", "id", "-u")
        assert (done.stdout, done.stderr) == ("0\n", "")
    assert user.run(user.image, "echo", "beside") == "beside\n"


@pytest.mark.parametrize("user", ["without subordinate ids"], indirect=True)
def test_without_subordinate_ids_root_is_alone(user: User) -> None:
    done = user("run", "--rm", user.image, "id", "-u")
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert "has no subordinate ids in /etc/subuid" in done.stderr
    done = user("run", "--rm", "-u", "1000", user.image, "true")
    assert done.returncode == 125
    assert "user 1000: the user namespace does not map it" in done.stderr
    done = user("doctor")
    assert "LACK  subordinate ids in /etc/subuid" in done.stdout


def test_doctor_finds_all_that_is_needed(user: User) -> None:
    done = user("doctor")
    assert "LACK" not in done.stdout
    assert "ok    subordinate ids in /etc/subuid" in done.stdout
    user.run(user.image, "true")  # for those who leave
