"""Data: what all records do alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.data import Data, asdict, field, fields, replace


class Point(Data):
    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


class Shape(Data, kw_only=True):
    name: str = "shape"
    points: tuple[Point, ...] = ()
    tags: dict[str, Point] = field(default_factory=dict)
    note: str = field(default="", metadata={"for": "people"})


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(1, 2).y, Point(x=1, y=3).y) == (1, 0, 2, 3)
    assert Shape().name == "shape"
    assert Shape().note == ""


def test_a_mutable_default_is_made_anew() -> None:
    one, other = Shape(), Shape()
    one.tags["a"] = Point(1)
    assert other.tags == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(y=1),  # type: ignore[call-arg]
        lambda: Point(1, 2, 3),  # type: ignore[call-arg]
        lambda: Point(1, x=2),  # type: ignore[misc]
        lambda: Point(1, z=2),  # type: ignore[call-arg]
        lambda: Shape("by place"),  # type: ignore[misc]
        lambda: replace(Point(1), z=2),
    ],
)
def test_what_does_not_fit_is_a_type_error(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        make()


def test_values_are_checked_on_creation_and_on_replacement() -> None:
    with pytest.raises(ValueError, match="x"):
        Point(-1)
    with pytest.raises(ValueError, match="x"):
        replace(Point(1), x=-1)


def test_equality_and_hash_are_by_value_and_type() -> None:
    assert Point(1) == Point(1, 0)
    assert hash(Point(1)) == hash(Point(1, 0))
    assert Point(1) != Point(2)
    assert Point(1) != (1, 0)
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del Point(1).x


def test_replace_leaves_the_original() -> None:
    point = Point(1, 2)
    assert (replace(point, y=3), point) == (Point(1, 3), Point(1, 2))


def test_as_dictionaries_all_the_way_down() -> None:
    shape = Shape(points=(Point(1),), tags={"a": Point(2)})
    assert asdict(shape) == {
        "name": "shape",
        "points": [{"x": 1, "y": 0}],
        "tags": {"a": {"x": 2, "y": 0}},
        "note": "",
    }


def test_fields_know_their_names_and_metadata() -> None:
    assert [described.name for described in fields(Shape)] == ["name", "points", "tags", "note"]
    assert [dict(described.metadata) for described in fields(Shape)][-1] == {"for": "people"}


def test_it_shows_its_values() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0)"
