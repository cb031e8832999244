"""The root filesystem from an image: mounts, files and users, however hostile the image is."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.launch_info import FileOperation, Mount
from launcher.remove_tree import remove_tree
from tests.launcher.images import SECRET, make_image, overlay, snapshot
from tests.launcher.support import PROC, Done, Launches, status_of

pytestmark = pytest.mark.requires("root", "overlay", "busybox")

SYS = Mount(target="/sys", fstype="sysfs", source="sysfs", flags=("ro", "nosuid"))
DEV = Mount(target="/dev", fstype="tmpfs", source="tmpfs", options=(("mode", "755"),))
NULL = Mount(target="/dev/null", fstype="bind", source="/dev/null")

Run = Callable[..., Done]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path / "image")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """What an image would like to reach: it lies beside the root filesystem."""
    (tmp_path / "host" / "etc").mkdir(parents=True)
    (tmp_path / "host" / "etc" / "secret").write_text(SECRET)
    return tmp_path / "host"


@pytest.fixture
def fields(image: Path, tmp_path: Path) -> dict[str, Any]:
    mount = overlay(image, tmp_path / "sandbox")
    return {"rootfs": mount.target, "rootfs_mounts": (mount,), "mounts": (PROC,)}


@pytest.fixture
def sh(in_process: Launches, fields: dict[str, Any]) -> Run:
    """Run a script in the image; keywords are added to the fields of the LaunchInfo."""

    def run(script: str, **more: Any) -> Done:
        more["mounts"] = (*fields["mounts"], *more.get("mounts", ()))
        environment = {"PATH": "/bin"}
        return in_process.run("sh", "-c", script, environment=environment, **{**fields, **more})

    return run


def test_the_image_is_the_root(sh: Run, launches: Launches, fields: dict[str, Any], image: Path) -> None:
    before = snapshot(image)
    done = launches.run("/bin/ls", "/", **fields)
    assert done.lines == ["bin", "proc"]
    assert sh("touch /made; ls /; cat /proc/self/mountinfo").lines[:3] == ["bin", "made", "proc"]
    assert snapshot(image) == before


def test_no_mount_of_the_host_is_left_inside(sh: Run) -> None:
    points = [line.split()[4] for line in sh("cat /proc/self/mountinfo").lines]
    assert points == ["/", "/proc"]


def test_the_standard_mounts(sh: Run) -> None:
    done = sh("ls /sys /dev; echo >/dev/null && touch /sys/x", mounts=(SYS, DEV, NULL))
    assert done.status == ExitStatus(code=1)
    assert {"kernel", "null"} <= set(done.lines)
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize(("readonly", "code"), [(True, 1), (None, 0)])
def test_a_readonly_root(sh: Run, tmp_path: Path, readonly: bool | None, code: int) -> None:
    assert sh("touch /made", readonly_rootfs=readonly).status == ExitStatus(code=code)
    assert (tmp_path / "sandbox/upper/made").exists() is (readonly is None)


def test_a_readonly_root_with_a_file_mounted_where_none_was(sh: Run, tmp_path: Path) -> None:
    """What is made to be mounted on must not stay open for writing: EBUSY of mount_setattr(2)."""
    (tmp_path / "hosts").write_text("known\n")
    hosts = Mount(target="/etc/made/hosts", fstype="bind", source=str(tmp_path / "hosts"))
    assert sh("cat /etc/made/hosts", readonly_rootfs=True, mounts=(hosts,)).stdout == "known\n"


def test_masked_and_readonly_paths(sh: Run) -> None:
    done = sh(
        "cat /proc/kcore; ls /proc/fs; touch /proc/fs/x; echo 1 >/proc/sys/vm/swappiness",
        masked_paths=("/proc/kcore", "/proc/fs", "/proc/no-such", "/bin/busybox/below"),
        readonly_paths=("/proc/sys", "/no/such", "/bin/busybox/below"),
    )
    assert done.stdout == ""
    assert done.stderr.count("Read-only file system") == 2, done.stderr


def test_what_covers_is_a_hidden_directory_of_a_filesystem_that_is_there(sh: Run) -> None:
    """Below a mount, where nobody can put anything."""
    shm = Mount(target="/dev/shm", fstype="tmpfs", source="shm")
    done = sh(
        "touch /dev/a /dev/shm/a; ls /proc/fs /proc/irq; touch /proc/fs/x; cat /proc/self/mountinfo",
        mounts=(DEV, shm),
        masked_paths=("/proc/fs", "/proc/irq"),
    )
    listing, *mounted = done.stdout.partition("/proc/irq:\n")
    assert listing.split() == ["/proc/fs:"]
    assert done.stderr.count("Read-only file system") == 1, done.stderr
    fields = [line.split() for line in "".join(mounted).splitlines() if " - " in line]
    found = {each[4]: (each[2], each[3]) for each in fields}
    device, _ = found["/dev"]
    assert found["/proc/fs"] == found["/proc/irq"] == (device, "/shm")


def test_a_bind_of_a_file_and_of_a_directory(sh: Run, host: Path) -> None:
    binds = (
        Mount(target="/deep/er/directory", fstype="bind", source=str(host)),
        Mount(target="/deep/file", fstype="bind", source=str(host / "etc/secret"), flags=("ro",)),
    )
    done = sh(
        "cat /deep/er/directory/etc/secret /deep/file; touch /deep/er/directory/new /deep/file", mounts=binds
    )
    assert done.stdout == SECRET * 2
    assert "touch: /deep/file: Read-only file system" in done.stderr
    assert (host / "new").exists()


def test_a_part_of_a_bind(sh: Run, in_process: Launches, fields: dict[str, Any], host: Path) -> None:
    """The source is the / of links in it, and of none that lead out."""
    (host / "link").symlink_to("/etc")
    (host / "out").symlink_to("../../../../../../../usr")

    def part(path: str, target: str = "/there") -> dict[str, Any]:
        return {"mounts": (Mount(target=target, fstype="rbind", source=str(host), part=path),)}

    assert sh("cat /there/secret", **part("link")).stdout == SECRET
    assert sh("cat /file", **part("link/secret", "/file")).stdout == SECRET
    assert "out: openat2: No such file" in fails(in_process, fields, **part("out"))


def test_a_bind_from_another_mount_namespace(
    sh: Run, launches: Launches, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Of a file system that is mounted nowhere else, while its first container runs and after."""
    (tmp_path / "place").mkdir()
    there = Mount(target=str(tmp_path / "place"), fstype="ramfs", source="ramfs", options=(("mode", "711"),))
    own = launches.start("sleep", "1000", namespaces={"mnt": "new", "pid": "new"}, mounts=(there,))
    place = Path(f"/proc/{own.task.pid}/root{tmp_path}/place")
    (place / "in").mkdir()
    (place / "in" / "file").write_text("there")
    (place / "out").symlink_to("/etc")
    bound = {"fstype": "bind", "source": str(tmp_path / "place"), "within": f"/proc/{own.task.pid}/ns/mnt"}
    binds = (
        Mount(target="/all", flags=("ro",), **bound),
        Mount(target="/deep/part", part="in", **bound),
        Mount(target="/one", part="in/file", **bound),
    )
    script = (
        "stat -c %a /all; cat /all/in/file /deep/part/file /one; echo; touch /deep/part/made; touch /all/x"
    )
    done = sh(script, mounts=binds)
    assert (done.lines, "Read-only" in done.stderr) == (["711", "there" * 3], True)
    assert (place / "in" / "made").exists() and list((tmp_path / "place").iterdir()) == []
    out = Mount(target="/there", part="out", **bound)
    assert "place/out: no such file" in fails(launches, fields, mounts=(out,))


def test_a_file_that_would_lie_in_a_mount_is_the_mounts(sh: Run, host: Path) -> None:
    """As /etc/hosts, which an isolator writes and somebody may bring."""
    bound = Mount(target="/etc/secret", fstype="bind", source=str(host / "etc/secret"))
    written = FileOperation(kind="write", path="/etc/secret", content="of an isolator")
    assert sh("cat /etc/secret", mounts=(bound,), file_operations=(written,)).stdout == SECRET
    assert (host / "etc/secret").read_text() == SECRET


def fails(in_process: Launches, fields: dict[str, Any], **more: Any) -> str:
    more["mounts"] = (*more.get("mounts", ()), *fields["mounts"])
    with pytest.raises(LaunchFailed) as raised:
        in_process.clone("/bin/true", **{**fields, **more}).task.release()
    return raised.value.message


@pytest.mark.parametrize("target", ["/etc", "etc", "../../../host/etc", "/proc2/../../../host"])
def test_an_image_whose_proc_is_a_link_is_refused(
    in_process: Launches, fields: dict[str, Any], image: Path, target: str
) -> None:
    """CVE-2019-19921: what is masked in /proc would not be."""
    (image / "etc").mkdir()
    (image / "proc2").mkdir()
    (image / "proc").symlink_to(target)
    assert "cannot mount the filesystems: /proc: " in fails(in_process, fields)


@pytest.mark.parametrize("target", ["proc", "/", "etc"])
def test_an_image_whose_dev_is_a_link_is_refused(
    in_process: Launches, fields: dict[str, Any], image: Path, target: str
) -> None:
    """What is mounted there would cover /proc, and all that is masked in it."""
    for name in ("etc", "proc"):
        (image / name).mkdir(exist_ok=True)
    (image / "dev").symlink_to(target)
    dev = Mount(target="/dev", fstype="tmpfs", source="tmpfs")
    assert "cannot mount the filesystems: /dev: " in fails(in_process, fields, mounts=(dev,))


LINKS = ("/etc", "../../../../../../../../etc", "../../host/etc", "{host}/etc", "/proc/1/root/etc")


@pytest.mark.parametrize("link", LINKS)
def test_links_on_the_way_do_not_lead_out(
    sh: Run, in_process: Launches, fields: dict[str, Any], image: Path, host: Path, link: str
) -> None:
    before = snapshot(host), os.listdir("/etc")
    (image / "way").symlink_to(link.format(host=host))
    operation = FileOperation(kind="write", path="/way/secret", content="overwritten")
    bind = Mount(target="/way/secret", fstype="bind", source="/dev/null")
    for more in ({"file_operations": (operation,)}, {"mounts": (bind,)}):
        launched = in_process.clone("/bin/true", **{**fields, **more})
        with contextlib.suppress(LaunchFailed):  # or it is made inside the image
            launched.task.release()
            launched.task.exit_status()
    assert (snapshot(host), os.listdir("/etc")) == before


def test_a_dangling_link_as_target_is_named(
    in_process: Launches, fields: dict[str, Any], image: Path
) -> None:
    (image / "resolv.conf").symlink_to("/run/not/there")
    bind = Mount(target="/resolv.conf", fstype="bind", source="/dev/null")
    assert fails(in_process, fields, mounts=(bind,)) == (
        "cannot mount the filesystems: /resolv.conf: the image has a dangling symbolic link here"
    )


@pytest.mark.parametrize("there", ["link", "dangling", "file", "nothing"])
def test_a_file_replaces_what_the_image_has(sh: Run, image: Path, host: Path, there: str) -> None:
    if there in ("link", "dangling"):
        (image / "hosts").symlink_to(host / "etc/secret" if there == "link" else "/no/such")
    elif there == "file":
        (image / "hosts").write_text("the image's")
    operation = FileOperation(kind="write", path="/hosts", content="ours\udcff", mode=0o640)
    done = sh("stat -c '%a %F' /hosts; cat /hosts | head -c 4", file_operations=(operation,))
    assert done.lines == ["640 regular file", "ours"]
    assert (host / "etc/secret").read_text() == SECRET


def test_a_link_is_made(sh: Run) -> None:
    link = FileOperation(kind="symlink", path="/dev/fd", content="/proc/self/fd")
    assert sh("readlink /dev/fd", file_operations=(link,)).lines == ["/proc/self/fd"]


def test_a_directory_is_not_replaced(in_process: Launches, fields: dict[str, Any]) -> None:
    operation = FileOperation(kind="write", path="/bin", content="")
    assert "bin: is a directory" in fails(in_process, fields, file_operations=(operation,))


PASSWD = "app:x:1000:1000::/home/app:/bin/sh\n"


@pytest.mark.parametrize("kind", ["fifo", "device", "link out", "directory", "below a file", "absent"])
def test_an_image_without_a_readable_passwd(sh: Run, image: Path, kind: str) -> None:
    """Nothing is opened that could block, act on a device, or be the host's."""
    passwd = image / "etc" / "passwd"
    if kind == "below a file":
        passwd.parent.write_text("")
    else:
        passwd.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "device":
        os.mknod(passwd, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    elif kind == "link out":
        passwd.symlink_to("/proc/1/root/etc/shadow")
    elif kind == "directory":
        passwd.mkdir()
    status = status_of(sh("cat /proc/self/status", user="1000").stdout)  # id(1) would read the file
    assert (status["Uid"].split()[0], status["Groups"]) == ("1000", "0")


def test_a_huge_passwd_is_read_no_further(
    in_process: Launches, sh: Run, image: Path, fields: dict[str, Any]
) -> None:
    (image / "etc").mkdir()
    filler = "#" * 1023 + "\n"
    (image / "etc/passwd").write_text(PASSWD + filler * 5 * 1024 + PASSWD.replace("app", "late"))
    assert sh("id -u", user="app").lines == ["1000"]
    assert "late: no such user" in fails(in_process, fields, user="late")


def test_deep_targets_are_made(sh: Run, tmp_path: Path) -> None:
    deep = "/d" * 1500
    bind = Mount(target=f"{deep}/null", fstype="bind", source="/dev/null")
    assert sh("ls /", mounts=(bind,)).lines == ["bin", "d", "proc"]
    remove_tree(str(tmp_path / "sandbox"))  # too deep for pytest's own way


@pytest.mark.parametrize("how", ["bind", "filesystem", "working directory", "operation"])
def test_a_failure_half_way_leaves_no_mount(
    in_process: Launches, fields: dict[str, Any], how: str, tmp_path: Path
) -> None:
    more: dict[str, Any] = {
        "bind": {"mounts": (Mount(target="/x", fstype="bind", source="/no/such"),)},
        "filesystem": {"mounts": (Mount(target="/x", fstype="no-such-fs"),)},
        "working directory": {"working_directory": "/bin/busybox"},
        "operation": {"file_operations": (FileOperation(kind="write", path="/bin/sh/x", content=""),)},
    }[how]
    assert "cannot " in fails(in_process, fields, **more)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
