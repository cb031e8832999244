"""Platform: what an image was built for, and which of several fits best.

The names are Go's GOOS and GOARCH, as the OCI image index demands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from launcher.data import Data
from provisioner.errors import InvalidReference

# uname(2) machine, and other usual names → (architecture, variant)
_ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}

# What an architecture without a variant means.
_IMPLIED: Mapping[str, str] = {"amd64": "v1", "arm64": "v8", "arm": "v7"}


class Platform(Data):
    """os/architecture[/variant]; the variant is left out where it is the implied one."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/arm/v7`. Raises InvalidReference."""
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise InvalidReference(
                f"invalid platform {text!r}", hint="write OS/ARCHITECTURE[/VARIANT], such as linux/arm64"
            )
        return cls._normal(*parts)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Platform:
        """Read an index's `platform`, or an image configuration; what is missing becomes ""."""
        return cls._normal(*(str(value.get(key) or "") for key in ("os", "architecture", "variant")))

    @classmethod
    def host(cls) -> Platform:
        """This machine's."""
        return cls._normal("linux", os.uname().machine)

    @classmethod
    def _normal(cls, system: str, architecture: str, variant: str = "") -> Platform:
        known, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant or implied
        return cls(system.lower(), known, "" if variant == _IMPLIED.get(known) else variant)

    def rank(self, offered: Platform) -> int | None:
        """How well an image for `offered` runs here: the highest is the best, None is not at all."""
        if (self.os, self.architecture) != (offered.os, offered.architecture):
            return None
        mine, theirs = self._level(), offered._level()
        if mine is None or theirs is None:  # variants without an order, such as a vendor's
            return 0 if self.variant == offered.variant else None
        return theirs if theirs <= mine else None

    def _level(self) -> int | None:
        """v7 → 7: a processor also runs what was built for a lower level."""
        digits = (self.variant or _IMPLIED.get(self.architecture, "v0")).removeprefix("v")
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
