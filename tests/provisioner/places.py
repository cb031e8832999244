"""Where an image's name leads by the files of the host."""

from __future__ import annotations

from pathlib import Path

from provisioner.reference import ImageReference
from provisioner.registry.options import RegistryOptions
from provisioner.registry.settings import Settings


def places(tmp_path: Path, name: str, *, conf: str = "", hosts: dict[str, str] | None = None) -> list[str]:
    """scheme://address/root/repository[:tag] of each endpoint for the image of that name."""
    (tmp_path / "registries.conf").write_text(conf)
    for host, text in (hosts or {}).items():
        (tmp_path / "certs.d" / host).mkdir(parents=True, exist_ok=True)
        (tmp_path / "certs.d" / host / "hosts.toml").write_text(text)
    found = Settings(RegistryOptions()).endpoints(ImageReference.parse(name))
    tags = [f":{e.tag}" if e.tag else "" for e in found]
    return [
        f"{e.scheme}://{e.address}{e.root}/{e.repository}{tag}" for e, tag in zip(found, tags, strict=True)
    ]
