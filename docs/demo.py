"""The demo: a container from a real registry, one line a step. `make demo` runs it.

What runs here is what people type: the `containerizer` command, on directories of the demo's own.
Whatever happens, all that was started is removed, and the host is compared with how it was found.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.support: the demo runs from a checkout

from tests import leaks, requires  # noqa: E402 - found by the path above
from tests.support import images  # noqa: E402
from tests.support.registry import Registry, RegistryUnavailable  # noqa: E402

CONTAINERIZER = Path(sys.executable).with_name("containerizer")
LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")
SECONDS = 50  # after which a step counts as hung
KILLED = 128 + signal.SIGKILL

# What the task is asked to look at: a label, and the words of the shell. The cgroup files have
# their v1 names and places first, then those of v2; only one of them exists.
SIGHTS = {
    "process id": "echo $$",
    "user": "id -un",
    "hostname": "hostname",
    "processes": "echo $(ps -o pid,comm)",
    "network devices": "ls /sys/class/net",
    "memory limit": "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max",
    "CPU quota, period": "cd /sys/fs/cgroup; echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max)",
    "process limit": "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max",
    "capabilities": "grep CapEff /proc/self/status | cut -f 2",
    "no new privileges": "grep NoNewPrivs /proc/self/status | cut -f 2",
}

MULTIPLY = "n=1; trap 'echo $n processes' EXIT; while true; do sleep 100 & n=$((n + 1)); done"
HIDDEN = ("sh", "-c", "…")  # shown in place of a long script

_numbers = itertools.count(1)


class DemoFailed(Exception):
    """A step did not end as it should."""


class Interrupts:
    """Ctrl-C and SIGTERM, taken where the demo waits for a command and nowhere else.

    Anywhere, they could come between starting something and knowing what has to be stopped.
    """

    def __init__(self) -> None:
        self._asked = self._waiting = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, *_: object) -> None:
        self._asked = True
        if self._waiting:
            self._waiting = False  # once is enough: from here on we clean up
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Raises KeyboardInterrupt when asked to stop, before or within."""
        self._waiting = True
        try:
            if self._asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False


def main() -> int:
    before = leaks.take()
    leaks.become_subreaper()
    interrupts = Interrupts()
    work = Path(tempfile.mkdtemp(prefix="containerizer-demo-"))
    try:
        show(work, interrupts)
        code = 0
    except DemoFailed as failure:
        print(f"\nthe demo failed: {failure}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        code = 128 + signal.SIGINT
    finally:
        end_namespaces(work / "state")
        shutil.rmtree(work)
    return code if nothing_is_left(before, work) else code or 1


def show(work: Path, interrupts: Interrupts) -> None:
    check_the_host()
    say(f"images, sandboxes and state go to {work}, and away at the end; containers get that name, too")
    with ExitStack() as stack:
        walk = walk_through if os.geteuid() == 0 else walk_through_without_root
        walk(Command(work, interrupts), publish(stack, work))


def walk_through(command: Command, image: str) -> None:
    say("what would run: each setting, and the isolator that gives it")
    command.show("plan", *LIMITS, image, abridge=first_of_each_isolator)
    say("run it with 64 MiB of memory, half a CPU and 20 processes: this is what the task sees")
    command.show("run", "--rm", *LIMITS, image, "sh", "-c", looking(), shown=HIDDEN)
    say("use more than 64 MiB: the kernel ends the task, and the command tells why")
    command.show("run", "--rm", *LIMITS, image, "tail", "/dev/zero", expect=KILLED)
    say("start processes without end: 20 is where it stops")
    command.show("run", "--rm", *LIMITS, image, "sh", "-c", MULTIPLY, expect=2, shown=HIDDEN)
    name_what_is_not_there(command, image)


def walk_through_without_root(command: Command, image: str) -> None:
    say("what would run: each setting, and the isolator that gives it")
    command.show("plan", image, abridge=first_of_each_isolator)
    say("run it as root of a user namespace, with what limits this user may set: this is what it sees")
    command.show("run", "--rm", "--best-effort", *LIMITS, image, "sh", "-c", looking(), shown=HIDDEN)
    name_what_is_not_there(command, image)


def name_what_is_not_there(command: Command, image: str) -> None:
    say("name a command that the image lacks: one line, and the exit code of a shell")
    command.show("run", "--rm", image, "no-such-command", expect=127)


def check_the_host() -> None:
    if requires.missing("root") and requires.missing("userns"):
        raise DemoFailed("namespaces need root, or a host where ordinary users may have them: run it as root")
    if not CONTAINERIZER.exists():
        raise DemoFailed(f"{CONTAINERIZER} is missing: run `make venv`")
    if requires.missing("busybox"):
        raise DemoFailed(f"nothing to make an image of: {requires.missing('busybox')}")


def publish(stack: ExitStack, work: Path) -> str:
    """Make the image, and return its name: in a registry, or where this host has none in a directory."""
    busybox = images.busybox()
    try:
        registry = stack.enter_context(Registry.start(work / "registry"))
    except RegistryUnavailable as lacking:
        say(f"{lacking}; going on with a directory in place of a registry")
        layout = images.write_layout([("latest", busybox)], work / "layout")
        return f"oci:{layout}:latest"
    say(f"Debian's docker-registry listens on {registry.host}")
    images.push(busybox, registry.host, "busybox", "latest")
    say(f"made an image of this host's busybox, and pushed it as {registry.host}/busybox")
    return f"{registry.host}/busybox"


def looking() -> str:
    """A script that prints each sight on a line."""
    lines = (f'printf "%-18s %s\\n" "{label}" "$({words})"' for label, words in SIGHTS.items())
    return "\n".join(["exec 2>/dev/null", *lines])


def first_of_each_isolator(rows: list[str]) -> list[str]:
    """One row of the plan's table for each isolator: the whole is long."""
    first: dict[str, str] = {}
    for row in rows:
        field, isolator, value = re.split(" {2,}", row, maxsplit=2)
        first.setdefault(isolator, f"{field:30} {isolator:20} {value:.50}")
    return [*first.values(), f"… and {len(rows) - len(first)} more"]


def end_namespaces(state: Path) -> None:
    """Those of an ordinary user outlive its commands; the next one would make others."""
    holder = state / "rootless/holder.json"
    if holder.exists():
        os.kill(json.loads(holder.read_text())["pid"], signal.SIGKILL)


def nothing_is_left(before: leaks.Snapshot, work: Path) -> bool:
    """Others may use the host meanwhile; of its things those are the demo's that bear its name."""
    left = leaks.leaked(before)
    leaks.end(left)
    things = [*left.own, *(thing for thing in left.host if work.name in thing)]
    for thing in things:
        print(f"left behind: {thing}", file=sys.stderr)
    if not things:
        say("looked: no process, mount, cgroup or file of all this is left")
    return not things


def say(line: str) -> None:
    print(f"\n{next(_numbers)}. {line}", flush=True)


class Command:
    """The `containerizer` command, on the demo's directories and under its name."""

    def __init__(self, work: Path, interrupts: Interrupts) -> None:
        self._work = work
        self._interrupts = interrupts

    def show(
        self,
        *arguments: str,
        expect: int = 0,
        shown: tuple[str, ...] = (),
        abridge: Callable[[list[str]], list[str]] = list,
    ) -> None:
        """Run it and print what it prints; `shown` stands for as many last arguments.

        Raises DemoFailed unless it exits as expected.
        """
        words = (*arguments[: len(arguments) - len(shown)], *shown)
        print("   $", shlex.join(("containerizer", *words)).replace("'…'", "…"), flush=True)
        code, output = self._run(*arguments)
        lines = output.splitlines()
        for line in abridge(lines) if code == expect else lines:
            print(f"   | {line}", flush=True)
        if code != expect:
            raise DemoFailed(f"`containerizer {arguments[0]}` exited with {code}, not with {expect}")

    def _run(self, command: str, *arguments: str) -> tuple[int, str]:
        directories = ("--root", f"{self._work}/root", "--state", f"{self._work}/state")
        process = subprocess.Popen(
            [CONTAINERIZER, *directories, command, "--name", self._work.name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                with self._interrupts.waiting():
                    output, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired as expired:
                raise DemoFailed(f"`containerizer {command}` took longer than {SECONDS} s") from expired
            finally:
                process.terminate()  # if it still runs; it then removes its container, in our directories
                process.wait()  # which `with` does not do when it was Ctrl-C that ended the block
        return process.returncode, output


if __name__ == "__main__":
    sys.exit(main())
