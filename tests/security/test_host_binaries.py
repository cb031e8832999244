"""The host's programs, and the host's memory and descriptors in a process that enters a container."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from launcher.kernel.capabilities import NUMBERS
from tests.end_to_end.conftest import Cli
from tests.security.conftest import LOOK, Build, pid_of, running
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# Whoever comes is tried as long as it is there: first by its executable, then by one's descriptor of it.
OVERWRITE = """
echo ready > /ready
while :; do
    for process in /proc/[0-9]*; do
        program=$(readlink $process/exe)
        case "$program" in /bin/*|"") ;; *) echo "$program" >> /seen ;; esac
        [ $process = /proc/1 ] && continue
        ( : >> $process/exe ) 2>/dev/null && echo "$process" >> /won
        ( exec 9< $process/exe; : >> /proc/self/fd/9 ) 2>/dev/null && echo "$process by fd" >> /won
    done
done
"""


def _programs() -> dict[str, str]:
    """The files that we are executed from, and what is in them."""
    own = [Path(sys.executable), Path(os.path.realpath(sys.executable)), *Path("launcher").rglob("*.py")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in own}


def test_cve_2019_5736_by_run(cli: Cli, build: Build) -> None:
    """The image's program is whatever the launcher's process was executed from: /proc/self/exe."""
    before = _programs()
    evil = [
        images.symlink("entry", "/proc/self/exe"),
        images.entry("script", b"#!/proc/self/exe\n", mode=0o755),
    ]
    image = build(*evil)
    for options in ((), ("--init",), ("--userns", "auto"), ("-i",)):
        for program in ("/entry", "/script"):
            done = cli("run", "--rm", *options, image, program, "-c", "open('/proc/self/exe', 'r+b')")
            assert done.returncode != 0, (options, program)
    assert _programs() == before


def test_cve_2019_5736_by_exec(cli: Cli, build: Build) -> None:
    """A container waits for commands that come into it, to write to what they were executed from."""
    before = _programs()
    image = build(images.entry("bin/evil", b"#!/proc/self/exe\n", mode=0o755))
    with running(cli, image, "--cap-add", "DAC_READ_SEARCH", script=OVERWRITE) as name:
        for _ in range(4):
            cli("exec", name, "/bin/evil")
            assert cli("exec", name, "true").returncode == 0
        inside = Path(f"/proc/{pid_of(cli, name)}/root")
        seen = (inside / "seen").read_text().splitlines() if (inside / "seen").exists() else []
        won = (inside / "won").exists()
        assert (inside / "ready").exists()
    # Executed once more, by way of the script, it is the container's own, and can be seen.
    assert {program.partition(":")[0] for program in seen} <= {"/memfd"}
    assert not won, "opened for writing"
    assert _programs() == before


def test_cve_2019_5736_by_the_init_of_ours(cli: Cli, busybox: str) -> None:
    """PID 1 of `--init` is ours as long as the container runs: sealed memory, which nobody can write to."""
    script = "(: > /proc/1/exe) 2>/dev/null && echo won; (: >> /proc/1/exe) 2>/dev/null && echo won; true"
    for user in ("0", "1000"):
        done = cli("run", "--rm", "--init", "-u", user, busybox, "sh", "-c", script)
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("options", [(), ("--cap-add", "SYS_PTRACE")], ids=" ".join)
def test_cve_2016_9962(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    """A process that enters a container is traced from inside, and its descriptors of the host's are used.

    With SYS_PTRACE nothing keeps a task from tracing it; then there is nothing to be had from it: it has its
    channel to the launcher, and no directory or file of the host's.
    """
    with running(cli, busybox, *options, script=LOOK) as name:
        inside = Path(f"/proc/{pid_of(cli, name)}/root")
        for _ in range(4):
            assert cli("exec", "-e", "MARK=inside", name, "true").returncode == 0
        seen, memory = (inside / "seen").read_text(), (inside / "memory").read_bytes()
    links = {line.partition(" -> ")[2] for line in seen.splitlines()}
    known = ("/proc/", "/dev/null", "/seen", "/memory", "pipe:[", "socket:[", "/ ", "/bin", "(deleted)")
    strange = {link for link in links if link != "/" and not link.startswith(known)}
    assert not strange, "descriptors, directories or roots of the host's"
    for path in (os.fsencode(sys.prefix), os.fsencode(str(cli.state)), b"containerizer"):
        assert path not in memory


def test_what_enters_a_container_has_no_more_to_give(cli: Cli, busybox: str) -> None:
    """Whoever may trace it gets what it has: a task looks at the sets of those who come in, again and again.

    Only what becoming the task needs may be in them besides the container's own.
    """
    script = """
    while :; do
        for process in /proc/[0-9]*; do
            grep -h -e ^CapPrm -e ^CapBnd $process/status 2>/dev/null
        done
    done | while read -r name value; do
        case "$seen" in *"$name$value"*) ;; *) seen="$seen $name$value"; echo "$name $value" >> /sets ;; esac
    done
    """
    options = ("--cap-drop", "ALL", "--cap-add", "SYS_PTRACE")
    with running(cli, busybox, *options, script=script) as name:
        inside = Path(f"/proc/{pid_of(cli, name)}/root")
        for _ in range(5):
            assert cli("exec", name, "true").returncode == 0
        sets = [line.split() for line in (inside / "sets").read_text().splitlines()]
    allowed = {"CAP_SYS_PTRACE"}
    needed = {"CAP_SETPCAP", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"}
    for title, value in sets:
        names = {each for each, number in NUMBERS.items() if int(value, 16) >> number & 1}
        assert names <= (allowed if title == "CapBnd:" else allowed | needed), title
    assert sets
