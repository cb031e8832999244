"""The log: its format, its rotation, a full disk, and reading it while it is written."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer.logs import LogReader
from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.io.log_file import LogFile
from launcher.io.ring import Ring
from launcher.stdio import LogLimits, Pipes
from tests.launcher.support import Launches, Reader

RECORD = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] [^\n]*\n")
CLONE_NEWNS = 0x00020000
MS_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)


def contents(path: Path | str) -> bytes:
    reader = LogReader(str(path))
    data = b"".join(entry.content for entry in reader.entries())
    reader.close()
    return data


@given(chunks=st.lists(st.lists(st.sampled_from([b"a", b"\n", b"\r", b" F ", b"\xff"])).map(b"".join)))
def test_the_contents_are_the_very_bytes(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = LogFile(str(path), LogLimits())
    for chunk in filter(None, chunks):
        log.write("stdout", chunk)
    log.close()
    if path.exists():
        assert RECORD.sub(b"", path.read_bytes()) == b"", "records and nothing else"
    assert contents(path) == b"".join(chunks)


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), LogLimits(size=1000, files=3))
    for number in range(100):
        log.write("stdout", b"line %d\n" % number)
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    lines = contents(tmp_path / "log").splitlines()
    assert lines == [b"line %d" % number for number in range(100 - len(lines), 100)]
    assert len(lines) > 2 * 1000 // 60


def test_one_file_begins_again(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), LogLimits(size=200, files=1))
    for number in range(20):
        log.write("stdout", b"line %d\n" % number)
    log.close()
    assert os.listdir(tmp_path) == ["log"]
    assert contents(tmp_path / "log").endswith(b"line 19\n")


def test_a_reader_follows_through_rotations(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), LogLimits(size=400, files=3))
    reader = LogReader(str(tmp_path / "log"))
    seen = b""
    for number in range(200):
        log.write("stdout", b"line %d\n" % number)
        if number % 7 == 0:
            seen += b"".join(entry.content for entry in reader.entries())
    seen += b"".join(entry.content for entry in reader.entries())
    log.close()
    reader.close()
    assert seen.splitlines() == [b"line %d" % number for number in range(200)]


def test_torn_records_are_passed_over(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), LogLimits())
    log.write("stdout", b"whole\n")
    log.close()
    with open(tmp_path / "log", "ab") as file:
        file.write(b"\n2016-10-06T00:17\n\x00\x00\x00\n")
    assert contents(tmp_path / "log") == b"whole\n"


def test_a_log_is_for_its_owner_and_no_link_is_followed(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), LogLimits())
    log.write("stdout", b"secret\n")
    log.close()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    log = LogFile(str(tmp_path / "link"), LogLimits())
    log.write("stdout", b"x\n")
    log.close()
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("limits", [{"size": 0}, {"files": 0}, {"size": -1}])
def test_limits_that_keep_nothing(limits: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match="invalid log limits"):
        LogLimits(**limits)


def in_mount_namespace(test: Callable[[], None]) -> None:
    """Run it in a child with mounts of its own, which end with it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(CLONE_NEWNS) == 0
            assert libc.mount(None, b"/", None, ctypes.c_ulong(MS_PRIVATE_RECURSIVE), None) == 0
            test()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "see stderr"


def mount_small_tmpfs(directory: Path) -> None:
    directory.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"size=64k"
    assert libc.mount(b"small", os.fsencode(directory), b"tmpfs", ctypes.c_ulong(0), options) == 0


def lost(text: bytes) -> int:
    """As the notes in a log say."""
    return sum(map(int, re.findall(rb"containerizer: (\d+) bytes of output were not logged", text)))


@pytest.mark.requires("root")
def test_a_full_disk_loses_output_and_says_how_much(tmp_path: Path) -> None:
    def test() -> None:
        small = tmp_path / "small"
        mount_small_tmpfs(small)
        log = LogFile(str(small / "log"), LogLimits())
        log.write("stdout", b"before\n")
        (small / "filler").write_bytes(bytes(60 * 1024 - 1))
        log.write("stdout", b"x" * 8000 + b"\n")
        log.write("stdout", b"y" * 8000 + b"\n")
        (small / "filler").unlink()
        log.write("stdout", b"after\n")
        log.close()
        text = contents(small / "log")
        assert text.startswith(b"before\n")
        assert text.endswith(b"after\n")
        assert b"bytes of output were not logged: No space left on device" in text
        assert lost(text) == 16002

    in_mount_namespace(test)


@pytest.mark.requires("root")
def test_a_disk_that_stays_full_has_room_for_the_whole_count(tmp_path: Path) -> None:
    def test() -> None:
        small = tmp_path / "small"
        mount_small_tmpfs(small)
        log = LogFile(str(small / "log"), LogLimits())
        log.write("stdout", b"before\n")
        (small / "filler").write_bytes(bytes(60 * 1024 - 1))
        for _ in range(100):
            log.write("stdout", b"x" * 8000 + b"\n")
        log.close()
        assert lost(contents(small / "log")) == 800_100

    in_mount_namespace(test)


@pytest.mark.requires("root")
def test_a_task_runs_on_while_the_disk_is_full(in_process: Launches) -> None:
    """Its supervisor is forked in the mount namespace of the test, and sees the small disk."""

    def test() -> None:
        in_process.directory = in_process.directory / "small"
        mount_small_tmpfs(in_process.directory)
        (in_process.directory / "filler").write_bytes(bytes(32 * 1024))
        script = "head -c 1000000 /dev/zero; read x; echo after; exit 3"
        served = in_process.served("sh", "-c", script, stdio=Pipes(stdin=True))
        with served.connect() as attachment:
            attachment.attach(paced=True)
            reader = Reader(attachment)
            served.task.release()
            reader.until("\0" * 1_000_000)
            (in_process.directory / "filler").unlink()
            attachment.write(b"go\n")
            assert reader.to_the_end().status == ExitStatus(code=3)
        text = contents(served.service.log)
        assert text.endswith(b"after\n")
        assert lost(text) + text.count(b"\0") == 1_000_000
        assert lost(text) > 900_000
        served.task.destroy()

    in_mount_namespace(test)


@given(
    size=st.integers(1, 40),
    chunks=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=60)), max_size=30),
)
def test_the_ring_has_the_last_bytes_of_each_stream(size: int, chunks: list[tuple[int, bytes]]) -> None:
    ring = Ring(size)
    written = [(stream, byte) for stream, chunk in chunks for byte in chunk]
    for stream, chunk in chunks:
        ring.append(stream, chunk)
    kept: list[tuple[int, int]] = []
    offset = ring.start
    while offset < ring.end:
        stream, data = ring.read(offset, 7)
        assert 0 < len(data) <= 7
        kept += [(stream, byte) for byte in data]
        offset += len(data)
    assert ring.end == len(written)
    assert kept == written[-size:]


def test_the_ring_stays_small_when_the_streams_alternate() -> None:
    ring = Ring()
    for _ in range(10_000):
        ring.append(1, b"o")
        ring.append(2, b"e")
    assert ring.end - ring.start == 512
    assert ring.read(ring.start, 10) == (1, b"o")
