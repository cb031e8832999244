from __future__ import annotations

from importlib import metadata

import pytest

from isolators import catalog
from isolators.isolator import Isolator, IsolatorFlags, IsolatorUnavailable, Need
from launcher.errors import InvalidRequest

FLAGS = IsolatorFlags(cgroups_root="containerizer-test")


class Example(Isolator):
    name = "example/one"


class Impossible(Isolator):
    name = "example/impossible"
    needs = (Need("a unicorn", lambda: False, "find one"),)


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two isolators of another distribution, as its metadata would declare them."""
    points = [
        metadata.EntryPoint(name, f"{__name__}:{attribute}", catalog.ENTRY_POINTS)
        for name, attribute in (("example/one", "Example"), ("example/impossible", "Impossible"))
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints(points))


def names(isolators: list[Isolator]) -> list[str]:
    return [isolator.name for isolator in isolators]


def test_order_is_the_tables() -> None:
    loaded = catalog.load(["linux/nnp", "namespaces/pid", "filesystem/linux"], FLAGS)
    assert names(loaded) == ["filesystem/linux", "namespaces/pid", "linux/nnp"]


def test_nothing_named_loads_nothing() -> None:
    assert catalog.load([], FLAGS) == []


def test_what_was_launched_is_taken_back_though_its_needs_have_gone(third_party: None) -> None:
    assert names(catalog.load(["example/impossible"], FLAGS, launched=True)) == ["example/impossible"]


def test_third_party_comes_after_the_built_in(third_party: None) -> None:
    assert names(catalog.load(["example/one", "linux/nnp"], FLAGS)) == ["linux/nnp", "example/one"]


@pytest.mark.parametrize(
    ("asked", "guess"), [("namespace/pid", "namespaces/pid"), ("cgroup/mem", "cgroups/mem")]
)
def test_unknown_name_gets_a_guess(asked: str, guess: str) -> None:
    with pytest.raises(catalog.UnknownIsolator) as caught:
        catalog.load([asked], FLAGS)
    assert caught.value.message == f"unknown isolator {asked!r}"
    assert guess in str(caught.value.hint)
    assert "containerizer isolators" in str(caught.value.hint)


def test_missing_need_names_isolator_and_need(third_party: None) -> None:
    with pytest.raises(IsolatorUnavailable) as caught:
        catalog.load(["example/impossible"], FLAGS)
    assert "example/impossible" in caught.value.message
    assert "a unicorn" in caught.value.message
    assert caught.value.hint == "find one"


def test_required_isolator_has_to_be_loaded() -> None:
    with pytest.raises(InvalidRequest, match="namespaces/pid requires filesystem/linux"):
        catalog.load(["namespaces/pid"], FLAGS)


def test_name_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="linux/nnp is named twice"):
        catalog.load(["linux/nnp", "linux/nnp"], FLAGS)


def test_describe_tells_what_is_absent(third_party: None) -> None:
    (described,) = catalog.describe(["example/impossible"])
    assert not described.available
    assert [(need.what, need.present) for need in described.needs] == [("a unicorn", False)]


def test_describe_has_a_summary_for_each() -> None:
    for described in catalog.describe():
        assert described.summary, described.name
        assert not described.summary.startswith(described.name)


def test_default_is_in_the_tables_order() -> None:
    assert list(catalog.DEFAULT) == [name for name in catalog.TABLE if name in catalog.DEFAULT]


def test_an_alias_stands_for_what_this_host_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [d.name for d in catalog.describe() if d.name.startswith("cgroups/") and d.available]
    loaded = names(catalog.load(["cgroups/all", "linux/nnp"], FLAGS))
    assert loaded == [*here, "linux/nnp"]
    assert names(catalog.load(["cgroups/all", "cgroups/pids"], FLAGS)) == here
    monkeypatch.setattr(catalog, "_is_available", lambda name: name == "cgroups/pids")
    assert names(catalog.load(["cgroups/all"], FLAGS)) == ["cgroups/pids"]
