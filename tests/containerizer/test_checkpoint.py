"""Checkpoints: whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer import checkpoint

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), _JSON))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, value: dict[str, object]) -> None:
    path = str(tmp_path_factory.getbasetemp() / "checkpoint.json")
    checkpoint.write(path, value)
    assert checkpoint.read(path) == value


def test_a_second_write_replaces_the_first_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    checkpoint.write(str(path), {"a": 1})
    checkpoint.write(str(path), {"b": 2})
    assert checkpoint.read(str(path)) == {"b": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.json"]


def test_what_cannot_be_written_whole_replaces_nothing(tmp_path: Path) -> None:
    """As on a full disk: the first part of it can be."""
    path = tmp_path / "c.json"
    checkpoint.write(str(path), {"a": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            checkpoint.write(str(path), {"b": "c" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value.filename).startswith(str(path))
    assert checkpoint.read(str(path)) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"[1]", b"null", b"\xff\xfe"])
def test_an_empty_or_torn_file_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    assert checkpoint.read(str(path)) is None


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert checkpoint.read(str(tmp_path / "no" / "c.json")) is None


def test_a_reader_meets_no_half_written_file(tmp_path: Path) -> None:
    """The old contents stay until the new ones are whole: a write that fails changes nothing."""
    path = tmp_path / "c.json"
    checkpoint.write(str(path), {"a": 1})
    with pytest.raises(TypeError):
        checkpoint.write(str(path), {"b": object()})
    assert checkpoint.read(str(path)) == {"a": 1}
