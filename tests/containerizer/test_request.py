"""Requests in the words of a Python program."""

from __future__ import annotations

from typing import Any

import pytest

from containerizer.request import ContainerRequest
from launcher.errors import InvalidRequest


def test_quantities_are_read() -> None:
    resources = ContainerRequest.of("busybox", cpus="0.5", mem="64m", pids=20).config.resources
    assert (resources.cpus, resources.memory, resources.pids) == (0.5, 64 << 20, 20)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"mem": "1.5x"}, "1.5x"),
        ({"mem": -2}, "-2"),
        ({"cpus": 0}, "0"),
        ({"pids": "5"}, "pids='5'"),
        ({"pids": True}, "pids=True"),
        ({"cpu_shares": 1.5}, "cpu_shares=1.5"),
        ({"env": {"A": 1}}, "'A': 1"),
        ({"command": "echo hello"}, "echo hello"),
        ({"pull": "sometimes"}, "sometimes"),
        ({"name": "a/b"}, "'a/b'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        ContainerRequest.of("busybox", **options)
    assert named in raised.value.message


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        ContainerRequest.of("busybox", no_such_option=1)
