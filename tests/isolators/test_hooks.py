"""hooks/oci: which files are read, when they apply, and what they may not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isolators.hooks.oci import HooksOci, InvalidHook
from isolators.isolator import IsolatorFlags
from launcher.data import replace
from launcher.launch_info import Hook
from tests.isolators.support import CONFIG, WEB

Write = Callable[..., str]
FILE = {"version": "1.0.0", "hook": {"path": "/x"}, "when": {"always": True}, "stages": ["createRuntime"]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str = "a.json", directory: str = "one", **fields: Any) -> str:
        (tmp_path / directory).mkdir(exist_ok=True)
        (tmp_path / directory / name).write_text(json.dumps({**FILE, **fields}))
        return str(tmp_path / directory)

    return written


def found(*directories: str, **fields: Any) -> tuple[Hook, ...]:
    config = replace(CONFIG, hooks_dirs=directories, **fields)
    return HooksOci(IsolatorFlags()).contribute(WEB, config).hooks


def test_each_stage_is_a_hook_in_the_order_of_the_files(write: Write) -> None:
    write("b.json", hook={"path": "/b", "args": ["b", "c"], "env": ["A=1"], "timeout": 3})
    directory = write("a.json", stages=["prestart", "poststop"])
    assert found(directory) == (
        Hook(point="prestart", path="/x"),
        Hook(point="poststop", path="/x"),
        Hook(point="createRuntime", path="/b", argv=("b", "c"), environment=("A=1",), timeout=3),
    )


def test_a_later_directory_replaces_a_file(write: Write) -> None:
    first, second = write(), write(directory="two", hook={"path": "/other"})
    assert [hook.path for hook in found(first, second)] == ["/other"]


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ({"always": True}, True),
        ({"always": False}, False),
        ({"commands": ["^true$"]}, True),
        ({"commands": ["^false$", "x"]}, False),
        ({"always": True, "commands": ["false"]}, False),
        ({"annotations": {"a": "b"}}, False),
        ({"hasBindMounts": True}, False),
    ],
)
def test_when(write: Write, when: dict[str, Any], applies: bool) -> None:
    assert bool(found(write(when=when))) is applies


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": "0.1.0"}, "its version is not"),
        ({"hook": {"path": "x"}}, "not absolute"),
        ({"hook": {"path": "/x", "timeout": 0}}, "timeout"),
        ({"hook": {}}, "path is missing"),
        ({"when": {}}, "when has some of"),
        ({"when": {"always": True, "sometimes": 1}}, "when has some of"),
        ({"when": {"commands": ["("]}}, "a.json"),
        ({"stages": ["later"]}, "stages are some of"),
        ({"stages": []}, "stages are some of"),
    ],
)
def test_what_a_file_may_not_say(write: Write, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidHook, match=message):
        found(write(**fields))


def test_a_directory_that_is_not_there() -> None:
    with pytest.raises(InvalidHook, match="no such file"):
        found("/no/such/directory")
