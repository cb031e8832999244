"""namespaces/user: whose ids a container gets, and that no two running ones get the same by themselves."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators import ownership
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.namespaces import subordinate_ids, user
from isolators.namespaces.subordinate_ids import InvalidSubordinateIds, Range
from isolators.namespaces.user import NoFreeRange, UserNamespace
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import IdMapping, LaunchInfo

WEB, DB = ContainerId("web"), ContainerId("db")


class Host:
    """Files that stand for a host's, and the isolator on them."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.subuid, self.subgid = directory / "subuid", directory / "subgid"

    def isolator(self) -> UserNamespace:
        return UserNamespace(IsolatorFlags(state=str(self.state)), str(self.subuid), str(self.subgid))

    def prepare(self, container_id: ContainerId, userns: str = "auto") -> LaunchInfo:
        return self.isolator().prepare(container_id, ContainerConfig(userns=userns, sandbox="/sandbox"))

    def start(self, container_id: ContainerId) -> int:
        mapping = self.prepare(container_id).uid_map
        assert mapping is not None
        return mapping[0].outside

    def cleanup(self, container_id: ContainerId) -> None:
        self.isolator().cleanup(container_id)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# subuid(5) ---------------------------------------------------------------------------------------


def test_ranges_by_name_and_by_number(host: Host) -> None:
    name, number = pwd.getpwuid(1).pw_name, 1
    host.subuid.write_text(f"# users\n\n{name}:100000:10\nother:5:7\n{number}:200000:5\n")
    host.subgid.write_text(f"{number}:300000:20\n")
    for asked in (name, str(number)):
        info = host.prepare(WEB, f"subuid:{asked}")
        assert info.uid_map == (IdMapping(0, 100000, 10), IdMapping(10, 200000, 5))
        assert info.gid_map == (IdMapping(0, 300000, 20),)
    assert not host.state.exists(), "shared by all containers of the user, so not held by one"


def test_an_entry_may_stand_for_no_user(host: Host) -> None:
    for file in (host.subuid, host.subgid):
        file.write_text("containers-of-ours:100000:65536\n")
    assert host.prepare(WEB, "subuid:containers-of-ours").uid_map == (IdMapping(0, 100000, 65536),)


@pytest.mark.parametrize(
    "line", ["name", "name:1", "name:1:2:3", ":1:2", "name:x:2", "name:-1:2", "name:1:0", "name:4294967290:9"]
)
def test_a_malformed_line_is_named(host: Host, line: str) -> None:
    host.subuid.write_text(f"# comment\ngood:100000:65536\n{line}\n")
    host.subgid.write_text("good:100000:65536\n")
    for asked in ("auto", "subuid:good"):
        with pytest.raises(InvalidSubordinateIds) as refusal:
            host.prepare(WEB, asked)
        assert f"{host.subuid}:3: {line!r}" in refusal.value.message


@pytest.mark.parametrize(
    ("subuid", "subgid", "message"),
    [
        ("", "me:100000:10", "'me' has no subordinate ids in .*subuid"),
        ("me:100000:10", "you:100000:10", "'me' has no subordinate ids in .*subgid"),
        ("me:100000:10\nme:100005:10", "me:100000:10", "overlap in .*subuid: me:100000:10 and me:100005:10"),
        ("me:0:10", "me:100000:10", "begin with root's"),
        ("me:100000:3\nme:200000:2", "me:100000:10", "has 5 ids in .*subuid: at least 6"),
    ],
)
def test_ranges_that_make_no_map(host: Host, subuid: str, subgid: str, message: str) -> None:
    host.subuid.write_text(subuid)
    host.subgid.write_text(subgid)
    with pytest.raises(InvalidRequest, match=message):
        host.prepare(WEB, "subuid:me")


def test_neither_file_is_there(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="has no subordinate ids"):
        host.prepare(WEB, "subuid:me")
    host.prepare(WEB)


@given(st.text(alphabet="#ab:019 \n\0é", max_size=40))
def test_a_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "subuid-any"
    path.write_text(text)
    try:
        entries = subordinate_ids.read(str(path))
    except InvalidSubordinateIds as error:
        assert str(path) in error.message
        return
    assert all(entry.owner and entry.count > 0 and entry.end <= 2**32 - 1 for entry in entries)


# auto --------------------------------------------------------------------------------------------


def test_a_range_is_held_until_the_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "RANGES", 3)
    names = [ContainerId(f"c{number}") for number in range(3)]
    starts = {name: host.start(name) for name in names}
    assert sorted(starts.values()) == [user.FIRST + number * user.COUNT for number in range(3)]
    assert {name: host.start(name) for name in names} == starts, "asked again"
    with pytest.raises(NoFreeRange, match="all 3 ranges of users are taken"):
        host.prepare(WEB)
    host.cleanup(names[1])
    host.cleanup(names[1])
    assert host.start(WEB) == starts[names[1]]
    for name in (*names, WEB):
        host.cleanup(name)
    assert list(host.state.iterdir()) == []


def test_a_nested_containers_end_releases_nothing_of_its_parents(host: Host) -> None:
    start = host.start(WEB)
    host.cleanup(ContainerId("in", WEB))
    assert len(os.listdir(host.state / "users")) == 1
    assert host.start(WEB) == start


def test_a_plan_takes_nothing(host: Host) -> None:
    config = ContainerConfig(userns="auto", sandbox="/sandbox")
    planned = host.isolator().contribute(WEB, config)
    assert not host.state.exists()
    assert host.prepare(WEB) == planned
    assert host.isolator().contribute(WEB, config) == planned


def test_what_is_set_aside_for_users_is_left_to_them(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "RANGES", 3)
    host.subuid.write_text(f"me:{user.FIRST}:10\n")
    host.subgid.write_text(f"me:{user.FIRST + 2 * user.COUNT + 5}:1\n")
    assert host.start(WEB) == user.FIRST + user.COUNT
    with pytest.raises(NoFreeRange):
        host.prepare(DB)


@pytest.mark.parametrize("asked", ["0:65536", "5:10", "-5:10"])
def test_what_is_given_out_can_be_named_while_nobody_has_it(
    host: Host, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "RANGES", 2)
    offset, _, count = asked.partition(":")
    named = f"{user.FIRST + int(offset)}:{count}"
    assert host.isolator().contribute(WEB, ContainerConfig(userns=named, sandbox="/sandbox")).uid_map
    for _ in range(2):  # the same holds it still
        assert host.prepare(WEB, named).uid_map == (IdMapping(0, user.FIRST + int(offset), int(count)),)
    assert host.start(DB) == user.FIRST + user.COUNT
    with pytest.raises(InvalidRequest, match="is that of container web"):
        host.prepare(ContainerId("other"), named)
    host.cleanup(WEB)
    host.prepare(ContainerId("other"), named)


def test_ranges_on_both_sides_are_held_together(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "RANGES", 3)
    host.prepare(WEB, f"{user.FIRST + user.COUNT - 1}:10")
    assert host.start(DB) == user.FIRST + 2 * user.COUNT
    with pytest.raises(NoFreeRange):
        host.prepare(ContainerId("other"))
    host.prepare(ContainerId("beside"), f"{user.FIRST + 3 * user.COUNT}:10")


def test_no_container_holds_most_of_what_is_given_out(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="too many"):
        host.prepare(WEB, "1000000000:1000000000")


def test_processes_that_take_at_once(tmp_path: Path) -> None:
    """Each takes and releases over and over; whoever has a number is alone in having it."""
    directory = str(tmp_path / "users")
    children = []
    for child in range(6):
        pid = os.fork()
        if pid == 0:
            os._exit(_take_and_release(directory, tmp_path, f"c{child}"))
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 6
    assert not os.path.exists(directory)


def _take_and_release(directory: str, tmp_path: Path, holder: str) -> int:
    done = 0
    for _ in range(100_000):  # one that was taken when we looked may be free, and the last one gone
        names = ownership.take(directory, holder, map(str, range(6)), 1)
        if names is None:
            continue
        try:
            (tmp_path / f"alone-{names[0]}").mkdir()
        except FileExistsError:
            return 2
        (tmp_path / f"alone-{names[0]}").rmdir()
        ownership.release(directory, holder)
        done += 1
        if done == 50:
            return 0
    return 1


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_overlap_is_a_common_id(start: int, count: int, other: int, others: int) -> None:
    one, two = Range("a", start, count), Range("b", other, others)
    assert one.overlaps(two) == bool(set(range(one.start, one.end)) & set(range(two.start, two.end)))
