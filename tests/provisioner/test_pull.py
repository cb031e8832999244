"""Pulling from a real registry."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from provisioner.errors import (
    ImageNotFound,
    PlatformNotFound,
    Unauthorized,
)
from provisioner.image import Image
from provisioner.platforms import Platform
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, THREE, TWO, diff, log_in
from tests.support import images
from tests.support.images import image
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")

HOST = str(Platform.host())
OTHER = "linux/s390x" if HOST != "linux/s390x" else "linux/amd64"


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
