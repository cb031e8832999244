"""What the kernel keeps of one process: its OOM score adjustment. See proc_pid_oom_score_adj(5)."""

from __future__ import annotations

from launcher.kernel import files

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"


def oom_score_adj() -> int:
    """The caller's. Raises OSError."""
    return int(files.read(OOM_SCORE_ADJ, 16))
