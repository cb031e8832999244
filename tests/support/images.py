"""Images made in memory: any layer, valid or not, pushed to a registry or written as an OCI layout.

image = busybox()
push(image, registry.host, "busybox", "latest")
write_layout([("latest", image)], "/tmp/layout")
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import tarfile  # noqa: TID251 - writes archives for tests; nothing here reads one
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

_BUSYBOX = "/bin/busybox"  # where busybox-static puts it


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Layer:
    """A layer's blob, and the archive in it."""

    blob: bytes
    archive: bytes
    media_type: str = OCI_LAYER + "+gzip"

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": digest(self.blob), "size": len(self.blob)}


@dataclass(frozen=True)
class ImageParts:
    """A whole image. `descriptors` and the like can be replaced to make a broken one."""

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes
    manifest_type: str = OCI_MANIFEST

    @property
    def descriptor(self) -> dict[str, Any]:
        return {
            "mediaType": self.manifest_type,
            "digest": digest(self.manifest),
            "size": len(self.manifest),
        }

    @property
    def blobs(self) -> dict[str, bytes]:
        return {digest(b): b for b in (self.config, *(layer.blob for layer in self.layers))}


@dataclass(frozen=True)
class Index:
    """Several images under one name; `platforms` has one for each, "" for none."""

    images: tuple[ImageParts | Index, ...]
    platforms: tuple[str, ...]
    media_type: str = OCI_INDEX
    manifest: bytes = field(init=False)

    def __post_init__(self) -> None:
        manifests = [
            image.descriptor | ({"platform": _platform(platform)} if platform else {})
            for image, platform in zip(self.images, self.platforms, strict=True)
        ]
        value = {"schemaVersion": 2, "mediaType": self.media_type, "manifests": manifests}
        object.__setattr__(self, "manifest", json.dumps(value).encode())

    @property
    def manifest_type(self) -> str:
        return self.media_type

    @property
    def descriptor(self) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": digest(self.manifest),
            "size": len(self.manifest),
        }


def _platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


# Layers.


def entry(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int | None = None,
    uid: int = 0,
    gid: int = 0,
    mtime: float = 1_000_000_000,
    device: tuple[int, int] = (0, 0),
    pax: Mapping[str, str] | None = None,
) -> tuple[tarfile.TarInfo, bytes]:
    """One member of an archive, with any name at all."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    info.mode = mode if mode is not None else (0o755 if kind == tarfile.DIRTYPE else 0o644)
    info.uid, info.gid, info.mtime = uid, gid, mtime
    info.devmajor, info.devminor = device
    info.pax_headers = dict(pax or {})
    return info, content


def directory(name: str, **options: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.DIRTYPE, **options)


def symlink(name: str, link: str, **options: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.SYMTYPE, link=link, **options)


def hardlink(name: str, link: str, **options: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.LNKTYPE, link=link, **options)


def archive(entries: Iterable[tuple[tarfile.TarInfo, bytes]], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """The bytes of a tar archive."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return output.getvalue()


def compress_gzip(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def compress_zstd(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(content)


def _same(content: bytes) -> bytes:
    return content


_COMPRESSIONS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (OCI_LAYER + "+gzip", compress_gzip),
    "zstd": (OCI_LAYER + "+zstd", compress_zstd),
    "none": (OCI_LAYER, _same),
}


def layer(entries: Iterable[tuple[tarfile.TarInfo, bytes]], *, compression: str = "gzip") -> Layer:
    """A layer of these members."""
    return layer_of(archive(entries), compression=compression)


def layer_of(content: bytes, *, compression: str = "gzip") -> Layer:
    """A layer of a ready-made archive."""
    media_type, compress = _COMPRESSIONS[compression]
    return Layer(blob=compress(content), archive=content, media_type=media_type)


# Images.


def image(
    *layers: Layer,
    config: Mapping[str, Any] | None = None,
    platform: str = "",
    docker: bool = False,
    diff_ids: Sequence[str] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> ImageParts:
    """An image of these layers, for this machine unless `platform` says otherwise.

    `docker`: in Docker's media types. `manifest` overrides fields of the manifest.
    """
    if docker:
        layers = tuple(replace(one, media_type=_docker_layer(one.media_type)) for one in layers)
    system = _platform(platform) if platform else {"os": "linux", "architecture": _architecture()}
    document = system | {
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids or (digest(one.archive) for one in layers))},
        "created": "2024-01-01T00:00:00Z",
    }
    content = json.dumps(document).encode()
    manifest_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    value = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": {
            "mediaType": DOCKER_CONFIG if docker else OCI_CONFIG,
            "digest": digest(content),
            "size": len(content),
        },
        "layers": [one.descriptor for one in layers],
    } | dict(manifest or {})
    return ImageParts(layers, content, json.dumps(value).encode(), manifest_type)


def _docker_layer(media_type: str) -> str:
    return media_type.replace(OCI_LAYER, DOCKER_LAYER).replace("+", ".")


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def busybox(config: Mapping[str, Any] | None = None) -> ImageParts:
    """A small real image of this machine's static busybox. Raises FileNotFoundError without one."""
    path = Path(shutil.which("busybox") or _BUSYBOX)
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    applets = [name for name in listed if name != "busybox"]
    entries = [
        *(directory(name) for name in ("bin/", "etc/", "dev/", "proc/", "sys/", "var/", "usr/")),
        directory("root/", mode=0o700),
        directory("tmp/", mode=0o1777),
        entry("bin/busybox", path.read_bytes(), mode=0o755),
        *(symlink(f"bin/{name}", "busybox") for name in applets),
        entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        entry("etc/group", b"root:x:0:\nnogroup:x:65534:\n"),
    ]
    return image(layer(entries), config={"Env": ["PATH=/bin"], "Cmd": ["sh"]} | dict(config or {}))


# Where they go.


def push(
    parts: ImageParts | Index, host: str, repository: str, tag: str, *, authorization: str | None = None
) -> str:
    """Push over the registry's HTTP API; the manifest's digest. Raises RuntimeError."""
    client = _Pusher(host, repository, authorization)
    try:
        client.push(parts, tag)
    finally:
        client.connection.close()
    return digest(parts.manifest)


class _Pusher:
    def __init__(self, host: str, repository: str, authorization: str | None) -> None:
        self.connection = http.client.HTTPConnection(host, timeout=60)
        self._prefix = f"/v2/{repository}"
        self._headers = {"Authorization": authorization} if authorization else {}

    def push(self, parts: ImageParts | Index, tag: str) -> None:
        if isinstance(parts, Index):
            for child in parts.images:
                self.push(child, digest(child.manifest))
        else:
            for name, blob in parts.blobs.items():
                self._blob(name, blob)
        headers = {"Content-Type": parts.manifest_type}
        self._request("PUT", f"{self._prefix}/manifests/{tag}", parts.manifest, headers, {201})

    def _blob(self, name: str, blob: bytes) -> None:
        location = self._request("POST", f"{self._prefix}/blobs/uploads/", b"", {}, {202})["Location"]
        location = location.partition(self.connection.host)[2].partition("/")[2] or location
        path = f"/{location.lstrip('/')}"
        headers = {"Content-Type": "application/octet-stream"}
        separator = "&" if "?" in path else "?"
        self._request("PUT", f"{path}{separator}digest={name}", blob, headers, {201})

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], expected: set[int]
    ) -> Mapping[str, str]:
        self.connection.request(method, path, body, {**headers, **self._headers})
        response = self.connection.getresponse()
        content = response.read()
        if response.status not in expected:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:500]!r}")
        return dict(response.getheaders())


def write_layout(images: Iterable[tuple[str, ImageParts | Index]], path: str | Path) -> Path:
    """Write (tag, image) pairs as an OCI image layout."""
    root = Path(path)
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    descriptors = []
    for tag, parts in images:
        _write(parts, blobs)
        annotations = {"org.opencontainers.image.ref.name": tag} if tag else {}
        descriptors.append(parts.descriptor | {"annotations": annotations})
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
    (root / "index.json").write_text(json.dumps(index))
    return root


def _write(parts: ImageParts | Index, blobs: Path) -> None:
    (blobs / digest(parts.manifest).partition(":")[2]).write_bytes(parts.manifest)
    if isinstance(parts, Index):
        for child in parts.images:
            _write(child, blobs)
        return
    for name, content in parts.blobs.items():
        (blobs / name.partition(":")[2]).write_bytes(content)
