"""Who serves what its digest does not say is passed over, and told of; the next place is asked."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import DigestMismatch, InvalidLayer, RegistryUnreachable
from provisioner.provisioner import Provisioner
from tests.provisioner.notes import Notes
from tests.provisioner.parts import ONE, corrupt
from tests.support import images
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry")

LARGE = layer([entry("noise", os.urandom(3 << 20))])
PARTS = image(ONE, LARGE)
MANIFEST = images.digest(PARTS.manifest)
NOWHERE = "127.0.0.1:9"  # the discard port, where nothing listens


@pytest.fixture
def liar(registry: Registry, provisioner: Provisioner, tmp_path: Path) -> Iterator[FaultyProxy]:
    """The only mirror of real.local, which is the registry itself."""
    images.push(PARTS, registry.host, "app", "latest")
    with FaultyProxy.start(registry.host) as mirror:
        configure(tmp_path, registry.host, mirror.host)
        yield mirror


def configure(tmp_path: Path, location: str, *mirrors: str) -> None:
    tables = [f'[[registry]]\nprefix = "real.local"\nlocation = "{location}"']
    tables += [f'[[registry.mirror]]\nlocation = "{host}"' for host in mirrors]
    (tmp_path / "registries.conf").write_text("\n".join(tables))


def blob(content: bytes) -> str:
    return f"/blobs/{images.digest(content)}"


def another() -> bytes:
    value = json.loads(PARTS.manifest) | {"annotations": {"a": "b"}}
    return json.dumps(value).encode()


TYPED = {"Content-Type": PARTS.manifest_type}
TAGGED = TYPED | {"Docker-Content-Digest": MANIFEST}
LIES = {
    "manifest-by-tag": (
        "/manifests/latest",
        Fault(200, another(), TAGGED),
    ),
    "manifest-by-digest": (f"/manifests/{MANIFEST}", Fault(200, another(), TYPED)),
    "configuration": (blob(PARTS.config), Fault(200, corrupt(PARTS.config))),
    "configuration-short": (blob(PARTS.config), Fault(200, PARTS.config[:-1])),
    "layer-small": (blob(ONE.blob), Fault(200, corrupt(ONE.blob))),
    "layer-large": (blob(LARGE.blob), Fault(200, corrupt(LARGE.blob))),
    "layer-short": (blob(LARGE.blob), Fault(200, LARGE.blob[:-1])),
    "layer-long": (blob(LARGE.blob), Fault(200, LARGE.blob + b"x")),
    "layer-page": (blob(LARGE.blob), Fault(200, b"<html>log in to the network first</html>")),
}


@pytest.mark.parametrize("lie", LIES)
def test_the_next_place_is_asked(provisioner: Provisioner, root: Path, liar: FaultyProxy, lie: str) -> None:
    path, fault = LIES[lie]
    liar.fault(path, fault, times=9)
    notes = Notes()
    name = f"real.local/app@{MANIFEST}" if "by-digest" in lie else "real.local/app"
    pulled = provisioner.pull(name, progress=notes)
    assert (pulled.digest, pulled.size) == (MANIFEST, (3 << 20) + 3)
    assert provisioner.verify().damages == ()
    assert len(liar.asked(path)) == 1
    assert notes.has("trying the next place")
    assert os.listdir(root / "store/ingest") == os.listdir(root / "store/partials") == []


def test_of_two_liars_neither_is_asked_again(
    provisioner: Provisioner, registry: Registry, liar: FaultyProxy, tmp_path: Path
) -> None:
    path, fault = LIES["layer-large"]
    with FaultyProxy.start(registry.host) as second:
        configure(tmp_path, registry.host, liar.host, second.host)
        for mirror in (liar, second):
            mirror.fault(path, fault, times=9)
        notes = Notes()
        assert provisioner.pull("real.local/app", progress=notes).digest == MANIFEST
        assert (len(liar.asked(path)), len(second.asked(path))) == (1, 1)
    for mirror in (liar, second):
        assert notes.has(f"registry {mirror.host} serves it wrong")


def test_what_nobody_has_right_fails(
    provisioner: Provisioner, root: Path, liar: FaultyProxy, tmp_path: Path
) -> None:
    path, fault = LIES["layer-large"]
    configure(tmp_path, liar.host)
    liar.fault(path, fault, times=9)
    with pytest.raises((DigestMismatch, InvalidLayer)):
        provisioner.pull("real.local/app")
    assert provisioner.images() == []
    assert os.listdir(root / "store/partials") == []


def test_a_mirror_that_is_silent_is_tried_twice(
    provisioner: Provisioner, registry: Registry, liar: FaultyProxy, tmp_path: Path
) -> None:
    """What comes for a socket whose queue is full the kernel drops; listen(2)."""
    where = tmp_path / "certs.d/real.local"
    where.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = full.getsockname()
        stack.enter_context(socket.create_connection(address))
        text = f'[host."http://127.0.0.1:{address[1]}"]\ndial_timeout = "200ms"\n'
        (where / "hosts.toml").write_text(f'server = "http://{registry.host}"\n{text}')
        configure(tmp_path, "real.local")
        notes = Notes()
        assert provisioner.pull("real.local/app", progress=notes).digest == MANIFEST
    assert sum("trying again" in text for text in notes.texts) == 1
    assert notes.has("timed out", "trying the next place")


def test_the_lie_is_told_when_nobody_else_answers(
    provisioner: Provisioner, liar: FaultyProxy, tmp_path: Path
) -> None:
    path, fault = LIES["layer-small"]
    configure(tmp_path, NOWHERE, liar.host)
    liar.fault(path, fault, times=9)
    with pytest.raises(RegistryUnreachable, match=NOWHERE) as caught:
        provisioner.pull("real.local/app")
    assert any(f"registry {liar.host} serves a wrong blob" in note for note in caught.value.__notes__)
