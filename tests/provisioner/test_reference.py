from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import InvalidReference
from provisioner.reference import ImageReference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker://busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("quay.io/a__b/c-d.e", "quay.io/a__b/c-d.e:latest", "quay.io/a__b/c-d.e:latest"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        (f"app@sha256:{HEX}", f"docker.io/library/app@sha256:{HEX}", f"app@sha256:{HEX}"),
        (f"app:t@sha256:{HEX}", f"docker.io/library/app:t@sha256:{HEX}", f"app:t@sha256:{HEX}"),
        ("oci:/srv/images", "oci:/srv/images", "oci:/srv/images"),
        ("oci:/srv/images:v1", "oci:/srv/images:v1", "oci:/srv/images:v1"),
    ],
)
def test_reference_is_completed_as_docker_does(text: str, canonical: str, familiar: str) -> None:
    reference = ImageReference.parse(text)
    assert str(reference) == canonical
    assert reference.familiar == familiar
    assert ImageReference.parse(canonical) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", ":latest", "@", "UPPER", "a//b", "a/", "/a", "-a", "a_-b", "a___b", "a b", "a:", "a:-t"),
        *("a@sha256:abc", "a@md5:0123", "a@", "host.example/", "host.example:99999/a", "host:port/a"),
        *("a:" + "t" * 129, "a" * 256, HEX, "docker://", "https://host/a", "a\n", "a:t\n", "../a", "a/../b"),
        *("oci:", "oci::tag", "oci:/a:-bad", "oci:/a\0b"),
    ],
)
def test_malformed_reference_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        ImageReference.parse(text)
    assert repr(text)[1:40] in caught.value.message
    assert caught.value.hint


def test_oci_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ImageReference.parse("oci:layout:v1").repository == str(tmp_path / "layout")


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9.:/@_-]{1,60}", fullmatch=True))
def test_any_text_is_refused_or_reads_back(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InvalidReference:
        return
    assert ImageReference.parse(str(reference)) == reference
    assert ".." not in reference.repository.split("/")
