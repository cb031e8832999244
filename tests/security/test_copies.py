"""`cp`: what a container makes of the copying that the host's root does in its files."""

from __future__ import annotations

import os
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
    "sbin/tar",
    "usr/bin/python3",
)


def test_cve_2019_14271_code_of_the_container(cli: Cli, build: Build, tmp_path: Path) -> None:
    """`docker cp` had a process in the container's root load the libraries there, to find users."""
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
        assert cli("cp", f"{name}:/etc", "-").returncode == 0
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
