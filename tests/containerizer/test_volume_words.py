"""`-v` and `--mount`: what each says, and what is refused."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer.request import ContainerRequest
from containerizer.tmpfs import Tmpfs
from containerizer.volumes import words
from containerizer.volumes.words import parse_mount, parse_volume
from isolators import volume_owners
from isolators.volumes import BIND, IMAGE, NAMED, SANDBOX, Volume
from launcher.errors import InvalidRequest
from launcher.launch_info import IdMapping, Owners


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("/a:/b", {"kind": BIND, "source": "/a", "create": True}),
        ("/a/../c/:/b/", {"kind": BIND, "source": "/c", "create": True}),
        ("./a:/b", {"kind": BIND, "source": os.path.abspath("a"), "create": True}),
        ("~:/b", {"kind": BIND, "source": os.path.expanduser("~"), "create": True}),
        ("n:/b", {"kind": NAMED, "source": "n"}),
        ("n:/b:ro,nocopy,U", {"kind": NAMED, "source": "n", "readonly": True, "nocopy": True, "chown": True}),
        ("n:/b:rw,cached,exec,suid,nodev,copy,rbind", {"kind": NAMED, "source": "n"}),
        (
            "/a:/b:rro",
            {"kind": BIND, "source": "/a", "create": True, "readonly": True, "recursive": "readonly"},
        ),
        (
            "/a:/b:rslave,bind",
            {"source": "/a", "create": True, "propagation": "rslave", "recursive": "disabled"},
        ),
        ("/a:/b:nosuid,noexec", {"source": "/a", "create": True, "flags": ("nosuid", "noexec")}),
        ("/a:/b:idmap", {"source": "/a", "create": True, "idmap": ""}),
        ("/a:/b:idmap=uids=0-1-2", {"source": "/a", "create": True, "idmap": "uids=0-1-2"}),
    ],
)
def test_short_forms(text: str, fields: dict[str, Any]) -> None:
    assert parse_volume(text) == Volume(**{"kind": BIND, "target": "/b", **fields})


def test_one_without_a_name_gets_one() -> None:
    first, second = parse_volume("/b"), parse_volume("/b")
    assert first.anonymous and first.source != second.source


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "/a:",
        ":/b",
        "/a:/b:ro:x",
        "/a:b",
        "/a:/b:odd",
        "/a:/b:ro,rw",
        "/a:/b:nocopy",
        "a/b:/b",
        "/a:/b:",
    ],
)
def test_short_forms_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("type=bind,src=/a,dst=/b", Volume(kind=BIND, source="/a", target="/b")),
        ("type=bind,source=/a,destination=/b,ro", Volume(kind=BIND, source="/a", target="/b", readonly=True)),
        ("type=bind,src=/a,target=/b,readonly=false", Volume(kind=BIND, source="/a", target="/b")),
        ('type=bind,"src=/a,b",dst=/b', Volume(kind=BIND, source="/a,b", target="/b")),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-recursive=disabled,bind-create-src",
            Volume(
                kind=BIND, source="/a", target="/b", propagation="rshared", recursive="disabled", create=True
            ),
        ),
        (
            'src=n,dst=/b,volume-driver=d,"volume-opt=o=a,b",volume-opt=type=t,volume-label=l,volume-nocopy',
            Volume(
                kind=NAMED,
                source="n",
                target="/b",
                driver="d",
                options=(("o", "a,b"), ("type", "t")),
                labels=(("l", ""),),
                nocopy=True,
            ),
        ),
        (
            "type=volume,src=n,dst=/b,volume-subpath=x/y,U,consistency=cached",
            Volume(kind=NAMED, source="n", target="/b", subpath="x/y", chown=True),
        ),
        (
            "type=image,src=i:v1,dst=/b,subpath=x,pull=never",
            Volume(kind=IMAGE, source="i:v1", target="/b", subpath="x", pull="never", readonly=True),
        ),
        ("type=image,src=i,dst=/b,rw=true", Volume(kind=IMAGE, source="i", target="/b")),
        (
            "type=sandbox,src=s,dst=/b,parent",
            Volume(kind=SANDBOX, source="s", target="/b", of_parent=True),
        ),
        ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700", Tmpfs(target="/t", size=1 << 20, mode=0o700)),
        ("type=tmpfs,dst=/t,ro", Tmpfs(target="/t", readonly=True)),
    ],
)  # fmt: skip
def test_long_forms(text: str, volume: Volume | Tmpfs) -> None:
    assert parse_mount(text) == volume


@pytest.mark.parametrize(
    "text",
    [
        "",
        "type=odd,dst=/b",
        "type=bind,dst=/b",
        "type=bind,src=/a",
        "type=bind,src=/a,dst=/b,volume-nocopy",
        "type=bind,src=/a,dst=/b,bind-propagation=odd",
        "type=bind,src=/a,dst=/b,ro=maybe",
        "type=volume,src=n,dst=/b,bind-propagation=slave",
        "type=volume,src=n,dst=/b,volume-opt=x,parent",
        "type=volume,src=n,dst=/b,volume-subpath=../x",
        "type=image,src=i,dst=/b,pull=odd",
        "type=tmpfs,tmpfs-size=1m",
        "type=tmpfs,dst=/t,tmpfs-size=odd",
        "type=tmpfs,dst=/t,src=x",
        'type=bind,"src=/a',
    ],
)
def test_long_forms_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_mount(text)


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_volume_or_refused(text: str) -> None:
    for parse in (parse_volume, parse_mount):
        with contextlib.suppress(InvalidRequest):
            parse(text)


def test_a_programs_words_are_the_same() -> None:
    asked = ["n:/a", "type=tmpfs,dst=/t", Volume(kind=BIND, source="/x", target="/y")]
    request = ContainerRequest.of("host", ["true"], volumes=asked, tmpfs=["/s"])
    assert [each.target for each in request.config.volumes] == ["/a", "/y"]
    assert [each.target for each in request.tmpfs] == ["/s", "/t"]


def test_labels_are_nothing_without_selinux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_SELINUX", "/no/such")
    assert parse_volume("/a:/b:Z") == parse_volume("/a:/b")
    monkeypatch.setattr(words, "_SELINUX", "/")
    with pytest.raises(InvalidRequest, match="not relabelled"):
        parse_volume("/a:/b:z")


@pytest.mark.parametrize(
    ("text", "owners"),
    [
        (
            "uids=0-1000-1",
            Owners(uids=(IdMapping(0, 1000, 1),), gids=(IdMapping(0, 1000, 1),), relative=False),
        ),
        (
            "uids=@0-1-10#@20-30-5;gids=@0-0-1",
            Owners(uids=(IdMapping(0, 1, 10), IdMapping(20, 30, 5)), gids=(IdMapping(0, 0, 1),)),
        ),
    ],
)
def test_other_owners(text: str, owners: Owners) -> None:
    assert volume_owners.parse(text) == owners


@pytest.mark.parametrize(
    "text",
    ["uids=", "gids=0-0-1", "uids=0-0", "uids=0-0-0", "uids=0-0-1;uids=1-1-1", "uids=0-0-5#4-9-1",
     "uids=0-9-5#7-9-1", "uids=@0-0-1#1-1-1", "uids=0-0-99999999999", "odd=0-0-1", "uids=0-4294967295-1"],
)  # fmt: skip
def test_other_owners_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        volume_owners.parse(text)
