"""Fixtures of the provisioner's tests: a real registry, a scripted one, and fresh provisioners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.provisioner import Provisioner
from tests.provisioner.scripted import ScriptedRegistry, scripted_registry
from tests.support.registry import Registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Debian's docker-registry; tests keep apart by their repositories."""
    with Registry.start(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def scripted() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def provisioner(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Provisioner:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))  # not the developer's credentials
    return Provisioner(str(root))
