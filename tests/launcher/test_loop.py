"""Waiting by poll(2)."""

from __future__ import annotations

import fcntl
import os
import resource

import pytest

from launcher.io.loop import OUT, is_ready

BEYOND_SELECT = 1024  # FD_SETSIZE: select(2)


def test_a_descriptor_of_any_number() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= BEYOND_SELECT + 8:
        pytest.skip("this process may not have as many descriptors")
    low, writer = os.pipe()
    reader = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, BEYOND_SELECT)
    assert not is_ready(reader)
    assert is_ready(writer, OUT)
    os.write(writer, b"x")
    assert is_ready(reader)
    os.read(reader, 1)
    os.close(writer)
    assert is_ready(reader, timeout=None), "its other end is gone"
    os.close(reader)
    os.close(low)
