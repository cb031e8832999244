"""`cp`: what a container makes of the copying that the host's root does in its files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import tarfile  # noqa: TID251 - as tests.support.images
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import Build, pid_of, running
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# What a process in a container's root would load or run: each says so, where the host looks.
LOADED = (
    "lib",
    "lib64",
    "usr/lib",
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
)
LIBRARIES = (
    "libnss_files.so.2",
    "libnss_compat.so.2",
    "libc.so.6",
    "libnss_sss.so.2",
    "ld-linux-x86-64.so.2",
)
PROGRAMS = (
    "bin/tar",
    "usr/bin/tar",
    "bin/cp",
    "bin/gzip",
    "usr/bin/newuidmap",
    *(f"usr/bin/{name}" for name in ("unpigz", "gunzip", "xz", "bzip2", "zstd", "unxz")),
    "sbin/tar",
    "usr/bin/python3",
)


def test_cve_2019_14271_code_of_the_container(cli: Cli, build: Build, tmp_path: Path) -> None:
    """`docker cp` had a process in the container's root load the libraries there, to find users; and, in
    CVE-2026-41567, run the programs there, to read a compressed archive.
    """
    evil = b"#!/bin/sh\necho $0 >> /ran; exit 1\n"
    image = build(
        images.directory("etc/"),
        images.entry("etc/nsswitch.conf", b"passwd: evil files\ngroup: evil files\n"),
        images.entry("etc/ld.so.preload", b"/lib/libevil.so\n"),
        *(images.entry(f"{place}/{name}", evil, mode=0o755) for place in LOADED for name in LIBRARIES),
        *(images.entry(name, evil, mode=0o755) for name in PROGRAMS),
    )
    (tmp_path / "file").write_text("the host's")
    with running(cli, image) as name:
        for options in ((), ("-a",)):
            assert cli("cp", *options, str(tmp_path / "file"), f"{name}:/root/file").returncode == 0
            assert cli("cp", *options, f"{name}:/root/file", str(tmp_path / "back")).returncode == 0
        tar = [*cli.argv, "cp", f"{name}:/etc", "-"]
        archive = subprocess.run(tar, capture_output=True, check=True, timeout=60).stdout
        for packed in (archive, gzip.compress(archive), lzma.compress(archive), bz2.compress(archive)):
            subprocess.run([*cli.argv, "cp", "-", f"{name}:/root"], input=packed, check=False, timeout=60)
        assert not Path(f"/proc/{pid_of(cli, name)}/root/ran").exists()
    assert (tmp_path / "back").read_text() == "the host's"


def test_cve_2018_15664_a_link_to_the_hosts_root(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """As published: a directory that is a link to / every other moment, and in it a path of the host's."""
    secret = tmp_path / "w00t_w00t_im_a_flag"
    secret.write_text("the host's")
    below = str(tmp_path)[1:]
    swap = (
        f"mkdir -p /totally_safe/{below} /spare; echo mine > /totally_safe{secret}; ln -s / /evil;"
        " while :; do mv /totally_safe /x; mv /evil /totally_safe;"
        " mv /totally_safe /evil; mv /x /totally_safe; done"
    )
    new = tmp_path / "new"
    new.write_text("overwritten")
    with running(cli, busybox, script=swap) as name:
        for _ in range(4):
            cli("cp", f"{name}:/totally_safe{secret}", str(tmp_path / "got"))
            cli("cp", str(new), f"{name}:/totally_safe{secret}")
            if (tmp_path / "got").exists():
                assert (tmp_path / "got").read_text() in ("mine\n", "overwritten")
    assert secret.read_text() == "the host's"
    assert sorted(os.listdir(tmp_path)) in (["got", "new", secret.name], ["new", secret.name])


def test_cve_2026_41568_and_42306_the_place_of_a_volume_is_swapped(
    cli: Cli, busybox: str, tmp_path: Path
) -> None:
    """Volumes were mounted once more for a copy, at paths of the container's: a directory on the way that is
    a link every other moment had files made, or the volume mounted, anywhere on the host.
    """
    volume, there, new = (tmp_path / name for name in ("volume", "there", "new"))
    for directory in (volume, there / "in"):
        directory.mkdir(parents=True)
    new.write_text("written")
    swap = (
        f"ln -s {'../' * 12}{str(there)[1:]} /evil;"
        " while :; do mv /place /x; mv /evil /place; mv /place /evil; mv /x /place; done"
    )
    with running(cli, busybox, "-v", f"{volume}:/place/in", script=swap) as name:
        for number in range(4):
            cli("cp", str(new), f"{name}:/place/in/file{number}")
            cli("cp", str(new), f"{name}:/place/made{number}")
            cli("cp", f"{name}:/place/in", str(tmp_path / "got"))
    assert sorted(path.name for path in there.rglob("*")) == ["in"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_cve_2026_17106_links_of_an_archive(cli: Cli, busybox: str, tmp_path: Path, kind: bytes) -> None:
    """A member that is a link leads out, and the next one is written through it: into the container's own
    files at most, as the copy's root is theirs.
    """
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    members = []
    for number, link in enumerate((str(secret), f"{'../' * 20}{str(secret)[1:]}", f"/proc/1/root{secret}")):
        members += [
            images.entry(f"link{number}", kind=kind, link=link),
            images.entry(f"link{number}", b"written"),
            images.symlink(f"way{number}", os.path.dirname(link)),
            images.entry(f"way{number}/secret", b"written"),
            images.entry(f"way{number}/made", b"written"),
        ]
    for member in members, members[2:]:
        with running(cli, busybox) as name:
            put = [*cli.argv, "cp", "-", f"{name}:/root"]
            subprocess.run(put, input=images.archive(member), check=False, capture_output=True, timeout=60)
    assert secret.read_text() == "the host's"
    assert os.listdir(tmp_path) == ["secret"]
