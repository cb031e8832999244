"""Checks in the words of Docker's images and of the Mesos API."""

from __future__ import annotations

from typing import Any

import pytest

from containerizer.checks import docker, mesos
from containerizer.checks.check import Check, Command, Http, Tcp
from containerizer.checks.docker import HealthOptions
from launcher.errors import InvalidRequest

_SECOND = 10**9


def test_an_images_health_check() -> None:
    value = {"Test": ["CMD-SHELL", "curl -f http://localhost"], "Interval": 5 * _SECOND, "Retries": 2}
    expected = Check(
        action=Command(argv=("/bin/sh", "-c", "curl -f http://localhost")),
        delay=5.0,
        interval=5.0,
        timeout=30.0,
        failure_threshold=2,
    )
    assert docker.healthcheck({"Healthcheck": value}) == expected
    shell = docker.healthcheck({"Healthcheck": {"Test": ["CMD-SHELL", "x"]}, "Shell": ["/bin/bash", "-c"]})
    assert shell and shell.action == Command(argv=("/bin/bash", "-c", "x"))
    plain = docker.healthcheck({"Healthcheck": {"Test": ["CMD", "a", "b"], "StartPeriod": _SECOND}})
    assert plain and (plain.action, plain.grace) == (Command(argv=("a", "b")), 1.0)
    assert (plain.delay, plain.grace_interval, plain.interval) == (5.0, 5.0, 30.0)
    own = HealthOptions(start_interval=0.5).over(
        {"Healthcheck": {"Test": ["CMD", "a"], "StartPeriod": _SECOND}}
    )
    begins = docker.healthcheck(own)
    assert begins and (begins.delay, begins.grace_interval, begins.interval) == (0.5, 0.5, 30.0)


def test_an_image_may_have_none() -> None:
    assert [docker.healthcheck(c) for c in ({}, {"Healthcheck": {"Test": ["NONE"]}})] == [None, None]


def test_what_a_container_has_in_place_of_it() -> None:
    image = {"Healthcheck": {"Test": ["CMD", "a"], "Interval": 5 * _SECOND}, "Shell": ["/bin/ash", "-c"]}
    own = HealthOptions(test=("CMD-SHELL", "x"), timeout=1.5, retries=9)
    check = docker.healthcheck(own.over(image))
    assert check and (check.action, check.interval) == (Command(argv=("/bin/ash", "-c", "x")), 5.0)
    assert (check.timeout, check.failure_threshold) == (1.5, 9)
    assert docker.healthcheck(HealthOptions(test=("NONE",)).over(image)) is None
    assert docker.healthcheck(HealthOptions(test=("NONE",)).over({})) is None
    assert docker.healthcheck(own.over({})) is not None
    with pytest.raises(InvalidRequest, match="no command"):
        HealthOptions(retries=1).over({})
    with pytest.raises(InvalidRequest, match="a time"):
        HealthOptions(interval=float("inf")).over(image)


@pytest.mark.parametrize(
    "value",
    [{}, 1, {"Test": "x"}, {"Test": ["WHAT"]}, {"Test": ["CMD"]}, {"Test": ["CMD", "a"], "Retries": -1}],
)
def test_an_images_nonsense_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="Healthcheck"):
        docker.healthcheck({"Healthcheck": value})


def test_a_health_check_of_mesos() -> None:
    http = {"type": "HTTP", "http": {"port": 80, "path": "/h", "scheme": "https", "protocol": "IPv6"}}
    assert mesos.health_check(http) == Check(
        action=Http(port=80, path="/h", tls=True, host="::1"),
        delay=15.0,
        interval=10.0,
        timeout=20.0,
        grace=10.0,
        failure_threshold=3,
    )
    tcp = mesos.health_check(
        {"type": "TCP", "tcp": {"port": 1}, "consecutive_failures": 1, "timeout_seconds": 0}
    )
    assert (tcp.action, tcp.failure_threshold, tcp.timeout) == (Tcp(port=1), 1, 1e6)
    variables = {"variables": [{"name": "A", "value": "b"}]}
    command = {"value": "test -e /x", "environment": variables}
    assert mesos.health_check({"type": "COMMAND", "command": command}).action == Command(
        argv=("/bin/sh", "-c", "test -e /x"), environment={"A": "b"}
    )


def test_a_check_info_of_mesos() -> None:
    value = {"shell": False, "value": "/bin/test", "arguments": ["test", "-e", "/x"], "user": "nobody"}
    check = mesos.check_info({"type": "COMMAND", "command": {"command": value}})
    assert check.action == Command(argv=("/bin/test", "-e", "/x"), user="nobody")
    assert (check.failure_threshold, check.grace) == (1, 0.0)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "COMMAND"},
        {"type": "HTTP", "http": {}},
        {"type": "HTTP", "http": {"port": 80, "scheme": "ftp"}},
        {"type": "TCP", "tcp": {"port": 80}, "delay_seconds": -1},
        {"type": "TCP", "tcp": {"port": 80}, "interval_seconds": "soon"},
    ],
)
def test_nonsense_in_the_api_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        mesos.health_check(value)
