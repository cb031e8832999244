"""The walk through indexes: platforms, nesting, and what stands beside images."""

from __future__ import annotations

import json

import pytest

from provisioner.errors import DigestMismatch, InvalidImage, PlatformNotFound, UnsupportedMediaType
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, THREE, TWO
from tests.provisioner.scripted import Answer, ScriptedRegistry
from tests.support import images
from tests.support.images import ImageParts, Index, image

pytestmark = pytest.mark.requires("root")


def serve(scripted: ScriptedRegistry, parts: ImageParts | Index, tag: str, **changes: object) -> None:
    """Serve all of it; `changes` are fields of the outermost document, or of the index's descriptors."""
    content = parts.manifest
    if changes:
        value = json.loads(content)
        for number, more in enumerate(changes.pop("descriptors", ())):  # type: ignore[call-overload]
            value["manifests"][number] |= more
        content = json.dumps(value | changes).encode()
    headers = {"Content-Type": parts.manifest_type}
    scripted.answer(f"/v2/x/manifests/{tag}", Answer(body=content, headers=headers))
    if isinstance(parts, Index):
        for child in parts.images:
            serve(scripted, child, images.digest(child.manifest))
    else:
        for name, blob in parts.blobs.items():
            scripted.answer(f"/v2/x/blobs/{name}", Answer(body=blob))


def test_the_best_variant_is_chosen(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    variants = ("linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm/v8")
    parts = [image(ONE, platform=name) for name in variants]
    serve(scripted, Index(tuple(parts), variants), "latest")
    for wanted, best in (("linux/arm/v7", 1), ("linux/arm", 1), ("linux/arm/v6", 2), ("linux/arm/v8", 3)):
        pulled = provisioner.pull(f"{scripted.host}/x", platform=wanted)
        assert pulled.digest == images.digest(parts[best].manifest)
    with pytest.raises(PlatformNotFound, match="not available for linux/arm/v4") as caught:
        provisioner.pull(f"{scripted.host}/x", platform="linux/arm/v4")
    assert "linux/arm, linux/arm/v5" in str(caught.value.hint)


def test_indexes_inside_are_searched_one_after_the_other(
    provisioner: Provisioner, scripted: ScriptedRegistry
) -> None:
    wrong = Index((image(TWO, platform="linux/s390x"),), ("linux/s390x",))
    right = Index((image(ONE, platform="linux/riscv64"),), ("linux/riscv64",))
    serve(scripted, Index((wrong, right), ("", "")), "latest")
    pulled = provisioner.pull(f"{scripted.host}/x", platform="linux/riscv64")
    assert pulled.digest == images.digest(right.images[0].manifest)
    with pytest.raises(PlatformNotFound) as caught:
        provisioner.pull(f"{scripted.host}/x", platform="linux/mips")
    assert "linux/riscv64, linux/s390x" in str(caught.value.hint)


@pytest.mark.parametrize(
    "beside",
    [
        {"artifactType": "application/vnd.example.signature"},
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {"platform": {"os": "unknown", "architecture": "unknown"}},
        {"mediaType": "application/vnd.example.other+json"},
    ],
)
def test_what_stands_beside_images_is_passed_over(
    provisioner: Provisioner, scripted: ScriptedRegistry, beside: dict[str, object]
) -> None:
    index = Index((image(THREE), image(ONE)), ("", ""))
    serve(scripted, index, "latest", descriptors=[beside])
    assert provisioner.pull(f"{scripted.host}/x").digest == images.digest(index.images[1].manifest)


def test_an_index_as_wide_as_that_is_not_walked(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    """None says what it is for, so that each would have to be looked at."""
    others = tuple(image(ONE, config={"Env": [f"A={n}"]}, platform="linux/s390x") for n in range(40))
    serve(scripted, Index(others, ("",) * 40), "latest")
    with pytest.raises(InvalidImage, match="more than 32 manifests"):
        provisioner.pull(f"{scripted.host}/x", platform="linux/riscv64")
    assert len(scripted.asked("/v2/x/manifests/")) == 33


def test_an_index_that_claims_to_contain_itself(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    """A digest is of all that it is in, so a registry can only lie about that."""
    child = Index((image(ONE),), ("",))
    serve(scripted, Index((child,), ("",)), "latest")
    circle = scripted.answers["/v2/x/manifests/latest"]
    scripted.answers[f"/v2/x/manifests/{images.digest(child.manifest)}"] = circle
    with pytest.raises(DigestMismatch, match="manifest of"):
        provisioner.pull(f"{scripted.host}/x")
    assert len(scripted.requests) == 2


def test_an_index_of_artifacts_is_no_image(provisioner: Provisioner, scripted: ScriptedRegistry) -> None:
    serve(scripted, Index((image(ONE),), ("",)), "latest", artifactType="application/vnd.example.chart")
    with pytest.raises(UnsupportedMediaType, match=r"is not an image: .*vnd\.example\.chart"):
        provisioner.pull(f"{scripted.host}/x")
