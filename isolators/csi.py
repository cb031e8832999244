"""What is asked of a volume of the Container Storage Interface that is there already."""

from __future__ import annotations

from collections.abc import Mapping

from isolators.secrets import Secret
from launcher.data import Data, field
from launcher.errors import InvalidRequest

WRITER = "SINGLE_NODE_WRITER"
MODES = (
    *(WRITER, "SINGLE_NODE_READER_ONLY", "MULTI_NODE_READER_ONLY", "MULTI_NODE_SINGLE_WRITER"),
    *("MULTI_NODE_MULTI_WRITER", "SINGLE_NODE_SINGLE_WRITER", "SINGLE_NODE_MULTI_WRITER"),
)

_LONGEST = 4096  # bytes of mount flags, and of a map: "Size Limits" of the specification


class CsiVolume(Data, kw_only=True):
    """Beside its id, which is the `source` of the Volume, and its plug-in, the `driver`.

    The words are those of csi.proto. Text shows neither flags nor secrets, which are sensitive.
    """

    access_mode: str = WRITER
    block: bool = False  # it is a device, not a directory
    fs_type: str = ""  # "": the plug-in chooses
    mount_flags: tuple[str, ...] = ()
    volume_context: Mapping[str, str] = field(default_factory=dict)  # as whoever made it was told
    publish_context: Mapping[str, str] = field(default_factory=dict)  # as whoever attached it was told
    stage_secrets: Mapping[str, Secret] = field(default_factory=dict)
    publish_secrets: Mapping[str, Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises InvalidRequest."""
        if self.access_mode not in MODES:
            hint = f"use one of {', '.join(MODES)}"
            raise InvalidRequest(f"unknown access mode {self.access_mode!r}", hint=hint)
        if self.block and (self.fs_type or self.mount_flags):
            raise InvalidRequest("a block volume has neither a filesystem nor flags of its mount")
        for what, size in (
            ("mount flags", sum(map(len, self.mount_flags))),
            ("volume context", _size(self.volume_context)),
            ("publish context", _size(self.publish_context)),
        ):
            if size > _LONGEST:
                raise InvalidRequest(f"the {what} of a volume have {size} bytes", hint=f"at most {_LONGEST}")

    def __repr__(self) -> str:
        return f"CsiVolume({self.access_mode}, {'block' if self.block else self.fs_type or 'mount'})"

    @property
    def is_reader(self) -> bool:
        """Whether nobody may write to it by its mode."""
        return self.access_mode.endswith("READER_ONLY")


def _size(values: Mapping[str, str]) -> int:
    return sum(len(key) + len(value) for key, value in values.items())
