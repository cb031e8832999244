"""The name server's process: one event loop, without threads.

A name of a container in a network of who asks is answered here; all else goes as it is to a name server of
the host's, or of the container's own choice, and so do its answers back. In an internal network nothing
goes out, for what is asked for may be what must not get out (CVE-2024-29018). Who is neither in the network
nor the host itself is refused; and no client, and no name server that is asked, makes the others wait.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial

from isolators.network.bridge import settings
from isolators.network.bridge.place import Place
from isolators.network.bridge.settings import Settings
from isolators.network.dns import message
from isolators.network.dns.message import Malformed, Query
from isolators.network.dns.names import Names
from launcher.kernel import inotify, process

_LONGEST = 65535  # bytes of a message
_PATIENCE = 5.0  # seconds for a name server that is asked, and for a client by TCP
_MOST = 512  # questions and connections that are out at a time
_MOST_OF_ONE = 64  # of them, of one client's address
_PORT = 53
_CHANGES = inotify.CREATE | inotify.MOVED_TO | inotify.DELETE | inotify.DELETE_SELF

LINGER = 2.0  # seconds without a container after which the network is taken away

Reply = Callable[[bytes], None]


class Server:
    def __init__(self, names: Names, udp: socket.socket, tcp: socket.socket, own: Settings) -> None:
        self._names = names
        self._own = own
        self._selector = selectors.DefaultSelector()
        self._deadlines: dict[socket.socket, float] = {}
        self._clients: dict[socket.socket, str] = {}  # whose each of them is
        self._late: dict[socket.socket, Callable[[], None]] = {}  # what to do where no answer comes
        udp.setblocking(False)
        tcp.setblocking(False)
        self._selector.register(udp, selectors.EVENT_READ, partial(self._receive, udp))
        self._selector.register(tcp, selectors.EVENT_READ, partial(self._accept, tcp))

    def run(self, directory: str, end: Callable[[], bool]) -> None:
        """Until the directory is gone, or until it has been empty for a moment and `end` agrees."""
        with inotify.Changes(directory, _CHANGES) as changes:
            self._selector.register(changes.fileno(), selectors.EVENT_READ, changes.forget)
            empty_since = None
            while os.path.isdir(directory):
                if os.listdir(directory):
                    empty_since = None
                else:
                    empty_since = empty_since or time.monotonic()
                    if time.monotonic() >= empty_since + LINGER and end():
                        return
                self._serve(None if empty_since is None else empty_since + LINGER)

    def _serve(self, deadline: float | None) -> None:
        """Whatever comes next, and what is late."""
        times = [*self._deadlines.values(), *([] if deadline is None else [deadline])]
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        for key, _ in self._selector.select(wait):
            if key.fileobj in self._selector.get_map():
                self._guarded(key.data, key.fileobj)
        self._expire()

    def _guarded(self, act: Callable[[], None], each: object) -> None:
        """What goes wrong with one question is that one's end only."""
        try:
            act()
        except Exception:
            if isinstance(each, socket.socket) and each in self._deadlines:
                self._drop(each)

    # Those who ask ------------------------------------------------------------------------------

    def _receive(self, udp: socket.socket) -> None:
        data, client = udp.recvfrom(_LONGEST)

        def reply(answer: bytes) -> None:
            with contextlib.suppress(OSError):
                udp.sendto(answer, client)

        self._answer(data, client[0], reply, socket.SOCK_DGRAM)

    def _accept(self, tcp: socket.socket) -> None:
        connection, client = tcp.accept()
        if not self._is_known(client[0]) or not self._has_room(client[0]):
            connection.close()
            return
        connection.setblocking(False)
        self._watch(connection, client[0], partial(self._read, connection, client[0], bytearray()))

    def _read(self, connection: socket.socket, client: str, got: bytearray) -> None:
        data = _received(connection)
        if data is None:
            return
        got += data
        if not data:
            self._drop(connection)
        elif len(got) >= 2 and len(got) >= 2 + struct.unpack_from(">H", got)[0]:
            query = bytes(got[2 : 2 + struct.unpack_from(">H", got)[0]])
            self._selector.unregister(connection)

            def reply(answer: bytes) -> None:
                if connection in self._deadlines:  # it may have taken too long
                    self._send(connection, _framed(answer), partial(self._drop, connection))

            self._answer(query, client, reply, socket.SOCK_STREAM)

    def _answer(self, data: bytes, client: str, reply: Reply, kind: int) -> None:
        try:
            query = Query.parse(data)
        except Malformed:
            return
        if not self._is_known(client):
            reply(message.failure(query, message.REFUSED))
            return
        found = self._names.find(query, client)
        if found is not None:
            reply(found)
        elif self._own.internal or not self._has_room(client):
            reply(message.failure(query, message.REFUSED if self._own.internal else message.SERVFAIL))
        else:
            self._forward(query, data, client, self._names.servers(client), reply, kind)

    def _is_known(self, client: str) -> bool:
        """Whether it is in this network, or the host; others reach the gateway's address, too."""
        address = ipaddress.ip_address(client)
        return any(address in subnet.network for subnet in self._own.subnets) or _is_of_host(client)

    def _has_room(self, client: str) -> bool:
        mine = sum(each == client for each in self._clients.values())
        return mine < _MOST_OF_ONE and len(self._clients) < _MOST

    # Those who are asked ------------------------------------------------------------------------

    def _forward(
        self, query: Query, data: bytes, client: str, servers: list[str], reply: Reply, kind: int
    ) -> None:
        """By a socket of its own, so from a port that nobody guesses (RFC 5452)."""
        if not servers:
            reply(message.failure(query, message.SERVFAIL))
            return
        again = partial(self._forward, query, data, client, servers[1:], reply, kind)
        try:
            upstream = _connecting(servers[0], kind)
        except OSError:
            again()
            return
        id_ = os.urandom(2)
        sent = id_ + data[2:]
        read = partial(self._relay, upstream, data[:2], id_, reply, bytearray(), kind)
        self._watch(upstream, client, read, again)
        framed = sent if kind == socket.SOCK_DGRAM else _framed(sent)
        self._send(upstream, framed, partial(self._selector.modify, upstream, selectors.EVENT_READ, read))

    def _relay(
        self, upstream: socket.socket, own_id: bytes, id_: bytes, reply: Reply, got: bytearray, kind: int
    ) -> None:
        data = _received(upstream)
        if data is None:
            return
        if kind == socket.SOCK_STREAM:
            got += data
            if len(got) < 2 or len(got) < (end := 2 + struct.unpack_from(">H", got)[0]):
                if not data:
                    self._give_up(upstream)
                return
            data = bytes(got[2:end])  # whatever it says beyond is none of ours
        if data[:2] == id_:
            self._drop(upstream)
            reply(own_id + data[2:])
        elif not data or kind == socket.SOCK_STREAM:
            self._give_up(upstream)

    # What is sent --------------------------------------------------------------------------------

    def _send(self, each: socket.socket, data: bytes, then: Callable[[], object]) -> None:
        """As fast as the other side takes it, then go on; for one that is watched."""
        try:
            data = data[each.send(data) :]
        except BlockingIOError:
            pass
        except OSError:
            self._give_up(each)
            return
        if not data:
            then()
        elif each in self._selector.get_map():
            self._selector.modify(each, selectors.EVENT_WRITE, partial(self._send, each, data, then))
        else:
            self._selector.register(each, selectors.EVENT_WRITE, partial(self._send, each, data, then))

    # Time ----------------------------------------------------------------------------------------

    def _watch(
        self,
        each: socket.socket,
        client: str,
        read: Callable[[], None],
        late: Callable[[], None] | None = None,
    ) -> None:
        self._selector.register(each, selectors.EVENT_READ, read)
        self._deadlines[each] = time.monotonic() + _PATIENCE
        self._clients[each] = client
        if late is not None:
            self._late[each] = late

    def _drop(self, each: socket.socket) -> None:
        self._deadlines.pop(each, None)
        self._clients.pop(each, None)
        self._late.pop(each, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(each)
        each.close()

    def _give_up(self, each: socket.socket) -> None:
        late = self._late.get(each)
        self._drop(each)
        if late is not None:
            late()

    def _expire(self) -> None:
        now = time.monotonic()
        for each in [each for each, deadline in self._deadlines.items() if deadline <= now]:
            self._guarded(partial(self._give_up, each), each)


def _received(each: socket.socket) -> bytes | None:
    """b"" at the end, or where nobody listens; None: there is nothing yet."""
    try:
        return each.recv(_LONGEST)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _connecting(server: str, kind: int) -> socket.socket:
    """By TCP it may not have come to its end. Raises OSError."""
    made = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
    made.setblocking(False)
    try:
        failed = made.connect_ex((server, _PORT))
    except BaseException:  # it is no address
        made.close()
        raise
    if failed not in (0, errno.EINPROGRESS):
        made.close()
        raise OSError(failed, os.strerror(failed), server)
    return made


def _is_of_host(client: str) -> bool:
    """By taking it for a moment: only who has an address can."""
    with socket.socket(socket.AF_INET6 if ":" in client else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((client, 0))
        except OSError:
            return False
    return True


def _framed(data: bytes) -> bytes:
    """As it is sent by TCP: RFC 1035, section 4.2.2."""
    return struct.pack(">H", len(data)) + data


def main() -> None:
    """`starting` says what the arguments are."""
    _, directory, described, first, count = sys.argv[1:]
    lock, udp, tcp = range(int(first), int(first) + int(count))
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, False)
    with contextlib.suppress(OSError):
        process.set_name("ctz:dns")
    os.chdir("/")
    place, value = Place(directory), json.loads(described)
    own = settings.parse({**value["plugins"][0], "name": value["name"]})
    names = Names(os.path.dirname(directory), own.name)
    sockets = socket.socket(fileno=udp), socket.socket(fileno=tcp)
    server = Server(names, *sockets, own)

    def end() -> bool:
        from isolators.network.bridge import driver  # not while it serves

        with place.locked():
            if not driver.take_away_if_unused(own, place):
                return False
            for each in sockets:  # the next one listens there
                each.close()
            os.close(lock)
            return True

    with contextlib.suppress(FileNotFoundError):
        server.run(place.names, end)
