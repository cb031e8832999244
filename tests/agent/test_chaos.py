"""A short storm; tests.agent.chaos is a command for longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.chaos import storm


@pytest.mark.requires("root", "cgroup")
def test_the_accounts_balance_whatever_is_killed(tmp_path: Path) -> None:
    storm(tmp_path, rounds=3)
