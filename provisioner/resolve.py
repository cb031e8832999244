"""From a reference to one image for one platform: the walk through indexes, the same for all sources."""

from __future__ import annotations

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


class Resolved(Data, kw_only=True):
    """All of an image but its layers."""

    digest: str  # of the manifest
    manifest: Manifest
    manifest_content: bytes
    config: ImageConfig
    config_content: bytes


def resolve(source: Source, reference: ImageReference, platform: Platform | None) -> Resolved:
    """Fetch manifest and configuration. `platform` None: this machine's.

    Raises PlatformNotFound, and what the source and the parsers raise.
    """
    wanted = platform or Platform.host()
    document = source.root()
    for _ in range(_MAX_DEPTH):
        parsed = parse_document(document.content, document.media_type, f"manifest of {reference}")
        if isinstance(parsed, Manifest):
            return _with_config(source, reference, wanted, document, parsed)
        document = source.document(_choose(parsed, wanted, reference))
    raise InvalidImage(f"{reference} nests more than {_MAX_DEPTH} indexes")


def _choose(index: Index, wanted: Platform, reference: ImageReference) -> Descriptor:
    known = [d for d in index.manifests if d.media_type in (*MANIFESTS, *INDEXES)]
    ranked = [(rank, d) for d in known if d.platform and (rank := wanted.rank(d.platform)) is not None]
    if ranked:
        return max(ranked, key=lambda pair: pair[0])[1]  # of equals the first, as the spec says
    unnamed = [d for d in known if d.platform is None]
    if len(unnamed) == 1:  # its configuration will tell
        return unnamed[0]
    # Builders store attestations as images for the platform unknown/unknown.
    offered = sorted({str(d.platform) for d in known if d.platform and d.platform.os != "unknown"})
    raise PlatformNotFound(
        f"{reference} is not available for {wanted}",
        hint=f"its platforms are: {', '.join(offered) or 'none'} (--platform)",
    )


def _with_config(
    source: Source, reference: ImageReference, wanted: Platform, document: Document, manifest: Manifest
) -> Resolved:
    content = source.small_blob(manifest.config)
    config = parse_config(content, len(manifest.layers), f"configuration of {reference}")
    # Images made by hand often say nothing of their architecture.
    if config.platform.architecture and wanted.rank(config.platform) is None:
        raise PlatformNotFound(
            f"{reference} is for {config.platform}, not for {wanted}",
            hint=f"to use it all the same, pass --platform {config.platform}",
        )
    return Resolved(
        digest=sha256(document.content),
        manifest=manifest,
        manifest_content=document.content,
        config=config,
        config_content=content,
    )
