"""The launchers that there are, each by both ways to fork its supervisors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from launcher.linux import LinuxLauncher
from launcher.posix import PosixLauncher
from tests.conformance.launcher_suite import LauncherSuite
from tests.launcher.support import EngineLauncher, Launches

POSIX_EXCEPTIONS = {
    "test_daemons_end_with_the_task": "nothing but Linux' subreaper ties a process of another session to it",
}


@pytest.mark.requires("root")
class TestLinuxByForkServer(LauncherSuite):
    def make(self, directory: Path) -> Launches:
        return Launches(LinuxLauncher(), directory)


@pytest.mark.requires("root")
class TestLinuxInProcess(LauncherSuite):
    def make(self, directory: Path) -> Launches:
        return Launches(LinuxLauncher(in_process=True), directory)


@pytest.mark.requires("root")
class TestEngineByForkServer(LauncherSuite):
    def make(self, directory: Path) -> Launches:
        return Launches(EngineLauncher(), directory)


@pytest.mark.requires("root")
class TestEngineInProcess(LauncherSuite):
    def make(self, directory: Path) -> Launches:
        return Launches(EngineLauncher(in_process=True), directory)


class TestPosixByForkServer(LauncherSuite):
    exceptions: ClassVar[Mapping[str, str]] = POSIX_EXCEPTIONS

    def make(self, directory: Path) -> Launches:
        return Launches(PosixLauncher(), directory, namespaces={}, no_pid_namespace={})


class TestPosixInProcess(LauncherSuite):
    exceptions: ClassVar[Mapping[str, str]] = POSIX_EXCEPTIONS

    def make(self, directory: Path) -> Launches:
        return Launches(PosixLauncher(in_process=True), directory, namespaces={}, no_pid_namespace={})
