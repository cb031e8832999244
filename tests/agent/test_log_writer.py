"""Stderr that nobody reads holds up neither the agent nor its end."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.agent.log_writer import LogWriter
from tests.agent import api
from tests.agent.process import TIMEOUT, started


@pytest.fixture
def full() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that has no room."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.requires("root", "cgroup")
def test_an_agent_whose_log_nobody_reads_works_on(tmp_path: Path, full: tuple[int, int]) -> None:
    with started(tmp_path / "root", tmp_path / "state", "--logging-level=INFO", stderr=full[1]) as agent:
        api.launch(agent, "web", "exit 3")
        assert api.wait(agent, "web") == {"exit_status": 3 << 8}
        assert api.remove(agent, "web") == 200
        agent.stop()


def test_what_there_was_no_room_for_is_counted(full: tuple[int, int]) -> None:
    reader, writer = full
    handler = LogWriter(writer)
    for number in range(3000):
        handler.handle(logging.LogRecord("test", logging.INFO, "", 0, f"message {number}", (), None))
    os.set_blocking(reader, False)
    told = b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while b"were lost" not in told or b"message 999\n" not in told:
        assert poll.poll(TIMEOUT * 1000), told
        told += os.read(reader, 1 << 16)
    handler.close()
    lost = [int(line.split()[0]) for line in told.splitlines() if b"were lost" in line]
    assert sum(lost) in (1999, 2000), "but for one that the thread had taken, those there was no room for"
