"""`containerizer --agent URL`: the commands of the command line against an agent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.cli.main import REMOTE
from containerizer.client import commands
from tests.api.conftest import TIMEOUT, Agent, new_id
from tests.end_to_end.conftest import Cli
from tests.end_to_end.person import DETACH, person
from tests.support import images

pytestmark = pytest.mark.requires("root")


class Remote:
    """The command line, told of one agent."""

    def __init__(self, socket: str) -> None:
        self.argv = [sys.executable, "-m", "containerizer", "--agent", f"unix://{socket}"]
        self.names: list[str] = []

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [*self.argv, *arguments]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT)

    def run(self, *arguments: str) -> str:
        """In the background; the container's name."""
        self.names.append(new_id("far")["value"])
        done = self("run", "-d", "--name", self.names[-1], *arguments)
        assert (done.returncode, done.stdout) == (0, f"{self.names[-1]}\n"), done.stderr
        return self.names[-1]


@pytest.fixture
def far(agent: Agent) -> Iterator[Remote]:
    remote = Remote(agent.socket)
    yield remote
    if remote.names:
        remote("rm", "-f", *remote.names)


def test_each_remote_command_has_its_file() -> None:
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    assert files == {*REMOTE, "__init__"}


def test_a_life_from_afar(far: Remote) -> None:
    name = far.run("host", "sh", "-c", "echo out; echo err >&2; exec sleep 1000")
    listed = {each["id"]: each for each in json.loads(far("ps", "--json").stdout)}
    assert listed[name]["running"]
    assert far("logs", name).stdout == "out\n"
    assert far("logs", name).stderr == "err\n"
    assert far("stop", "-t", "0", name).stdout == f"{name}\n"
    assert far("wait", name).stdout == "137\n"
    assert name not in far("ps", "-q").stdout.split()
    assert "killed by SIGKILL" in far("ps", "-a").stdout
    assert far("rm", name).returncode == 0
    assert far("rm", "-f", name).returncode == 0
    assert "no container" in far("rm", name).stderr


def test_exit_codes_and_streams_of_run(far: Remote) -> None:
    done = far("run", "--rm", "-i", "host", "sh", "-c", "cat; echo err >&2; exit 5", stdin="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, "typed\n", "err\n")
    short = far("run", "--rm", "host", "sh", "-c", "echo short; exit 6")
    assert (short.returncode, short.stdout) == (6, "short\n")
    missing = far("run", "--rm", "host", "/no/such/program")
    assert missing.returncode == 127
    assert "/no/such/program" in missing.stderr


def test_a_further_command_from_afar(far: Remote) -> None:
    name = far.run("host", "sh", "-c", "exec sleep 1000")
    done = far("exec", "-i", "-e", "A=b", name, "sh", "-c", "echo $A; cat; exit 9", stdin="typed\n")
    assert (done.returncode, done.stdout) == (9, "b\ntyped\n")
    assert [line.split()[0] for line in far("ps", "-a").stdout.splitlines()].count(name) == 1


@pytest.mark.requires("overlay", "busybox")
def test_tools_from_afar(far: Remote, tmp_path: Path) -> None:
    tools = f"oci:{images.write_layout([('tools', images.busybox())], tmp_path / 'tools')}:tools"
    name = far.run("host", "sh", "-c", "exec sleep 1234")
    script = "tr '\\0' ' ' < /proc/1/cmdline; test -e /target/usr/bin/env && echo root; cat; exit 5"
    done = far("debug", "--image", tools, "-i", name, "sh", "-c", script, stdin="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, "sleep 1234 root\ntyped\n", "")
    done = far("debug", "-i", name, stdin="echo $0; exit 6\n")
    assert (done.returncode, done.stdout) == (6, "sh\n")
    done = far("debug", "--insecure-registry", "registry.local", "--image", tools, name, "true")
    assert (done.returncode, "cannot be chosen with --agent" in done.stderr) == (125, True)
    own = far("debug", "-d", "--image", tools, name, "true").stdout.strip()
    assert far("wait", own).stdout == "0\n"
    assert [line.split()[0] for line in far("ps", "-a").stdout.splitlines() if name in line] == [name, own]


def test_at_a_terminal_from_afar(far: Remote, agent: Agent) -> None:
    name = new_id("far")["value"]
    far.names.append(name)
    here = FarCli(root=agent.directory, state=agent.directory, within=tuple(far.argv))
    with person(here, "run", "-it", "--name", name, "host", "sh", "-c", "PS1=; echo ready; exec sh -i") as me:
        me.sees(b"ready")
        me.types(b"stty size; value=ke''pt\r")
        me.sees(b"24 80")
        me.types(DETACH)
        assert me.sees_the_end() == 0
    with person(here, "attach", name) as again:
        again.types(b"echo $value again; exit 3\r")
        again.sees(b"kept again")
        assert again.sees_the_end() == 3


def test_all_of_the_output_comes_however_much_it_is(far: Remote) -> None:
    """More than a client gets that attaches late: 64 KiB."""
    done = far("run", "--rm", "host", "sh", "-c", "seq 1 60000")
    assert done.stdout.splitlines() == [str(number) for number in range(1, 60001)]


def test_the_last_lines_of_a_log_are_lines(far: Remote) -> None:
    """One without an end, and one longer than a record of the log has room for."""
    script = "echo first; head -c 100000 /dev/zero | tr '\\0' x; echo; printf last"
    name = far.run("host", "sh", "-c", script)
    assert far("wait", name).stdout == "0\n"
    assert far("logs", "--tail", "2", name).stdout == "x" * 100000 + "\nlast"
    assert far("logs", "--tail", "1", name).stdout == "last"
    assert far("logs", "--tail", "0", name).stdout == ""


def test_processes_from_afar(far: Remote) -> None:
    name = far.run("host", "sleep", "1000")
    (process,) = json.loads(far("top", "--json", name).stdout)
    assert (process["command"], process["container_pid"], process["uid"]) == (["sleep", "1000"], 1, 0)
    assert "sleep 1000" in far("top", name).stdout


def test_copies_from_afar(far: Remote, tmp_path: Path) -> None:
    name = far.run("host", "sleep", "1000")
    source, there, back = (tmp_path / word for word in ("source", "there", "back"))
    for directory in (source, there, back):
        directory.mkdir()
    (source / "file").write_bytes(bytes(range(256)) * 1000)
    done = far("cp", str(source), f"{name}:{there}")
    assert (done.returncode, done.stderr) == (0, "")
    done = far("cp", f"{name}:{there}/source/file", str(back))
    assert (done.returncode, done.stderr) == (0, "")
    assert (back / "file").read_bytes() == (source / "file").read_bytes()
    for wrong in ((str(source), str(back)), (f"{name}:/no/such", str(back)), ("/no/such", f"{name}:/tmp")):
        assert far("cp", *wrong).returncode == 125


def test_a_copy_has_a_name_of_its_own(far: Remote, tmp_path: Path) -> None:
    name = far.run("host", "sleep", "1000")
    place = tmp_path / "shared"
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("deep")
    (tmp_path / "one").write_text("one")
    place.mkdir()
    assert far("cp", str(tmp_path / "one"), f"{name}:{place}/two").returncode == 0
    assert (place / "two").read_text() == "one"
    assert far("cp", str(tmp_path / "tree"), f"{name}:{place}/copy").returncode == 0
    assert (place / "copy" / "below" / "file").read_text() == "deep"
    assert far("cp", f"{name}:{place}/two", str(tmp_path / "three")).returncode == 0
    assert (tmp_path / "three").read_text() == "one"
    assert far("cp", f"{name}:{place}/copy", str(tmp_path / "again")).returncode == 0
    assert (tmp_path / "again" / "below" / "file").read_text() == "deep"
    done = far("cp", str(tmp_path / "one"), f"{name}:/nowhere/at/all")
    assert done.returncode == 125 and "no such directory" in done.stderr


def test_inspecting_from_afar(far: Remote) -> None:
    name = far.run("host", "sleep", "1000")
    (told,) = json.loads(far("inspect", name).stdout)
    assert (told["kind"], told["id"], told["running"]) == ("container", name, True)
    done = far("inspect", "nobody")
    assert done.returncode == 125 and "no container nobody" in done.stderr


def test_commands_that_cannot_be_executed(far: Remote) -> None:
    name = far.run("host", "sleep", "1000")
    assert far("exec", name, "no-such-program").returncode == 127
    assert far("exec", name, "/etc/passwd").returncode == 126
    assert far("run", "--rm", "host", "no-such-program").returncode == 127


def test_a_removal_has_a_time(far: Remote) -> None:
    name = far.run("host", "sleep", "1000")
    assert far("rm", "--force", "--timeout", "30", name).stdout == f"{name}\n"
    assert name not in far("ps", "-aq").stdout.split()


class FarCli(Cli):
    """What `person` starts."""

    @property
    def argv(self) -> list[str]:
        return list(self.within)

    def kill_containers(self) -> None:
        """They are the agent's."""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("commit", "x", "y"), "works on this host only"),
        (("run", "--hooks-dir", "/x", "host", "true"), "hooks_dirs cannot be asked of an agent"),
        (("run", "--isolation", "network/loopback", "host", "true"), "cannot be chosen with --agent"),
        (("kill", "nobody"), "the agent has no container nobody"),
    ],
)
def test_what_is_refused(far: Remote, arguments: tuple[str, ...], says: str) -> None:
    done = far(*arguments)
    assert done.returncode == 125
    assert says in done.stderr


@pytest.mark.requires("overlay", "busybox")
def test_volumes_from_afar(far: Remote, tmp_path: Path) -> None:
    image = f"oci:{images.write_layout([('v1', images.busybox())], tmp_path / 'image')}:v1"
    assert far("volume", "create", "--label", "a=b", "afar").stdout == "afar\n"
    (tmp_path / "host").mkdir()
    options = ("-v", "afar:/v", "-v", f"{tmp_path}/host:/h:ro", "-v", "/own", "--mount", "type=tmpfs,dst=/t")
    script = "touch /v/x /own/x /t/x; touch /h/x || echo read-only"
    done = far("run", "--rm", *options, image, "sh", "-c", script)
    assert done.stdout == "read-only\n", done.stderr
    mount = f"type=image,src={image},dst=/i,subpath=etc"
    assert far("run", "--rm", "-v", "afar:/v", "--mount", mount, image, "ls", "/v", "/i").stdout == (
        "/i:\ngroup\npasswd\n\n/v:\nx\n"
    )
    assert far("volume", "ls", "-q").stdout == "afar\n"  # without a name, it went with its container
    (told,) = json.loads(far("volume", "inspect", "afar").stdout)
    assert (told["labels"], told["containers"]) == ({"a": "b"}, [])
    assert far("volume", "rm", "afar").stdout == "afar\n"
    assert "no volume 'afar'" in far("volume", "rm", "afar").stderr
