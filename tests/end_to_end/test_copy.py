"""`cp`: files into containers and out of them, whatever their tasks do with the same files."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"copy-{os.getpid()}"
MTIME = 1_000_000_000_123_456_789  # ns


@contextlib.contextmanager
def running(cli: Cli, busybox: str, *options: str, script: str = "exec sleep 1000") -> Iterator[None]:
    done = cli("run", "-d", "--name", NAME, *options, busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield
    finally:
        assert cli("rm", "-f", NAME).returncode == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with one of each that can be copied."""
    top = tmp_path / "tree"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "file").write_bytes(b"content\n" * 1000 + bytes(1 << 21) + b"end")
    (top / "sub" / "script").write_text("#!/bin/sh\necho ran\n")
    (top / "sub" / "script").chmod(0o751)
    os.link(top / "file", top / "sub" / "hard")
    (top / "link").symlink_to("../../../etc/passwd")
    os.mkfifo(top / "fifo")
    os.setxattr(top / "file", "user.colour", b"red")
    os.chown(top / "file", 1234, 4321)
    (top / "sub" / ("long" * 50)).write_text("a long name")
    (top / "sub" / "üñí").write_text("not ASCII")
    (top / "sub").chmod(0o2750)
    for path in (top / "sub" / "deep", top / "sub", top):
        os.utime(path, ns=(MTIME, MTIME))
    os.utime(top / "file", ns=(MTIME, MTIME))
    return top


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def described(top: Path, *, owners: bool) -> dict[str, tuple[object, ...]]:
    """What a tree is, by the paths in it."""
    found = {}
    for path in [top, *top.rglob("*")]:
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        xattrs = {} if path.is_symlink() else {n: os.getxattr(path, n) for n in os.listxattr(path)}
        whose = (status.st_uid, status.st_gid) if owners else ()
        mtime = status.st_mtime_ns if path.is_file() or path.is_dir() else 0
        found[str(path.relative_to(top))] = (oct(status.st_mode), mtime, content, xattrs, *whose)
    return found


# There and back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("archive", [(), ("-a",)])
def test_a_tree_comes_back_as_it_went(
    cli: Cli, busybox: str, tree: Path, tmp_path: Path, archive: tuple[str, ...]
) -> None:
    with running(cli, busybox):
        ok(cli("cp", *archive, str(tree), f"{NAME}:/etc"))
        assert ok(cli("exec", NAME, "/etc/tree/sub/script")) == "ran\n"
        owner = ok(cli("exec", NAME, "stat", "-c", "%u:%g %h", "/etc/tree/file"))
        assert owner == ("1234:4321 2\n" if archive else "0:0 2\n")
        ok(cli("cp", *archive, f"{NAME}:/etc/tree", str(tmp_path / "back")))
    there, back = (described(path, owners=bool(archive)) for path in (tree, tmp_path / "back"))
    assert there == back
    assert os.path.samefile(tmp_path / "back" / "file", tmp_path / "back" / "sub" / "hard")


def test_a_tar_stream_there_and_back(cli: Cli, busybox: str, tree: Path, tmp_path: Path) -> None:
    tar = subprocess.run(["tar", "-C", tmp_path, "--xattrs", "-c", "tree"], capture_output=True, check=True)
    with running(cli, busybox):
        put = [*cli.argv, "cp", "-a", "-", f"{NAME}:/etc"]
        subprocess.run(put, input=tar.stdout, check=True, timeout=60)
        get = [*cli.argv, "cp", f"{NAME}:/etc/tree", "-"]
        got = subprocess.run(get, capture_output=True, check=True, timeout=60).stdout
    back = tmp_path / "back"
    back.mkdir()
    subprocess.run(["tar", "-C", back, "--xattrs", "-xp"], input=got, check=True)
    there, came = described(tree, owners=True), described(back / "tree", owners=True)
    for left in there.keys() | came.keys():
        # GNU tar writes whole seconds, and a file system's own times for what it makes.
        assert [x for n, x in enumerate(there[left]) if n != 1] == [
            x for n, x in enumerate(came[left]) if n != 1
        ]


@pytest.mark.requires("userns")
def test_in_a_user_namespace_the_containers_ids_count(
    cli: Cli, busybox: str, tree: Path, tmp_path: Path
) -> None:
    with running(cli, busybox, "--userns", "300000:65536"):
        ok(cli("cp", str(tree), f"{NAME}:/plain"))
        ok(cli("cp", "-a", str(tree), f"{NAME}:/kept"))
        stat = ("exec", NAME, "stat", "-c", "%u:%g")
        assert ok(cli(*stat, "/plain/file", "/kept/file", "/kept/sub")) == "0:0\n1234:4321\n0:0\n"
        ok(cli("cp", "-a", f"{NAME}:/kept", str(tmp_path / "back")))
        ok(cli("cp", f"{NAME}:/kept", str(tmp_path / "mine")))
    assert described(tree, owners=True) == described(tmp_path / "back", owners=True)
    assert described(tree, owners=False) == described(tmp_path / "mine", owners=False)
    assert (tmp_path / "mine" / "file").stat().st_uid == 0


def test_a_container_that_has_ended(cli: Cli, busybox: str, tmp_path: Path) -> None:
    cli("run", "--name", NAME, busybox, "sh", "-c", "mkdir /made; echo late > /made/result")
    try:
        ok(cli("cp", f"{NAME}:/made/result", str(tmp_path)))
        assert (tmp_path / "result").read_text() == "late\n"
        (tmp_path / "new").write_text("put\n")
        ok(cli("cp", str(tmp_path / "new"), f"{NAME}:/made/"))
        ok(cli("cp", f"{NAME}:/made/.", str(tmp_path / "all")))
        assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["new", "result"]
        assert str(cli.root) not in Path("/proc/self/mountinfo").read_text()
    finally:
        cli("rm", NAME)


def test_a_paused_container(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox):
        cli("pause", NAME)
        ok(cli("cp", f"{NAME}:/etc/passwd", str(tmp_path)))
        assert "root" in (tmp_path / "passwd").read_text()


def test_the_library(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox):
        files = Containerizer(root=str(cli.root), state=str(cli.state), isolation=()).get(NAME).files
        (tmp_path / "in").write_text("from Python")
        assert files.copy_to(str(tmp_path / "in"), "/etc/out") == []
        assert files.copy_from("etc/out", str(tmp_path / "back")) == []
        assert (tmp_path / "back").read_text() == "from Python"


# Where it goes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "made"),
    [
        ("file", "/dir", "/dir/file"),
        ("file", "/dir/", "/dir/file"),
        ("file", "/dir/new", "/dir/new"),
        ("file", "/there", "/there"),
        ("file", "/to-dir", "/dir/file"),
        ("file", "/to-file", "/there"),
        ("file", "relative", "/relative"),
        ("sub", "/dir", "/dir/sub/script"),
        ("sub/", "/dir", "/dir/sub/script"),
        ("sub/.", "/dir", "/dir/script"),
        ("sub", "/new", "/new/script"),
        ("sub", "/new/.", "/new/script"),
        ("sub", "/dir/.", "/dir/sub/script"),
        ("sub", "/new/", "/new/script"),
        ("sub/.", "/new", "/new/script"),
    ],
)
def test_the_rules(cli: Cli, busybox: str, tree: Path, source: str, target: str, made: str) -> None:
    script = "mkdir /dir; touch /there /dir/stays; ln -s dir /to-dir; ln -s /there /to-file; exec sleep 1000"
    with running(cli, busybox, script=script + " # ready"):
        ok(cli("exec", NAME, "sh", "-c", "until [ -L /to-file ]; do :; done"))
        ok(cli("cp", f"{tree}/{source}", f"{NAME}:{target}"))
        ok(cli("exec", NAME, "sh", "-c", f"test -s {made} && test -e /dir/stays && test -L /to-file"))


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("missing", "/", "missing: no such file or directory"),
        ("file/", "/", "file/: not a directory"),
        ("file", "/new/", ":/new/: no such directory"),
        ("file", "/no/where", ":/no/where: the directory around it does not exist"),
        ("file", "/etc/passwd/", ":/etc/passwd/: not a directory"),
        ("sub", "/etc/passwd", "onto the file"),
        ("file", "/proc/file", "the kernel's own"),
        ("file", "/new/.", ":/new/.: no such directory"),
        ("file", "/dev/null", "something is mounted there"),
    ],
)
def test_what_is_refused(cli: Cli, busybox: str, tree: Path, source: str, target: str, why: str) -> None:
    with running(cli, busybox):
        done = cli("cp", f"{tree}/{source}", f"{NAME}:{target}")
        assert (done.returncode, why in done.stderr) == (125, True), done.stderr
        ok(cli("exec", NAME, "sh", "-c", "echo > /dev/null"))


def test_a_link_as_source_is_copied_or_followed(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox, script="ln -s /etc/passwd /link; exec sleep 1000"):
        ok(cli("exec", NAME, "sh", "-c", "until [ -L /link ]; do :; done"))
        ok(cli("cp", f"{NAME}:/link", str(tmp_path / "link")))
        ok(cli("cp", "-L", f"{NAME}:/link", str(tmp_path / "file")))
    assert os.readlink(tmp_path / "link") == "/etc/passwd"
    assert "root" in (tmp_path / "file").read_text()


def test_neither_or_both_in_containers(cli: Cli) -> None:
    for arguments in (("a", "b"), ("a:/b", "c:/d"), ("./a:b", "/c:d")):
        assert "must be in a container" in cli("cp", *arguments).stderr
    assert "no container nobody" in cli("cp", "nobody:/a", "b").stderr


# Hostile containers ----------------------------------------------------------------------------------


def test_links_lead_nowhere_but_into_the_container(cli: Cli, busybox: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    up = "../" * 20
    script = f"ln -s {secret} /absolute; ln -s {up}{secret} /up; ln -s {tmp_path} /dir; exec sleep 1000"
    with running(cli, busybox, script=script):
        ok(cli("exec", NAME, "sh", "-c", "until [ -L /dir ]; do :; done"))
        for path in ("/absolute", "/up", "/dir/secret"):
            assert "no such file" in cli("cp", "-L", f"{NAME}:{path}", str(tmp_path / "stolen")).stderr
        (tmp_path / "new").write_text("written")
        for path in ("/absolute", "/up", "/dir/secret"):
            assert cli("cp", str(tmp_path / "new"), f"{NAME}:{path}").returncode == 125
    assert secret.read_text() == "the host's"
    assert not (tmp_path / "stolen").exists()


def test_links_swapped_meanwhile_lead_nowhere_else(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """CVE-2018-15664: a directory that is a link to the host's every other moment."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    swap = (
        f"mkdir -p /real; echo mine > /real/secret; ln -s {outside} /evil; cp -a /real /spare; echo ready;"
        " while :; do mv /real /x; mv /evil /real; mv /real /evil; mv /x /real; done"
    )
    new = tmp_path / "new"
    new.write_text("written")
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("written")
    with running(cli, busybox, script=swap):
        ok(cli("exec", NAME, "sh", "-c", "until [ -e /spare/secret ]; do :; done"))
        for _ in range(20):
            cli("cp", "-L", f"{NAME}:/real/secret", str(tmp_path / "got"))
            cli("cp", str(new), f"{NAME}:/real/secret")
            cli("cp", f"{tmp_path / 'tree'}/.", f"{NAME}:/real")
            assert [path.name for path in outside.iterdir()] == ["secret"]
            assert (outside / "secret").read_text() == "the host's"
            if (tmp_path / "got").exists():
                assert (tmp_path / "got").read_text() in ("mine\n", "written")


def test_privileges_are_not_carried_out(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox, script="cp /bin/busybox /su; chmod 6755 /su; exec sleep 1000"):
        ok(cli("exec", NAME, "sh", "-c", "until [ -u /su ]; do :; done"))
        ok(cli("cp", f"{NAME}:/su", str(tmp_path / "plain")))
        ok(cli("cp", "-a", f"{NAME}:/su", str(tmp_path / "kept")))
    assert oct((tmp_path / "plain").stat().st_mode & 0o7777) == "0o755"
    assert oct((tmp_path / "kept").stat().st_mode & 0o7777) == "0o6755"


def test_the_whole_root_without_the_kernels_files(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox):
        done = cli("cp", f"{NAME}:/", str(tmp_path / "all"))
        assert done.returncode == 0
        assert "left out 'dev/null'" in done.stderr
    assert (tmp_path / "all" / "bin" / "busybox").exists()
    assert list((tmp_path / "all" / "proc").iterdir()) == []


def test_the_kernels_files_and_devices_are_told_of(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with running(cli, busybox):
        for path in ("/proc/1/status", "/dev/null"):
            assert "are not copied" in cli("cp", f"{NAME}:{path}", str(tmp_path)).stderr


def test_names_of_an_archive_stay_in_the_target(cli: Cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    tar = ["tar", "-C", tmp_path, "-cP", "--transform", "s,evil,../../evil,", "evil"]
    archive = subprocess.run(tar, capture_output=True, check=True).stdout
    with running(cli, busybox):
        put = [*cli.argv, "cp", "-", f"{NAME}:/etc"]
        done = subprocess.run(put, input=archive, capture_output=True, timeout=60)
        assert (done.returncode, b"leads out of the copy" in done.stderr) == (125, True)
        no_archive = cli("cp", "-", f"{NAME}:/etc", stdin="x" * 2000)
        assert "no tar archive" in no_archive.stderr
