"""appc:NAME[:VERSION] and appc:FILE: an application container image, with its dependencies.

A name is looked up by simple discovery (appc spec/discovery.md): {name}-{version}-{os}-{arch}.aci behind
a prefix, which is a URL or a directory of this host. Each image becomes a layer; execution details are
those of the first. Signatures are not verified; a dependency's id, where its manifest names one, is.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from launcher.data import Data
from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
    InvalidReference,
    RegistryUnreachable,
)
from provisioner.layer.stream import Readable
from provisioner.platforms import Platform
from provisioner.reference import ImageReference
from provisioner.sources.aci import Aci, AciLayer
from provisioner.sources.appc_manifest import Dependency
from provisioner.sources.spool import Descriptor, Section
from provisioner.sources.synthetic import LayerBlob, SyntheticImage

DEFAULT_PREFIX = "https://"
ENVIRONMENT = "CONTAINERIZER_APPC_PREFIX"

_MAX_IMAGES = 64  # with all dependencies
_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_ARCHITECTURES: Mapping[str, str] = {"386": "i386", "arm64": "aarch64", "arm": "armv7l"}  # appc's own names
_ID = "org.appc.image.id"


class _Rendered(Data):
    """An image and all below it, the lowest first."""

    layers: tuple[AciLayer, ...]
    paths: frozenset[str]


def open_reference(
    reference: ImageReference, scratch: str, platform: Platform | None, prefix: str | None
) -> SyntheticImage:
    """The Source of the reference: all is fetched at once. `prefix` None: the environment's, or https.

    Raises ImageNotFound, RegistryUnreachable, InvalidImage, DigestMismatch.
    """
    finder = _Finder(
        scratch, platform or Platform.host(), prefix or os.environ.get(ENVIRONMENT) or DEFAULT_PREFIX
    )
    with contextlib.ExitStack() as stack:
        config, layers, image_id = finder.image(reference, stack)
        return SyntheticImage(config, layers, annotations={_ID: image_id}, close=stack.pop_all().close)


class _Finder:
    """Fetches images and those that they depend on."""

    def __init__(self, scratch: str, platform: Platform, prefix: str) -> None:
        self._scratch = scratch
        self._platform = platform
        self._prefix = prefix
        self._images = 0

    def image(
        self, reference: ImageReference, stack: contextlib.ExitStack
    ) -> tuple[bytes, list[LayerBlob], str]:
        """Configuration, layers and id. The stack closes the layers' files."""
        if reference.repository.startswith("/"):
            opened = self._open_file(reference.repository)
        else:
            opened = self._open(reference.repository, {"version": reference.tag} if reference.tag else {})
        with opened as aci:
            if not reference.repository.startswith("/"):
                _check(aci, reference.repository, {"version": reference.tag} if reference.tag else {}, None)
            user = aci.manifest.user
            wanted = user[0].strip("/") if user and user[0].startswith("/") else None
            rendered = self._render(aci, stack, (aci.manifest.name,), wanted)
            config = _config(aci, rendered, self._platform)
            return config, [_blob(layer) for layer in rendered.layers], aci.image_id

    def _render(
        self, aci: Aci, stack: contextlib.ExitStack, way: tuple[str, ...], wanted: str | None
    ) -> _Rendered:
        """Depth first, in the order of the manifest. `way`: the names that led here."""
        layers: list[AciLayer] = []
        below: frozenset[str] = frozenset()
        for dependency in aci.manifest.dependencies:
            if dependency.name in way:
                raise InvalidImage(
                    f"{dependency.name} depends on itself: {' → '.join((*way, dependency.name))}"
                )
            with self._depended(dependency) as other:
                rendered = self._render(other, stack, (*way, dependency.name), wanted)
            layers += rendered.layers
            below |= rendered.paths
        own = aci.layer(below, wanted)
        stack.callback(os.close, own.fd)
        return _Rendered((*layers, own), below | own.paths)

    @contextlib.contextmanager
    def _depended(self, dependency: Dependency) -> Iterator[Aci]:
        with self._open(dependency.name, dependency.labels) as aci:
            _check(aci, dependency.name, dependency.labels, dependency.image_id)
            yield aci

    @contextlib.contextmanager
    def _open(self, name: str, labels: Mapping[str, str]) -> Iterator[Aci]:
        ImageReference.parse(f"appc:{name}")  # it becomes a part of a path, or of a URL
        version = labels.get("version", "latest")
        if "/" in version or version.startswith("."):
            raise InvalidReference(f"{version!r} is not a version of {name}")
        architecture = _ARCHITECTURES.get(self._platform.architecture, self._platform.architecture)
        location = f"{self._prefix}{name}-{version}-{self._platform.os}-{architecture}.aci"
        if location.startswith(("/", "file://")):
            with self._open_file(location.removeprefix("file://")) as aci:
                yield aci
            return
        with _fetched(location) as stream, self._aci(stream, location) as aci:
            yield aci

    @contextlib.contextmanager
    def _open_file(self, path: str) -> Iterator[Aci]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ImageNotFound(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
        try:
            if not os.path.isfile(f"/proc/self/fd/{fd}"):
                raise InvalidImage(f"{path} is not a regular file")
            with self._aci(Descriptor(fd), path) as aci:
                yield aci
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _aci(self, stream: Readable, what: str) -> Iterator[Aci]:
        self._images += 1
        if self._images > _MAX_IMAGES:
            raise InvalidImage(f"more than {_MAX_IMAGES} images are depended on")
        with contextlib.closing(Aci(stream, self._scratch, what)) as aci:
            yield aci


_HINT = f"appc images are found behind ${ENVIRONMENT}, as {{name}}-{{version}}-{{os}}-{{arch}}.aci"


@contextlib.contextmanager
def _fetched(url: str) -> Iterator[Readable]:
    import requests

    try:
        with requests.get(
            url, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}
        ) as response:
            if response.status_code in (404, 410):
                raise ImageNotFound(f"{url} does not exist", hint=_HINT)
            if response.status_code != 200:
                raise RegistryUnreachable(f"{url} answers {response.status_code}")
            yield _Body(response)
    except requests.RequestException as error:
        raise RegistryUnreachable(f"cannot fetch {url}: {error}", hint=_HINT) from error


class _Body:
    """The body as it is, whatever the server calls its encoding: a compressed image is no encoding."""

    def __init__(self, response: Any) -> None:
        self._raw = response.raw

    def read(self, size: int, /) -> bytes:
        import urllib3

        try:
            chunk: bytes = self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RegistryUnreachable(f"the connection broke: {error}") from error
        return chunk


def _check(aci: Aci, name: str, labels: Mapping[str, str | None], image_id: str | None) -> None:
    """The name and the labels that were asked for must be the image's."""
    if image_id is not None and aci.image_id != image_id:
        raise DigestMismatch(f"image {name} has the id {aci.image_id}, not {image_id}")
    manifest = aci.manifest
    wrong = [key for key, value in labels.items() if manifest.labels.get(key) != value]
    if manifest.name != name or wrong:
        raise InvalidImage(
            f"the image found for {name} is {manifest.name} with the labels {dict(manifest.labels)}"
        )


def _config(aci: Aci, rendered: _Rendered, platform: Platform) -> bytes:
    """An OCI image configuration."""
    manifest = aci.manifest
    config = dict(manifest.app)
    if manifest.user is not None:
        config["User"] = ":".join(_user(manifest.user, rendered))
    value = {
        "architecture": _ours(manifest.labels.get("arch", platform.architecture)),
        "os": manifest.labels.get("os", platform.os),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in rendered.layers]},
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _ours(architecture: str) -> str:
    """Go's name, as images have it."""
    return {theirs: ours for ours, theirs in _ARCHITECTURES.items()}.get(architecture, architecture)


def _user(user: tuple[str, str], rendered: _Rendered) -> Iterator[str]:
    """Names and numbers as they are; for a path, the owner and the group of that file."""
    owners = next((layer.owners for layer in reversed(rendered.layers) if layer.owners), None)
    for index, text in enumerate(user):
        if not text.startswith("/"):
            yield text
        elif owners is None:
            raise InvalidImage(f"the image has no file {text!r}, whose owner is to run it")
        else:
            yield str(owners[index])


def _blob(layer: AciLayer) -> LayerBlob:
    return LayerBlob(digest=layer.digest, size=layer.size, stream=lambda: Section(layer.fd, 0, layer.size))
