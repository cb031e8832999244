"""Limits that cannot be had, left out where that is asked for."""

from __future__ import annotations

import json

import pytest

from containerizer import best_effort
from containerizer.pods import manifest
from isolators.resources import Resources


def test_what_the_named_isolators_enforce_stays() -> None:
    told: list[str] = []
    asked = Resources(disk=1 << 20, hugetlb={"2MB": 0})
    assert best_effort.applicable(asked, ["disk/du"], tell=told.append) == Resources(disk=1 << 20)
    assert [sentence.partition(":")[0] for sentence in told] == ["hugetlb is not limited"]


def test_nothing_is_said_where_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert best_effort.applicable(Resources()) == Resources()
    assert capsys.readouterr().err == ""


def test_each_container_of_a_pod_is_named() -> None:
    container = {"image": "x", "resources": {"limits": {"memory": "64Mi"}}}
    spec = {"containers": [container | {"name": "one"}, {"name": "two", "image": "x"}]}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec})
    told: list[str] = []
    reduced = best_effort.of_pod(manifest.parse(text.encode()), "posix/cpu", told.append)
    assert [each.resources.memory for each in reduced.containers] == [None, None]
    assert told
    assert all(sentence.startswith("web.one: memory") for sentence in told)
