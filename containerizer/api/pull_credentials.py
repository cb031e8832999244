"""Credentials of a pull, as a request carries them: Image.Docker.config, a document like a config.json.

It is a secret, by value or by reference to what a resolver of the agent's has. They are for this pull only:
nothing keeps them, and an image that is in the store already is there for everybody, as with Docker. What
the document says of credential helpers is passed over, for they are programs of the client's host. Where it
has nothing of the image's registry, the agent asks as it does without.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from containerizer.api import secrets
from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import values_pb2 as values
from isolators.secrets import SecretReference
from provisioner.reference import ImageReference
from provisioner.registry.options import Credentials

if TYPE_CHECKING:
    from containerizer.api.context import Context

_CALLED = "the request's 'config'"


async def of_container(context: Context, container: containers.ContainerInfo) -> Credentials | None:
    """Raises BadRequest."""
    image = container.mesos.image
    if not image.HasField("docker"):
        return None
    docker = image.docker
    if docker.HasField("credential"):  # which `config` has taken the place of
        return Credentials(username=docker.credential.principal, password=docker.credential.secret)
    return await of_config(context, docker.config, docker.name) if docker.HasField("config") else None


async def of_config(context: Context, config: values.Secret, image: str) -> Credentials | None:
    """Raises BadRequest."""
    asked = secrets.asked(config, _CALLED)
    if isinstance(asked, SecretReference):
        from isolators import secret_resolvers  # for those who refer to some

        reference = asked
        try:
            asked = await context.engine.call(lambda owner: secret_resolvers.resolve(reference, owner.flags))
        except secret_resolvers.SecretUnavailable as error:
            raise BadRequest(str(error)) from None
    return _found(asked, ImageReference.parse(image))


def _found(document: bytes, image: ImageReference) -> Credentials | None:
    from provisioner.errors import RegistryConfigurationError
    from provisioner.registry import credentials  # few requests have some
    from provisioner.registry.auth_file import AuthFile

    try:
        return credentials.in_document(AuthFile.parse(_CALLED, document), image.registry, image.repository)
    except RegistryConfigurationError as error:
        raise BadRequest(str(error)) from None


def fill(config: values.Secret, registry: str, credentials: Credentials) -> None:
    """The client's side: a document with nothing else in it."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    entry = {"auth": base64.b64encode(pair).decode()} if credentials.username else {}
    tokens = {"identitytoken": credentials.identity_token, "registrytoken": credentials.registry_token}
    entry |= {name: token for name, token in tokens.items() if token}
    secrets.fill(config, json.dumps({"auths": {registry: entry}}).encode())
