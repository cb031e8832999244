"""Environment variables, as the API carries them: plain ones, and secrets by value or by reference.

The value of a secret goes into memory only: ContainerConfig.secret_environment. A reference is for a resolver
of the agent's (isolators/secret_resolvers.py), which is asked when the container is launched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import values_pb2 as values
from isolators.secrets import SecretReference
from launcher.errors import InvalidRequest

SECRET = containers.Environment.Variable.SECRET

_Variable = containers.Environment.Variable
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


def add(command: containers.CommandInfo, environment: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """The client's side: variables and secrets by their values."""
    for name, value in environment.items():
        command.environment.variables.add(name=name, value=value)
    for name, value in secrets.items():
        variable = command.environment.variables.add(name=name, type=SECRET)
        variable.secret.type = values.Secret.VALUE
        variable.secret.value.data = value.encode()


def add_references(command: containers.CommandInfo, references: Mapping[str, SecretReference]) -> None:
    """Likewise. Raises InvalidRequest for one that names its resolver."""
    for name, reference in references.items():
        if reference.resolver is not None:
            hint = "the agent has its own: --secret-resolver"
            raise InvalidRequest(f"the resolver of the secret {reference} cannot be chosen", hint=hint)
        variable = command.environment.variables.add(name=name, type=SECRET)
        variable.secret.type = values.Secret.REFERENCE
        variable.secret.reference.name = reference.name
        if reference.key is not None:
            variable.secret.reference.key = reference.key


def _value(variable: _Variable) -> tuple[str, Any]:
    """Whose it is, and what it is there. No message has the value of a secret."""
    if variable.type != SECRET:
        return "environment", variable.value
    secret = variable.secret
    if secret.type == values.Secret.REFERENCE and secret.HasField("reference"):
        key = secret.reference.key if secret.reference.HasField("key") else None
        return "environment_secrets", SecretReference(name=secret.reference.name, key=key)
    if secret.type != values.Secret.VALUE:
        raise BadRequest(f"the secret of {variable.name!r} has neither a value nor a reference")
    try:
        return "secret_environment", secret.value.data.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the secret of {variable.name!r} is no UTF-8") from None
