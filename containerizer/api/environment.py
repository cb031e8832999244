"""Environment variables, as the API carries them: plain ones, and secrets by value or by reference.

The value of a secret goes into memory only: ContainerConfig.secret_environment. A reference is for a resolver
of the agent's (isolators/secret_resolvers.py), which is asked when the container is launched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.api import secrets
from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from isolators.secrets import SecretReference

SECRET = containers.Environment.Variable.SECRET

_KINDS = ("environment", "secret_environment", "environment_secrets")


def asked(environment: containers.Environment) -> dict[str, Any]:
    """Fields of ContainerConfig; of variables of one name the last counts. Raises BadRequest."""
    kinds: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    for variable in environment.variables:
        if not variable.name or "=" in variable.name:
            raise BadRequest(f"the environment variable {variable.name!r} has no name that one can have")
        for each in kinds.values():
            each.pop(variable.name, None)
        kind, value = _value(variable)
        kinds[kind][variable.name] = value
    return kinds


def of_command(environment: containers.Environment) -> dict[str, Any]:
    """Of a further command in a container: fields of ExecRequest. Raises BadRequest."""
    kinds = asked(environment)
    for name in kinds.pop("environment_secrets"):
        hint = "give its value, or have the container launched with it"
        raise BadRequest(f"the secret of {name!r} is a reference, in a further command", hint=hint)
    return kinds


def add(
    command: containers.CommandInfo,
    environment: Mapping[str, str],
    secret_values: Mapping[str, str],
    references: Mapping[str, SecretReference] | None = None,
) -> None:
    """The client's side. Raises InvalidRequest for a reference that names its resolver."""
    for name, value in environment.items():
        command.environment.variables.add(name=name, value=value)
    for name, value in secret_values.items():
        secrets.fill(command.environment.variables.add(name=name, type=SECRET).secret, value.encode())
    for name, reference in (references or {}).items():
        secrets.fill(command.environment.variables.add(name=name, type=SECRET).secret, reference)


def _value(variable: containers.Environment.Variable) -> tuple[str, Any]:
    """Whose it is, and what it is there. No message has the value of a secret."""
    if variable.type != SECRET:
        return "environment", variable.value
    secret = secrets.asked(variable.secret, repr(variable.name))
    if isinstance(secret, SecretReference):
        return "environment_secrets", secret
    try:
        return "secret_environment", secret.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the secret of {variable.name!r} is no UTF-8") from None
