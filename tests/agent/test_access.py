"""Who asks, and who may do what."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from containerizer.agent.acls import Acls, Rule
from containerizer.agent.credentials import Credentials, hash_secret
from launcher.errors import InvalidRequest


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_both_schemes_show_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(json.dumps({"credentials": [{"principal": "ops", "secret": hash_secret("s:3")}]}))

    async def ask() -> None:
        credentials = Credentials.load(str(path))
        for header in (basic("ops:s:3"), "Bearer ops:s:3", "bearer  ops:s:3"):
            assert await credentials.principal(header) == "ops"
        wrong = ("ops:s", "ops:", "ops", ":s:3", "other:s:3", "other:")
        for pair in wrong:
            assert await credentials.principal(basic(pair)) is None
        for header in (None, "", "Basic", "Basic ops:s:3", "Basic /w==", "Digest ops:s:3"):
            assert await credentials.principal(header) is None

    asyncio.run(ask())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"credentials": [{"principal": "a"}]}',
        '{"credentials": [{"principal": "a", "secret": "plain"}]}',
        '{"credentials": ["a"]}',
    ],
)
def test_a_file_of_no_credentials_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=str(path)):
        Credentials.load(str(path))


RULES = """
permissive = false

[[rules]]
principals = ["*"]
calls = ["GET_SECRETS"]
allow = false

[[rules]]
principals = ["ops"]
calls = ["*"]

[[rules]]
principals = ["web-team"]
calls = ["KILL_*", "WAIT_CONTAINER"]
containers = ["web-*"]
"""


def test_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    path = tmp_path / "acls"
    path.write_text(RULES)
    acls = Acls.load(str(path))
    assert acls.permits("ops", "KILL_CONTAINER", "web-1")
    assert not acls.permits("ops", "GET_SECRETS")
    assert acls.permits("web-team", "KILL_CONTAINER", "web-1")
    assert not acls.permits("web-team", "KILL_CONTAINER", "db")
    assert not acls.permits("web-team", "KILL_CONTAINER")  # about no container
    assert not acls.permits("web-team", "LAUNCH_CONTAINER", "web-1")
    assert not acls.permits(None, "WAIT_CONTAINER", "web-1")


def test_a_list_is_for_who_may_know_of_some_container(tmp_path: Path) -> None:
    path = tmp_path / "acls"
    path.write_text(RULES)
    acls = Acls.load(str(path))
    assert acls.permits_some("web-team", "KILL_CONTAINER")
    assert acls.permits_some("ops", "LIST_CONTAINERS")
    for principal, call in (
        ("web-team", "LIST_CONTAINERS"),
        ("ops", "GET_SECRETS"),
        (None, "WAIT_CONTAINER"),
    ):
        assert not acls.permits_some(principal, call)
    db = Rule(principals=("*",), calls=("*",), containers=("db",), allow=False)
    assert Acls(rules=(db,)).permits_some(None, "LIST_CONTAINERS"), "all others"
    assert not Acls(rules=(db,), permissive=False).permits_some(None, "LIST_CONTAINERS")


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("web-*", ("web-1", "web-1.db", "web-1.db.x"), ("db", "db.web-1", None)),
        ("*-web", ("my-web", "my-web.x"), ("db.my-web", "db.x-web.y")),
        ("db", ("db", "db.x"), ("dbx", "x.db")),
        ("db.*", ("db.x", "db.x.y"), ("db", "dbx.y")),
        ("*", ("a", "a.b.c"), (None,)),
    ],
)
def test_a_pattern_is_of_a_container_and_what_is_in_it(
    pattern: str, fits: tuple[str, ...], others: tuple[str | None, ...]
) -> None:
    rule = Rule(principals=("*",), calls=("*",), containers=(pattern,))
    assert [each for each in (*fits, *others) if rule.fits("me", "KILL_CONTAINER", each)] == list(fits)


def test_without_a_file_everybody_may() -> None:
    assert Acls().permits(None, "KILL_CONTAINER", "web-1")


@pytest.mark.parametrize(
    "text",
    [
        "rules = 1",
        'rules = [{principals = ["a"]}]',
        'rules = [{principals = "a", calls = ["*"]}]',
        'rules = [{principals = ["a"], calls = ["*"], alow = false}]',
        'rules = [{principals = ["a"], calls = ["*"], allow = "false"}]',
        "permisive = true",
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "acls"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=str(path)):
        Acls.load(str(path))
