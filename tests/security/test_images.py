"""What images say of themselves, or volumes have in them, taken for more than that: published since 2022."""

from __future__ import annotations

import json
import os
import tarfile  # noqa: TID251 - as tests.support.images
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.end_to_end.person import person
from tests.security.conftest import Build
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAMES = ("ptmx", "fd", "stdin", "stdout", "stderr", "core", "console", "null", "shm", "pts", "mqueue")


def _marked(directory: Path, *names: str) -> Path:
    """A directory of the host's with files of these names, that nobody is to touch."""
    directory.mkdir()
    for name in names:
        (directory / name).write_text("the host's")
    return directory


def _untouched(directory: Path, *names: str) -> None:
    assert sorted(os.listdir(directory)) == sorted(names)
    for name in names:
        status = os.lstat(directory / name)
        assert (status.st_uid, status.st_gid) == (0, 0)
        assert (directory / name).read_text() == "the host's"


@pytest.mark.parametrize("up", ["", "../../../../../.."], ids=["absolute", "relative"])
@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_cve_2026_41579_dev_is_a_link(
    cli: Cli, build: Build, tmp_path: Path, up: str, *, terminal: bool
) -> None:
    """Links and a ptmx are made, and an older ptmx removed, in a directory of the host's; as in crun."""
    there = _marked(tmp_path / "there", "ptmx", "stdin")
    image = build(images.symlink("dev", f"{up}{there}"), without=("dev",))
    options = ("-t",) if terminal else ()
    with cli.start("run", "--rm", *options, image, "true") as process:
        process.communicate()
    _untouched(there, "ptmx", "stdin")


def test_cve_2026_88264_and_88265_dev_is_a_volume(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """Where no fresh /dev is mounted, its console and its null may be links: to files of the host's by their
    descriptors, or to what is read-only in the container.
    """
    there = _marked(tmp_path / "there", *NAMES)
    for target, options in ((str(there), ()), (f"/proc/1/root{there}", ("--read-only",))):
        volume = tmp_path / f"dev{len(os.listdir(tmp_path))}"
        volume.mkdir()
        for name in NAMES:
            (volume / name).symlink_to(f"{target}/{name}")
        run = ("run", "--rm", "-v", f"{volume}:/dev", "-u", "1000")
        done = cli(*run, *options, busybox, "sh", "-c", "echo written > /dev/null; echo said; true")
        assert done.returncode in (0, 125), done.stderr
        with person(cli, *run, *options, "-it", busybox, "sh", "-c", "echo written > /dev/console") as me:
            assert me.sees_the_end() in (0, 1, 125)
        _untouched(there, *NAMES)


def test_cve_2026_53488_labels_are_no_orders(cli: Cli, build: Build, tmp_path: Path) -> None:
    """Labels of an image became annotations, which others act upon: a program of the host's as a logger, a
    device by CDI, a hook.
    """
    ran = tmp_path / "ran"
    (tmp_path / "hooks").mkdir()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo ran >> {ran}"]}
    file = {
        "version": "1.0.0",
        "hook": hook,
        "when": {"annotations": {"run": "yes"}},
        "stages": ["poststart"],
    }
    (tmp_path / "hooks" / "a.json").write_text(json.dumps(file))
    labels = {
        "run": "yes",
        "containerd.io/restart.loguri": f"binary:///bin/sh?-c=echo ran >> {ran}",
        "containerd.io/restart.status": "running",
        "cdi.k8s.io/x": "vendor.com/device=all",
        "io.kubernetes.cri-o.Devices": "/dev/kmsg",
        "run.oci.handler": "krun",
        "org.systemd.property.ExecStopPost": f"touch {ran}",
        "io.podman.annotations.privileged": "TRUE",
    }
    script = "test ! -e /dev/kmsg && grep CapBnd /proc/self/status"
    done = cli(
        "run", "--rm", "--hooks-dir", str(tmp_path / "hooks"), build(Labels=labels), "sh", "-c", script
    )
    assert (done.returncode, done.stdout) == (0, "CapBnd:\t00000000a80425fb\n"), done.stderr
    assert not ran.exists()


def test_cve_2025_23266_variables_for_a_hook(cli: Cli, build: Build, tmp_path: Path) -> None:
    """A hook that runs in the container's namespaces had the image's LD_PRELOAD, and the image for its
    working directory: its library was loaded into a program with the host's privileges.
    """
    out = tmp_path / "out"
    script = f"env >> {out}; pwd >> {out}; ls >> {out}; readlink /proc/self/cwd >> {out}; cat > /dev/null"
    for point in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
        file = {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": [point]}
        (tmp_path / f"{point}.json").write_text(json.dumps(file))
    env = ["PATH=/bin", "LD_PRELOAD=./evil.so", "LD_LIBRARY_PATH=.", "BASH_ENV=./evil", "ENV=./evil"]
    image = build(images.entry("evil.so", b"evil", mode=0o755), Env=env, WorkingDir="/")
    done = cli("run", "--rm", "--hooks-dir", str(tmp_path), "-e", "LD_AUDIT=./evil.so", image, "true")
    assert done.returncode == 0, done.stderr
    said = out.read_text()
    assert said.count("PATH=/bin:/usr/bin") == 5
    assert "evil" not in said


@pytest.mark.parametrize(
    "entries",
    [
        (images.entry("etc/group", b"g:x:0:" + b"u," * (4 << 20)), images.entry("etc/passwd", b"")),
        (images.symlink("etc/group", "/dev/zero"), images.symlink("etc/passwd", "/proc/1/root/etc/passwd")),
        (images.entry("etc/group", kind=tarfile.FIFOTYPE), images.entry("etc/passwd", kind=tarfile.FIFOTYPE)),
    ],
    ids=["huge", "links", "fifos"],
)
def test_cve_2026_47262_files_of_users(
    cli: Cli, build: Build, entries: tuple[tuple[tarfile.TarInfo, bytes], ...]
) -> None:
    """A group file without an end takes all memory (and CVE-2024-9676: a FIFO or a link, for ever)."""
    image = build(images.directory("etc/"), *entries)
    for user in ("0", "1000:1000"):
        done = cli("run", "--rm", "-u", user, image, "grep", "Uid:", "/proc/self/status")
        number = user.partition(":")[0]
        assert (done.returncode, done.stdout.split()[1:]) == (0, [number] * 4), done.stderr
    assert cli("run", "--rm", "-u", "nobody", image, "true").returncode == 125


def test_cve_2024_40635_numbers_that_wrap_around(cli: Cli, build: Build) -> None:
    """A user id that is larger than it may be was root; and CVE-2026-46680: taken for the name of one."""
    users = ("4294967296", "4294967295", "2147483648:4294967296", "-1")
    names = {number for user in users for number in user.split(":")}
    passwd = "".join(f"{name}:x:0:0::/:\n" for name in names if name.isdigit()).encode()
    entries = (images.directory("etc/"), images.entry("etc/passwd", passwd))
    named = build(*entries)
    for user in users[2:]:
        assert cli("run", "--rm", "--user", user, named, "true").returncode == 125
    for user in users[:3]:
        done = cli("run", "--rm", build(*entries, User=user), "true")
        assert (done.returncode, done.stdout) == (125, "")


def test_cve_2026_57231_variables_of_the_host(
    cli: Cli, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the image's without a value was the launcher's, and one with a * all of these."""
    monkeypatch.setenv("HOST_TOKEN", "of-the-host")
    image = build(Env=["PATH=/bin", "HOST_TOKEN", "HOST_*", "*", "=HOST_TOKEN", "A=$HOST_TOKEN${HOST_TOKEN}"])
    done = cli("run", "--rm", image, "env")
    assert "of-the-host" not in done.stdout
    assert done.returncode == 0 or "Env" in done.stderr


def test_cve_2026_55686_a_working_directory_that_leads_out(cli: Cli, build: Build, tmp_path: Path) -> None:
    """It was made on the host, and given to the container's user."""
    there = _marked(tmp_path / "there", "file")
    links = (images.symlink("out", str(there)), images.symlink("up", f"{'../' * 12}{str(there)[1:]}"))
    for name in ("out", "up"):
        image = build(*links, WorkingDir=f"/{name}/made")
        done = cli("run", "--rm", "-u", "1000", image, "pwd")
        assert (done.returncode, done.stdout) in ((125, ""), (0, f"{there}/made\n"))
        assert cli("run", "--rm", "-w", f"/{name}/made/more", build(*links), "true").returncode in (0, 125)
    _untouched(there, "file")


def test_cve_2022_23648_volumes_of_an_image(cli: Cli, build: Build, tmp_path: Path) -> None:
    """A volume is filled with what the image has there; its path, or a link, led to the host's."""
    (tmp_path / "secret").write_text("the host's")
    up = "/.." * 12
    image = build(images.symlink("leads", f"{up}{tmp_path}"), Volumes={f"{up}{tmp_path}": {}, "/leads": {}})
    done = cli("run", "--rm", image, "sh", "-c", f"cat /leads/* {tmp_path}/* .{up}{tmp_path}/*; true")
    assert "the host's" not in done.stdout
    assert done.returncode in (0, 125)
