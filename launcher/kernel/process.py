"""What the kernel keeps of one process: its OOM score adjustment. See proc_pid_oom_score_adj(5)."""

from __future__ import annotations

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"


def oom_score_adj() -> int:
    """The caller's. Raises OSError."""
    with open(OOM_SCORE_ADJ, "rb", buffering=0) as file:
        return int(file.read())
