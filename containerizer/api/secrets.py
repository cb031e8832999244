"""Secrets, as the API carries them: by value, or by reference to what a resolver of the agent's has."""

from __future__ import annotations

from containerizer.api.errors import BadRequest
from containerizer.api.proto import values_pb2 as values
from isolators.secrets import SecretReference
from launcher.errors import InvalidRequest


def asked(secret: values.Secret, what: str) -> bytes | SecretReference:
    """Raises BadRequest, which tells `what` has none, and InvalidRequest; never a value."""
    if secret.type == values.Secret.VALUE and secret.HasField("value"):
        return secret.value.data
    if secret.type == values.Secret.REFERENCE and secret.HasField("reference"):
        key = secret.reference.key if secret.reference.HasField("key") else None
        return SecretReference(name=secret.reference.name, key=key)
    raise BadRequest(f"the secret of {what} has neither a value nor a reference")


def fill(message: values.Secret, secret: bytes | SecretReference) -> None:
    """The client's side. Raises InvalidRequest for a reference that names its resolver."""
    if isinstance(secret, bytes):
        message.type = values.Secret.VALUE
        message.value.data = secret
        return
    if secret.resolver is not None:
        hint = "the agent has its own: --secret-resolver"
        raise InvalidRequest(f"the resolver of the secret {secret} cannot be chosen", hint=hint)
    message.type = values.Secret.REFERENCE
    message.reference.name = secret.name
    if secret.key is not None:
        message.reference.key = secret.key
