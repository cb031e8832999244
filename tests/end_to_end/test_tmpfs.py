"""`--tmpfs` and `--shm-size`: filesystems in memory with sizes that hold, and a sandbox that is on one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.process import started
from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")

NAME = f"tmpfs-{os.getpid()}"
FILL = "dd if=/dev/zero of={0}/file bs=64k count={1} 2>&1 | grep -o 'No space'; stat -c %s {0}/file"
MEBIBYTE = 1 << 20


def run(cli: Cli, image: str, script: str, *options: str) -> list[str]:
    done = cli("run", "--rm", "--name", NAME, *options, image, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_size_is_all_that_there_is(cli: Cli, busybox: str) -> None:
    assert run(cli, busybox, FILL.format("/in", 64), "--tmpfs", "/in:size=1m") == ["No space", str(MEBIBYTE)]
    assert run(cli, busybox, FILL.format("/in", 64), "--tmpfs", "/in") == [str(4 * MEBIBYTE)]


def test_shared_memory_has_its_size(cli: Cli, busybox: str) -> None:
    fill = FILL.format("/dev/shm", 64)
    assert run(cli, busybox, fill, "--shm-size", "2m") == ["No space", str(2 * MEBIBYTE)]
    script = "df -m /dev/shm | tail -1 | awk '{print $2}'; grep -c /dev/shm /proc/mounts"
    assert run(cli, busybox, script) == ["64", "1"]


def test_one_takes_the_place_of_the_images_volume(cli: Cli, registry: Registry) -> None:
    image = images.busybox(config={"Volumes": {"/data": {}}})
    images.push(image, registry.host, "with-volume", "latest")
    script = "awk '$2 == \"/data\" {print $1}' /proc/mounts"
    assert run(cli, f"{registry.host}/with-volume", script, "--tmpfs", "/data") == ["tmpfs"]
    assert run(cli, f"{registry.host}/with-volume", script) != ["tmpfs"]


def test_options_are_heeded(cli: Cli, busybox: str) -> None:
    script = """
        stat -c '%a %u %g' /in; cp /bin/busybox /in/true; /in/true 2>&1 | grep -o denied
        : >/in/2; : >/in/3; (: >/in/4) 2>&1 | grep -o 'No space'
        cp /bin/busybox /out/true; /out/true && echo executed; (: >/ro/file) 2>&1 | grep -o Read-only
    """
    tmpfs = ("/in:mode=750,uid=5,gid=6,nr_inodes=4", "/out:exec", "/ro:ro")
    options = [word for each in tmpfs for word in ("--tmpfs", each)]
    told = run(cli, busybox, script, *options)
    assert told == ["750 5 6", "denied", "No space", "executed", "Read-only"]


def test_what_is_in_memory_is_of_the_containers(cli: Cli, busybox: str) -> None:
    script = "dd if=/dev/zero of=/in/file bs=1M count=64; echo alive"
    done = cli("run", "--rm", "-m", "24m", "--tmpfs", "/in:size=128m", busybox, "sh", "-c", script)
    assert done.returncode == 137
    assert "memory limitation by cgroups/mem" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tmpfs", "/in:size=0"), "the tmpfs at /in has the size 0"),
        (("--tmpfs", "/in:size=1000000g"), "cannot hold a tmpfs of 1073741824000000 bytes at /in"),
        (("--shm-size", "0"), "the tmpfs at /dev/shm has the size 0"),
        (("--shm-size", "x"), "invalid size 'x' of the tmpfs at /dev/shm"),
        (("--shm-size", "1m", "--ipc", "host"), "not the container's own"),
    ],
)
def test_what_is_refused_leaves_nothing(cli: Cli, busybox: str, options: tuple[str, ...], told: str) -> None:
    done = cli("run", *options, busybox, "true")
    assert done.returncode == 125
    assert told in done.stderr
    assert cli.left() == []


def test_an_agent_does_it_too(cli: Cli, busybox: str) -> None:
    with started(cli.root, cli.state) as agent:
        asked = ("--agent", f"unix://{cli.state}/agent.sock", "run", "--name", NAME)
        script = "df -m /in /dev/shm | awk '/in|shm/ {print $2}'"
        options = ("--tmpfs", "/in:size=3m", "--shm-size", "5m")
        done = cli(*asked, "--rm", *options, busybox, "sh", "-c", script)
        assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["3", "5"], "")
        refused = cli(*asked, "--tmpfs", "/in:size=1000000g", busybox, "true")
        assert "cannot hold a tmpfs" in refused.stderr
        agent.stop()


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Cli]:
    """A command whose images and sandboxes are on a tmpfs."""
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "sandboxes", str(root)], check=True)
    try:
        yield Cli(root, tmp_path / "state")
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_a_sandbox_may_be_on_a_tmpfs(in_memory: Cli, busybox: str) -> None:
    """Where a limit of its disk holds as anywhere else, and the size of the tmpfs for all."""
    cli = in_memory
    write = "dd if=/dev/zero of=/written bs=1M count={} 2>&1 | grep -o 'No space'; sleep {}"
    done = cli("run", "--rm", "--disk", "8m", busybox, "sh", "-c", write.format(24, 1000))
    assert (done.returncode, "disk limitation by disk/du" in done.stderr) == (137, True)
    done = cli("run", "--rm", busybox, "sh", "-c", write.format(80, 0))
    assert done.stdout == "No space\n"
    assert json.loads(cli("ps", "--all", "--json").stdout) == []
