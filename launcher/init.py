"""--init: a small PID 1 in the container, of our own code, so the image need not have one.

PID 1 inherits orphans, and signals that it does not handle do nothing to it: pid_namespaces(7). A
task that was not written for either leaves zombies behind and cannot be stopped. With --init the
child forks once more: its own child becomes the task, and it stays (launcher/program/machine.py) to
collect, to hand on signals, and to end as the task does: with 128 and the number of a signal that
killed it.

It holds nothing that a task could use: no descriptor, no privilege but the task's, and neither its
memory nor /proc/1/exe, a page of our code, can be opened (it is not dumpable).
"""

from __future__ import annotations

import signal
import termios

from launcher.kernel import clone
from launcher.program.assembler import ANY, INIT, Label, Program

_NAME = b"ctz:init"
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_SIG_SETMASK = 2
_SIGNAL_SET = 8  # bytes
_NOBODY = 0x7FFFFFFF  # no process has this number: PID_MAX_LIMIT of linux/threads.h is lower
_LAST_DESCRIPTOR = 0xFFFFFFFF


def split(program: Program) -> None:
    """Fork: what follows in the program is done by the new process only, which is to become the task."""
    parent = Label()
    everything = program.constant(b"\xff" * _SIGNAL_SET)
    nothing = program.constant(bytes(_SIGNAL_SET))
    # Blocked, so that none is lost before it can be handed on.
    program.call("rt_sigprocmask", _SIG_SETMASK, everything, 0, _SIGNAL_SET)
    # Not clone3(2), which the filter of seccomp may not let through.
    task = program.call("clone", *clone.FORK, 0, 0, 0, then=parent)
    program.aside(parent, lambda: _stay(program, task))
    program.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # A process group of its own: what a terminal sends to it must not come by way of PID 1 as well.
    program.call("setpgid", 0, 0)
    group = program.slot()
    program.call("getpid", store=group)
    program.call("ioctl", 0, termios.TIOCSPGRP, int(group), tolerate=(ANY,))  # ENOTTY: no terminal
    program.call("rt_sigprocmask", _SIG_SETMASK, nothing, 0, _SIGNAL_SET)


def pause(program: Program) -> None:
    """There is no task: stay to collect what others leave, deaf to every signal but SIGKILL from outside."""
    everything = program.constant(b"\xff" * _SIGNAL_SET)
    program.call("rt_sigprocmask", _SIG_SETMASK, everything, 0, _SIGNAL_SET)
    _stay(program, _NOBODY)


def _stay(program: Program, task: int) -> None:
    program.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    # Where there is no PID namespace to be the first of.
    program.call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program.call("prctl", _PR_SET_NAME, _NAME, 0, 0, 0)
    program.call("chdir", b"/")
    program.call("close_range", 0, _LAST_DESCRIPTOR, 0)
    program.call(INIT, task)
