"""Signals that supervisors live through."""

from __future__ import annotations

import signal

# Whoever ends a supervisor ends its container; and a write that fails says so itself.
IGNORED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGPIPE, signal.SIGXFSZ),
)
