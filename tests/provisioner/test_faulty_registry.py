"""Pulling from a registry that misbehaves."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
    InvalidLayer,
    ProvisionerError,
    RegistryFailed,
    RegistryUnreachable,
    StoreError,
    Unauthorized,
    UnsupportedMediaType,
)
from provisioner.layer.limits import Limits
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, TWO, corrupt, log_in
from tests.provisioner.scripted import Answer, ScriptedRegistry
from tests.support import images
from tests.support.images import image

pytestmark = pytest.mark.requires("root")


def test_bearer_token_is_fetched_and_sent(
    provisioner: Provisioner, scripted: ScriptedRegistry, tmp_path: Path
) -> None:
    parts = image(ONE)
    scripted.serve(parts, "private", "latest")
    realm = (
        f'Bearer realm="http://{scripted.host}/token",service="the, service",scope="repository:private:pull"'
    )
    manifest = scripted.answers["/v2/private/manifests/latest"][0]
    scripted.answer(
        "/v2/private/manifests/latest", Answer(401, headers={"WWW-Authenticate": realm}), manifest
    )
    scripted.answer("/token", Answer(body=b'{"access_token": "abc"}'))
    basic = log_in(tmp_path, f"https://{scripted.host}", "user:se:cret")
    provisioner.pull(f"{scripted.host}/private")
    assert [headers.get("Authorization") for headers in scripted.asked("/v2/")] == [None] + ["Bearer abc"] * 3
    assert scripted.asked("/token")[0]["Authorization"] == basic
    query = next(path for path, _ in scripted.requests if path.startswith("/token"))
    assert "service=the%2C+service" in query and "scope=repository%3Aprivate%3Apull" in query


@pytest.mark.parametrize(
    "challenge",
    [
        *(
            "",
            "Basic",
            'Basic realm="x"',
            "Negotiate",
            "Bearer",
            'Bearer realm=""',
            'Bearer realm="file:///etc"',
        ),
        'Bearer realm="http://["',
    ],
)
def test_unauthorized(provisioner: Provisioner, scripted: ScriptedRegistry, challenge: str) -> None:
    scripted.answer("/v2/x/manifests/latest", Answer(401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(Unauthorized, match="registry 127"):
        provisioner.pull(f"{scripted.host}/x")


def test_authorization_does_not_follow_to_another_host(
    provisioner: Provisioner, scripted: ScriptedRegistry, tmp_path: Path
) -> None:
    parts = image(ONE)
    scripted.serve(parts, "moved", "latest")
    blob = f"/v2/moved/blobs/{images.digest(ONE.blob)}"
    elsewhere = f"http://localhost:{scripted.host.partition(':')[2]}/elsewhere"
    scripted.answer("/elsewhere", *scripted.answers[blob])
    scripted.answer(blob, Answer(307, headers={"Location": elsewhere}))
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    manifest = scripted.answers["/v2/moved/manifests/latest"][0]
    scripted.answer("/v2/moved/manifests/latest", Answer(401, headers=challenge), manifest)
    basic = log_in(tmp_path, scripted.host, "user:secret")
    provisioner.pull(f"{scripted.host}/moved")
    assert scripted.asked(blob)[0]["Authorization"] == basic
    assert [headers.get("Authorization") for headers in scripted.asked("/elsewhere")] == [None]


def test_short_failures_are_retried(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    scripted.serve(image(ONE), "flaky", "latest")
    manifest = scripted.answers["/v2/flaky/manifests/latest"][0]
    scripted.answer("/v2/flaky/manifests/latest", Answer(503), Answer(reset=True), manifest)
    assert provisioner.pull(f"{scripted.host}/flaky").size == 3
    assert len(scripted.asked("/v2/flaky/manifests")) == 3


def test_lasting_failure_names_the_answer(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    body = b'{"errors": [{"code": "UNAVAILABLE", "message": "under\\u001b maintenance"}]}'
    scripted.answer("/v2/x/manifests/latest", Answer(503, body, {"Retry-After": "3600"}))
    with pytest.raises(
        RegistryFailed, match=r"answers 503 for .*/x:latest \(UNAVAILABLE: under maintenance\)"
    ):
        provisioner.pull(f"{scripted.host}/x")


@pytest.mark.parametrize("name", ["127.0.0.1:9/x", "localhost:9/x", "[::1]:9/x"])
def test_unreachable_registry(provisioner: Provisioner, root: Path, name: str) -> None:
    with pytest.raises(RegistryUnreachable, match=r"cannot reach registry .*:9: ") as caught:
        provisioner.pull(name)
    assert "check the address" in str(caught.value.hint)
    assert not root.exists()


def test_what_is_no_registry_at_all(provisioner: Provisioner) -> None:
    """Such as a mail server, which speaks first."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(2):  # is it TLS?, and the request
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"220 mail.invalid ESMTP\r\n")
                    connection.settimeout(60)
                    connection.recv(1 << 16)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(RegistryUnreachable, match="what it answers is no HTTP"):
            provisioner.pull(f"127.0.0.1:{server.getsockname()[1]}/x")
        thread.join(60)


def test_plain_http_needs_permission(
    root: Path, scripted: ScriptedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.registry.settings.is_loopback", lambda registry: False)
    scripted.serve(image(ONE), "x", "latest")
    with pytest.raises(RegistryUnreachable):
        Provisioner(str(root)).pull(f"{scripted.host}/x")
    assert scripted.requests == []
    insecure = Provisioner(str(root), insecure_registries=[scripted.host])
    assert insecure.pull(f"{scripted.host}/x").size == 3


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(body=corrupt(ONE.blob)), DigestMismatch, "hashes to"),
        (Answer(body=ONE.blob[:-9]), InvalidLayer, "truncated"),
        (
            Answer(body=ONE.blob[:-9], length=len(ONE.blob)),
            RegistryUnreachable,
            "6 times: the connection was",
        ),
        (Answer(body=ONE.blob + b"x"), InvalidLayer, "more than"),
        (Answer(404), ImageNotFound, "blob sha256:"),
        (Answer(400), RegistryFailed, "answers 400"),
    ],
)
def test_bad_layer_leaves_nothing(
    provisioner: Provisioner,
    root: Path,
    scripted: ScriptedRegistry,
    answer: Answer,
    error: type[ProvisionerError],
    message: str,
) -> None:
    parts = image(ONE, TWO)
    scripted.serve(parts, "bad", "latest")
    scripted.answer_layer(parts, "bad", answer)
    with pytest.raises(error, match=message):
        provisioner.pull(f"{scripted.host}/bad")
    assert provisioner.images() == []
    assert not any(path.is_dir() for path in root.glob("store/layers/*/*"))
    assert os.listdir(root / "store/ingest") == [] and os.listdir(root / "store/locks") == []


def test_the_next_pull_goes_on_from_the_layers_that_were_whole(
    provisioner: Provisioner, scripted: ScriptedRegistry
) -> None:
    parts = image(TWO, ONE)
    scripted.serve(parts, "again", "latest")
    path = f"/v2/again/blobs/{images.digest(ONE.blob)}"
    good = scripted.answers[path]
    scripted.answer(path, Answer(404))
    seen: dict[str, str] = {}

    def progress(layer: str, phase: str, done: int, total: int) -> None:
        seen[layer] = phase

    with pytest.raises(ImageNotFound):
        provisioner.pull(f"{scripted.host}/again", progress=progress)
    before = seen[images.digest(TWO.blob)]
    scripted.answer(path, *good)
    provisioner.pull(f"{scripted.host}/again", progress=progress)
    assert seen[images.digest(ONE.blob)] == "done"
    assert seen[images.digest(TWO.blob)] == ("exists" if before == "done" else "done")


def test_manifest_that_is_not_what_was_promised(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    parts = image(ONE)
    wanted = images.digest(b"another manifest")
    scripted.serve(parts, "x", wanted)
    with pytest.raises(DigestMismatch, match="manifest of"):
        provisioner.pull(f"{scripted.host}/x@{wanted}")
    headers = {"Content-Type": parts.manifest_type, "Docker-Content-Digest": wanted}
    scripted.answer("/v2/x/manifests/latest", Answer(body=parts.manifest, headers=headers))
    with pytest.raises(DigestMismatch, match="manifest of"):
        provisioner.pull(f"{scripted.host}/x")


def test_configuration_that_is_not_what_was_promised(
    provisioner: Provisioner, scripted: ScriptedRegistry
) -> None:
    parts = image(ONE)
    scripted.serve(parts, "x", "latest")
    path = f"/v2/x/blobs/{images.digest(parts.config)}"
    for body in (b"{}", corrupt(parts.config), parts.config + b" "):
        scripted.answer(path, Answer(body=body))
        with pytest.raises(DigestMismatch, match="configuration"):
            provisioner.pull(f"{scripted.host}/x")


def test_huge_manifest_is_not_read(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    headers = {"Content-Type": images.OCI_MANIFEST}
    scripted.answer("/v2/x/manifests/latest", Answer(body=b" " * (5 << 20), headers=headers))
    with pytest.raises(InvalidImage, match="larger than 4194304"):
        provisioner.pull(f"{scripted.host}/x")


def test_index_in_index_without_end(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    nested: images.ImageParts | images.Index = image(ONE)
    for _ in range(6):
        nested = images.Index((nested,), ("",))
        scripted.answer(
            f"/v2/x/manifests/{images.digest(nested.manifest)}",
            Answer(body=nested.manifest, headers={"Content-Type": nested.manifest_type}),
        )
    scripted.answers["/v2/x/manifests/latest"] = [Answer(body=nested.manifest)]
    with pytest.raises(InvalidImage, match="nests more than"):
        provisioner.pull(f"{scripted.host}/x")


def test_schema_1_and_strange_media_types(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    for media_type, message in (
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        ("text/html", "'text/html'"),
    ):
        scripted.answer("/v2/x/manifests/latest", Answer(body=b"{}", headers={"Content-Type": media_type}))
        with pytest.raises(UnsupportedMediaType, match=message):
            provisioner.pull(f"{scripted.host}/x")
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    scripted.serve(image(replace(ONE, media_type=foreign)), "x", "latest")
    with pytest.raises(UnsupportedMediaType, match="nondistributable"):
        provisioner.pull(f"{scripted.host}/x")


def test_broken_credentials_file_is_named(
    provisioner: Provisioner, scripted: ScriptedRegistry, tmp_path: Path
) -> None:
    scripted.answer("/v2/x/manifests/latest", Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
    for content in ("{", "[]", json.dumps({"auths": {scripted.host: {"auth": "!"}}})):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ProvisionerError, match=r"malformed credentials .*config\.json"):
            provisioner.pull(f"{scripted.host}/x")


def test_limits_can_be_set(root: Path, scripted: ScriptedRegistry) -> None:
    scripted.serve(image(ONE), "x", "latest")
    with pytest.raises(InvalidLayer, match="more than 1000 bytes"):
        Provisioner(str(root), limits=Limits(unpacked_bytes=1000)).pull(f"{scripted.host}/x")


def test_store_that_cannot_be_made(tmp_path: Path) -> None:
    images.write_layout([("", image(ONE))], tmp_path / "layout")
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StoreError, match="cannot store image oci:"):
        Provisioner(str(tmp_path / "root")).pull(f"oci:{tmp_path}/layout")
