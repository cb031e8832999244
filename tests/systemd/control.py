"""systemctl(1), and what systemd has said of a cgroup."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOP = Path("/sys/fs/cgroup")
TIMEOUT = 90  # seconds until something counts as hung; this machine is emulated


def systemctl(*arguments: str) -> str:
    """What it prints. It must succeed."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, (arguments, done.stderr, journal())
    return done.stdout


def journal() -> str:
    """The last that was logged."""
    argv = ["journalctl", "--no-pager", "-n", "40", "-o", "cat"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT).stdout


def shown(unit: str, name: str) -> str:
    """A property of the unit."""
    return systemctl("show", "--value", "-p", name, unit).strip()


def tree(directory: Path) -> dict[str, str]:
    """Each cgroup there, and what it hands on to its children."""
    found = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    return {str(path): (path / "cgroup.subtree_control").read_text().strip() for path in found}


def inner_with_processes(directory: Path) -> list[str]:
    """Cgroups that have both processes and children: systemd's rule is that there are none."""
    found = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    inner = [path for path in found if any(each.is_dir() for each in path.iterdir())]
    return [str(path) for path in inner if (path / "cgroup.procs").read_text().strip()]
