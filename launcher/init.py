"""--init: a small PID 1 in the container, of our own code, so the image need not have one.

PID 1 inherits orphans, and signals that it does not handle do nothing to it: pid_namespaces(7). A
task that was not written for either leaves zombies behind and cannot be stopped. With --init the
child forks once more: its own child becomes the task, and it stays to collect, to hand on signals,
and to end as the task does.

It is our interpreter inside the container, so it holds nothing that a task could use: no descriptor,
no privilege but the task's, and neither its memory nor /proc/1/exe can be opened (it is not
dumpable); what lies in its command line, which anybody may read, is overwritten.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import NoReturn

from launcher.kernel import prctl, signals

TITLE = b"containerizer init"

_NAME = "ctz:init"
_ARG_START, _ARG_END = 47, 48  # fields of proc_pid_stat(5), counted from 0
_KILLED = 128  # and the number of the signal

Place = tuple[int, int]  # where something lies in this process' memory


def command_line() -> Place:
    """Where the command line lies that ps shows. Needs the host's /proc."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()  # from the third on
    return int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])


def split(command_line: Place) -> None:
    """Fork, and return in the new process only, which is to become the task. This one stays as PID 1."""
    everything = signal.valid_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, everything)  # none is lost before it can be handed on
    pid = os.fork()  # not clone3(2), which the filter of seccomp may not let through
    if pid == 0:
        prctl.set_parent_death_signal(signal.SIGKILL)
        _take_foreground()
        signals.unblock_all()
        return
    try:
        _hide(command_line)
        _serve(pid, everything)
    finally:
        os._exit(1)


def _take_foreground() -> None:
    """Be a process group of its own: what a terminal sends to it must not come by way of PID 1 as well."""
    os.setpgid(0, 0)
    with contextlib.suppress(OSError):  # ENOTTY: no terminal
        os.tcsetpgrp(0, os.getpgrp())


def _hide(command_line: Place) -> None:
    prctl.hide_from_ptrace()
    prctl.set_child_subreaper()  # where there is no PID namespace to be the first of
    prctl.close_from(0)
    os.chdir("/")
    prctl.set_name(_NAME)
    start, end = command_line
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, TITLE, min(len(TITLE), end - start - 1))


def _serve(task: int, everything: set[signal.Signals]) -> NoReturn:
    """Collect and hand on, and end as the task does."""
    while True:
        number = signal.sigwait(everything)
        if number == signal.SIGCHLD:
            _collect(task)
        else:
            with contextlib.suppress(OSError):  # it has just ended, or become somebody else
                os.kill(task, number)


def _collect(task: int) -> None:
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == task:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else _KILLED - code)
        if pid == 0:
            return
