"""DNS messages and names: what is answered, and that nothing that comes in breaks the server."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.network.dns import message, registered
from isolators.network.dns.message import AAAA, PTR, A, Malformed, Query
from isolators.network.dns.names import Names


def query(name: str, kind: int = A, *, flags: int = 0x0100, count: int = 1, class_: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return (
        struct.pack(">HHHHHH", 7, flags, count, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, class_)
    )


def answers(reply: bytes) -> tuple[int, list[bytes]]:
    """The code, and the data of each record."""
    id_, flags, questions, count, *_ = struct.unpack_from(">HHHHHH", reply)
    assert (id_, questions, flags & 0x8000) == (7, 1, 0x8000)
    offset, records = reply.index(b"\0", 12) + 5, []
    for _ in range(count):
        _, _, _, _, length = struct.unpack_from(">HHHIH", reply, offset)
        records.append(reply[offset + 12 : offset + 12 + length])
        offset += 12 + length
    assert offset == len(reply)
    return flags & 0xF, records


@given(st.binary(max_size=600))
def test_no_message_breaks_it(data: bytes) -> None:
    try:
        parsed = Query.parse(data)
    except Malformed:
        return
    answers_of_its_own = message.answer(parsed, ["10.0.0.2", "fd00::2"])
    assert answers_of_its_own.startswith(data[:2])


@given(st.binary(max_size=40))
def test_nor_does_one_that_begins_well(tail: bytes) -> None:
    try:
        Query.parse(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + tail)
    except Malformed:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        query("web", flags=0x8100),  # an answer
        query("web", flags=0x2800),  # an update
        query("web", count=2),
        query("web", class_=3),
        query("web")[:-1],
        query("web").replace(b"\3web", b"\xc0\x0ceb"),  # a pointer to itself
    ],
)
def test_what_is_no_query_is_passed_over(data: bytes) -> None:
    with pytest.raises(Malformed):
        Query.parse(data)


def test_addresses_of_the_kind_that_is_asked_for() -> None:
    addresses = ["10.0.0.2", "fd00::2"]
    assert answers(message.answer(Query.parse(query("web", A)), addresses)) == (0, [bytes([10, 0, 0, 2])])
    (found,) = answers(message.answer(Query.parse(query("web", AAAA)), addresses))[1]
    assert found[0] == 0xFD
    assert answers(message.answer(Query.parse(query("web", 15)), addresses)) == (0, [])  # the name is there


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two networks: `web` and `app` in the one, `app` and `db` in the other, and one where nobody is."""
    for network, name, address in (
        ("front", "web", "10.1.0.2"),
        ("front", "app", "10.1.0.3"),
        ("back", "app", "10.2.0.3"),
        ("back", "db", "10.2.0.4"),
    ):
        names = tmp_path / network / "names"
        names.mkdir(parents=True, exist_ok=True)
        record = {
            "id": f"{name}-1",
            "names": [name.upper(), f"{name}-alias"],
            "addresses": [address],
            "servers": [],
        }
        registered.add(str(names), name, record)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("network", "client", "name", "found"),
    [
        ("front", "10.1.0.3", "web", "10.1.0.2"),
        ("front", "10.1.0.3", "WEB.front", "10.1.0.2"),
        ("front", "10.1.0.3", "web-alias", "10.1.0.2"),
        ("front", "10.1.0.3", "db", "10.2.0.4"),  # it is in both
        ("front", "10.1.0.3", "db.back", "10.2.0.4"),
        ("front", "10.1.0.2", "db", None),
        ("front", "10.1.0.9", "web", "10.1.0.2"),  # the host, say
        ("back", "10.2.0.4", "web", None),
        ("front", "10.1.0.3", "web.back", None),
        ("front", "10.1.0.3", "nobody", None),
    ],
)
def test_names_are_known_to_who_is_in_the_network(
    directory: Path, network: str, client: str, name: str, found: str | None
) -> None:
    reply = Names(str(directory), network).find(Query.parse(query(name)), client)
    if found is None:
        assert reply is None
    else:
        assert reply is not None
        assert answers(reply) == (0, [bytes(map(int, found.split(".")))])


def test_addresses_have_names(directory: Path) -> None:
    asked = Query.parse(query("2.0.1.10.in-addr.arpa", PTR))
    reply = Names(str(directory), "front").find(asked, "10.1.0.3")
    assert reply is not None
    assert answers(reply) == (0, [b"\3web\0"])
    asked = Query.parse(query("9.0.1.10.in-addr.arpa", PTR))
    assert Names(str(directory), "front").find(asked, "10.1.0.3") is None


def test_changes_are_seen(directory: Path) -> None:
    names = Names(str(directory), "front")
    assert names.find(Query.parse(query("new")), "10.1.0.2") is None
    record = {"id": "new-1", "names": ["new"], "addresses": ["10.1.0.7"], "servers": ["192.0.2.1"]}
    registered.add(str(directory / "front" / "names"), "new", record)
    assert names.find(Query.parse(query("new")), "10.1.0.2") is not None
    assert names.servers("10.1.0.7") == ["192.0.2.1"]
    registered.remove(str(directory / "front" / "names"), "new")
    assert names.find(Query.parse(query("new")), "10.1.0.2") is None


def test_who_is_killed_while_it_registers_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the directory counts as a container, for which the network would stay for ever."""
    names = tmp_path / "names"
    names.mkdir()
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("os.rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        registered.add(str(names), "web", {"id": "web"})
    assert list(names.iterdir()) == []
    registered.add(str(names), "db", {"id": "db"})
    assert [each.name for each in names.iterdir()] == ["db"]
