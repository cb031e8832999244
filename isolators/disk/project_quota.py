"""What the isolators of project quotas share: a project for each container, whose quota the filesystem keeps.

All of a container lies below its sandbox: the writable layer, the volumes in it, the log, what is nested. The
sandbox's directory is the project's before the task writes, and hands that on to all that is made in it. So
a task is refused what is beyond its limit (EDQUOT; ENOSPC on XFS), or, if the operator wants that, it is
killed for it. A project is a container's alone while one of its files is there, however that ended.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from isolators import ownership
from isolators.disk import limits
from isolators.disk.register import Asked, Register
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, IsolatorUnavailable, Need, Watch
from isolators.resources import Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import filesystems, process, project_quota
from launcher.launch_info import LaunchInfo


class NoFreeProject(ContainerizerError):
    """All projects of the range have files."""


class ProjectQuotas(Isolator):
    """The base; a subclass names the filesystem."""

    filesystem: ClassVar[str]  # as in mountinfo
    enforces = frozenset({"disk"})

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self._register = Register(os.path.join(flags.own_state, "quotas"))
        self._owners = os.path.join(flags.state, "projects")

    def check(self, resources: Resources) -> None:
        limits.check(resources)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.parent is not None and config.resources.disk is not None:
            hint = "leave it out: what it writes is of its parent's; or load disk/du instead"
            raise InvalidRequest("a nested container has no project of its own", hint=hint)
        return LaunchInfo()

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = self.contribute(container_id, config)
        if config.parent is None:
            with _opened(config.sandbox) as sandbox:
                self._check_filesystem(sandbox, config)
                project = self._take(ownership.holder(self.flags, container_id), sandbox)
                asked = Asked(
                    sandbox=config.sandbox,
                    limit=config.resources.disk,
                    enforced=self.flags.enforce_container_disk_quota,
                    interval=self.flags.container_disk_watch_interval,
                    project=project,
                )
                self._register.ask(container_id, asked)
                self._limit(sandbox, asked)
            _assign_all(config.sandbox, project)
        return info

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """Tell the measurer, if it is to kill."""
        asked = self._register.asked(container_id)
        if asked is not None and self.flags.xfs_kill_containers:
            self._register.ask(container_id, replace(asked, pid=pid, started=process.started_at(pid)))
            self._register.have_measured()

    def watch(self, container_id: ContainerId) -> Watch:
        return _Watch(self, container_id)

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        asked, over = self._register.asked(container_id), self._register.found(container_id).over
        if asked is None or asked.limit is None or over is None:
            return None
        return limits.limitation(self.name, asked.limit, over, fatal=True)

    def reached(self, container_id: ContainerId) -> Sequence[Limitation]:
        """Where the limit is not enforced: whom the kernel refuses more, it tells, and does not count."""
        asked = self._register.asked(container_id)
        quota = self._quota(asked)
        if (
            asked is None
            or asked.enforced
            or asked.limit is None
            or quota is None
            or quota.used <= asked.limit
        ):
            return ()
        return (limits.limitation(self.name, asked.limit, quota.used, fatal=False),)

    def update(self, container_id: ContainerId, resources: Resources) -> None:
        """Below what is used already: the task gets no more."""
        asked = self._register.asked(container_id)
        if asked is None or asked.project is None:
            raise InvalidRequest("a nested container has no project of its own")
        asked = replace(asked, limit=resources.disk)
        with _opened(asked.sandbox) as sandbox:
            self._limit(sandbox, asked)
        self._register.ask(container_id, asked)

    def usage(self, container_id: ContainerId) -> Usage:
        asked = self._register.asked(container_id)
        quota = self._quota(asked)
        if asked is None or quota is None:
            return Usage()
        return Usage(disk_bytes=quota.used, disk_limit_bytes=asked.limit)

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        asked = self._register.asked(container_id)
        return {} if asked is None else {"project": asked.project}

    def cleanup(self, container_id: ContainerId) -> None:
        """The files stay the project's, so it is nobody else's until they are gone."""
        asked = self._register.asked(container_id)
        if asked is not None and asked.project is not None:
            with contextlib.suppress(FileNotFoundError), _opened(asked.sandbox) as sandbox:
                project_quota.limit(sandbox, asked.project, None)
        self._register.forget(container_id)
        ownership.release(self._owners, ownership.holder(self.flags, container_id))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        return [f"the project {project}" for project in ownership.sweep(self._owners)]

    def _check_filesystem(self, sandbox: int, config: ContainerConfig) -> None:
        """Raises IsolatorUnavailable."""
        lies_on = (filesystems.mounted(sandbox) or ("another filesystem",))[0]
        if lies_on != self.filesystem:
            raise IsolatorUnavailable(
                f"the sandbox {config.sandbox} lies on {lies_on}, not on {self.filesystem}",
                hint=f"give a --root on {self.filesystem}, or load another isolator of disks",
            )
        limited = config.resources.disk is not None and self.flags.enforce_container_disk_quota
        asked = project_quota.is_enforced if limited else project_quota.is_accounted
        if not asked(sandbox):
            what = "does not enforce" if limited else "does not count by"
            raise IsolatorUnavailable(
                f"the filesystem of {config.sandbox} {what} project quotas", hint="mount it with -o prjquota"
            )

    def _take(self, holder: str, sandbox: int) -> int:
        """A project that has no file there, for the container alone. Raises NoFreeProject."""
        held = ownership.held(self._owners, holder)
        first, last = self.flags.xfs_project_range
        free = (str(p) for p in range(first, last + 1) if not project_quota.read(sandbox, p).inodes)
        taken = held or ownership.take(self._owners, holder, free, 1)
        if not taken:
            hint = "remove containers that have ended, or give a larger range"
            raise NoFreeProject(f"all projects from {first} to {last} have files", hint=hint)
        return int(taken[0])

    def _limit(self, sandbox: int, asked: Asked) -> None:
        hard = asked.limit if asked.enforced else None
        if hard is not None and self.flags.xfs_kill_containers:
            hard += self.flags.xfs_quota_headroom
        project_quota.limit(sandbox, asked.project or 0, hard, limits.files(hard))

    def _quota(self, asked: Asked | None) -> project_quota.Quota | None:
        if asked is None or asked.project is None:
            return None
        try:
            with _opened(asked.sandbox) as sandbox:
                return project_quota.read(sandbox, asked.project)
        except FileNotFoundError:  # removed just now
            return None


class _Watch(Watch):
    """The end of the task wakes whoever waits."""

    def __init__(self, isolator: ProjectQuotas, container_id: ContainerId) -> None:
        self._isolator, self._id = isolator, container_id
        self._told = False

    def check(self) -> Limitation | None:
        fatal = self._isolator.limitation(self._id)
        if fatal is not None or self._told:
            return fatal
        for limitation in self._isolator.reached(self._id):
            self._told = True
            return limitation
        return None


def need_of(filesystem: str) -> Need:
    """A mount where quotas of projects are kept."""
    return Need(
        f"a filesystem {filesystem} that is mounted with project quotas",
        lambda: any("prjquota" in options for options in _options_of(filesystem)),
        f"mount the {filesystem} of the root directory with -o prjquota",
        optional=True,
    )


def _options_of(filesystem: str) -> Iterator[list[str]]:
    """Of each mount of this kind."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            kind, _, options = line.rstrip("\n").partition(" - ")[2].split(" ", 2)
            if kind == filesystem:
                yield options.split(",")


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _assign_all(directory: str, project: int) -> None:
    """What the provisioner and others have made there; links and devices have no project. Raises OSError."""
    for _, _, files, here in os.fwalk(directory):
        project_quota.assign(here, project, inherit=True)
        for name in files:
            if stat.S_ISREG(os.lstat(name, dir_fd=here).st_mode):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                try:
                    project_quota.assign(file, project, inherit=False)
                finally:
                    os.close(file)
