"""What somebody asks to be fetched, in the words of the command line."""

from __future__ import annotations

from typing import Any

import pytest

from containerizer.fetcher.uri import FetchUri, is_archive_name, of_api, parse
from launcher.errors import InvalidRequest

_SHA256 = "sha256:" + "0" * 64


def test_options_follow_the_uri() -> None:
    asked = f"http://h/a,b.tgz,extract,cache=true,output=x/y,checksum={_SHA256}"
    assert parse(asked) == FetchUri(
        value="http://h/a,b.tgz", extract=True, cache=True, output_file="x/y", checksum=_SHA256
    )


@pytest.mark.parametrize(
    ("value", "name", "path"),
    [
        ("http://h/d/a%20b?x=/y", "a b", None),
        ("file:///d/f", "f", "/d/f"),
        ("/d/f%41", "f%41", "/d/f%41"),
        ("file://localhost/d/f%41", "fA", "/d/fA"),
    ],
)
def test_a_uri_names_a_file(value: str, name: str, path: str | None) -> None:
    assert (FetchUri(value=value).name, FetchUri(value=value).path) == (name, path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"value": "ftp://h/f"}, "ftp://h/f"),
        ({"value": "http:///f"}, "http:///f"),
        ({"value": "http://h:x/f"}, "http://h:x/f"),
        ({"value": "file://elsewhere/f"}, "elsewhere"),
        ({"value": "relative"}, "relative"),
        ({"value": "http://h/a b"}, "a b"),
        ({"value": "http://h/"}, "no usable file name"),
        ({"value": "http://h/%2e%2e"}, "'..'"),
        ({"value": "http://h/.wh.f"}, ".wh.f"),
        ({"value": "http://h/f", "output_file": "../f"}, "../f"),
        ({"value": "http://h/f", "output_file": "/etc/f"}, "/etc/f"),
        ({"value": "http://h/f", "output_file": "a\nb"}, "a\\nb"),
        ({"value": "http://h/f", "output_file": "f" * 256}, "ffff"),
        ({"value": "http://h/f", "checksum": "md5:00"}, "md5:00"),
        ({"value": "http://h/f", "extract": True, "executable": True}, "both"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        FetchUri(**options)
    assert named in raised.value.message


def test_no_message_has_a_password() -> None:
    assert FetchUri(value="http://user:secret@h:80/f").shown == "http://h:80/f"


def test_archives_have_names() -> None:
    assert is_archive_name("http://h/a.TAR.gz?v=1")
    assert not is_archive_name("http://h/a.txt?x=.zip")


def test_the_api_extracts_what_looks_like_an_archive() -> None:
    archive, plain = "http://h/a.tgz", "http://h/a"
    assert of_api({"value": archive, "cache": True}) == FetchUri(value=archive, extract=True, cache=True)
    assert of_api({"value": archive, "extract": False, "output_file": "b"}).output_file == "b"
    assert of_api({"value": archive, "executable": True}) == FetchUri(value=archive, executable=True)
    assert of_api({"value": plain}) == FetchUri(value=plain)
