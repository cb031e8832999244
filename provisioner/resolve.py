"""From a reference to one image for one platform: the walk through indexes, the same for all sources."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.data import Data
from provisioner.errors import InvalidImage, PlatformNotFound
from provisioner.manifest import (
    INDEXES,
    MANIFESTS,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    parse_config,
    parse_document,
    sha256,
)
from provisioner.platforms import Platform
from provisioner.reference import ImageReference
from provisioner.sources.source import Document, Source

_MAX_DEPTH = 4  # indexes inside each other; builders make one or two
_MAX_DOCUMENTS = 32  # manifests and indexes looked at for one image


class Resolved(Data, kw_only=True):
    """All of an image but its layers."""

    root: str  # digest of what the reference names: of an index, or the manifest's
    wanted: str  # platform that was asked for
    digest: str  # of the manifest
    manifest: Manifest
    manifest_content: bytes
    config: ImageConfig
    config_content: bytes


def resolve(source: Source, reference: ImageReference, platform: Platform | None) -> Resolved:
    """Fetch manifest and configuration. `platform` None: this machine's.

    Raises PlatformNotFound, and what the source and the parsers raise.
    """
    return _Walk(source, reference, platform or Platform.host()).run()


class _Walk:
    """Depth first: of each index what is said to be for the platform, then what says nothing."""

    def __init__(self, source: Source, reference: ImageReference, wanted: Platform) -> None:
        self._source = source
        self._reference = reference
        self._wanted = wanted
        self._root = ""
        self._left = _MAX_DOCUMENTS
        self._offered: set[str] = set()  # platforms that were passed over

    def run(self) -> Resolved:
        document = self._source.root()
        self._root = sha256(document.content)
        parsed = self._parse(document)
        found = self._visit(document, parsed, 0)
        if found is not None:
            return found
        if isinstance(parsed, Manifest):
            only = ", ".join(self._offered)
            raise PlatformNotFound(
                f"{self._reference} is for {only}, not for {self._wanted}",
                hint=f"to use it all the same, pass --platform {only}",
            )
        raise PlatformNotFound(
            f"{self._reference} is not available for {self._wanted}",
            hint=f"its platforms are: {', '.join(sorted(self._offered)) or 'none'} (--platform)",
        )

    def _parse(self, document: Document) -> Index | Manifest:
        return parse_document(document.content, document.media_type, f"manifest of {self._reference}")

    def _visit(self, document: Document, parsed: Index | Manifest, depth: int) -> Resolved | None:
        if isinstance(parsed, Manifest):
            return self._with_config(document, parsed)
        if depth == _MAX_DEPTH:
            raise InvalidImage(f"{self._reference} nests more than {_MAX_DEPTH} indexes")
        for descriptor in self._candidates(parsed):
            self._left -= 1
            if self._left < 0:
                raise InvalidImage(f"{self._reference} has more than {_MAX_DOCUMENTS} manifests to look at")
            child = self._source.document(descriptor)
            found = self._visit(child, self._parse(child), depth + 1)
            if found is not None:
                return found
        return None

    def _candidates(self, index: Index) -> Iterator[Descriptor]:
        """The best first; of equals in the index's order, as the specification says."""
        images = [d for d in index.manifests if d.media_type in (*MANIFESTS, *INDEXES) and not d.is_artifact]
        ranked = []
        for descriptor in images:
            if descriptor.platform is None:
                continue
            rank = self._wanted.rank(descriptor.platform)
            if rank is not None:
                ranked.append((rank, descriptor))
            elif descriptor.platform.os != "unknown":  # builders store attestations as such images
                self._offered.add(str(descriptor.platform))
        yield from (d for _, d in sorted(ranked, key=lambda pair: -pair[0]))
        yield from dict.fromkeys(d for d in images if d.platform is None)  # they will tell themselves

    def _with_config(self, document: Document, manifest: Manifest) -> Resolved | None:
        what = f"configuration of {self._reference}"
        content = self._source.small_blob(manifest.config)
        config = parse_config(content, len(manifest.layers), what)
        # Images made by hand often say nothing of their architecture.
        if config.platform.architecture and self._wanted.rank(config.platform) is None:
            self._offered.add(str(config.platform))
            return None
        return Resolved(
            root=self._root,
            wanted=str(self._wanted),
            digest=sha256(document.content),
            manifest=manifest,
            manifest_content=document.content,
            config=config,
            config_content=content,
        )
