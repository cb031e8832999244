"""Volumes that have a name, those of images and those of sandboxes: who has them, and how long."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.volume.named import VolumeNamed
from isolators.volumes import NAMED, Volume
from launcher.container_id import ContainerId
from tests.end_to_end.conftest import Cli
from tests.end_to_end.volume_support import out, refusal, sh, volumes
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")


# Volumes with a name --------------------------------------------------------------------------------


@pytest.mark.anyone
def test_a_new_one_begins_with_what_the_image_has(cli: Cli, with_data: str, busybox: str) -> None:
    told = "stat -c %a:%u:%g /data /data/file; readlink /data/link; cat /data/file; rm /data/file"
    assert sh(cli, with_data, told, "-v", "named:/data").split() == [
        *("2750:7:8", "640:9:10", "file", "of", "the", "image")
    ]
    assert sh(cli, with_data, "ls /data", "-v", "named:/data") == "link\n"  # once, and never again
    assert sh(cli, with_data, "ls /data", "-v", "other:/data:nocopy") == ""
    assert sh(cli, busybox, "echo kept > /v/kept", "-v", "named:/v") == ""
    assert sh(cli, with_data, "cat /data/kept", "-v", "named:/data:ro") == "kept\n"
    assert volumes(cli) == ["named", "other"]
    out(cli, "volume", "rm", "named", "other")


@pytest.mark.requires("userns")
def test_root_in_every_user_namespace_has_roots_files(cli: Cli, with_data: str) -> None:
    script = "stat -c %u /data/file; touch /data/made; stat -c %u /data/made"
    for number, users in enumerate((("--userns", "300000"), ("--userns", "200000"), ())):
        expected = "9\n0\n"
        assert sh(cli, with_data, script, *users, "-v", "named:/data") == expected, number
    out(cli, "volume", "rm", "named")


def test_one_in_use_is_not_removed(cli: Cli, busybox: str) -> None:
    out(cli, "run", "-d", "--name", "web", "-v", "named:/v", busybox, "sleep", "1000")
    assert "volume named is in use by web" in refusal(cli, "volume", "rm", "named")
    (told,) = json.loads(out(cli, "volume", "inspect", "named"))
    assert (told["containers"], told["driver"]) == (["web"], "local")
    out(cli, "kill", "web")
    out(cli, "wait", "web")
    assert "is in use by web" in refusal(cli, "volume", "rm", "-f", "named")  # as long as it is there
    assert volumes(cli, "--filter", "dangling=true") == []
    out(cli, "rm", "web")
    assert volumes(cli, "--filter", "dangling=true") == ["named"]
    out(cli, "volume", "rm", "named")
    assert "no volume 'named'" in refusal(cli, "volume", "rm", "named")
    assert out(cli, "volume", "rm", "-f", "named") == "named\n"


@pytest.mark.anyone
def test_one_without_a_name_goes_with_the_container(cli: Cli, busybox: str) -> None:
    sh(cli, busybox, "touch /v/x", "-v", "/v")
    assert volumes(cli) == []
    for name in ("one", "two"):
        out(cli, "run", "--name", name, "-v", "/v", busybox, "touch", "/v/x")
    assert len(volumes(cli)) == 2
    out(cli, "rm", "-v", "one")
    assert len(volumes(cli)) == 1
    out(cli, "rm", "two")  # as in Docker it stays
    out(cli, "volume", "create", "named")
    assert len(out(cli, "volume", "prune").split()) == 1
    assert volumes(cli) == ["named"]
    assert out(cli, "volume", "prune", "--all") == "named\n"


def test_volumes_of_another_container(cli: Cli, with_data: str, host: Path) -> None:
    options = ("-v", "/own", "-v", "named:/data", "-v", f"{host}:/host")
    out(cli, "run", "--name", "first", *options, with_data, "touch", "/own/x")
    assert sh(cli, with_data, "ls /own /host", "--volumes-from", "first") == "/host:\nfile\n\n/own:\nx\n"
    script = "touch /own/y || echo read-only; ls /data"
    more = ("--volumes-from", "first:ro", "-v", "other:/data:nocopy")  # one's own goes before
    assert sh(cli, with_data, script, *more) == "read-only\n"
    out(cli, "run", "-d", "--name", "second", "--volumes-from", "first", with_data, "sleep", "1000")
    out(cli, "rm", "-v", "first")  # the second has it still
    assert len(volumes(cli, "--filter", "anonymous=true")) == 1
    out(cli, "rm", "-f", "-v", "second")
    assert volumes(cli, "--filter", "anonymous=true") == []
    out(cli, "volume", "prune", "-a")


@pytest.mark.anyone
def test_what_an_image_calls_a_volume_is_lent(cli: Cli, registry: Registry) -> None:
    """It goes with its container, unless others have it by then."""
    config = {"Env": ["PATH=/bin"], "Volumes": {"/data": {}, "/more": {}}}
    image = f"{registry.host}/lends"
    images.push(images.busybox(config), registry.host, "lends", "latest")
    script = "echo one > /data/file; while ! test -e /data/two; do usleep 1000; done"
    out(cli, "run", "-d", "--name", "first", image, "sh", "-c", script)
    assert volumes(cli) == []
    script = "while ! grep one /data/file; do usleep 1000; done; touch /data/two"
    assert sh(cli, image, script, "--volumes-from", "first") == "one\n"
    assert out(cli, "wait", "first") == "0\n"
    out(cli, "run", "--name", "second", "--volumes-from", "first:ro", image, "true")
    out(cli, "rm", "-v", "first")
    assert len(volumes(cli)) == 2
    assert sh(cli, image, "ls /data", "--volumes-from", "second") == "file\ntwo\n"
    out(cli, "rm", "-v", "second")
    assert volumes(cli) == []


def test_create_and_list(cli: Cli) -> None:
    assert out(cli, "volume", "create", "--label", "tier=db", "one") == "one\n"
    assert out(cli, "volume", "create", "one") == "one\n"
    name = out(cli, "volume", "create").strip()
    assert len(name) == 64
    assert "there already" in refusal(cli, "volume", "create", "-o", "type=tmpfs", "-o", "device=t", "one")
    assert "unknown option 'odd'" in refusal(cli, "volume", "create", "-o", "odd=1", "two")
    assert "there is no plug-in odd" in refusal(cli, "volume", "create", "-d", "odd", "two")
    for given, found in (
        ("label=tier", ["one"]),
        ("label=tier=db", ["one"]),
        ("label=tier=web", []),
        ("name=on", ["one"]),
        ("driver=local", sorted([name, "one"])),
        ("anonymous=true", [name]),
    ):
        assert volumes(cli, "--filter", given) == found, given
    assert "invalid filter 'odd'" in refusal(cli, "volume", "ls", "--filter", "odd")
    assert [each["name"] for each in json.loads(out(cli, "volume", "ls", "--json"))] == sorted([name, "one"])
    assert out(cli, "volume", "ls").splitlines()[-1].split() == ["local", max(name, "one"), "0"]
    out(cli, "volume", "rm", "one", name)


def test_a_part_of_one(cli: Cli, with_data: str) -> None:
    sh(cli, with_data, "mkdir -p /v/sub/dir; touch /v/sub/dir/x; ln -s /../../etc /v/out", "-v", "named:/v")
    part = "type=volume,src=named,dst=/p,volume-subpath"
    assert sh(cli, with_data, "ls /p", "--mount", f"{part}=sub/dir") == "x\n"
    for bad in ("no", "out"):
        assert "o such file" in refusal(cli, "run", "--rm", "--mount", f"{part}={bad}", with_data, "true")
    out(cli, "volume", "rm", "named")


def test_one_in_another(cli: Cli, with_data: str) -> None:
    options = ("-v", "inner:/data/deep/er", "-v", "outer:/data")
    assert sh(cli, with_data, "touch /data/deep/er/x; ls /data", *options) == "deep\nfile\nlink\n"
    assert sh(cli, with_data, "ls /v", "-v", "inner:/v") == "x\n"
    said = refusal(cli, "run", "--rm", "-v", "/etc/passwd:/f", "-v", "inner:/f/x", with_data, "true")
    assert "not a directory" in said.lower()
    out(cli, "volume", "rm", "inner", "outer")


def test_many_at_once_fill_a_new_one_once(cli: Cli, with_data: str) -> None:
    """Each finds all of it, whoever copies; so does the last, after one has removed something."""
    argv = [*cli.argv, "run", "--rm", "-v", "named:/data", with_data, "cat", "/data/file"]
    several = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [each.communicate(timeout=60)[0] for each in several] == ["of the image"] * 6
    sh(cli, with_data, "rm /data/file", "-v", "named:/data")
    assert sh(cli, with_data, "ls /data", "-v", "named:/data") == "link\n"
    out(cli, "volume", "rm", "named")


def test_what_a_killed_launch_has_begun_to_copy_is_copied_again(
    cli: Cli, registry: Registry, tmp_path: Path
) -> None:
    """SIGKILL while it copies: the next container finds all of it, and nothing else is left."""
    many = [images.entry(f"data/{number}", b"x" * 20_000) for number in range(600)]
    parts = images.image(*images.busybox().layers, images.layer(many), config={"Env": ["PATH=/bin"]})
    images.push(parts, registry.host, "many", "latest")
    image = f"{registry.host}/many"
    out(cli, "pull", image)
    out(cli, "volume", "create", "named")
    (told,) = json.loads(out(cli, "volume", "inspect", "named"))
    with cli.start("run", "--name", "web", "-v", "named:/data", image, "true") as running:
        while not os.listdir(told["mountpoint"]) and running.poll() is None:
            pass
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert len(os.listdir(told["mountpoint"])) < 600
    cli("rm", "-f", "web")
    assert sh(cli, image, "ls /data | wc -l", "-v", "named:/data").strip() == "600"
    out(cli, "volume", "rm", "named")
    out(cli, "rmi", image)


# Volumes that are mounted ---------------------------------------------------------------------------


def is_mounted(cli: Cli, name: str) -> bool:
    (told,) = json.loads(out(cli, "volume", "inspect", name))
    return f" {told['mountpoint']} " in Path("/proc/self/mountinfo").read_text()


def test_a_filesystem_is_mounted_for_as_long_as_it_is_used(cli: Cli, busybox: str) -> None:
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,nosuid,uid=5")
    out(cli, "volume", "create", *options, "memory")
    assert not is_mounted(cli, "memory")
    script = "touch /v/first; sleep 1000"
    out(cli, "run", "-d", "--name", "first", "-v", "memory:/v", busybox, "sh", "-c", script)
    told = "while ! test -e /v/first; do usleep 1000; done; df -k /v | awk 'END {print $2}'; stat -c %u /v"
    assert sh(cli, busybox, told, "-v", "memory:/v") == "64\n5\n"
    assert is_mounted(cli, "memory")
    out(cli, "rm", "-f", "first")
    assert not is_mounted(cli, "memory")
    assert sh(cli, busybox, "ls /v", "-v", "memory:/v") == ""
    out(cli, "volume", "rm", "memory")


def test_a_filesystem_of_nobody_is_unmounted_by_an_agent_that_starts(cli: Cli, tmp_path: Path) -> None:
    """After its containers and whoever would have cleaned up are gone."""
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "size=64k")
    out(cli, "volume", "create", *options, "memory")
    flags = IsolatorFlags(volumes=str(cli.root / "volumes"), own_state=str(tmp_path))
    isolator, web = VolumeNamed(flags), ContainerId("web")
    (tmp_path / "containers" / "web").mkdir(parents=True)
    config = ContainerConfig(rootfs="/", volumes=(Volume(kind=NAMED, source="memory", target="/v"),))
    isolator.prepare(web, config)
    assert isolator.recover(lambda _: True) == []  # it is used
    assert is_mounted(cli, "memory")
    shutil.rmtree(tmp_path / "containers")
    assert isolator.recover(lambda _: False) == ["what was left of the volume memory"]
    assert not is_mounted(cli, "memory")
    (tmp_path / "containers" / "web").mkdir(parents=True)
    isolator.prepare(web, config)
    isolator.cleanup(web)
    isolator.cleanup(web)
    assert not is_mounted(cli, "memory")
    shutil.rmtree(tmp_path / "containers")
    out(cli, "volume", "rm", "memory")


def test_a_volume_that_is_a_path(cli: Cli, busybox: str, host: Path) -> None:
    options = ("-o", "type=none", "-o", f"device={host}", "-o", "o=bind,ro")
    out(cli, "volume", "create", *options, "path")
    assert sh(cli, busybox, "cat /v/file; touch /v/x || true", "-v", "path:/v") == "of the host"
    out(cli, "volume", "rm", "path")
    assert os.listdir(host) == ["file"]


def test_what_a_killed_one_has_mounted_goes_with_the_next(cli: Cli, busybox: str) -> None:
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs")
    out(cli, "volume", "create", *options, "memory")
    with cli.start("run", "--name", "web", "-v", "memory:/v", busybox, "sleep", "1000") as running:
        while not is_mounted(cli, "memory"):
            assert running.poll() is None
        running.send_signal(signal.SIGKILL)
    cli.kill_containers()
    cli.wait_for_reapers()
    cli("rm", "-f", "web")
    assert not is_mounted(cli, "memory")
    out(cli, "volume", "rm", "memory")


# Images and sandboxes -------------------------------------------------------------------------------


@pytest.mark.anyone
def test_the_files_of_an_image(cli: Cli, busybox: str, with_data: str) -> None:
    mount = f"type=image,src={with_data},dst=/i"
    script = "cat /i/data/file; touch /i/x || ls -d /i/bin"
    assert sh(cli, busybox, script, "--mount", mount) == "of the image/i/bin\n"
    assert sh(cli, busybox, "ls /i", "--mount", f"{mount},subpath=data") == "file\nlink\n"
    script = "rm /i/data/file; touch /i/data/new; ls /i/data"
    assert sh(cli, busybox, script, "--mount", f"{mount},rw=true") == "link\nnew\n"
    assert sh(cli, busybox, "ls /i/data", "--mount", mount) == "file\nlink\n"
    assert sh(cli, "host", "cat /mnt/data/file", "--mount", f"type=image,src={with_data},dst=/mnt") == (
        "of the image"
    )


@pytest.mark.requires("userns")
def test_owners_of_an_image_in_a_user_namespace(cli: Cli, busybox: str, with_data: str) -> None:
    script = "stat -c %u:%g /i/data/file; touch /i/made && stat -c %u /i/made"
    mount = f"type=image,src={with_data},dst=/i,rw"
    assert sh(cli, busybox, script, "--userns", "200000", "--mount", mount) == "9:10\n0\n"


def test_an_image_that_is_a_volume_is_kept(cli: Cli, busybox: str, with_data: str) -> None:
    mount = f"type=image,src={with_data},dst=/i"
    out(cli, "run", "-d", "--name", "web", "--mount", mount, busybox, "sleep", "1000")
    assert "in use by container web" in refusal(cli, "rmi", with_data)
    out(cli, "rm", "-f", "web")
    out(cli, "rmi", with_data)


@pytest.mark.anyone
def test_what_is_in_a_container_shares_files(cli: Cli, busybox: str) -> None:
    out(cli, "run", "-d", "--name", "pod", busybox, "sleep", "1000")
    shared = ("--mount", "type=sandbox,src=shared,dst=/s,parent")
    out(cli, "run", "--rm", "--name", "pod.one", *shared, busybox, "touch", "/s/of-one")
    done = out(cli, "run", "--rm", "--name", "pod.two", *shared, "-u", "7", busybox, "ls", "/s")
    assert done == "of-one\n"
    out(cli, "rm", "-f", "pod")
