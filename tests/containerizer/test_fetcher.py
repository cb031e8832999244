"""The fetcher against real HTTP servers: what it brings, what it caches, and what it refuses."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer.fetcher.cache import Cache
from containerizer.fetcher.errors import FetchFailed
from containerizer.fetcher.fetch import Fetcher
from containerizer.fetcher.options import FetchOptions
from containerizer.fetcher.place import Owner, Place
from containerizer.fetcher.uri import parse
from provisioner.registry.line import Line
from provisioner.store import locks
from tests.provisioner.scripted import Answer, ScriptedRegistry, scripted_registry
from tests.support.authority import Authority
from tests.support.faulty_proxy import Fault, FaultyProxy

_HELLO = b"hello"
_SHA512 = f"sha512:{hashlib.sha512(_HELLO).hexdigest()}"


@pytest.fixture
def server() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as running:
        running.answer("/f", Answer(body=_HELLO))
        yield running


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "sandbox").mkdir()
    return tmp_path / "sandbox"


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(str(tmp_path / "cache"))


def _fetch(fetcher: Fetcher, sandbox: Path, *uris: str, owner: Owner | None = None) -> None:
    fetcher.fetch([parse(uri) for uri in uris], str(sandbox), owner=owner, reader=owner)


def test_files_come_from_everywhere(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    local = sandbox.parent / "local"
    local.write_bytes(b"local")
    _fetch(
        fetcher,
        sandbox,
        f"http://{server.host}/f",
        f"http://{server.host}/f,executable,output=d/e/program,checksum={_SHA512}",
        f"file://{local}",
        f"{local},output=again",
    )
    found = {str(path.relative_to(sandbox)): path for path in sandbox.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "f": _HELLO,
        "d/e/program": _HELLO,
        "local": b"local",
        "again": b"local",
    }
    assert [found[name].stat().st_mode & 0o777 for name in ("f", "d/e/program")] == [0o644, 0o755]
    assert [os.listdir(sandbox.parent / "cache" / name) for name in ("new", "replaced")] == [[], []]


@pytest.mark.requires("root")
def test_everything_becomes_the_owners(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    _fetch(fetcher, sandbox, f"http://{server.host}/f,output=d/f", owner=Owner(1234, 5678))
    assert {(path.stat().st_uid, path.stat().st_gid) for path in sandbox.rglob("*")} == {(1234, 5678)}


@pytest.mark.requires("root")
def test_a_file_of_the_host_is_read_with_the_users_rights(fetcher: Fetcher, sandbox: Path) -> None:
    secret = sandbox.parent / "secret"
    secret.write_bytes(b"root's")
    secret.chmod(0o640)
    secret.parent.chmod(0o755)
    with pytest.raises(FetchFailed, match="permission denied"):
        _fetch(fetcher, sandbox, str(secret), owner=Owner(1234, 5678))
    assert os.listdir(sandbox) == []


def test_what_is_no_file_is_refused(fetcher: Fetcher, sandbox: Path) -> None:
    os.mkfifo(sandbox.parent / "fifo")
    with pytest.raises(FetchFailed, match="no regular file"):
        _fetch(fetcher, sandbox, f"{sandbox.parent}/fifo")


def test_other_content_than_promised_is_refused(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    server.answer("/g", Answer(body=b"other"))
    for cache in ("", ",cache"):
        with pytest.raises(FetchFailed, match="has the digest sha512:"):
            _fetch(fetcher, sandbox, f"http://{server.host}/g,checksum={_SHA512}{cache}")
    assert os.listdir(sandbox) == []
    assert fetcher.cache.used() == 0


# Trouble on the way ------------------------------------------------------------------------------


def test_what_may_work_the_next_time_is_tried_again(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    server.answer(
        "/g", Answer(status=503), Answer(reset=True), Answer(body=b"hal", length=5), Answer(body=_HELLO)
    )
    _fetch(fetcher, sandbox, f"http://{server.host}/g")
    assert (sandbox / "g").read_bytes() == _HELLO


_V1 = {"ETag": '"v1"'}


def _part(begin: int, of: bytes = _HELLO, **headers: str) -> Answer:
    own = {"Content-Range": f"bytes {begin}-{len(of) - 1}/{len(of)}", **_V1, **headers}
    return Answer(status=206, body=of[begin:], headers=own)


def test_what_was_cut_goes_on_where_it_was(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    cut = Answer(body=b"he", length=5, headers=_V1)
    again = Answer(status=206, body=b"l", length=3, headers={"Content-Range": "bytes 2-4/5", **_V1})
    server.answer("/g", cut, again, Answer(status=503), _part(3))
    digest = hashlib.sha256(_HELLO).hexdigest()
    _fetch(fetcher, sandbox, f"http://{server.host}/g,checksum=sha256:{digest}")
    assert (sandbox / "g").read_bytes() == _HELLO
    asked = [(each.get("Range"), each.get("If-Range")) for each in server.asked("/g")]
    assert asked == [(None, None), ("bytes=2-", '"v1"'), ("bytes=3-", '"v1"'), ("bytes=3-", '"v1"')]


@pytest.mark.parametrize(
    "lie",
    [
        _part(2, b"HELLO", ETag='"v2"'),  # another version
        _part(1),  # another part
        _part(2, b"hello, world"),  # of another whole
        Answer(status=206, body=b"llo", headers={"Content-Range": "bytes 2-4"}),
        Answer(status=206, body=b"llo"),
        Answer(status=416),
        Answer(body=_HELLO, headers={"ETag": '"v2"'}),  # all of it: what If-Range asks for
    ],
)
def test_parts_that_do_not_fit_are_not_put_together(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry, lie: Answer
) -> None:
    server.answer("/g", Answer(body=b"he", length=5, headers=_V1), lie, Answer(body=_HELLO))
    _fetch(fetcher, sandbox, f"http://{server.host}/g")
    assert (sandbox / "g").read_bytes() == _HELLO


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": 'W/"v1"'}, None),
        ({}, None),
        ({"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ({"Last-Modified": "yesterday"}, None),
        ({"ETag": 'W/"v1"', "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, None),
    ],
)
def test_only_what_is_sure_to_be_the_same_is_gone_on_with(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry, headers: dict[str, str], validator: str | None
) -> None:
    server.answer("/g", Answer(body=b"he", length=5, headers=headers), Answer(body=_HELLO))
    _fetch(fetcher, sandbox, f"http://{server.host}/g")
    assert (sandbox / "g").read_bytes() == _HELLO
    assert server.asked("/g")[1].get("If-Range") == validator


def test_a_password_and_a_range_go_on_together(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    server.answer("/g", Answer(body=b"he", length=5, headers=_V1), _part(2))
    _fetch(fetcher, sandbox, f"http://user:pass@{server.host}/g,cache")
    assert (sandbox / "g").read_bytes() == _HELLO
    assert {"Authorization", "Range"} <= server.asked("/g")[1].keys()


def test_what_will_not_work_says_why(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    with pytest.raises(FetchFailed, match="/none: the server answers 404"):
        _fetch(fetcher, sandbox, f"http://{server.host}/none")
    with pytest.raises(FetchFailed, match="connection refused"):
        _fetch(fetcher, sandbox, "http://127.0.0.1:1/f")


def test_a_server_that_stalls_is_not_waited_for(sandbox: Path, server: ScriptedRegistry) -> None:
    fetcher = Fetcher(str(sandbox.parent / "cache"), FetchOptions(stall_timeout=0.1, timeout=0.1))
    with FaultyProxy.start(server.host) as proxy:
        proxy.fault("/f", Fault(stall_after=2))
        with pytest.raises(FetchFailed, match="timed out"):
            _fetch(fetcher, sandbox, f"http://{proxy.host}/f")


def test_redirects_are_followed_but_not_for_ever(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    server.answer("/a", Answer(status=302, headers={"Location": "/f"}))
    server.answer("/round", Answer(status=307, headers={"Location": "/round"}))
    server.answer("/file", Answer(status=302, headers={"Location": "file:///etc/passwd"}))
    server.answer("/nowhere", Answer(status=302, headers={"Location": "http://[::1"}))
    _fetch(fetcher, sandbox, f"http://{server.host}/a")
    assert (sandbox / "a").read_bytes() == _HELLO
    with pytest.raises(FetchFailed, match="more than 10 times"):
        _fetch(fetcher, sandbox, f"http://{server.host}/round")
    with pytest.raises(FetchFailed, match="redirects to 'file:///etc/passwd'"):
        _fetch(fetcher, sandbox, f"http://{server.host}/file")
    with pytest.raises(FetchFailed, match="redirects to 'http:"):
        _fetch(fetcher, sandbox, f"http://{server.host}/nowhere")


def test_a_password_goes_to_its_origin_only(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    with scripted_registry() as other:
        other.answer("/f", Answer(body=_HELLO))
        server.answer("/a", Answer(status=302, headers={"Location": f"http://{other.host}/f"}))
        _fetch(fetcher, sandbox, f"http://user:p%40ss@{server.host}/a")
        assert server.asked("/a")[0]["Authorization"] == "Basic dXNlcjpwQHNz"
        assert "Authorization" not in other.asked("/f")[0]


def test_tls_is_verified_and_never_left(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.make(sandbox.parent / "authority")
    with FaultyProxy.start(server.host, certificate=authority.issue("server")) as proxy:
        uri = f"https://{proxy.host}/a"
        with pytest.raises(FetchFailed, match="certificate is not trusted"):
            _fetch(fetcher, sandbox, uri)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        server.answer("/a", Answer(body=_HELLO))
        _fetch(fetcher, sandbox, uri)
        proxy.fault("/a", Fault(status=302, headers={"Location": f"http://{server.host}/f"}))
        with pytest.raises(FetchFailed, match=f"redirects to 'http://{server.host}/f'"):
            _fetch(fetcher, sandbox, uri)


def test_too_much_is_refused(sandbox: Path, server: ScriptedRegistry) -> None:
    fetcher = Fetcher(str(sandbox.parent / "cache"), FetchOptions(max_size=4))
    with pytest.raises(FetchFailed, match="larger than 4 bytes"):
        _fetch(fetcher, sandbox, f"http://{server.host}/f")
    for length, whole in ((5, "5"), (4, "4")):  # also in parts, whatever the server says of the whole
        further = {"Content-Range": f"bytes 2-4/{whole}", **_V1}
        server.answer(
            "/g",
            Answer(body=b"he", headers=_V1, length=length),
            Answer(status=206, body=b"llo", headers=further),
        )
        with pytest.raises(FetchFailed, match="larger than 4 bytes"):
            _fetch(fetcher, sandbox, f"http://{server.host}/g")


def test_a_fetch_can_be_given_up(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    line = Line()
    with FaultyProxy.start(server.host) as proxy:
        proxy.fault("/f", Fault(stall_after=2))

        def give_up() -> None:
            proxy.stalled.acquire(timeout=30)
            line.cut()

        other = threading.Thread(target=give_up)
        other.start()
        with pytest.raises(FetchFailed, match="given up"):
            fetcher.fetch([parse(f"http://{proxy.host}/f")], str(sandbox), line=line)
        other.join()


# The cache ---------------------------------------------------------------------------------------


def test_a_cached_file_is_asked_for_and_not_fetched_again(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    headers = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    server.answer("/g", Answer(body=_HELLO, headers=headers), Answer(status=304), Answer(body=b"new"))
    for expected in (_HELLO, _HELLO, b"new"):
        _fetch(fetcher, sandbox, f"http://{server.host}/g,cache")
        assert (sandbox / "g").read_bytes() == expected
    assert [asked.get("If-None-Match") for asked in server.asked("/g")] == [None, '"1"', '"1"']
    assert fetcher.cache.used() == len(b"new"), "what nothing stands for any more is gone"


def test_without_validators_the_size_tells(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    server.answer("/g", Answer(body=_HELLO), Answer(body=b"HELLO"), Answer(body=b"longer"))
    found = []
    for _ in range(3):
        _fetch(fetcher, sandbox, f"http://{server.host}/g,cache")
        found.append((sandbox / "g").read_bytes())
    assert found == [_HELLO, _HELLO, b"longer"]


def test_what_a_checksum_names_is_not_asked_for(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    for _ in range(2):
        _fetch(fetcher, sandbox, f"http://{server.host}/f,cache,checksum={_SHA512}")
    assert len(server.asked("/f")) == 1


def test_many_at_once_fetch_once(sandbox: Path, server: ScriptedRegistry) -> None:
    server.answer("/g", Answer(body=_HELLO, headers={"ETag": '"1"'}), Answer(status=304))
    places = [sandbox / str(number) for number in range(6)]

    def fetch(place: Path) -> None:
        place.mkdir()
        _fetch(Fetcher(str(sandbox.parent / "cache")), place, f"http://{server.host}/g,cache")

    threads = [threading.Thread(target=fetch, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(place / "g").read_bytes() for place in places] == [_HELLO] * 6
    assert [asked.get("If-None-Match") for asked in server.asked("/g")] == [None] + ['"1"'] * 5


def test_a_new_file_that_is_swept_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = locks.try_lock, list[str]()

    def lock_late(fd: int) -> bool:
        if not swept:
            swept.append(os.readlink(f"/proc/self/fd/{fd}"))
            locks.remove_unheld(str(tmp_path / "new"))
        return lock(fd)

    cache = Cache(str(tmp_path), 10)
    with cache.new_file() as (_, path):
        pass
    monkeypatch.setattr(locks, "try_lock", lock_late)
    with cache.new_file() as (_, path):
        assert swept
        assert path not in swept
        assert os.path.exists(path)


def test_the_longest_unused_makes_room(sandbox: Path, server: ScriptedRegistry) -> None:
    fetcher = Fetcher(str(sandbox.parent / "cache"), FetchOptions(cache_size=10))
    uris = {name: f"http://{server.host}/{name},cache" for name in "abcd"}
    for name, body in (("a", b"aaaa"), ("b", b"bbbb"), ("c", b"cccc"), ("d", b"d" * 11)):
        server.answer(f"/{name}", Answer(body=body))
    for name in "abacd":
        _fetch(fetcher, sandbox, uris[name])
    assert {name for name in "abcd" if _is_cached(fetcher, uris[name])} == {"a", "c"}
    assert fetcher.cache.used() == 8
    assert (sandbox / "d").read_bytes() == b"d" * 11


def _is_cached(fetcher: Fetcher, uri: str) -> bool:
    found = fetcher.cache.find(parse(uri).value)
    if found:
        os.close(found[1])
    return found is not None


def test_a_damaged_cache_is_none(fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry) -> None:
    uri = f"http://{server.host}/f,cache"
    _fetch(fetcher, sandbox, uri)
    for path in (sandbox.parent / "cache" / "content").iterdir():
        path.write_bytes(b"torn")
    _fetch(fetcher, sandbox, uri)
    for path in (sandbox.parent / "cache" / "entries").iterdir():
        path.write_bytes(b"{")
    _fetch(fetcher, sandbox, uri)
    assert (sandbox / "f").read_bytes() == _HELLO


def test_what_killed_processes_left_is_swept(
    fetcher: Fetcher, sandbox: Path, server: ScriptedRegistry
) -> None:
    new, replaced = (sandbox.parent / "cache" / name for name in ("new", "replaced"))
    (replaced / "old" / "d").mkdir(parents=True)
    new.mkdir()
    (new / "old").write_bytes(b"half")
    _fetch(fetcher, sandbox, f"http://{server.host}/f,cache")
    assert (os.listdir(new), os.listdir(replaced)) == ([], [])
    with Place(str(sandbox), str(replaced), None):
        _fetch(fetcher, sandbox, f"http://{server.host}/f,cache")
        assert len(os.listdir(replaced)) == 1, "what is in use stays"
