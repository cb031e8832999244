"""ContainerId: names become directories and cgroups, so nothing else gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.container_id import MAX_DEPTH, MAX_NAME, ContainerId
from launcher.errors import EXIT_CONTAINERIZER_FAILED, InvalidRequest

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)


@given(st.lists(names, min_size=1, max_size=MAX_DEPTH))
def test_the_dotted_form_reads_back(lineage: list[str]) -> None:
    container_id = ContainerId.parse(".".join(lineage))
    assert container_id.lineage == tuple(lineage)
    assert str(container_id) == ".".join(lineage)
    assert ContainerId.parse(str(container_id)) == container_id


@given(st.text())
def test_parse_takes_a_valid_id_or_raises(text: str) -> None:
    try:
        container_id = ContainerId.parse(text)
    except InvalidRequest:
        return
    assert str(container_id) == text
    assert all(name.replace("_", "").replace("-", "").isascii() for name in container_id.lineage)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a.",
        "a/b",
        "/",
        "-a",
        "_a",
        "a b",
        "a\n",
        "a\0",
        "é",
        "x" * (MAX_NAME + 1),
    ],
)
def test_a_bad_name_is_refused_and_named(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ContainerId.parse(name)
    assert "invalid container name" in refusal.value.message
    assert refusal.value.exit_code == EXIT_CONTAINERIZER_FAILED
    assert refusal.value.hint


def test_the_longest_name_and_the_deepest_level_are_taken() -> None:
    deepest = ContainerId.parse(".".join(["x" * MAX_NAME] * MAX_DEPTH))
    assert len(deepest.lineage) == deepest.depth == MAX_DEPTH


def test_a_level_too_deep_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="nested deeper than 32 levels"):
        ContainerId.parse(".".join("x" * (MAX_DEPTH + 1)))


def test_a_command_is_no_level() -> None:
    deepest = ContainerId.parse(".".join("x" * MAX_DEPTH))
    command = ContainerId.of_command(deepest)
    assert command.is_command
    assert not deepest.is_command
    assert command.depth == deepest.depth
    assert ContainerId.parse(str(command)) == command
    with pytest.raises(InvalidRequest, match="nested deeper"):
        ContainerId("in-it", command)
    with pytest.raises(InvalidRequest, match="nested deeper"):
        ContainerId("exec-it", deepest)
    assert not ContainerId("exec-0123456789ab").is_command, "in no container"


def test_generated_ids_are_valid_and_differ() -> None:
    generated = {ContainerId.generate() for _ in range(100)}
    assert len(generated) == 100
    assert all(ContainerId.parse(str(container_id)) == container_id for container_id in generated)
