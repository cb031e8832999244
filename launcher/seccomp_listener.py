"""Who answers for a filter what it does not decide itself: seccomp_unotify(2).

    child                                launcher                      who listens
      |  seccomp(2): a new descriptor       |                               |
      |-- LISTENER + its number ----------->|  pidfd_getfd(2)               |
      |  waits                              |-- connect(2), the state ----->|  + the descriptor
      |<-- one byte ------------------------|                               |  answers from here on
      |  closes its own                     |                               |

From its filter on, the child asks whoever has the descriptor; so until somebody has it, nothing may be asked
about the one call that says that it is there, write(2): such profiles are refused. What comes after is
answered like any call of the task. As the child keeps no descriptor, what nobody answers any more fails
(ENOSYS), and does not wait for ever.

The path is the host's, and none of it a link: nothing that is in a container leads elsewhere. What is sent is
https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#containerprocessstate.
"""

from __future__ import annotations

import array
import contextlib
import errno
import json
import os
import socket
import stat
import struct

from launcher.base import LaunchRequest
from launcher.container_id import ContainerId
from launcher.errors import LaunchFailed
from launcher.hooks import OCI_VERSION
from launcher.kernel import pidfd, safe_path
from launcher.kernel.seccomp import NEW_LISTENER, SET_MODE_FILTER, TSYNC, TSYNC_ESRCH
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import LISTENER, PACKET, await_release
from launcher.program.objects import Explained

TIME = 5.0  # seconds to take the descriptor,
TIME_TO_ANSWER = 30.0  # and then until the task is executed, which takes a few calls

_NUMBER = 8  # where it lies in PACKET
_AGAIN = "there is a filter already that somebody answers for, and the kernel has one at most"
_HINT = "see that its program runs, or use a profile without SCMP_ACT_NOTIFY"


def load(program: Program, flags: int, fprog: int) -> None:
    """Have the child load its filter, and wait until its descriptor is with who listens."""
    flags |= NEW_LISTENER | (TSYNC_ESRCH if flags & TSYNC else 0)
    body = program.buffer(PACKET.pack(LISTENER, 0))
    on = Explained("the filter", {errno.EBUSY: _AGAIN})
    loaded = program.call("seccomp", SET_MODE_FILTER, flags, fprog, on=on, store=body + _NUMBER)
    program.call("write", CHANNEL, body, PACKET.size)
    await_release(program)
    program.call("close", loaded)


def hand_over(request: LaunchRequest, process: int, pid: int, number: int) -> None:
    """Give who listens that descriptor of the process, a pidfd. Raises LaunchFailed."""
    listener = request.info.seccomp_listener
    assert listener is not None
    try:
        taken = pidfd.descriptor_of(process, number)
    except OSError as error:
        why = (error.strerror or "").lower()
        hint = "it takes CAP_SYS_PTRACE, and no kernel.yama.ptrace_scope=3"
        raise LaunchFailed(f"cannot take the seccomp filter's descriptor: {why}", hint=hint) from error
    try:
        _send(listener.path, _state(request, pid, listener.metadata), taken)
    except OSError as error:
        late = isinstance(error, TimeoutError) or error.errno == errno.EAGAIN
        why = f"it does not take it in {TIME:g} seconds" if late else (error.strerror or str(error)).lower()
        message = f"cannot give the seccomp listener {listener.path} the container's descriptor: {why}"
        raise LaunchFailed(message, hint=_HINT) from error
    finally:
        os.close(taken)


def unanswered(request: LaunchRequest) -> LaunchFailed:
    """The error of a child that waits for an answer."""
    listener = request.info.seccomp_listener
    assert listener is not None
    message = (
        f"the task is not executed: the seccomp listener {listener.path} has not answered"
        f" in {TIME_TO_ANSWER:g} seconds"
    )
    return LaunchFailed(message, hint=_HINT)


def _send(path: str, state: bytes, descriptor: int) -> None:
    """Raises OSError."""
    with contextlib.ExitStack() as opened:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, root)
        found = safe_path.open_beneath(root, path, os.O_PATH, follow_symlinks=False)
        opened.callback(os.close, found)
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError(errno.ENOTSOCK, "it is no socket")
        peer = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        # Not settimeout(), with which connect(2) fails at once where the queue is full.
        time = divmod(round(TIME * 1e6), 10**6)  # struct timeval
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *time))
        peer.connect(f"/proc/self/fd/{found}")
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        sent = peer.sendmsg([state], [rights], socket.MSG_NOSIGNAL)
        while sent < len(state):
            sent += peer.send(state[sent:], socket.MSG_NOSIGNAL)


def _state(request: LaunchRequest, pid: int, metadata: str | None) -> bytes:
    """Of the process and of its container, which a further command has not made."""
    container_id = ContainerId.parse(request.container_id)
    command = container_id.is_command and container_id.parent is not None
    state: dict[str, object] = {
        "ociVersion": OCI_VERSION,
        "id": str(container_id.parent if command else container_id),
        "status": "running" if command else "creating",
        "pid": pid,
        "bundle": request.info.bundle or os.path.dirname(request.exit_status_path),
        "annotations": {},
    }
    whole: dict[str, object] = {"ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": pid, "state": state}
    return json.dumps(whole | ({} if metadata is None else {"metadata": metadata})).encode()
