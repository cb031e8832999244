"""Mounts of volumes: propagation, owners, what is in them at first, and whose it is."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import detached, volume_content
from launcher.errors import LaunchFailed
from launcher.launch_info import IdMapping, LaunchInfo, Mount, Owners
from launcher.user import User
from tests.launcher.images import make_image, overlay
from tests.launcher.support import PROC, WAITS, Done, Launches

pytestmark = pytest.mark.requires("root", "overlay", "busybox")

USERS = (IdMapping(0, 200000, 65536),)


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    mount = overlay(make_image(tmp_path / "image"), tmp_path / "sandbox")
    return {"rootfs": mount.target, "rootfs_mounts": (mount,), "environment": {"PATH": "/bin"}}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    directory = tmp_path / "host"
    directory.mkdir()
    return directory


@pytest.fixture
def shared(host: Path) -> Iterator[Path]:
    """A mount of the host's that others see changes of."""
    subprocess.run(["mount", "-t", "tmpfs", "none", host], check=True)
    subprocess.run(["mount", "--make-shared", host], check=True)
    yield host
    subprocess.run(["umount", "-R", host], check=True)


def sh(launches: Launches, fields: dict[str, Any], script: str, *mounts: Mount, **more: Any) -> Done:
    return launches.run("sh", "-c", script, mounts=(PROC, *mounts), **{**fields, **more})


def start(launches: Launches, fields: dict[str, Any], *mounts: Mount) -> Path:
    """A container that stays; its root directory, as the host sees it."""
    own = launches.start(*WAITS, mounts=(PROC, *mounts), **fields)
    assert own.line() == "runs"
    return Path(f"/proc/{own.task.pid}/root")


@pytest.mark.parametrize("propagation", ["", "slave", "shared"])
def test_mounts_that_come_later_follow_as_asked(
    in_process: Launches, fields: dict[str, Any], shared: Path, propagation: str
) -> None:
    (shared / "later").mkdir()
    bound = Mount(target="/v", fstype="rbind", source=str(shared), propagation=propagation)
    root = start(in_process, fields, bound)
    subprocess.run(["mount", "-t", "tmpfs", "none", shared / "later"], check=True)
    (shared / "later" / "file").touch()
    assert os.listdir(root / "v" / "later") == (["file"] if propagation else [])


@pytest.mark.parametrize(("propagation", "seen"), [("", []), ("slave", []), ("shared", ["file"])])
def test_what_a_container_mounts_reaches_the_host_only_if_shared(
    in_process: Launches, fields: dict[str, Any], shared: Path, propagation: str, seen: list[str]
) -> None:
    (shared / "own").mkdir()
    bound = Mount(target="/v", fstype="bind", source=str(shared), propagation=propagation)
    script = "mount -t tmpfs none /v/own && touch /v/own/file && ls /v/own"
    assert sh(in_process, fields, script, bound).lines == ["file"]
    assert os.listdir(shared / "own") == seen


def test_flags_of_the_topmost_mount_alone(in_process: Launches, fields: dict[str, Any], shared: Path) -> None:
    (shared / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", shared / "below"], check=True)
    script = "touch /v/file && echo top; touch /v/below/file && echo below"
    source = {"target": "/v", "fstype": "rbind", "source": str(shared)}
    assert sh(in_process, fields, script, Mount(top_flags=("ro",), **source)).lines == ["below"]  # type: ignore[arg-type]
    assert sh(in_process, fields, script, Mount(flags=("ro",), **source)).lines == []  # type: ignore[arg-type]
    assert sh(in_process, fields, script, Mount(**source)).lines == ["top", "below"]  # type: ignore[arg-type]


# Owners ---------------------------------------------------------------------------------------------


@pytest.mark.requires("userns")
def test_owners_are_others_in_the_container(in_process: Launches, fields: dict[str, Any], host: Path) -> None:
    (host / "file").touch()
    os.chown(host / "file", 1000, 1001)
    owners = Owners(uids=(IdMapping(1000, 0, 1),), gids=(IdMapping(1001, 7, 1),), relative=False)
    bound = Mount(target="/v", fstype="bind", source=str(host), owners=owners)
    os.chmod(host, 0o777)
    assert sh(in_process, fields, "stat -c %u:%g /v/file; touch /v/mine", bound).lines == ["0:7"]
    # Its group, 0, is none that is mapped: nothing can be made with it.
    assert not (host / "mine").exists()


@pytest.mark.requires("userns")
def test_owners_are_those_that_the_user_namespace_maps(
    in_process: Launches, fields: dict[str, Any], host: Path, tmp_path: Path
) -> None:
    namespaces = {"mnt": "new", "pid": "new", "user": "new"}
    own = {"namespaces": namespaces, "uid_map": USERS, "gid_map": USERS}
    more = {**fields, **own, "idmapped_paths": (str(tmp_path / "image"), str(tmp_path / "sandbox"))}
    bound = Mount(target="/v", fstype="bind", source=str(host), owners=Owners())
    assert sh(in_process, more, "stat -c %u /v; touch /v/made", bound).lines == ["0"]
    assert (host / "made").stat().st_uid == 0
    relative = Owners(uids=(IdMapping(0, 5, 10),), gids=(IdMapping(0, 6, 10),))
    bound = Mount(target="/v", fstype="bind", source=str(host), owners=relative)
    assert sh(in_process, more, "stat -c %u:%g /v", bound).lines == ["5:6"]


def test_ids_that_nobody_has_are_refused(in_process: Launches, fields: dict[str, Any], host: Path) -> None:
    outside = Owners(uids=(IdMapping(0, 70000, 1),), gids=(IdMapping(0, 70000, 1),))
    info = LaunchInfo(uid_map=USERS, gid_map=USERS)
    mount = Mount(target="/v", fstype="bind", source=str(host), owners=outside)
    assert detached.maps_of(mount, info) == ((), ())
    assert detached.maps_of(mount, LaunchInfo()) == (outside.uids, outside.gids)
    with pytest.raises(LaunchFailed, match="no id of it"):
        sh(
            in_process,
            fields,
            "true",
            Mount(
                target="/v",
                fstype="bind",
                source=str(host),
                owners=Owners(uids=(IdMapping(0, 1, 1),), relative=False),
            ),
        )


@pytest.mark.requires("userns")
def test_all_in_it_is_given_to_the_tasks_user(
    in_process: Launches, fields: dict[str, Any], host: Path
) -> None:
    (host / "a" / "b").mkdir(parents=True)
    (host / "a" / "link").symlink_to("/etc")
    before = os.stat("/etc")
    bound = Mount(target="/v", fstype="bind", source=str(host), chown=True)
    sh(in_process, fields, "true", bound, user="12:34")
    owners = {(each.lstat().st_uid, each.lstat().st_gid) for each in (host, *host.rglob("*"))}
    assert owners == {(12, 34)}
    assert os.stat("/etc") == before
    mapped = Owners(uids=(IdMapping(100, 12, 1),), gids=(IdMapping(200, 34, 1),), relative=False)
    bound = Mount(target="/v", fstype="bind", source=str(host), chown=True, owners=mapped)
    assert sh(in_process, fields, "stat -c %u:%g /v", bound, user="12:34").lines == ["12:34"]
    assert (host.stat().st_uid, host.stat().st_gid) == (100, 200)


# What is in it --------------------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A tree with a volume's place."""
    (tmp_path / "tree" / "data").mkdir(parents=True)
    (tmp_path / "tree" / "data" / "file").write_text("of the image")
    return tmp_path / "tree"


def populate(image: Path, volume: Path, once: Path) -> None:
    root = os.open(image, os.O_PATH)
    mount = Mount(target="/data", fstype="bind", source=str(volume), populate=True, once=str(once))
    volume_content.make(mount, root, LaunchInfo(), User(0, 0, (), "/"))
    os.close(root)


def test_it_is_filled_once(image: Path, host: Path, tmp_path: Path) -> None:
    populate(image, host, tmp_path / "once")
    (host / "file").unlink()
    populate(image, host, tmp_path / "once")
    assert os.listdir(host) == []


def test_what_a_killed_one_has_copied_is_copied_again(image: Path, host: Path, tmp_path: Path) -> None:
    (tmp_path / "once").write_text("begun")
    (host / "half").write_text("of the im")
    populate(image, host, tmp_path / "once")
    assert os.listdir(host) == ["file"]


def test_what_somebody_has_put_there_stays(image: Path, host: Path, tmp_path: Path) -> None:
    """Into a volume that was made and not used, on the host or by a container that copied nothing."""
    (host / "own").touch()
    for _ in range(2):
        populate(image, host, tmp_path / "once")
        assert os.listdir(host) == ["own"]


def test_two_at_once_fill_it_once(image: Path, host: Path, tmp_path: Path) -> None:
    for number in range(200):
        (image / "data" / str(number)).write_text("x")
    several = [threading.Thread(target=populate, args=(image, host, tmp_path / "once")) for _ in range(4)]
    for each in several:
        each.start()
    for each in several:
        each.join()
    assert len(os.listdir(host)) == 201


# The files of an image ------------------------------------------------------------------------------


def test_a_part_of_an_overlay(in_process: Launches, fields: dict[str, Any], tmp_path: Path) -> None:
    for name in ("lower", "upper"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / name).touch()
    lowers = tuple(("lowerdir+", str(tmp_path / name)) for name in ("upper", "lower"))
    own = {"fstype": "overlay", "source": "overlay", "flags": ("ro",), "options": lowers}
    whole, part = Mount(target="/whole", **own), Mount(target="/part", part="etc", **own)
    assert sh(in_process, fields, "ls /whole /part", whole, part).lines == [
        *("/part:", "lower", "upper", "", "/whole:", "etc")
    ]
    out = Mount(target="/v", part="../../etc/passwd", **own)
    with pytest.raises(LaunchFailed, match=r"[Nn]o such file"):
        sh(in_process, fields, "true", out)


@pytest.mark.requires("userns")
def test_an_overlay_with_the_owners_of_the_user_namespace(
    in_process: Launches, fields: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one", "two", "own/up", "own/work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one" / "file").touch()
    namespaces = {"mnt": "new", "pid": "new", "user": "new"}
    paths = (str(tmp_path / "image"), str(tmp_path / "sandbox"))
    more = {"namespaces": namespaces, "uid_map": USERS, "gid_map": USERS, "idmapped_paths": paths}
    options = (
        ("lowerdir+", str(tmp_path / "one")),
        ("lowerdir+", str(tmp_path / "two")),
        ("upperdir", str(tmp_path / "own" / "up")),
        ("workdir", str(tmp_path / "own" / "work")),
    )
    mount = Mount(target="/v", fstype="overlay", source="overlay", options=options, owners=Owners())
    done = sh(
        in_process, {**fields, **more}, "stat -c %u /v/file; touch /v/made && stat -c %u /v/made", mount
    )
    assert done.lines == ["0", "0"], done.stderr
    assert (tmp_path / "own" / "up" / "made").stat().st_uid == 0
