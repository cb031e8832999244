"""Limits from the command line to the kernel and back; that they hold, the tests of the isolators show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli
from tests.support.disks import loop_device, numbers_of

pytestmark = pytest.mark.requires("root", "cgroup1", "overlay", "registry", "busybox")

NAME = "limited"


@pytest.fixture(autouse=True)
def removed(cli: Cli) -> Iterator[None]:
    yield
    cli("rm", "-f", NAME)


def start(cli: Cli, image: str, *limits: str) -> None:
    started = cli("run", "-d", "--name", NAME, *limits, image, "sleep", "1000")
    assert started.returncode == 0, started.stderr


def update(cli: Cli, *limits: str) -> None:
    updated = cli("update", *limits, NAME)
    assert updated.returncode == 0, updated.stderr


def stats(cli: Cli) -> dict[str, Any]:
    told = json.loads(cli("stats", "--no-stream", "--json", "--interval", "0.05", NAME).stdout)
    assert isinstance(told[0], dict)
    return told[0]


def content(controller: str, file: str) -> str:
    hierarchy = cgroups.find(controller)
    assert hierarchy
    return cgroups.read(os.path.join(hierarchy.mount_point, "containerizer", f"ct-{NAME}"), file)


def test_rates_of_disks(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with loop_device(tmp_path / "one") as one, loop_device(tmp_path / "two") as two:
        rates = ("--device-write-bps", f"{one}:1m", "--device-write-bps", f"{two}:1k")
        start(cli, busybox, *rates, "--device-read-iops", f"{two}:5")
        file = "blkio.throttle.write_bps_device"
        assert content("blkio", file).splitlines() == [
            f"{numbers_of(one)} 1048576",
            f"{numbers_of(two)} 1024",
        ]
        update(cli, "--device-write-bps", f"{one}:2m")
        assert content("blkio", file).splitlines() == [
            f"{numbers_of(one)} 2097152",
            f"{numbers_of(two)} 1024",
        ]
        update(cli, "--device-write-bps", f"{one}:0")
        assert content("blkio", file) == f"{numbers_of(two)} 1024"
        assert content("blkio", "blkio.throttle.read_iops_device") == f"{numbers_of(two)} 5"
        assert stats(cli)["io_disks"][numbers_of(two)]["reads"] == 0
        cli("rm", "-f", NAME)
