"""Pulling from a real registry, and from one that misbehaves."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
    InvalidLayer,
    PlatformNotFound,
    ProvisionerError,
    RegistryUnreachable,
    StoreError,
    Unauthorized,
    UnsupportedMediaType,
)
from provisioner.image import Image
from provisioner.layer.unpack import Limits
from provisioner.platforms import Platform
from provisioner.provisioner import Provisioner
from tests.provisioner.scripted import Answer, ScriptedRegistry
from tests.support import images
from tests.support.images import directory, entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")

HOST = str(Platform.host())
OTHER = "linux/s390x" if HOST != "linux/s390x" else "linux/amd64"

ONE = layer([directory("etc/"), entry("etc/name", b"one")])
TWO = layer([entry("etc/.wh.name"), entry("etc/other", b"two")], compression="zstd")
THREE = layer([entry("three", b"3")], compression="none")


def diff(root: Path, pulled: Image, index: int) -> Path:
    return root / "store/layers" / pulled.layers[index].replace(":", "/") / "diff"


# The real registry.


@pytest.mark.requires("registry")
@pytest.mark.parametrize("docker", [True, False], ids=["docker", "oci"])
def test_image_is_pulled_whole(
    provisioner: Provisioner, root: Path, registry: Registry, docker: bool
) -> None:
    parts = image(ONE, TWO, THREE, config={"Env": ["A=b"]}, docker=docker)
    name = f"whole-{'docker' if docker else 'oci'}"
    digest = images.push(parts, registry.host, name, "v1")
    pulled = provisioner.pull(f"{registry.host}/{name}:v1")
    assert (pulled.digest, pulled.config_digest) == (digest, images.digest(parts.config))
    assert (pulled.reference, pulled.platform) == (f"{registry.host}/{name}:v1", HOST)
    assert (pulled.config, pulled.size) == ({"Env": ["A=b"]}, 7)
    assert pulled.layers[0] == images.digest(ONE.archive)
    assert (diff(root, pulled, 0) / "etc/name").read_bytes() == b"one"
    assert stat.S_ISCHR((diff(root, pulled, 1) / "etc/name").lstat().st_mode)
    assert (diff(root, pulled, 2) / "three").read_bytes() == b"3"
    assert provisioner.images() == [pulled]
    assert Image.from_json(json.loads(json.dumps(pulled.to_json()))) == pulled
    assert stat.S_IMODE((root / "store").stat().st_mode) == 0o700
    assert os.listdir(root / "store/ingest") == [] and os.listdir(root / "store/locks") == []


@pytest.mark.requires("registry")
def test_the_index_leads_to_this_machines_image(provisioner: Provisioner, registry: Registry) -> None:
    mine, other = image(ONE), image(TWO, platform=OTHER)
    index = images.Index((other, mine), (OTHER, HOST), images.DOCKER_LIST)
    attestation = image(THREE, platform="unknown/unknown")
    outer = images.Index((attestation, index), ("unknown/unknown", ""))
    images.push(outer, registry.host, "index", "latest")
    name = f"{registry.host}/index"
    assert provisioner.pull(name).digest == images.digest(mine.manifest)
    assert provisioner.pull(name, platform=OTHER).digest == images.digest(other.manifest)
    with pytest.raises(PlatformNotFound, match="not available for linux/mips64le"):
        provisioner.pull(name, platform="linux/mips64le")


@pytest.mark.requires("registry")
def test_the_only_image_may_be_for_another_platform(provisioner: Provisioner, registry: Registry) -> None:
    images.push(image(ONE, platform=OTHER), registry.host, "other", "latest")
    with pytest.raises(PlatformNotFound, match=f"is for {OTHER}, not for {HOST}") as caught:
        provisioner.pull(f"{registry.host}/other")
    assert f"--platform {OTHER}" in str(caught.value.hint)
    assert provisioner.pull(f"{registry.host}/other", platform=OTHER).platform == OTHER


@pytest.mark.requires("registry")
def test_pull_by_digest(provisioner: Provisioner, registry: Registry) -> None:
    digest = images.push(image(ONE), registry.host, "digest", "latest")
    name = f"{registry.host}/digest:wrongtag@{digest}"
    assert provisioner.pull(name).digest == digest
    assert provisioner.pull(f"{registry.host}/digest@{digest}", policy="never").digest == digest


@pytest.mark.requires("registry")
def test_the_policy_decides_who_is_asked(provisioner: Provisioner, registry: Registry) -> None:
    name = f"{registry.host}/policy"
    with pytest.raises(ImageNotFound, match="no image"):
        provisioner.pull(name, policy="never")
    first = images.push(image(ONE), registry.host, "policy", "latest")
    assert provisioner.pull(name, policy="missing").digest == first
    second = images.push(image(TWO), registry.host, "policy", "latest")
    assert provisioner.pull(name, policy="missing").digest == first
    assert provisioner.pull(name, policy="never").digest == first
    assert provisioner.pull(name, policy="always").digest == second


@pytest.mark.requires("registry")
def test_layers_that_are_there_are_not_fetched(provisioner: Provisioner, registry: Registry) -> None:
    images.push(image(ONE), registry.host, "first", "latest")
    images.push(image(ONE, TWO), registry.host, "second", "latest")
    provisioner.pull(f"{registry.host}/first")
    seen: list[tuple[str, str, int, int]] = []
    provisioner.pull(f"{registry.host}/second", progress=lambda *event: seen.append(event))
    phases = {
        digest: [phase for layer, phase, _, _ in seen if layer == digest]
        for digest in (images.digest(ONE.blob), images.digest(TWO.blob))
    }
    assert phases[images.digest(ONE.blob)] == ["waiting", "exists"]
    assert phases[images.digest(TWO.blob)][-2:] == ["verifying", "done"]
    assert all(0 <= done <= total for _, _, done, total in seen)


@pytest.mark.requires("registry")
def test_unknown_image(provisioner: Provisioner, root: Path, registry: Registry) -> None:
    with pytest.raises(ImageNotFound, match=r"has no 127.0.0.1:\d+/unknown:latest"):
        provisioner.pull(f"{registry.host}/unknown")
    assert not root.exists()


@pytest.mark.requires("registry")
def test_basic_authentication(provisioner: Provisioner, tmp_path: Path) -> None:
    # bcrypt of "secret": docker-registry takes no other kind.
    user = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
    (tmp_path / "htpasswd").write_text(user)
    with Registry.start(tmp_path / "storage", htpasswd=tmp_path / "htpasswd") as private:
        with pytest.raises(Unauthorized, match="denies access") as caught:
            provisioner.pull(f"{private.host}/image")
        assert "docker login" in str(caught.value.hint)
        log_in(tmp_path, private.host, "user:wrong")
        with pytest.raises(Unauthorized):
            provisioner.pull(f"{private.host}/image")
        authorization = log_in(tmp_path, private.host, "user:secret")
        digest = images.push(image(ONE), private.host, "image", "latest", authorization=authorization)
        assert provisioner.pull(f"{private.host}/image").digest == digest


def log_in(directory: Path, registry: str, credentials: str) -> str:
    """Store them as `docker login` does; the header that they make."""
    auth = base64.b64encode(credentials.encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return f"Basic {auth}"


# A registry that misbehaves.


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
    with pytest.raises(RegistryUnreachable, match=r"it answers 503 \(under maintenance\)"):
        provisioner.pull(f"{scripted.host}/x")


@pytest.mark.parametrize("name", ["127.0.0.1:9/x", "localhost:9/x", "[::1]:9/x"])
def test_unreachable_registry(provisioner: Provisioner, root: Path, name: str) -> None:
    with pytest.raises(RegistryUnreachable, match=r"cannot reach registry .*:9: ") as caught:
        provisioner.pull(name)
    assert "check the address" in str(caught.value.hint)
    assert not root.exists()


def test_plain_http_needs_permission(
    root: Path, scripted: ScriptedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.registry.endpoint.is_loopback", lambda registry: False)
    scripted.serve(image(ONE), "x", "latest")
    with pytest.raises(RegistryUnreachable):
        Provisioner(str(root)).pull(f"{scripted.host}/x")
    assert scripted.requests == []
    insecure = Provisioner(str(root), insecure_registries=[scripted.host])
    assert insecure.pull(f"{scripted.host}/x").size == 3


def corrupt(blob: bytes) -> bytes:
    return blob[:20] + bytes([blob[20] ^ 1]) + blob[21:]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(body=corrupt(ONE.blob)), DigestMismatch, "hashes to"),
        (Answer(body=ONE.blob[:-9]), InvalidLayer, "truncated"),
        (Answer(body=ONE.blob[:-9], length=len(ONE.blob)), InvalidLayer, "truncated"),
        (Answer(body=ONE.blob + b"x"), InvalidLayer, "more than"),
        (Answer(404), ImageNotFound, "blob sha256:"),
        (Answer(400), RegistryUnreachable, "answers 400"),
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


# OCI image layouts.


def test_layout_by_tag(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    one, two = image(ONE), image(TWO)
    path = images.write_layout([("a", one), ("latest", two)], tmp_path / "layout")
    assert provisioner.pull(f"oci:{path}:a").digest == images.digest(one.manifest)
    assert provisioner.pull(f"oci:{path}").digest == images.digest(two.manifest)
    with pytest.raises(ImageNotFound, match="no image 'c'") as caught:
        provisioner.pull(f"oci:{path}:c")
    assert caught.value.hint == "its tags are: a, latest"
    assert [found.reference for found in provisioner.images()] == [f"oci:{path}", f"oci:{path}:a"]


def test_damaged_layout(provisioner: Provisioner, tmp_path: Path) -> None:
    path = images.write_layout([("", image(ONE))], tmp_path / "layout")
    blob = path / "blobs" / images.digest(ONE.blob).replace(":", "/")
    blob.write_bytes(corrupt(ONE.blob))
    with pytest.raises(DigestMismatch):
        provisioner.pull(f"oci:{path}")
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(InvalidImage, match="not a regular file"):
        provisioner.pull(f"oci:{path}")
    blob.unlink()
    with pytest.raises(ImageNotFound, match="cannot read"):
        provisioner.pull(f"oci:{path}")
    (path / "index.json").write_text("{")
    with pytest.raises(InvalidImage, match="not JSON"):
        provisioner.pull(f"oci:{path}")
    (path / "oci-layout").unlink()
    with pytest.raises(ImageNotFound, match="oci-layout is missing"):
        provisioner.pull(f"oci:{path}")


@pytest.mark.requires("umoci")
def test_layout_by_umoci(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    path = f"{tmp_path}/layout"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("by umoci")
    for command in (
        ["umoci", "init", "--layout", path],
        ["umoci", "new", "--image", f"{path}:v1"],
        ["umoci", "insert", "--image", f"{path}:v1", f"{tmp_path}/tree", "/opt"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    pulled = provisioner.pull(f"oci:{path}:v1")
    assert (diff(root, pulled, -1) / "opt/file").read_text() == "by umoci"


@pytest.mark.requires("registry", "skopeo")
def test_what_skopeo_copied(provisioner: Provisioner, root: Path, registry: Registry, tmp_path: Path) -> None:
    images.write_layout([("v1", image(ONE, TWO))], tmp_path / "ours")
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/ours:v1"]
    subprocess.run([*copy, f"docker://{registry.host}/skopeo:v1"], check=True, capture_output=True)
    subprocess.run([*copy, f"oci:{tmp_path}/theirs:v1"], check=True, capture_output=True)
    first = provisioner.pull(f"{registry.host}/skopeo:v1")
    second = provisioner.pull(f"oci:{tmp_path}/theirs:v1")
    assert first.layers == second.layers
    assert (diff(root, second, 1) / "etc/other").read_bytes() == b"two"
