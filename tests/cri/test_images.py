"""ImageService: ids, tags and digests as the API describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.cri.client import Client, status_of
from tests.cri.conftest import Node, Pods
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


@pytest.fixture
def other(served: Node, cri: Client) -> Iterator[str]:
    """A second image, under two tags, as HOST/NAME; it goes with the test."""
    image = images.busybox({"User": "1000:1000"})
    for tag in ("one", "two"):
        images.push(image, served.registry, "other", tag)
    name = f"{served.registry}/other"
    yield name
    for each in cri.ListImages().images:
        if any(name in text for text in (*each.repo_tags, *each.repo_digests)):
            cri.RemoveImage(image={"image": each.id})


def status(cri: Client, name: str) -> object:
    answer = cri.ImageStatus(image={"image": name})
    return answer.image if answer.HasField("image") else None


def test_a_missing_image_is_an_empty_answer(cri: Client, served: Node) -> None:
    for name in (f"{served.registry}/nothing", "sha256:" + "0" * 64, "NOT A NAME"):
        assert status(cri, name) is None
        cri.RemoveImage(image={"image": name})  # idempotent
        assert list(cri.ListImages(filter={"image": {"image": name}}).images) == []


def test_pulled_by_tags_it_has_them_and_a_digest(cri: Client, other: str) -> None:
    ref = cri.PullImage(image={"image": f"{other}:one"}).image_ref
    assert cri.PullImage(image={"image": f"{other}:two"}).image_ref == ref
    image = status(cri, ref)
    assert sorted(image.repo_tags) == [f"{other}:one", f"{other}:two"]  # type: ignore[attr-defined]
    (digest,) = image.repo_digests  # type: ignore[attr-defined]
    assert digest.startswith(f"{other}@sha256:")
    assert (image.id, image.uid.value, image.size > 0) == (ref, 1000, True)  # type: ignore[attr-defined]
    for name in (f"{other}:one", digest, ref.removeprefix("sha256:")):
        assert status(cri, name) == image
        assert [each.id for each in cri.ListImages(filter={"image": {"image": name}}).images] == [ref]


def test_pulled_by_its_digest_it_has_no_tag(cri: Client, other: str) -> None:
    cri.PullImage(image={"image": f"{other}:one"})
    (digest,) = status(cri, f"{other}:one").repo_digests  # type: ignore[attr-defined]
    cri.RemoveImage(image={"image": f"{other}:one"})
    assert status(cri, digest) is None
    cri.PullImage(image={"image": digest})
    image = status(cri, digest)
    assert (list(image.repo_tags), list(image.repo_digests)) == ([], [digest])  # type: ignore[attr-defined]


def test_removing_by_a_tag_leaves_the_others_and_by_the_id_none(cri: Client, other: str) -> None:
    for tag in ("one", "two"):
        ref = cri.PullImage(image={"image": f"{other}:{tag}"}).image_ref
    cri.RemoveImage(image={"image": f"{other}:one"})
    assert list(status(cri, ref).repo_tags) == [f"{other}:two"]  # type: ignore[attr-defined]
    cri.PullImage(image={"image": f"{other}:one"})
    cri.RemoveImage(image={"image": ref})
    assert status(cri, ref) is None


def test_more_is_told_on_demand(cri: Client, served: Node) -> None:
    answer = cri.ImageStatus(image={"image": served.image}, verbose=True)
    assert '"layers"' in answer.info["info"]


def test_what_images_take_on_disk(cri: Client, served: Node) -> None:
    (filesystem,) = cri.ImageFsInfo().image_filesystems
    assert filesystem.fs_id.mountpoint == str(served.root)
    assert filesystem.used_bytes.value > 100_000
    assert filesystem.inodes_used.value > 10


def test_an_image_that_is_used_stays(cri: Client, pods: Pods, served: Node) -> None:
    pods.start(pods.run())
    with pytest.raises(grpc.RpcError) as refused:
        cri.RemoveImage(image={"image": served.image})
    assert status_of(refused.value)[0] == "FAILED_PRECONDITION"
    assert status(cri, served.image) is not None


# bcrypt of "secret": docker-registry takes no other kind.
USERS = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


def test_a_private_image_takes_credentials(cri: Client, tmp_path: Path) -> None:
    storage, users = tmp_path / "registry", tmp_path / "users"
    users.write_text(USERS)
    with Registry.start(storage) as public:
        images.push(images.busybox({"User": "ann"}), public.host, "private", "latest")
    with Registry.start(storage, htpasswd=users) as registry:
        name = {"image": f"{registry.host}/private"}

        def refused(auth: dict[str, str]) -> bool:
            with pytest.raises(grpc.RpcError) as error:
                cri.PullImage(image=name, auth=auth)
            return status_of(error.value)[0] == "PERMISSION_DENIED"

        assert refused({})
        assert refused({"username": "user", "password": "wrong"})
        right = {"auth": base64.b64encode(b"user:secret").decode()}
        assert refused({**right, "server_address": "registry.example"})  # not for this one
        id_ = cri.PullImage(image=name, auth={**right, "server_address": registry.host}).image_ref
        assert cri.PullImage(image=name, auth={"username": "user", "password": "secret"}).image_ref == id_
        image = status(cri, id_)
        assert (image.username, image.HasField("uid")) == ("ann", False)  # type: ignore[attr-defined]
        cri.RemoveImage(image={"image": id_})
