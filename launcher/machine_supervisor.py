"""Start supervisors that are machines: launcher/supervisor.py."""

from __future__ import annotations

import os

from launcher import supervision
from launcher.program.assembler import CHANNEL, PROGRAM
from launcher.program.start import make_command, start
from launcher.supervision import Descriptors


class Starter(supervision.Starter):
    """Starts machines, or engines where there can be none."""

    def __init__(self, *, force_engine: bool = False) -> None:
        """Raises OSError."""
        self._command = make_command(force_engine=force_engine)

    def start(self, channel: int, body: bytes, descriptors: Descriptors) -> int:
        """Of the request only the program matters here."""
        (program,) = descriptors
        return start(self._command, {CHANNEL: channel, PROGRAM: program}, fresh=True, apart=True)

    def close(self) -> None:
        os.close(self._command.descriptor)
