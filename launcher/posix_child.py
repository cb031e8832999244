"""The child of the posix launcher: from fork to exec, as one list of steps. Rules as in `child`."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from launcher import protocol
from launcher.data import asdict
from launcher.execute import execute, find
from launcher.launch_info import LaunchInfo
from launcher.posix_attributes import set_posix_attributes
from launcher.process_attributes import Clamped
from launcher.user import User, resolve_user

_STDIO = 3  # descriptors 0, 1 and 2; the channel to the supervisor becomes this one
_MANY = 65536  # descriptors; where the limit on them is none


class Child:
    """What the steps share."""

    def __init__(self, info: LaunchInfo) -> None:
        self.info = info
        self.environment: dict[str, str] = {}
        self.user: User | None = None  # None: the launcher's own
        self.clamped: list[Clamped] = []


def take_defaults(child: Child) -> None:
    os.umask(0o022)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def find_user(child: Child) -> None:
    text = str(os.geteuid()) if child.info.user is None else child.info.user
    found = resolve_user(text, _read("/etc/passwd"), _read("/etc/group"))
    child.environment = {"HOME": found.home, **child.info.environment, **child.info.secret_environment}
    if child.info.user is not None:
        child.user = found


def close_descriptors(child: Child) -> None:
    close_above(_STDIO)


def enter_working_directory(child: Child) -> None:
    os.chdir(child.info.working_directory or "/")


def set_attributes(child: Child) -> None:
    child.clamped += set_posix_attributes(child.info)


def take_credentials(child: Child) -> None:
    user = child.user
    if user is None or (os.geteuid() != 0 and (user.uid, user.gid) == (os.geteuid(), os.getegid())):
        return
    os.setgroups(user.groups)
    os.setgid(user.gid)
    os.setuid(user.uid)  # of root's, all three ids: setuid(2)


STEPS: tuple[tuple[str, Callable[[Child], None]], ...] = (
    # As if from init: what the launcher ignores (Python: SIGPIPE) or blocks is not for the task.
    ("take the default signals", take_defaults),
    ("resolve the user", find_user),
    ("close the descriptors", close_descriptors),
    ("enter the working directory", enter_working_directory),
    # After what opens files, which the limits would disturb.
    ("set the process attributes", set_attributes),
    # Last: the steps above need privileges that this one gives up.
    ("take the task's credentials", take_credentials),
)


def run(info: LaunchInfo, channel: socket.socket, stdio: tuple[int, int, int]) -> NoReturn:
    """Be the child: wait for the release, take the steps, become the task. Never returns."""
    stage = "wait for the release"
    try:
        os.setsid()  # at once: it is by its session that the task is found and killed
        channel = _rearrange_descriptors(channel, stdio)
        protocol.receive(channel, protocol.Release)
        child = Child(info)
        for name, step in STEPS:
            stage = name
            step(child)
        stage = protocol.EXECUTE
        argv = info.argv or ("",)
        path = find(argv[0], child.environment)
        protocol.send(channel, protocol.Executing(path, tuple(map(asdict, child.clamped))))
        try:
            execute(path, argv, child.environment)
        except OSError as error:
            raise OSError(error.errno, _reason(error), argv[0]) from None
    except protocol.PeerGone:
        pass  # without its supervisor it has nothing to become
    except BaseException as error:
        _report(channel, stage, error)
    os._exit(1)


def close_above(descriptor: int) -> None:
    """Close every descriptor above this one."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(descriptor + 1, _MANY if limit == resource.RLIM_INFINITY else limit)


def _rearrange_descriptors(channel: socket.socket, stdio: tuple[int, int, int]) -> socket.socket:
    """stdin, stdout, stderr to 0, 1, 2, and the channel to 3: everything above can be closed."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STDIO + 1) for fd in (*stdio, channel.detach())]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target < _STDIO)
        os.close(source)
    return socket.socket(fileno=_STDIO)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _reason(error: OSError) -> str:
    missing = isinstance(error, FileNotFoundError)  # the file is there: `find` has found it
    return protocol.NO_INTERPRETER if missing else error.strerror or str(error)


def _report(channel: socket.socket, stage: str, error: BaseException) -> None:
    try:
        protocol.send(channel, protocol.Failed.from_error(stage, error))
    except OSError:
        os._exit(1)
