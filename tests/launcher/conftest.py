"""The launcher, by either of its two ways to fork a supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.linux import LinuxLauncher
from tests.launcher.support import Launches


@pytest.fixture(params=["fork server", "in process"])
def launches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launches]:
    launches = Launches(LinuxLauncher(in_process=request.param == "in process"), tmp_path)
    yield launches
    launches.close()


@pytest.fixture
def in_process(tmp_path: Path) -> Iterator[Launches]:
    """For what does not depend on who forks."""
    launches = Launches(LinuxLauncher(in_process=True), tmp_path)
    yield launches
    launches.close()
