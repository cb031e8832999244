"""Small layers, and helpers, that several of the tests of pulling share."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from provisioner.image import Image
from tests.support.images import directory, entry, layer

ONE = layer([directory("etc/"), entry("etc/name", b"one")])
TWO = layer([entry("etc/.wh.name"), entry("etc/other", b"two")], compression="zstd")
THREE = layer([entry("three", b"3")], compression="none")


def diff(root: Path, pulled: Image, index: int) -> Path:
    return root / "store/layers" / pulled.layers[index].replace(":", "/") / "diff"


def corrupt(blob: bytes) -> bytes:
    return blob[:20] + bytes([blob[20] ^ 1]) + blob[21:]


def log_in(directory: Path, registry: str, credentials: str) -> str:
    """Store them as `docker login` does; the header that they make."""
    auth = base64.b64encode(credentials.encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return f"Basic {auth}"
