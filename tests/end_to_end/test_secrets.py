"""Secrets: a container has them, and nobody else on the host: no file, record, message or process of ours."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.end_to_end.ordinary_user import ordinary_user

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"secrets-{os.getpid()}"
VALUE = "hunter2-correct-horse-battery"
_TIMEOUT = 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    directory = tmp_path / "kept"
    directory.mkdir()
    path = directory / "password"
    path.write_text(VALUE)
    return path


def run(cli: Cli, image: str, script: str, *options: str) -> list[str]:
    done = cli("run", "--rm", *options, image, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def traces(*directories: Path) -> list[str]:
    """Where the value is: in files of these, but for images' own, and in what processes show."""
    files = (path for each in directories for path in each.rglob("*") if "store" not in path.parts)
    found = [path for path in files if stat.S_ISREG(path.lstat().st_mode) and _has(path)]
    shown = (Path(f"/proc/{pid}/{name}") for pid in os.listdir("/proc") if pid.isdecimal() for name in _SHOWN)
    return [str(path) for path in (*found, *(path for path in shown if _has(path)))]


_SHOWN = ("environ", "cmdline", "comm", "mountinfo")


def _has(path: Path) -> bool:
    try:
        return VALUE.encode() in path.read_bytes()
    except OSError:  # it has ended
        return False


def test_a_file_is_as_it_was_asked_for(cli: Cli, busybox: str, file: Path) -> None:
    script = """
        cat /run/secrets/password /etc/app/key; echo; stat -c '%a %u %g' /run/secrets/password /etc/app/key
        (echo more >> /etc/app/key) 2>&1 | grep -o Read-only; grep -c ' /etc/app/key ramfs ' /proc/mounts
    """
    options = ("--secret", f"id=password,src={file}", "--secret")
    told = run(cli, busybox, script, *options, f"key,src={file},target=/etc/app/key,mode=0440,uid=7,gid=8")
    assert told == [VALUE * 2, "444 0 0", "440 7 8", "Read-only", "1"]


def test_owners_are_those_of_the_user_namespace(cli: Cli, busybox: str, file: Path) -> None:
    script = "stat -c '%a %u %g' /run/secrets/password; cat /run/secrets/password"
    options = ("--userns", "300000:1000", "--secret", f"password,src={file},mode=400,uid=7,gid=8", "-u", "7")
    assert run(cli, busybox, script, *options) == ["400 7 8", VALUE]
    beyond = ("--userns", "300000:1000", "--secret", f"password,src={file},uid=1000")
    done = cli("run", "--rm", *beyond, busybox, "true")
    assert (done.returncode, "1000 of a secret has no id" in done.stderr) == (125, True)


def test_who_comes_later_has_the_variables_and_the_host_has_nothing(
    cli: Cli, busybox: str, file: Path, tmp_path: Path
) -> None:
    options = ("--secret", f"password,src={file}", "--secret", f"password,src={file},type=env,target=PW")
    script = 'test -n "$PW" && touch /tmp/ready; exec sleep 1000'
    assert cli("run", "-d", "--name", NAME, *options, busybox, "sh", "-c", script).returncode == 0
    try:
        probe = "until test -e /tmp/ready; do sleep 0.01; done; echo $PW; cat /run/secrets/password"
        assert cli("exec", NAME, "sh", "-c", probe).stdout == f"{VALUE}\n{VALUE}"
        (own,) = traces(cli.root, cli.state)
        assert os.readlink(os.path.dirname(own) + "/exe").endswith("/busybox"), "the task's own environment"
        assert VALUE not in cli("ps", "-a", "--json").stdout
    finally:
        assert cli("rm", "-f", NAME).returncode == 0
    assert traces(cli.root, cli.state) == []


def test_a_dry_run_and_failures_tell_no_value(cli: Cli, busybox: str, file: Path) -> None:
    options = ("--secret", f"password,src={file}", "--secret", f"password,src={file},type=env,target=PW")
    planned = cli("plan", "--json", *options, busybox, "true")
    assert planned.returncode == 0
    failed = cli("run", "--rm", *options, busybox, "/no/such/program")
    assert failed.returncode == 127
    twice = cli("run", "--rm", *options, "--tmpfs", "/run/secrets/password", busybox, "true")
    assert twice.returncode == 125
    texts = [text for done in (planned, failed, twice) for text in (done.stdout, done.stderr)]
    assert [text for text in texts if VALUE in text] == []


def test_a_killed_launcher_leaves_the_secrets_with_the_container(cli: Cli, busybox: str, file: Path) -> None:
    options = ("--secret", f"password,src={file}", "--secret", f"password,src={file},type=env,target=PW")
    command = (busybox, "sh", "-c", "echo runs; exec sleep 1000")
    with cli.start("run", "--name", NAME, *options, *command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGKILL)
        process.wait(_TIMEOUT)
        asked = cli("exec", NAME, "sh", "-c", "echo $PW; cat /run/secrets/password")
        assert asked.stdout == f"{VALUE}\n{VALUE}", asked.stderr
    cli.wait_for_reapers()
    assert cli("rm", NAME).returncode == 0
    assert traces(cli.root, cli.state) == []


RESOLVER = """#!{python}
import sys
name, *key = sys.argv[1:]
if name == "fails":
    sys.exit("I do not tell {value}")
sys.stdout.write("{value}" if (name, key) == ("password", ["now"]) else "")
"""


def test_resolvers_are_asked_at_each_launch(cli: Cli, busybox: str, file: Path, tmp_path: Path) -> None:
    script = 'cat /run/secrets/password; echo " $PW"'
    chosen = ("--secret-resolver", "file", "--secrets-dir", str(file.parent))
    asked = ("--secret", "password", "--secret", "password,type=env,target=PW")
    assert run(cli, busybox, script, *chosen, *asked) == [f"{VALUE} {VALUE}"]
    file.write_text("another")
    assert run(cli, busybox, script, *chosen, *asked) == ["another another"]
    program = tmp_path / "resolver"
    program.write_text(RESOLVER.format(python=sys.executable, value=VALUE))
    program.chmod(0o755)
    chosen = ("--secret-resolver", "command", "--secret-command", str(program))
    asked = ("--secret", "password,key=now", "--secret", "password,key=now,type=env,target=PW")
    assert run(cli, busybox, script, *chosen, *asked) == [f"{VALUE} {VALUE}"]
    failed = cli("run", "--rm", *chosen, "--secret", "fails", busybox, "true")
    assert (failed.returncode, VALUE in failed.stderr) == (125, False)
    assert "resolver command has no secret fails" in failed.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--secret", "a,src=/no/such/file"), "cannot read the secret a from /no/such/file"),
        (("--secret", "a,env=NO_SUCH_VARIABLE"), "is in no variable NO_SUCH_VARIABLE"),
        (("--secret", "a,src=/dev/zero"), "at most 512000 are a secret"),
        (("--secret", "a,mode=9"), "invalid mode"),
        (("--secret", "a,type=env,uid=1,env=HOME"), "has no uid"),
        (("--secret", "a,src=/etc/hostname,env=HOME"), "two sources"),
        (("--secret", "a,colour=red"), "invalid part 'colour=red'"),
        (("--secret", "a"), "no resolver has the secret a"),
        (("--secret-resolver", "file", "--secrets-dir", "/proc", "--secret", "../etc/hostname"), "no secret"),
        (("--secret-resolver", "nobody", "--secret", "a"), "unknown resolver of secrets 'nobody'"),
        (("--secret", "a,env=HOME,target=/proc/a"), "mounts of our own"),
    ],
)
def test_bad_ones_are_refused(cli: Cli, busybox: str, options: tuple[str, ...], told: str) -> None:
    done = cli("run", "--rm", *options, busybox, "true")
    assert (done.returncode, told in done.stderr) == (125, True), done.stderr


@pytest.mark.requires("userns", "uidmap")
def test_an_ordinary_user_has_them_too() -> None:
    with ordinary_user(subordinate=True) as user:
        file = user.home / "password"
        file.write_text(VALUE)
        options = ("--secret", f"pw,src={file},mode=400", "--secret", f"pw,src={file},type=env,target=PW")
        command = (user.image, "sh", "-c", "cat /run/secrets/pw > /tmp/read; exec sleep 1000")
        assert user("run", "-d", "--name", "box", *options, *command).returncode == 0
        asked = user(
            "exec", "box", "sh", "-c", "until test -s /tmp/read; do :; done; cat /tmp/read; echo $PW"
        )
        assert asked.stdout == f"{VALUE}{VALUE}\n", asked.stderr
        assert user("rm", "-f", "box").returncode == 0
