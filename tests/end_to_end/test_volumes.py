"""Paths of the host as volumes: what a container sees, where it sees it, and what is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from isolators.isolator import IsolatorFlags
from launcher.errors import InvalidRequest, LaunchFailed
from tests.end_to_end.conftest import Cli
from tests.end_to_end.volume_support import out, refusal, sh, volumes

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")


# Paths of the host ----------------------------------------------------------------------------------


def test_a_directory_of_the_host(cli: Cli, busybox: str, host: Path) -> None:
    script = "cat /deep/er/file; echo new > /deep/er/made; stat -c %a:%u /deep"
    assert sh(cli, busybox, script, "-v", f"{host}:/deep/er") == "of the host755:0\n"
    assert (host / "made").read_text() == "new\n"
    script = "touch /v/x || cat /v/made"
    assert sh(cli, busybox, script, "--mount", f"type=bind,src={host},dst=/v,ro") == "new\n"


def test_files_and_sockets(cli: Cli, busybox: str, host: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(host / "socket"))
        script = "cat /etc/one; test -S /run/s && echo socket"
        options = ("-v", f"{host}/file:/etc/one", "-v", f"{host}/socket:/run/s")
        assert sh(cli, busybox, script, *options) == "of the hostsocket\n"


def test_a_device_may_be_used_and_one_in_a_directory_not(cli: Cli, busybox: str, host: Path) -> None:
    os.mknod(host / "full", 0o20666, os.makedev(1, 7))
    script = "for d in /one /all/full; do (: < $d) 2>&- && echo $d; done; true"
    options = ("-v", f"{host}/full:/one", "-v", f"{host}:/all")
    assert sh(cli, busybox, script, *options) == "/one\n"
    assert sh(cli, busybox, script, *options[:3], f"{host}:/all:dev") == "/one\n/all/full\n"


def test_a_source_that_is_missing(cli: Cli, busybox: str, host: Path) -> None:
    """As in Docker: -v makes a directory, --mount does not."""
    said = refusal(cli, "run", "--rm", "--mount", f"type=bind,src={host}/no,dst=/v", busybox, "true")
    assert f"the source of a volume is not there: {host}/no" in said
    assert not (host / "no").exists()
    assert sh(cli, busybox, "stat -c %a:%u /v", "-v", f"{host}/no/where:/v") == "755:0\n"
    assert (host / "no" / "where").is_dir()


@pytest.fixture
def with_mount(host: Path) -> Iterator[Path]:
    """A directory of the host with something mounted in it, on a shared mount."""
    subprocess.run(["mount", "-t", "tmpfs", "none", host], check=True)
    subprocess.run(["mount", "--make-shared", host], check=True)
    (host / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", host / "below"], check=True)
    yield host
    subprocess.run(["umount", "-R", host], check=True)


@pytest.mark.parametrize(
    ("option", "writable"),
    [
        ("readonly", []),
        ("readonly,bind-recursive=readonly", []),
        ("readonly,bind-recursive=writable", ["below"]),
        ("bind-recursive=disabled", ["top"]),
        ("rro", []),
        ("readonly=false", ["top", "below"]),
    ],
)
def test_what_is_mounted_below(
    cli: Cli, busybox: str, with_mount: Path, option: str, writable: list[str]
) -> None:
    (with_mount / "below" / "there").touch()
    script = "touch /v/x && echo top; test -e /v/below/there && touch /v/below/x && echo below; true"
    mount = f"type=bind,src={with_mount},dst=/v,{option}"
    assert sh(cli, busybox, script, "--mount", mount).split() == writable


def test_propagation(cli: Cli, busybox: str, with_mount: Path, host: Path) -> None:
    (with_mount / "later").mkdir()
    script = "while ! test -e /v/later/seen; do usleep 10000; done; echo seen"
    with cli.start("run", "--rm", "-v", f"{with_mount}:/v:rslave", busybox, "sh", "-c", script) as running:
        subprocess.run(["mount", "-t", "tmpfs", "none", with_mount / "later"], check=True)
        (with_mount / "later" / "seen").touch()
        assert running.communicate(timeout=60)[0] == "seen\n"
    subprocess.run(["umount", with_mount / "later"], check=True)
    subprocess.run(["mount", "--make-private", with_mount], check=True)
    said = refusal(cli, "run", "--rm", "-v", f"{with_mount}:/v:shared", busybox, "true")
    assert f"mount --make-rshared {with_mount}" in said


@pytest.mark.requires("userns")
def test_owners_in_a_user_namespace(cli: Cli, busybox: str, host: Path) -> None:
    script = "stat -c %u /v; touch /v/made 2>&- && echo made"
    users = ("--userns", "200000")
    assert cli("run", "--rm", *users, "-v", f"{host}:/v", busybox, "sh", "-c", script).stdout == "65534\n"
    assert sh(cli, busybox, script, *users, "-v", f"{host}:/v:idmap") == "0\nmade\n"
    assert (host / "made").stat().st_uid == 0
    assert "has no user namespace" in refusal(cli, "run", "--rm", "-v", f"{host}:/v:idmap", busybox, "true")
    shown = sh(cli, busybox, "stat -c %u:%g /v", "-v", f"{host}:/v:idmap=uids=0-5-1;gids=0-6-1")
    assert shown == "5:6\n"


@pytest.mark.requires("userns")
def test_all_in_it_is_given_to_the_user(cli: Cli, busybox: str, host: Path) -> None:
    sh(cli, busybox, "touch /v/made", "-u", "12:34", "-v", f"{host}:/v:U")
    assert {(each.stat().st_uid, each.stat().st_gid) for each in (host, *host.iterdir())} == {(12, 34)}
    sh(cli, busybox, "touch /v/more", "-u", "12", "--userns", "200000", "-v", f"{host}:/v:U")
    assert (host / "file").stat().st_uid == 200012


# What an operator says ------------------------------------------------------------------------------


@pytest.fixture
def bounded(directories: Path, host: Path) -> Iterator[Callable[[str], int | None]]:
    """Runs a container with a volume of that path: one of `host`, where missing ones are made in `new`."""
    flags = IsolatorFlags(
        host_path_volume_allowed=(str(host),), host_path_volume_force_creation=(f"{host}/new",)
    )
    root, state = str(directories / "root"), str(directories / "state")
    with Containerizer(root=root, state=state, flags=flags) as owner:

        def run(path: str) -> int | None:
            container = owner.launch(
                "host", ["test", "-e", "/mnt/file"], volumes=[f"type=bind,src={path},dst=/mnt"]
            )
            ended = container.wait()
            return ended.exit_code if ended else None

        yield run


def test_where_sources_may_be(bounded: Callable[[str], int | None], host: Path, tmp_path: Path) -> None:
    """A link that leads elsewhere, which a task may have put there, is one of the directory's own."""
    (tmp_path / "file").touch()
    (host / "out").symlink_to(tmp_path)
    (host / "in").symlink_to(".")
    assert bounded(str(host)) == bounded(f"{host}/in") == 0
    with pytest.raises(InvalidRequest, match="not allowed"):
        bounded(str(tmp_path))
    with pytest.raises(InvalidRequest, match="not allowed"):
        bounded(f"{host}-beside")
    with pytest.raises(InvalidRequest, match="not allowed"):
        bounded(f"x,type=volume,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}")
    with pytest.raises(LaunchFailed, match=r"[Nn]o such file"):
        bounded(f"{host}/out")
    with pytest.raises(InvalidRequest, match="is not there"):
        bounded(f"{host}/missing")
    (host / "new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest, match="cannot make"):
        bounded(f"{host}/new/made")
    (host / "new").unlink()
    assert bounded(f"{host}/new/made") == 1
    assert (host / "new" / "made").stat().st_mode & 0o7777 == 0o755
    assert not (tmp_path / "elsewhere").exists()


# Places ---------------------------------------------------------------------------------------------


def test_links_in_the_image_never_lead_out(cli: Cli, with_data: str, host: Path) -> None:
    """/link leads to /tmp of whatever root it is resolved in."""
    before = sorted(os.listdir("/tmp"))
    assert sh(cli, with_data, "cat /tmp/made/file", "-v", f"{host}:/link/made") == "of the host"
    assert sorted(os.listdir("/tmp")) == before


def test_a_link_swapped_in_a_shared_volume_never_leads_out(
    cli: Cli, busybox: str, host: Path, tmp_path: Path
) -> None:
    """CVE-2021-30465: another container swaps what is on the way while this one is launched."""
    (tmp_path / "victim").mkdir()
    up = "/.." * 20
    swap = f"while :; do mkdir a 2>&-; rmdir a 2>&-; ln -s {up}{tmp_path}/victim a; rm -rf a; done"
    options = ("--name", "swaps", "-v", "shared:/v", "-w", "/v")
    out(cli, "run", "-d", *options, busybox, "sh", "-c", swap)
    script = "cat /proc/self/mountinfo"
    for _ in range(8):
        options = ("-v", "shared:/v", "--tmpfs", "/v/a/b", "-v", f"{host}:/v/a/c")
        cli("run", "--rm", *options, busybox, "sh", "-c", script)  # it fails where it loses the race
        assert list((tmp_path / "victim").iterdir()) == []
    assert str(tmp_path / "victim") not in Path("/proc/self/mountinfo").read_text()
    out(cli, "rm", "-f", "swaps")
    out(cli, "volume", "rm", "shared")


def test_places_decide_what_lies_on_what(cli: Cli, busybox: str, host: Path, tmp_path: Path) -> None:
    options = ("-v", f"{host}:/a/b", "-v", "outer:/a", "--tmpfs", "/a/b/c")
    assert sh(cli, busybox, "cat /a/b/file; ls /a; touch /a/b/c/x", *options) == "of the hostb\n"
    assert list((host / "c").iterdir()) == []
    out(cli, "volume", "rm", "outer")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-v", "/tmp:/proc/sys"), "a volume cannot be at /proc/sys"),
        (("-v", "/tmp:/"), "a volume cannot be at /"),
        (("-v", "/tmp:a"), "is no absolute path"),
        (("-v", "a/b:/a"), "invalid name of a volume 'a/b'"),
        (("-v", "/tmp:/a:what"), "unknown option 'what'"),
        (("-v", "/tmp:/a", "-v", "/usr:/a"), "/a"),
        (("--mount", "type=bind,src=/tmp,dst=/a,volume-nocopy"), "unknown key 'volume-nocopy'"),
        (("--mount", "type=odd,dst=/a"), "unknown type 'odd'"),
        (("--mount", "type=bind,dst=/a"), "has no source"),
        (("--mount", "type=volume,src=a"), "has no target"),
        (("--mount", "src=a,dst=/a,volume-driver=nobody"), "there is no plug-in nobody"),
        (("--mount", "type=sandbox,src=a,dst=/a,parent"), "there is none"),
    ],
)
def test_what_is_refused(cli: Cli, busybox: str, arguments: tuple[str, ...], why: str) -> None:
    before = volumes(cli)
    assert why in refusal(cli, "run", "--rm", *arguments, busybox, "true")
    assert (volumes(cli), cli.containers()) == (before, [])
