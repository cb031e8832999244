"""Secrets: values of environment variables that no checkpoint, record or message has.

A command in a container gets its variables, however much later it comes, so they have to be somewhere: the
container's supervisor keeps them (launcher/secret_file.py), whoever else is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from containerizer import record as records
from containerizer.liveness import open_process
from containerizer.paths import Paths
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest


def load(paths: Paths, container_id: ContainerId, names: Mapping[str, str]) -> dict[str, str]:
    """The values of a running container's. Raises InvalidRequest if they are gone."""
    from launcher import secret_file  # what few have

    record = records.load(paths, container_id)
    supervisor = open_process(record.supervisor, record.supervisor_started)
    if supervisor is not None:
        try:
            found = secret_file.read(supervisor)
            if found.keys() == names.keys():
                return found
        except (OSError, ValueError):
            pass
        finally:
            os.close(supervisor)
    hint = "it ends, or its launcher keeps none: start it again"
    raise InvalidRequest(f"the secrets of {container_id} are gone", hint=hint)


def hidden(text: str, environment: Mapping[str, str]) -> str:
    """The text with names in place of values, the longest first."""
    for name, value in sorted(environment.items(), key=lambda item: -len(item[1])):
        if value:
            text = text.replace(value, f"$({name})")
    return text
