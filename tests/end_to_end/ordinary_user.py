"""Somebody without privileges, for the tests of what an ordinary user does."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.launcher.support import wait_for_end
from tests.support import images

ROOT = Path(__file__).parents[2]
UID = 61001
FIRST, COUNT = 700_000, 65_536

# In a mount namespace of its own, where the host's files know the user and its ids.
INSIDE = """
mount --bind {files}/passwd /etc/passwd && mount --bind {files}/subid /etc/subuid &&
mount --bind {files}/subid /etc/subgid && mount --bind {project} /mnt && {tun} &&
test ! -e {files}/resolv.conf || mount --bind {files}/resolv.conf /etc/resolv.conf; cd {home} &&
exec setpriv --reuid {uid} --regid {uid} --clear-groups env -i {environment} "$@"
"""


_NO_TUN = "{ test ! -d /dev/net || mount -t tmpfs -o mode=755 none /dev/net; }"


@dataclass(frozen=True)
class User:
    """Somebody who has no privileges, with a home of its own."""

    home: Path
    image: str
    uid: int = UID
    subordinate: bool = True
    within: tuple[str, ...] = ()
    tun: bool = False

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*arguments), input=stdin, text=True, capture_output=True, timeout=60)

    def argv(self, *arguments: str) -> list[str]:
        return self.python("-m", "containerizer", *arguments)

    @property
    def cli(self) -> Cli:
        """The same, for tests of what everybody does."""
        *within, interpreter = self.python()
        root, state = self.home / ".local/share/containerizer", self.home / "run/containerizer"
        return Cli(root, state, within=tuple(within), interpreter=interpreter)

    def python(self, *words: str) -> list[str]:
        """A command of this user's."""
        environment = {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": f"{self.home}/run",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": "/mnt",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        script = INSIDE.format(
            files=self.home.parent,
            project=ROOT,
            tun=f"mount --bind {self.home.parent}/tun /dev/net/tun" if self.tun else _NO_TUN,
            home=self.home,
            uid=self.uid,
            environment=" ".join(shlex.quote(f"{name}={value}") for name, value in environment.items()),
        )
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
        return [*self.within, *inside, "/mnt/.venv/bin/python", *words]

    def run(self, *words: str) -> str:
        """The output of a container on the image."""
        done = self("run", "--rm", *words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@contextlib.contextmanager
def ordinary_user(
    *, subordinate: bool = True, within: tuple[str, ...] = (), tun: bool = False
) -> Iterator[User]:
    """`within`: the command that runs its commands elsewhere. `tun`: whether it may make such devices."""
    with tempfile.TemporaryDirectory(prefix="rootless-") as temporary:
        home = Path(temporary) / "home"
        os.chmod(temporary, 0o755)
        (home / "run").mkdir(parents=True)
        for directory in (home, home / "run"):
            os.chown(directory, UID, UID)
            directory.chmod(0o700)
        layout = images.write_layout([("latest", images.busybox())], Path(temporary) / "image")
        (Path(temporary) / "passwd").write_text(
            f"root:x:0:0::/root:/bin/sh\nme:x:{UID}:{UID}::{home}:/bin/sh\n"
        )
        (Path(temporary) / "subid").write_text(f"me:{FIRST}:{COUNT}\n" if subordinate else "")
        if tun:
            os.mknod(Path(temporary) / "tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
            os.chmod(Path(temporary) / "tun", 0o666)
        user = User(home, f"oci:{layout}:latest", subordinate=subordinate, within=within, tun=tun)
        if subprocess.run(user.argv("--version"), capture_output=True).returncode:
            pytest.skip("this Python is out of other users' reach")
        yield user
        leave(user)


def leave(user: User) -> None:
    """All of the user's containers, and then what holds its namespaces."""
    for name in user("ps", "-aq").stdout.split():
        user("rm", "-f", name)
    leftover = [*(user.home / "run/containerizer").glob("containers/*")]
    user("rmi", user.image)
    kill_holder(user)
    assert leftover == []


def kill_holder(user: User) -> None:
    pidfd = os.pidfd_open(holder(user))
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    wait_for_end(pidfd)


def holder(user: User) -> int:
    """The pid of the process that holds the user's namespaces."""
    return int(json.loads((user.home / "run/containerizer/rootless/holder.json").read_text())["pid"])


def task_of(user: User, name: str) -> int:
    record = user.home / f"run/containerizer/containers/{name}/container.json"
    return int(json.loads(record.read_text())["pid"])
