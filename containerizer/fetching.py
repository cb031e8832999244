"""Fetching for a container: where its files lie, whose they are, and giving up when it is destroyed.

What is fetched lies in a directory of its own in the sandbox, which a task on an image finds at
`TARGET`, and a task on the host's filesystem where it starts; `MESOS_SANDBOX` names it to both, as
programs written for Mesos expect.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import ids
from containerizer.fetcher.fetch import Fetcher
from containerizer.fetcher.place import Owner
from containerizer.liveness import open_process
from containerizer.request import ContainerRequest
from isolators.isolator import ContainerConfig
from launcher import root_view
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from provisioner.registry.line import Line

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.owner import Owner as ContainerOwner

TARGET = "/mnt/mesos/sandbox"
VARIABLE = "MESOS_SANDBOX"

_ROOT = (None, "", "0", "0:0", "root", "root:root")


def directory_of(config: ContainerConfig) -> str:
    """Where what is fetched lies, on the host."""
    return os.path.join(config.sandbox, "fetched")


def contribution(config: ContainerConfig) -> LaunchInfo:
    """What the launcher does so that the task finds the files. Raises InvalidRequest."""
    own = directory_of(config)
    seen = own if config.rootfs is None else TARGET
    environment = {} if VARIABLE in config.environment else {VARIABLE: seen}
    if config.rootfs is not None:
        mount = Mount(target=TARGET, fstype="bind", source=own, flags=("nosuid", "nodev"))
        return LaunchInfo(environment=environment, mounts=(mount,))
    if config.userns is not None or config.namespaces.get("user"):
        hint = "fetch for a container that has an image, or leave out --userns"
        raise InvalidRequest("who is root in another user namespace cannot reach the sandbox", hint=hint)
    return LaunchInfo(environment=environment)


def make_directory(config: ContainerConfig) -> None:
    """Before the launch, which mounts it."""
    os.mkdir(directory_of(config), 0o755)


def starting_there(config: ContainerConfig) -> ContainerConfig:
    """Where the task has the host's filesystem, and asks for no other directory, it starts at its files."""
    if config.rootfs is not None or config.working_directory is not None:
        return config
    return replace(config, working_directory=directory_of(config))


def fetch(owner: ContainerOwner, container: Container, request: ContainerRequest, info: LaunchInfo) -> None:
    """Bring everything into the sandbox. The child is there, and blocks. Raises FetchFailed."""
    user = _user(info)
    line = Line()
    directory = directory_of(container.config)
    os.chown(directory, user.uid, user.gid)
    fetcher = Fetcher(owner.paths.fetch_cache, owner.fetch_options)
    with _cut_at_end_of(container, line):
        fetcher.fetch(request.fetch, directory, owner=user, reader=_on_host(user, info), line=line)


def _user(info: LaunchInfo) -> Owner:
    """The task's user by the image's own files, as the ids that the disk has: those of the container."""
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid())
    if info.user in _ROOT:
        return Owner(0, 0)
    # As of a user namespace, whose view makes no second overlay over the task's upper directory.
    glimpse = replace(info, namespaces={"user": "new"})
    with root_view.opened(glimpse) as view:
        user = view.resolve_user(info.user)
    return Owner(user.uid, user.gid)


def _on_host(owner: Owner, info: LaunchInfo) -> Owner:
    """Whom the host takes the task's user for; nobody where it knows none."""
    uid = ids.outside(info.uid_map or (), owner.uid)
    gid = ids.outside(info.gid_map or (), owner.gid)
    return Owner(ids.UNMAPPED if uid is None else uid, ids.UNMAPPED if gid is None else gid)


@contextlib.contextmanager
def _cut_at_end_of(container: Container, line: Line) -> Iterator[None]:
    """Who destroys a container kills its child; then there is nobody left to fetch for."""
    child = open_process(container.record.pid, container.record.pid_started)
    if child is None:
        line.cut()
        yield
        return
    done_reader, done_writer = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(child, select.POLLIN)
        poll.register(done_reader, select.POLLIN)
        if any(fd == child for fd, _ in poll.poll()):
            line.cut()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        os.close(done_writer)  # which polls as the end of the pipe
        watcher.join()
        os.close(done_reader)
        os.close(child)
