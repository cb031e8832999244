"""hooks/oci: programs that the operator or the request has run at points of a container's life.

Files of JSON in directories say which, as of podman and CRI-O: oci-hooks(5), version 1.0.0. Such a file:

    {"version": "1.0.0", "hook": {"path": "/usr/bin/x", "args": ["x"], "env": ["A=1"], "timeout": 10},
     "when": {"always": true}, "stages": ["createRuntime", "poststop"]}

The launcher runs all but those after the end, which are run by the clean-up.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isolators import bundle
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from launcher import hooks
from launcher.container_id import ContainerId
from launcher.data import asdict
from launcher.errors import ContainerizerError
from launcher.launch_info import Hook, LaunchInfo

VERSION = "1.0.0"
_LARGEST = 1 << 20  # bytes of a file


class InvalidHook(ContainerizerError):
    """A file is not as oci-hooks(5) has it; the message names the file and the field."""


class HooksOci(Isolator):
    name = "hooks/oci"
    enforces = frozenset({"hooks_dirs"})

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        _read(flags.hooks_dirs)  # what is broken is told at the start

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        found = tuple(self._hooks(config))
        return (
            LaunchInfo(hooks=found, bundle=bundle.path(self.flags, container_id)) if found else LaunchInfo()
        )

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = self.contribute(container_id, config)
        if info.hooks:
            bundle.write(self.flags, container_id, config)
            last = [asdict(hook) for hook in info.hooks if hook.point in hooks.STOPPED]
            if last:
                path = bundle.pending(self.flags, container_id)
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(last, file)
        return info

    def cleanup(self, container_id: ContainerId) -> None:
        """Each hook once. One that fails is logged: there is nothing left that could fail with it."""
        directory = bundle.path(self.flags, container_id)
        for hook in _pending(bundle.pending(self.flags, container_id)):
            try:
                hooks.run_one(hook, hooks.state_of(str(container_id), directory, hook.point))
            except hooks.HookFailed as error:
                import logging  # heavy, and rare

                logging.getLogger("containerizer.hooks").warning("container %s: %s", container_id, error)
        bundle.remove(self.flags, container_id)

    def _hooks(self, config: ContainerConfig) -> Iterable[Hook]:
        for when, found in _read((*self.flags.hooks_dirs, *config.hooks_dirs)):
            if _applies(when, config):
                yield from found


def _pending(path: str) -> list[Hook]:
    """What is still to be run; from now on it is not."""
    try:
        with open(path, encoding="utf-8") as file:
            found = [Hook.decode(value) for value in json.load(file)]
    except FileNotFoundError:
        return []
    except ValueError:  # whoever wrote it was killed meanwhile, so nothing was launched
        found = []
    os.unlink(path)
    return found


def _read(directories: Iterable[str]) -> list[tuple[Mapping[str, Any], tuple[Hook, ...]]]:
    """The files by their names; of two of one name that in the later directory. Raises InvalidHook."""
    files: dict[str, str] = {}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError as error:
            raise InvalidHook(
                f"cannot read the hooks in {directory}: {str(error.strerror).lower()}"
            ) from error
        files |= {name: os.path.join(directory, name) for name in names if name.endswith(".json")}
    return [_parse(files[name]) for name in sorted(files)]


def _parse(path: str) -> tuple[Mapping[str, Any], tuple[Hook, ...]]:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(_LARGEST))
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise ValueError(f"its version is not {VERSION}")
        program, when, stages = value["hook"], value["when"], value["stages"]
        timeout = program.get("timeout")
        if not (isinstance(program["path"], str) and os.path.isabs(program["path"])):
            raise ValueError("hook.path is not absolute")
        if timeout is not None and not (type(timeout) is int and timeout > 0):
            raise ValueError("hook.timeout is no number of seconds")
        if not stages or not set(stages) <= set(hooks.POINTS):
            raise ValueError(f"stages are some of {', '.join(hooks.POINTS)}")
        if not when or not set(when) <= {"always", "annotations", "commands", "hasBindMounts"}:
            raise ValueError("when has some of always, commands, annotations and hasBindMounts")
        for pattern in when.get("commands", ()):
            re.compile(pattern)
        known: dict[str, Any] = {
            "path": program["path"],
            "argv": tuple(map(str, program.get("args", ()))),
            "environment": tuple(map(str, program.get("env", ()))),
            "timeout": timeout,
        }
        return when, tuple(Hook(point=stage, **known) for stage in stages)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise InvalidHook(f"cannot read the hook in {path}: {what}") from error


def _applies(when: Mapping[str, Any], config: ContainerConfig) -> bool:
    """All that is asked has to hold; there are no annotations here."""
    image = config.image_config or {}
    entrypoint = config.entrypoint if config.entrypoint is not None else image.get("Entrypoint") or ()
    command = [*entrypoint, *(config.command or image.get("Cmd") or ())]
    answers: Mapping[str, Callable[[Any], bool]] = {
        "always": bool,
        "annotations": lambda wanted: not wanted,
        "commands": lambda patterns: bool(command) and any(re.search(each, command[0]) for each in patterns),
        "hasBindMounts": lambda wanted: not wanted,
    }
    return all(answers[name](wanted) for name, wanted in when.items())
