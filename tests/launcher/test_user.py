"""Users by Docker's rules, from an image's own and untrusted files."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.user import User, resolve_user

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment:x:7:7::/:
alice:x:1000:1001:Alice\x0c of \x1cWonderland:/home/alice:/bin/sh
nohome:x:1002:1002:::
1000:x:0:0:root in disguise:/root:/bin/sh
twice:x:1003:1003::/first:
twice:x:0:0::/second:
sur\udcffrogate:x:1004:1004::/home/\udcff:
"""
GROUP = """\
root:x:0:
staff:x:50:alice,bob
adm:x:4:bob,alice
wheel:x:10:bob
empty:x:60:
1001:x:0:
"""
MALFORMED = """\
short:x:1
long:x:1:1::/:/bin/sh:more
:x:1:1::/:
text:x:one:1::/:
negative:x:-1:1::/:
huge:x:4294967295:1::/:
longest:x:99999999999999999999:1::/:
other-digits:x:\u0661:1::/:
no-gid:x:1:::/:
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("0", User(0, 0, (0,), "/root")),
        ("alice", User(1000, 1001, (4, 50, 1001), "/home/alice")),
        (
            "1000",
            User(1000, 1001, (4, 50, 1001), "/home/alice"),
        ),  # not the user that is named so: CVE-2016-3697
        ("01000", User(1000, 1001, (4, 50, 1001), "/home/alice")),
        ("alice:staff", User(1000, 50, (50,), "/home/alice")),
        ("alice:1001", User(1000, 1001, (1001,), "/home/alice")),  # not the group that is named so
        ("alice:77", User(1000, 77, (77,), "/home/alice")),
        ("alice:", User(1000, 1001, (4, 50, 1001), "/home/alice")),
        (":staff", User(0, 50, (50,), "/root")),
        ("nohome", User(1002, 1002, (1002,), "/")),
        ("twice", User(1003, 1003, (1003,), "/first")),
        ("sur\udcffrogate", User(1004, 1004, (1004,), "/home/\udcff")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:4243", User(4242, 4243, (4243,), "/")),
        ("4294967294", User(4294967294, 0, (0,), "/")),
    ],
)
def test_the_table(user: str, expected: User) -> None:
    assert resolve_user(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize("user", ["", "0", "12", "12:34"])
def test_an_image_without_users(user: str) -> None:
    resolved = resolve_user(user, "", "")
    uid, _, gid = user.partition(":")
    assert (resolved.uid, resolved.groups, resolved.home) == (int(uid or 0), (int(gid or 0),), "/")


@pytest.mark.parametrize(
    ("user", "number", "text", "named"),
    [
        ("bob", errno.ENOENT, "no such user in the image's /etc/passwd", "bob"),
        ("alice:nobody", errno.ENOENT, "no such group in the image's /etc/group", "nobody"),
        ("-1", errno.ENOENT, "no such user in the image's /etc/passwd", "-1"),
        ("4294967295", errno.EINVAL, "a user id is at most 4294967294", "4294967295"),
        ("0:4294967296", errno.EINVAL, "a group id is at most 4294967294", "4294967296"),
        ("1" * 5000, errno.EINVAL, "a user id is at most 4294967294", "1" * 5000),
        ("# a comment", errno.ENOENT, "no such user in the image's /etc/passwd", "# a comment"),
    ],
)
def test_who_is_not_there(user: str, number: int, text: str, named: str) -> None:
    with pytest.raises(OSError, match=text) as raised:
        resolve_user(user, PASSWD, GROUP)
    assert (raised.value.errno, raised.value.filename) == (number, named)


@pytest.mark.parametrize("line", MALFORMED.splitlines())
def test_a_malformed_line_is_skipped(line: str) -> None:
    name = line.partition(":")[0]
    with pytest.raises(FileNotFoundError):
        resolve_user(name or "x", line, "")
    assert resolve_user("alice", f"{line}\n{PASSWD}", f"{line}\n{GROUP}").uid == 1000


files = st.text(st.sampled_from("root:x:0123456789,\n#\r\x1c\u0661\udcff ")) | st.text()


@given(user=st.text() | st.from_regex(r"[0-9a-z]{0,12}(:[0-9a-z]{0,12})?"), passwd=files, group=files)
def test_nothing_is_raised_but_what_the_child_can_tell(user: str, passwd: str, group: str) -> None:
    try:
        resolved = resolve_user(user, passwd, group)
    except OSError as error:
        assert error.errno in (errno.ENOENT, errno.EINVAL)
    else:
        assert all(0 <= number < 2**32 - 1 for number in (resolved.uid, resolved.gid, *resolved.groups))


def test_a_line_with_a_null_byte_is_none() -> None:
    passwd = "web:x:7:7::/ho\0me:\nroot:x:0:0::/root:\n"
    assert resolve_user("root", passwd, "").home == "/root"
    with pytest.raises(OSError, match="no such user"):
        resolve_user("web", passwd, "")
