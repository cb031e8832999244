"""Attach to a container that any process has launched."""

from __future__ import annotations

from containerizer import record as records
from containerizer.liveness import is_running
from containerizer.paths import Paths
from launcher.attach import Attachment, NotServed
from launcher.container_id import ContainerId
from launcher.io.relays import Relays


def attach(paths: Paths, container_id: ContainerId) -> Attachment:
    """Connect to its pipes or terminal. Raises NoSuchContainer, NotServed."""
    record = records.load(paths, container_id)
    if record.stdio == "inherit":
        hint = "run it with -d or -t to attach to it and to have its log"
        raise NotServed(f"the output of {container_id} goes to the command that runs it", hint=hint)
    if record.termination is not None or not is_running(record):
        raise NotServed(f"container {container_id} has ended", hint="`containerizer logs` has its output")
    socket = paths.attach_socket(container_id)
    try:
        return Attachment.connect(socket)
    except NotServed:
        Relays(paths.relays).revive(wait=True)  # its relay may have been killed
        return Attachment.connect(socket)
