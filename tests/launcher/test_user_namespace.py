"""User namespaces: root inside, an ordinary user outside; and files that need no chown for it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from isolators.filesystem.linux import LINKS, MASKED_PATHS, MOUNTS, READONLY_PATHS
from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.launch_info import Capabilities, FileOperation, IdMapping, Mount
from launcher.namespaces import NEW
from tests.launcher.images import make_image, overlay
from tests.launcher.support import ALL_NEW, WAITS, Launches, status_of, wait_for_end

pytestmark = pytest.mark.requires("root", "userns")

UID, GID, COUNT = 100000, 200000, 65536
MAPS = {"uid_map": (IdMapping(0, UID, COUNT),), "gid_map": (IdMapping(0, GID, COUNT),)}
USER = {"namespaces": {**ALL_NEW, "user": NEW}, **MAPS}
STANDARD = {
    "mounts": MOUNTS,
    "file_operations": tuple(FileOperation(kind="symlink", path=p, content=c) for p, c in LINKS.items()),
    "masked_paths": MASKED_PATHS,
    "readonly_paths": READONLY_PATHS,
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = make_image(tmp_path / "image")
    (image / "of-root").touch()
    (image / "of-user").touch()
    os.chown(image / "of-user", 1000, 1000)
    return image


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "sandbox").mkdir()
    return tmp_path / "sandbox"


@pytest.fixture
def info(image: Path, sandbox: Path) -> dict[str, Any]:
    return {
        "rootfs": str(sandbox / "rootfs"),
        "rootfs_mounts": (overlay(image, sandbox),),
        "idmapped_paths": (str(image), str(sandbox)),
        **USER,
        **STANDARD,
    }


def test_maps_are_what_was_asked(launches: Launches) -> None:
    maps = {
        "uid_map": (IdMapping(0, UID, 10), IdMapping(10, UID + 1000, 5)),
        "gid_map": (IdMapping(0, GID, 7),),
    }
    done = launches.run("cat", "/proc/self/uid_map", "/proc/self/gid_map", **{**USER, **maps})
    lines = [line.split() for line in done.lines]
    assert lines == [["0", str(UID), "10"], ["10", str(UID + 1000), "5"], ["0", str(GID), "7"]]


def test_root_inside_is_an_ordinary_user_outside(launches: Launches) -> None:
    launched = launches.start("sh", "-c", "id -u; id -g; read line", **USER)
    assert (launched.line(), launched.line()) == ("0", "0")
    status = status_of(Path(f"/proc/{launched.task.pid}/status").read_text())
    assert status["Uid"].split() == [str(UID)] * 4
    assert status["Gid"].split() == [str(GID)] * 4
    assert status["Groups"].split() == [str(GID)]


def test_it_owns_its_other_namespaces(launches: Launches) -> None:
    """Root's privileges are over what was made with its user namespace, and over nothing else."""
    mine = launches.run("sh", "-c", "hostname other && hostname", **USER)
    assert mine.stdout == "other\n"
    shared = {**USER, "namespaces": {"user": NEW, "mnt": NEW}}
    hosts = launches.run("sh", "-c", "hostname other; cat /etc/shadow", **shared)
    assert hosts.stdout == ""
    assert (
        hosts.stderr.count("denied") + hosts.stderr.count("must be root") + hosts.stderr.count("permitted")
        == 2
    )


def test_an_image_without_chown(launches: Launches, info: dict[str, Any], image: Path, sandbox: Path) -> None:
    before = {path: path.lstat().st_uid for path in image.rglob("*")}
    done = launches.run(
        "sh", "-c", "stat -c %u:%g /of-root /of-user / && touch /new && stat -c %u:%g /new", **info
    )
    assert done.stderr == ""
    assert done.lines == ["0:0", "1000:1000", "0:0", "0:0"]
    assert (sandbox / "upper" / "new").stat().st_uid == 0, "on disk it is as without a user namespace"
    assert {path: path.lstat().st_uid for path in image.rglob("*")} == before


def test_another_user_writes_its_own_files_only(
    launches: Launches, info: dict[str, Any], sandbox: Path
) -> None:
    script = "id -u; echo x > /of-user && stat -c %u /of-user; touch /of-root"
    done = launches.run("sh", "-c", script, user="1000:1000", **info)
    assert done.lines == ["1000", "1000"]
    assert "ermission denied" in done.stderr
    assert (sandbox / "upper" / "of-user").stat().st_uid == 1000


def test_the_standard_mounts(launches: Launches, info: dict[str, Any]) -> None:
    script = (
        "echo ok > /dev/null && head -c 3 /dev/zero | cat -v; ls /sys/class/net /dev/mqueue; cat /proc/mounts"
    )
    done = launches.run("sh", "-c", script, **info)
    assert done.stderr == ""
    assert "^@^@^@" in done.stdout
    filesystems = {
        line.split()[2] for line in done.lines if line.startswith(("proc", "sysfs", "devpts", "mqueue"))
    }
    assert filesystems == {"proc", "sysfs", "devpts", "mqueue"}


def test_the_hosts_network_and_ipc(launches: Launches, info: dict[str, Any]) -> None:
    """Neither sysfs nor mqueue can be mounted then: the host's are shown."""
    namespaces = {"user": NEW, "mnt": NEW, "pid": NEW}
    done = launches.run("sh", "-c", "ls /sys/class/net; touch /sys/x", **{**info, "namespaces": namespaces})
    assert done.lines == sorted(os.listdir("/sys/class/net"))
    assert "ead-only" in done.stderr


def test_a_source_that_only_the_hosts_root_reaches(
    launches: Launches, info: dict[str, Any], tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "data").mkdir(parents=True)
    (hidden / "data" / "file").write_text("shared\n")
    hidden.chmod(0o700)
    bind = Mount(target="/data", fstype="bind", source=str(hidden / "data"))
    done = launches.run("cat", "/data/file", **{**info, "mounts": (*info["mounts"], bind)})
    assert (done.stdout, done.stderr) == ("shared\n", "")


def test_capabilities_are_those_of_the_task(launches: Launches) -> None:
    few = Capabilities(bounding=("CAP_CHOWN",), effective=("CAP_CHOWN",), permitted=("CAP_CHOWN",))
    done = launches.run("cat", "/proc/self/status", capabilities=few, no_new_privileges=True, **USER)
    status = status_of(done.stdout)
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {f"{1:016x}"}
    assert status["NoNewPrivs"] == "1"


def test_a_host_network_with_a_new_user_namespace(launches: Launches) -> None:
    """What is joined belongs to somebody else, so it is joined before privileges are given up."""
    other = launches.start(*WAITS)
    net = f"/proc/{other.task.pid}/ns/net"
    joining = launches.start(*WAITS, **{**USER, "namespaces": {"user": NEW, "mnt": NEW, "net": net}})
    joining.line()
    assert os.readlink(f"/proc/{joining.task.pid}/ns/net") == os.readlink(net)


def test_no_mount_and_no_process_stays(launches: Launches, info: dict[str, Any], sandbox: Path) -> None:
    launched = launches.start(*WAITS, **info)
    assert str(sandbox) not in Path("/proc/self/mountinfo").read_text()
    children = Path(f"/proc/{launched.supervisor}/task/{launched.supervisor}/children")
    for pid in set(children.read_text().split()) - {str(launched.task.pid)}:  # at its end by now
        with contextlib.suppress(ProcessLookupError):
            wait_for_end(os.pidfd_open(int(pid)))
    os.write(launched.stdin, b"line\n")
    assert launched.task.exit_status() == ExitStatus(code=0)


def test_a_map_that_the_kernel_refuses(launches: Launches) -> None:
    twice = (IdMapping(0, UID, 10), IdMapping(5, UID + 100, 10))
    with pytest.raises(LaunchFailed, match=r"cannot make the user namespace: .*uid_map: invalid argument"):
        launches.clone("true", **{**USER, "uid_map": twice})


def test_a_filesystem_without_idmapped_mounts(launches: Launches) -> None:
    with pytest.raises(LaunchFailed, match=r"/proc: .*idmapped mounts need Linux 5\.19, and a filesystem"):
        launches.clone("true", idmapped_paths=("/proc",), **USER)
