"""Kinds of launches: what is asked once for all of them, and what makes a kind of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from containerizer.kinds import Kind, Kinds
from containerizer.request import ContainerRequest
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from launcher.base import LaunchRequest
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.launch_info import LaunchInfo, Mount
from launcher.stdio import Inherit

Find = Callable[..., Kind | None]


class Named(Isolator):
    """Contributes what has the name, and what has not."""

    name = "tests/named"

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        sandbox = f"/sandboxes/{container_id.name}"
        return LaunchInfo(
            argv=("true", "db"),
            hostname=container_id.name,
            environment={"HOSTNAME": container_id.name, "A": "b"},
            cgroups_v1=(f"/cpu/ct-{container_id.name}", f"/memory/ct-{container_id.name}"),
            mounts=(
                Mount(target="/proc", fstype="proc"),
                Mount(target="/data", fstype="bind", source=sandbox, options=(("x", sandbox), ("y", "z"))),
            ),
        )


class Choosing(Named):
    """Knows only when it has prepared."""

    name = "tests/choosing"

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return super().prepare(container_id, config)


@pytest.fixture
def learned() -> list[ContainerId]:
    return []


def finder(isolator: Isolator, learned: list[ContainerId]) -> Find:
    kinds = Kinds([isolator])

    def find(name: str, command: str = "true", **more: Any) -> Kind | None:
        request = ContainerRequest.of("image", [command], name=name, **more)

        def learn(placeholder: ContainerId) -> LaunchRequest:
            learned.append(placeholder)
            info = isolator.contribute(placeholder, request.config)
            path = f"/state/{placeholder.name}/status"
            return LaunchRequest(
                container_id=str(placeholder), info=info, stdio=Inherit(0), exit_status_path=path
            )

        return kinds.find(request, None, learn)

    return find


@pytest.fixture
def find(learned: list[ContainerId]) -> Find:
    return finder(Named(IsolatorFlags()), learned)


_CHECKED = {"container_id", "config", "pull", "image"}  # when a request is made

NAMES = ("0123456789ab", "sandboxes-db", "true-or-true", "cpu-cpu-data")


def test_from_the_second_on_all_is_known_but_the_name(find: Find, learned: list[ContainerId]) -> None:
    first, *others = NAMES
    assert find(first) is None
    for name in others:
        kind = find(name)
        assert kind is not None
        info = kind.info(ContainerId(name))
        assert info == Named(IsolatorFlags()).contribute(ContainerId(name), ContainerConfig())
    assert len(learned) == 1
    assert len(learned[0].name) == len(first)
    assert learned[0].name not in NAMES


@pytest.mark.parametrize(
    "other",
    [
        {"command": "false"},
        {"cpus": 0.5},
        {"env": {"A": "b"}},
        {"user": "1000"},
        {"name": f"{NAMES[1]}c"},
    ],
)
def test_what_asks_for_something_else_is_of_another(find: Find, other: dict[str, Any]) -> None:
    find(NAMES[0])
    assert find(**{"name": NAMES[1], **other}) is None
    assert find(NAMES[1]) is not None


def test_whatever_else_is_asked_is_of_another_kind() -> None:
    """Of all fields that there are, also those that are yet to come."""
    kinds = Kinds([Named(IsolatorFlags())])
    request = ContainerRequest.of("image", ["true"], name=NAMES[0])
    others = [
        *(replace(request, **{name: ("x",)}) for name in request.__dict__.keys() - _CHECKED),
        *(replace(request, config=other) for other in changed(request.config)),
    ]
    keys = [kinds._key(each, None) for each in others]
    assert len({kinds._key(request, None), *keys}) == 1 + len(set(keys))
    assert [key is None for key in keys].count(True) == 5  # fetch, volumes, debugs, namespaces, secrets
    assert len(set(keys)) == len(keys) - 4


def changed(config: ContainerConfig) -> Iterator[ContainerConfig]:
    """With each of its fields changed, one at a time."""
    for name, value in config.__dict__.items():
        if isinstance(value, Data):
            continue  # as the one below, with limits
        yield replace(config, **{name: {"ipc": "host"} if isinstance(value, Mapping) else "other"})


@pytest.mark.parametrize(
    "own",
    [
        {"name": "db"},
        {"name": f"{NAMES[0]}.{NAMES[1]}"},
        {"namespaces": {"ipc": "host"}},
        {"fetch": ["/file"]},
    ],
)
def test_what_may_not_be_the_same_next_time_is_of_none(find: Find, own: dict[str, Any]) -> None:
    for _ in range(3):
        assert find(**{"name": NAMES[0], **own}) is None


def test_an_isolator_that_chooses_is_asked_each_time(learned: list[ContainerId]) -> None:
    find = finder(Choosing(IsolatorFlags()), learned)
    for _ in range(3):
        assert find(NAMES[0]) is None
    assert learned == []


def test_many_kinds_are_not_kept(find: Find) -> None:
    find(NAMES[0])
    for number in range(100):
        find(NAMES[0], str(number))
    assert find(NAMES[0]) is None
