"""The channel: whole messages with their descriptors, or its end."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import protocol

MESSAGES = [
    protocol.Start("web"),
    protocol.Launch("web", "/status", ["reap", "é\udcff"], "/lock", {}),
    protocol.Serve({"mode": "pipes"}, {"log": "/log"}, "/status"),
    protocol.Ping(),
    protocol.Serving(),
    protocol.Full(),
    protocol.Cloned(42),
    protocol.Release(),
    protocol.Executing("/bin/true"),
    protocol.Running(),
    protocol.Failed("mount the filesystems", "move_mount", "/proc", 2, "No such file or directory"),
    protocol.Signal(15),
    protocol.Exited(3, None),
]
NAMES = [type(message).__name__ for message in MESSAGES]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    first, second = protocol.channel()
    with first, second:
        yield first, second


def test_every_message_is_tested() -> None:
    assert set(NAMES) == {cls.__name__ for cls in protocol._TYPES.values()}


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_a_message_arrives_as_it_was(pair: Pair, message: Any) -> None:
    protocol.send(pair[0], message)
    assert protocol.receive(pair[1], type(message)) == (message, [])


words = st.text(st.characters(), max_size=5)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(container_id=words, info=st.dictionaries(words, trees, max_size=3), reaper=st.lists(words, max_size=3))
def test_any_launch_arrives_as_it_was(container_id: str, info: dict[str, Any], reaper: list[str]) -> None:
    first, second = protocol.channel()
    message = protocol.Launch(container_id, "/status", reaper, None, info)
    with first, second:
        protocol.send(first, message)
        assert protocol.receive(second, protocol.Launch) == (message, [])


@pytest.mark.parametrize("size", [65_000, 65_536, 70_000, 3_000_000])
def test_a_message_of_any_size_arrives_with_its_descriptors(pair: Pair, size: int) -> None:
    message = protocol.Launch("web", "/status", [], None, {"argv": ["x" * size]})
    protocol.send(pair[0], message, [0, 1])
    received, descriptors = protocol.receive(pair[1], protocol.Launch)
    assert received == message
    assert [os.fstat(fd).st_ino for fd in descriptors] == [os.fstat(fd).st_ino for fd in (0, 1)]
    for descriptor in descriptors:
        os.close(descriptor)


def test_descriptors_are_close_on_exec(pair: Pair) -> None:
    protocol.send(pair[0], protocol.Cloned(1), [0])
    _, (descriptor,) = protocol.receive(pair[1], protocol.Cloned)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    assert not any(os.get_inheritable(end.fileno()) for end in pair)


def test_an_unexpected_message_is_an_error_and_its_descriptors_are_closed(pair: Pair) -> None:
    protocol.send(pair[0], protocol.Cloned(1), [0])
    with pytest.raises(protocol.ProtocolError, match="expected Running or Failed, got Cloned"):
        protocol.receive(pair[1], protocol.Running, protocol.Failed)


@pytest.mark.parametrize(
    "packet",
    [
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"type": "Nothing"}',
        b'{"type": []}',
        b'{"type": "Cloned"}',
        b'{"type": "Cloned", "pid": 1, "more": 2}',
        b"[" * 60_000,
        json.dumps({"type": "Fork"}).encode()[:-1],
    ],
)
def test_a_malformed_message_is_an_error(pair: Pair, packet: bytes) -> None:
    socket.send_fds(pair[0], [packet], [0])
    with pytest.raises(protocol.ProtocolError, match="malformed message"):
        protocol.receive(pair[1], *protocol._TYPES.values())


@given(st.binary(min_size=1, max_size=60))
def test_no_packet_does_worse_than_an_error(packet: bytes) -> None:
    first, second = protocol.channel()
    with first, second:
        first.send(packet)
        with pytest.raises(protocol.ProtocolError):
            protocol.receive(second, protocol.Running)


def test_the_end_of_the_channel_is_told(pair: Pair) -> None:
    protocol.send(pair[0], protocol.Running())
    pair[0].close()
    assert protocol.receive(pair[1], protocol.Running) == (protocol.Running(), [])
    for _ in range(2):
        with pytest.raises(protocol.PeerGone):
            protocol.receive(pair[1], protocol.Running)
        with pytest.raises(protocol.PeerGone):
            protocol.send(pair[1], protocol.Release())


def test_a_gone_peer_sends_no_signal(pair: Pair) -> None:
    """A program that has SIGPIPE at its default would die of it, and with it a supervisor its container."""
    received: list[int] = []
    handler = signal.signal(signal.SIGPIPE, lambda number, _: received.append(number))
    try:
        pair[0].close()
        with pytest.raises(protocol.PeerGone):
            protocol.send(pair[1], protocol.Release())
    finally:
        signal.signal(signal.SIGPIPE, handler)
    assert received == []


def test_what_was_said_before_the_end_is_heard(pair: Pair) -> None:
    """Also when the peer has gone without reading what we said: the kernel tells of that first."""
    protocol.send(pair[1], protocol.Signal(15))
    protocol.send(pair[0], protocol.Exited(3, None))
    pair[0].close()
    assert protocol.receive(pair[1], protocol.Exited) == (protocol.Exited(3, None), [])
    with pytest.raises(protocol.PeerGone):
        protocol.receive(pair[1], protocol.Exited)


def test_no_room_for_a_descriptor_is_an_error(pair: Pair) -> None:
    protocol.send(pair[0], protocol.Cloned(1), [0])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files: 'descriptors of a message'"):
            protocol.receive(pair[1], protocol.Cloned)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
