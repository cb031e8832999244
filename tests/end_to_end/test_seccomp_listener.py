"""Profiles with SCMP_ACT_NOTIFY: who answers is real, and so are those who do not, seccomp_unotify(2)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from isolators.isolator import IsolatorFlags
from isolators.linux.syscalls import numbers
from launcher import seccomp_listener
from launcher.errors import LaunchFailed
from tests.end_to_end.conftest import Cli
from tests.security.conftest import called, running
from tests.support.seccomp_handler import Answer, Asked, Handler
from tests.support.system_calls import on_x86_64

NUMBERS = numbers(os.uname().machine)
GO_ON = Answer(goes_on=True)

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def profile(path: Path, listener: str, *names: str, **more: object) -> tuple[str, ...]:
    """The options for a profile that has these calls asked about."""
    rule = {"names": names, "action": "SCMP_ACT_NOTIFY"}
    value = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": listener, **more}
    path.write_text(json.dumps(value))
    return "--security-opt", f"seccomp={path}"


def asking(tmp_path: Path, *names: str, **more: object) -> tuple[str, ...]:
    path = str(tmp_path / "listener")
    return *profile(tmp_path / "profile", path, *names, **more), "--seccomp-listener", path


@pytest.fixture
def shown() -> Iterator[Path]:
    """A directory that ordinary users see, too."""
    with tempfile.TemporaryDirectory(prefix="listener-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


def fakes_parents(asked: Asked) -> Answer:
    return Answer(4242) if asked.number == NUMBERS["getppid"] else GO_ON


@pytest.mark.anyone
@on_x86_64
def test_a_call_is_answered(cli: Cli, busybox: str, shown: Path) -> None:
    options = asking(shown, "getppid", listenerMetadata="all of them")
    with Handler(str(shown / "listener"), fakes_parents) as handler:
        os.chmod(handler.path, 0o666)
        name = f"listened-{os.getpid()}"
        answers = called(cli, busybox, ("getppid",), ("getpid",), options=("--name", name, *options))
    assert answers == [4242, 1]
    (state,) = handler.states
    assert state["fds"] == ["seccompFd"]
    assert state["metadata"] == "all of them"
    assert (state["state"]["id"], state["state"]["status"]) == (name, "creating")
    assert state["pid"] == state["state"]["pid"] == handler.asked[0].pid > 0


@on_x86_64
@pytest.mark.parametrize(
    "options", [(), ("--init",), ("--security-opt", "no-new-privileges=false"), ("--userns", "auto")]
)
def test_what_the_launch_needs_may_be_asked_about(
    cli: Cli, busybox: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """But write(2): all that the child does after its filter is answered like the task's own calls."""
    names = ("execve", "read", "close", "sendto", "sendmsg", "prctl", "clone", "capset", "exit_group")
    flags = ["SECCOMP_FILTER_FLAG_TSYNC"]
    with Handler(str(tmp_path / "listener"), lambda _: GO_ON) as handler:
        asked = asking(tmp_path, *names, flags=flags)
        done = cli("run", "--rm", *asked, *options, busybox, "echo", "well")
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", "")
    seen = {asked.number for asked in handler.asked}
    assert {NUMBERS["execve"], NUMBERS["close"], NUMBERS["exit_group"]} <= seen


def test_who_answers_acts_in_the_tasks_place(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """A mkdir(2) that the task may not make is made for it."""

    def makes(asked: Asked) -> Answer:
        if asked.number == NUMBERS["mkdirat"]:
            path = asked.text(1)
        elif asked.number == NUMBERS.get("mkdir"):
            path = asked.text(0)
        else:
            return GO_ON
        os.mkdir(f"/proc/{asked.pid}/root/tmp/made-for-{os.path.basename(path).decode()}")
        return Answer()

    names = [name for name in ("mkdir", "mkdirat") if name in NUMBERS]
    with Handler(str(tmp_path / "listener"), makes):
        options = asking(tmp_path, *names)
        done = cli("run", "--rm", *options, busybox, "sh", "-c", "mkdir /tmp/it && ls /tmp")
    assert (done.returncode, done.stdout) == (0, "made-for-it\n"), done.stderr


@on_x86_64
def test_a_further_command_has_a_descriptor_of_its_own(cli: Cli, busybox: str, tmp_path: Path) -> None:
    options = asking(tmp_path, "getppid")
    with Handler(str(tmp_path / "listener"), fakes_parents) as handler:
        with running(cli, busybox, *options) as name:
            done = cli("exec", name, "sh", "-c", "echo $PPID")
        assert (done.returncode, done.stdout) == (0, "4242\n"), done.stderr
        first, second = handler.states
    assert first["state"]["id"] == second["state"]["id"] == name
    assert (first["state"]["status"], second["state"]["status"]) == ("creating", "running")
    assert first["pid"] != second["pid"]


def test_nobody_answers_any_more(cli: Cli, busybox: str, tmp_path: Path) -> None:
    """The kernel then fails the calls, since nobody else has the descriptor; nor do commands come in."""
    pipes = tmp_path / "pipes"
    pipes.mkdir()
    for name in ("go", "said"):
        os.mkfifo(pipes / name)
    options = (*asking(tmp_path, "chroot"), "--init", "-v", f"{pipes}:/pipes")
    script = "read line < /pipes/go; chroot / true 2> /pipes/said; sleep 1000"
    with (
        Handler(str(tmp_path / "listener"), lambda _: GO_ON) as handler,
        running(cli, busybox, *options, script=script) as name,
    ):
        handler.close()
        (pipes / "go").write_text("\n")
        assert "Function not implemented" in (pipes / "said").read_text()
        done = cli("exec", name, "true")
        assert (done.returncode, "no such file" in done.stderr) == (125, True)


def nobody(path: str) -> Callable[[], None]:
    return lambda: None


def no_socket(path: str) -> Callable[[], None]:
    Path(path).write_text("")
    return lambda: None


def a_link(path: str) -> Callable[[], None]:
    """To one that is there, as somebody would make who can write in its directory."""
    handler = Handler(f"{path}.other", lambda _: GO_ON)
    os.symlink(handler.path, path)
    return handler.close


def gone(path: str) -> Callable[[], None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
    return lambda: None


def full(path: str) -> Callable[[], None]:
    """Its queue: it hangs."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(0)
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    waiting.connect(path)

    def close() -> None:
        waiting.close()
        listener.close()

    return close


@contextlib.contextmanager
def launching(cli: Cli, tmp_path: Path, name: str) -> Iterator[Callable[[str], None]]:
    """Launches an image with a profile that has this call asked about, in this process."""
    path = str(tmp_path / "listener")
    profile(tmp_path / "profile", path, name)
    flags = IsolatorFlags(seccomp_listeners=(path,))
    with Containerizer(root=str(cli.root), state=str(cli.state), flags=flags) as containerizer:
        yield lambda image: containerizer.launch(
            image, ["touch", "/ran"], seccomp=str(tmp_path / "profile")
        ).destroy()
    assert cli.containers() == []


def test_who_listens_is_not_there(
    cli: Cli, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp_listener, "TIME", 0.25)
    assert cli("pull", busybox).returncode == 0
    with launching(cli, tmp_path, "getppid") as launch:
        for make, why in (
            (nobody, "no such file or directory"),
            (no_socket, "it is no socket"),
            (a_link, "too many levels of symbolic links"),
            (gone, "connection refused"),
            (full, r"it does not take it in 0\.25 seconds"),
        ):
            close = make(str(tmp_path / "listener"))
            try:
                with pytest.raises(LaunchFailed, match=f"cannot give the seccomp listener .*{why}"):
                    launch(busybox)
            finally:
                close()
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(tmp_path / "listener")


def test_who_listens_never_answers(
    cli: Cli, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is not executed: that ends, too, and leaves nothing."""
    monkeypatch.setattr(seccomp_listener, "TIME_TO_ANSWER", 0.2)
    with Handler(str(tmp_path / "listener"), None) as handler, launching(cli, tmp_path, "execve") as launch:
        with pytest.raises(LaunchFailed, match=r"listener .* has not answered"):
            launch(busybox)
        assert len(handler.states) == 1


def test_a_listener_that_the_operator_has_not_named(cli: Cli, busybox: str, tmp_path: Path) -> None:
    options = profile(tmp_path / "profile", str(tmp_path / "listener"), "mkdir")
    done = cli("run", "--rm", "--seccomp-listener", "/run/other", *options, busybox, "true")
    assert (done.returncode, "listener is not allowed" in done.stderr) == (125, True), done.stderr
    assert not (tmp_path / "listener").exists()


def test_an_answer_may_be_an_errno(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with Handler(str(tmp_path / "listener"), lambda _: Answer(errno=errno.EDOM)):
        done = cli("run", "--rm", *asking(tmp_path, "chroot"), busybox, "chroot", "/", "true")
    assert "argument out of domain" in done.stderr
