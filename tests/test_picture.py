"""docs/picture.py: what a terminal showed becomes the README's picture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def picture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("picture", DOCS / "picture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["picture"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def commands(svg: str) -> list[str]:
    texts = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return ["".join(text.itertext()) for text in texts if text.get("class") == "keys"]


def test_the_picture_is_of_these_commands(picture: ModuleType) -> None:
    """Whoever changes them has to record anew: `make picture`."""
    assert commands((DOCS / "run.svg").read_text()) == list(picture.SCENES)


def test_a_command_at_a_terminal(picture: ModuleType) -> None:
    script = r"test -t 1 && printf 'one\ntwo <&>\n\033[1F\033[2Kthree\n'; echo 127.0.0.1:5000"
    scene = picture.record(script, {"PATH": "/usr/bin:/bin"}, {"127.0.0.1:5000": "my.registry.lan"})
    assert [line.text for line in scene.lines] == ["one", "three", "my.registry.lan"]
    drawn = picture.draw([scene])
    assert commands(drawn) == [script] and "three" in drawn
    assert "prefers-color-scheme: dark" in drawn
