from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import InvalidImage, InvalidReference, ProvisionerError, UnsupportedMediaType
from provisioner.manifest import ImageConfig, Index, Manifest, parse_config, parse_document
from provisioner.platforms import Platform
from tests.support import images

DIGEST = images.digest(b"x")
LAYER = {"mediaType": images.OCI_LAYER, "digest": DIGEST, "size": 1}
MANIFEST: dict[str, Any] = json.loads(images.image().manifest)


def parse(value: object, media_type: str = images.OCI_MANIFEST) -> Index | Manifest:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return parse_document(content, media_type, "manifest of x")


@pytest.mark.parametrize("media_type", [images.OCI_MANIFEST, images.DOCKER_MANIFEST, "", "text/plain"])
def test_what_the_document_says_of_itself_counts(media_type: str) -> None:
    assert isinstance(parse(MANIFEST, media_type), Manifest)


def test_media_type_may_be_missing_in_old_layouts() -> None:
    assert isinstance(parse({"schemaVersion": 2, "manifests": []}, ""), Index)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "not a JSON object"),
        (MANIFEST | {"manifests": []}, "both an index and a manifest"),
        (MANIFEST | {"layers": 3}, "no list of layers"),
        (MANIFEST | {"layers": [3]}, "not an object"),
        (MANIFEST | {"layers": [LAYER] * 501}, "501 layers"),
        (MANIFEST | {"layers": [LAYER | {"digest": "sha256:../../etc"}]}, "invalid digest"),
        (MANIFEST | {"layers": [LAYER | {"digest": "md5:00"}]}, "invalid digest"),
        (MANIFEST | {"layers": [LAYER | {"size": -1}]}, "size"),
        (MANIFEST | {"layers": [LAYER | {"size": True}]}, "size"),
        (MANIFEST | {"layers": [LAYER | {"size": 1 << 63}]}, "size"),
        (json.dumps(MANIFEST).encode("utf-16"), "not JSON"),
        (MANIFEST | {"config": None}, "not an object"),
    ],
)
def test_malformed_manifest(value: object, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        parse(value)


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
HELM = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": DIGEST, "size": 1}


@pytest.mark.parametrize(
    ("value", "media_type", "message"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "", "schema 1"),
        ({}, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (MANIFEST | {"mediaType": "application/x-other"}, "", "'application/x-other'"),
        ({}, "text/html; charset=utf-8", "'text/html'"),
        (MANIFEST | {"config": HELM}, "", "helm"),
        (MANIFEST | {"layers": [LAYER | {"mediaType": FOREIGN}]}, "", "foreign"),
    ],
)
def test_unsupported_media_type_is_named(value: object, media_type: str, message: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=message):
        parse(value, media_type)


def config(**fields: object) -> ImageConfig:
    value = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [DIGEST]}} | fields
    return parse_config(json.dumps(value).encode(), 1, "configuration of x")


def test_chain_ids_follow_the_image_specification() -> None:
    first, second, third = (images.digest(name) for name in (b"a", b"b", b"c"))
    chain = ImageConfig(
        platform=Platform("linux", "amd64"), created=None, config={}, diff_ids=(first, second, third)
    ).chain_ids
    assert chain[0] == first
    assert chain[1] == images.digest(f"{first} {second}".encode())
    assert chain[2] == images.digest(f"{chain[1]} {third}".encode())


@pytest.mark.parametrize(
    "fields", [{"rootfs": {}}, {"rootfs": {"diff_ids": ["x"]}}, {"config": []}, {"created": 1}, {"rootfs": 1}]
)
def test_malformed_configuration(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidImage, match="configuration of x"):
        config(**fields)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["config", "layers", "manifests", "mediaType", "digest", "size", "platform"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted({*MANIFEST, "manifests"})), JSON))
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        parse(MANIFEST | value)
    except ProvisionerError:
        return


# Platforms.


@pytest.mark.parametrize(
    ("wanted", "offered", "best"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64"),
        ("linux/aarch64", ["linux/arm64"], "linux/arm64"),
        ("linux/amd64", ["windows/amd64", "unknown/unknown"], None),
    ],
)
def test_the_best_of_several_platforms(wanted: str, offered: list[str], best: str | None) -> None:
    ranks = {str(p): Platform.parse(wanted).rank(p) for p in map(Platform.parse, offered)}
    fitting = {name: rank for name, rank in ranks.items() if rank is not None}
    assert (max(fitting, key=lambda name: fitting[name]) if fitting else None) == best


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d"])
def test_malformed_platform(text: str) -> None:
    with pytest.raises(InvalidReference, match="invalid platform"):
        Platform.parse(text)
