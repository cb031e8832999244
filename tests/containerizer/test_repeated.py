"""Requests in the same words."""

from __future__ import annotations

import pytest

from containerizer.repeated import Repeated
from containerizer.request import ContainerRequest
from launcher.data import replace
from launcher.errors import InvalidRequest


def test_the_same_words_are_the_same_configuration_of_another_container() -> None:
    repeated = Repeated()
    first, second = (repeated.of("busybox", ["true"], {"mem": "64m", "pids": 20}) for _ in range(2))
    assert second.config is first.config
    assert second.container_id != first.container_id
    assert second == replace(first, container_id=second.container_id)


@pytest.mark.parametrize(
    ("image", "command", "options"),
    [
        ("busybox", ["true"], {"pids": 2}),
        ("alpine", ["true"], {"pids": 1}),
        ("busybox", ["false"], {"pids": 1}),
        ("busybox", ["true"], {"pids": 1, "keep": True}),
        ("busybox", ["true"], {"cpus": 1}),
    ],
)
def test_others_are_read_anew(image: str, command: list[str], options: dict[str, object]) -> None:
    repeated = Repeated()
    repeated.of("busybox", ["true"], {"pids": 1})
    found = repeated.of(image, command, dict(options))
    asked = ContainerRequest.of(image, command, **options)  # type: ignore[arg-type]
    assert found == replace(asked, container_id=found.container_id)


def test_what_is_refused_is_refused_though_it_is_equal() -> None:
    repeated = Repeated()
    repeated.of("busybox", ["true"], {"pids": 1})
    with pytest.raises(InvalidRequest):
        repeated.of("busybox", ["true"], {"pids": True})


def test_what_may_change_is_not_kept() -> None:
    repeated, environment = Repeated(), {"A": "1"}
    repeated.of("busybox", ["true"], {"env": environment})
    environment["A"] = "2"
    assert repeated.of("busybox", ["true"], {"env": environment}).config.environment == {"A": "2"}


def test_a_name_is_of_one_container() -> None:
    repeated = Repeated()
    names = [str(repeated.of("busybox", [], {"name": name}).container_id) for name in ("a", "b")]
    assert names == ["a", "b"]
