"""Capabilities that a task has or gets back, beside those that it was given."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from launcher.kernel.capabilities import NUMBERS
from tests.end_to_end.conftest import Cli
from tests.security.conftest import Build, running
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# VFS_CAP_REVISION_2 of linux/capability.h: then permitted and inheritable, low and high.
_REVISION_2 = 0x02000000


def _with(name: str, *, effective: bool) -> dict[str, str]:
    """The attribute of a file that has it as permitted and inheritable."""
    low, high = (1 << NUMBERS[name]) & 0xFFFFFFFF, (1 << NUMBERS[name]) >> 32
    packed = struct.pack("<5I", _REVISION_2 | effective, low, low, high, high)
    return {"SCHILY.xattr.security.capability": packed.decode("ascii")}


def _sets(text: str) -> dict[str, int]:
    lines = (line.split(":") for line in text.splitlines() if line.startswith("Cap"))
    return {name: int(value, 16) for name, value in lines}


SHOW = "grep ^Cap /proc/self/status"


@pytest.mark.parametrize("user", ["0", "nobody"])
@pytest.mark.parametrize("add", [(), ("--cap-add", "ALL")], ids=" ".join)
def test_cve_2022_24769(cli: Cli, busybox: str, user: str, add: tuple[str, ...]) -> None:
    """And CVE-2022-29162 for `exec`: what is inheritable, a file that has it in its own set grants."""
    with running(cli, busybox, "-u", user, *add) as name:
        first = _sets(cli("exec", name, "sh", "-c", "grep ^Cap /proc/1/status").stdout)
        further = _sets(cli("exec", name, "sh", "-c", SHOW).stdout)
        other = _sets(cli("exec", "-u", "65534", name, "sh", "-c", SHOW).stdout)
    for sets in (first, further, other):
        assert (sets["CapInh"], sets["CapAmb"]) == (0, 0)
    if user != "0":
        assert (first["CapPrm"], first["CapEff"], further["CapEff"]) == (0, 0, 0)
    assert (other["CapPrm"], other["CapEff"]) == (0, 0)


def test_capabilities_of_files(cli: Cli, build: Build) -> None:
    """An image brings programs that have some, and setuid ones: no-new-privileges leaves them without effect.

    Without it they get what the container was given, and no more.
    """
    program = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    image = build(
        images.entry("given/sh", program, mode=0o755, pax=_with("CAP_NET_BIND_SERVICE", effective=True)),
        images.entry("beyond/sh", program, mode=0o755, pax=_with("CAP_SYS_ADMIN", effective=False)),
        images.entry("setuid/sh", program, mode=0o4755),
    )
    read = "while read -r line; do case $line in CapEff*|CapPrm*) echo $line;; esac; done < /proc/self/status"
    script = f"for p in given beyond setuid; do /$p/sh -c '{read}'; done"
    shut = cli("run", "--rm", "-u", "1000", image, "sh", "-c", script).stdout
    assert [line.split()[1] for line in shut.splitlines()] == ["0" * 16] * 6
    option = ("--security-opt", "no-new-privileges=false")
    opened = cli("run", "--rm", *option, "-u", "1000", image, "sh", "-c", script).stdout
    bounding = _sets(cli("run", "--rm", image, "sh", "-c", SHOW).stdout)["CapBnd"]
    found = [int(line.split()[1], 16) for line in opened.splitlines()]
    assert found[:2] == [1 << NUMBERS["CAP_NET_BIND_SERVICE"]] * 2, "it works where it may"
    assert all(sets & ~bounding == 0 for sets in found)
