from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer.api.errors import BadRequest, TooLarge
from containerizer.api.recordio import Decoder, frame


def test_a_record_follows_its_length() -> None:
    assert frame(b"hello") == b"5\nhello"
    assert frame(b"") == b"0\n"


@given(st.lists(st.binary(max_size=40)), st.integers(min_value=1, max_value=9))
def test_a_stream_comes_apart_however_it_was_cut(records: list[bytes], piece: int) -> None:
    stream, decoder = b"".join(map(frame, records)), Decoder()
    pieces = (stream[start : start + piece] for start in range(0, len(stream), piece))
    assert [record for data in pieces for record in decoder.feed(data)] == records
    decoder.finish()


@pytest.mark.parametrize("stream", [b"-1\nx", b"+1\nx", b" 1\nx", b"1_0\nx", b"\n", b"abc\n", b"9" * 21])
def test_what_is_no_length_is_refused(stream: bytes) -> None:
    with pytest.raises(BadRequest):
        list(Decoder().feed(stream))


def test_a_record_over_the_limit_is_refused_before_it_comes() -> None:
    with pytest.raises(TooLarge):
        list(Decoder(limit=10).feed(b"11\n"))


@pytest.mark.parametrize("stream", [b"3", b"3\n", b"3\nab"])
def test_an_end_within_a_record_is_refused(stream: bytes) -> None:
    decoder = Decoder()
    assert list(decoder.feed(stream)) == []
    with pytest.raises(BadRequest):
        decoder.finish()
