"""Pulling from a registry, or from where it redirects to, that wants something of us."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import ProvisionerError, RegistryFailed, RegistryUnreachable, Unauthorized
from provisioner.provisioner import Provisioner
from provisioner.registry.login import login
from provisioner.registry.options import Credentials, RegistryOptions
from tests.provisioner.parts import ONE, log_in
from tests.provisioner.scripted import Answer, ScriptedRegistry, scripted_registry
from tests.support import images
from tests.support.images import image

pytestmark = pytest.mark.requires("root")

MANIFEST = "/v2/x/manifests/latest"
BLOB = f"/v2/x/blobs/{images.digest(ONE.blob)}"


@pytest.fixture
def served(scripted: ScriptedRegistry) -> ScriptedRegistry:
    scripted.serve(image(ONE), "x", "latest")
    return scripted


def to(location: str) -> Answer:
    return Answer(307, headers={"Location": location})


# Who asks for credentials.


@pytest.fixture
def thief() -> Iterator[ScriptedRegistry]:
    """A host that no registry is at; it says who is to be told the password."""
    with scripted_registry() as other:
        challenge = f'Bearer realm="http://{other.host}/token",service="x"'
        other.answer("/anything", Answer(401, headers={"WWW-Authenticate": challenge}))
        other.answer("/token", Answer(body=b'{"token": "t"}'))
        yield other


@pytest.mark.parametrize("path", [BLOB, MANIFEST])
def test_a_host_that_is_redirected_to_names_no_token_service(
    provisioner: Provisioner, served: ScriptedRegistry, thief: ScriptedRegistry, tmp_path: Path, path: str
) -> None:
    log_in(tmp_path, served.host, "user:secret")
    served.answer(path, to(f"http://{thief.host}/anything"))
    with pytest.raises(Unauthorized, match="redirects to 127"):
        provisioner.pull(f"{served.host}/x")
    assert thief.asked("/anything") and not thief.asked("/token")


def test_nor_does_it_for_a_login(scripted: ScriptedRegistry, thief: ScriptedRegistry, tmp_path: Path) -> None:
    scripted.answer("/v2/", to(f"http://{thief.host}/anything"))
    secret = RegistryOptions(
        credentials=Credentials(username="user", password="secret"), authfile=f"{tmp_path}/auth.json"
    )
    with pytest.raises(Unauthorized):
        login(scripted.host, secret)
    assert thief.asked("/anything") and not thief.asked("/token")
    assert not any("Authorization" in headers for _, headers in thief.requests)


# Where it sends us.

NOWHERE = ["http://[::1", "http://h:99999/", "file:///etc/passwd", "javascript:x"]
NO_HOST = ["http://a..b/x", f"http://{'a' * 70}.test/", "http://\xe9\xe9/", "http://a b/"]


@pytest.mark.parametrize("location", NOWHERE)
def test_a_redirect_to_nowhere(provisioner: Provisioner, served: ScriptedRegistry, location: str) -> None:
    served.answer(BLOB, to(location))
    with pytest.raises(RegistryFailed, match="leads nowhere"):
        provisioner.pull(f"{served.host}/x")


@pytest.mark.parametrize("location", NO_HOST)
def test_a_redirect_to_what_is_no_host(
    provisioner: Provisioner, served: ScriptedRegistry, location: str
) -> None:
    served.answer(BLOB, to(location))
    with pytest.raises(RegistryUnreachable):
        provisioner.pull(f"{served.host}/x")


@pytest.mark.parametrize("realm", [*NOWHERE, *NO_HOST])
def test_a_token_service_that_is_none(provisioner: Provisioner, served: ScriptedRegistry, realm: str) -> None:
    served.answer(MANIFEST, Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))
    with pytest.raises(ProvisionerError):
        provisioner.pull(f"{served.host}/x")


def test_a_redirect_is_not_unpacked_into_memory(provisioner: Provisioner, served: ScriptedRegistry) -> None:
    """requests does, and asks for it or not: 64 KiB on the way become as many MiB here."""
    served.answer("/blob", *served.answers[BLOB])
    headers = {"Location": "/blob", "Content-Encoding": "gzip"}
    served.answer(BLOB, Answer(307, body=gzip.compress(bytes(64 << 20), 9), headers=headers))
    tracemalloc.start()
    try:
        assert provisioner.pull(f"{served.host}/x").size == 3
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
