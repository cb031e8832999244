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


def isolate(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Nothing of this host's or developer's settings counts, but what the test puts into the directory."""
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    monkeypatch.setenv("HOME", str(directory / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "run"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    (directory / "registries.conf").touch()
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(directory / "registries.conf"))
    monkeypatch.setenv("CONTAINERIZER_CERTS_DIR", str(directory / "certs.d"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("provisioner.registry.retry.FIRST_PAUSE", 0.01)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def provisioner(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Provisioner:
    isolate(monkeypatch, tmp_path)
    return Provisioner(str(root))
