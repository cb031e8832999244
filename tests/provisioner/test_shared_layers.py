"""Twenty images that share layers: each layer is fetched and unpacked once, by whomever."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.provisioner import Provisioner
from tests.provisioner.notes import Notes
from tests.support import images
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import ImageParts, entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry")

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT = 120  # seconds until something counts as hung
COUNT = 20
# The first is large enough to be unpacked by a worker.
SHARED = [layer([entry(f"shared{n}", os.urandom(size))]) for n, size in enumerate((2 << 20, 1000, 1000))]
PARTS: list[ImageParts] = [image(*SHARED, layer([entry("own", bytes([n]))])) for n in range(COUNT)]
LAYERS = {images.digest(one.blob) for parts in PARTS for one in parts.layers}

PULL = """
import json, sys
from provisioner.provisioner import Provisioner
from tests.provisioner.notes import Notes
provisioner, phases = Provisioner(sys.argv[1]), []
sys.stdin.readline()
for name in sys.argv[2:]:
    notes = Notes()
    provisioner.pull(name, progress=notes)
    phases += notes.phases.items()
print(json.dumps(phases))
"""


@pytest.fixture(scope="module")
def pushed(registry: Registry) -> Registry:
    for number, parts in enumerate(PARTS):
        images.push(parts, registry.host, f"share/{number}", "latest")
    return registry


@pytest.fixture
def proxy(pushed: Registry) -> Iterator[FaultyProxy]:
    with FaultyProxy.start(pushed.host) as running:
        yield running


def names(proxy: FaultyProxy) -> list[str]:
    return [f"{proxy.host}/share/{number}" for number in range(COUNT)]


def check(provisioner: Provisioner, proxy: FaultyProxy, phases: list[tuple[str, str]]) -> None:
    """Requests at the registry, what pulls say, and what is in the store."""
    fetched = {digest: len(proxy.asked(f"/blobs/{digest}")) for digest in LAYERS}
    assert set(fetched.values()) == {1}, fetched
    made = collections.Counter(digest for digest, phase in phases if phase == "done")
    assert made == dict.fromkeys(LAYERS, 1)
    assert len(phases) == COUNT * 4 and {phase for _, phase in phases} == {"done", "exists"}
    stored = {key for one in provisioner.images() for key in one.layers}
    assert len(provisioner.images()) == COUNT and len(stored) == len(LAYERS)
    top = Path(provisioner._store.paths.root)
    assert {f"sha256:{name}" for name in os.listdir(top / "layers/sha256")} == stored
    for left in ("ingest", "locks", "partials"):
        assert os.listdir(top / left) == []


def test_one_after_the_other(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    phases = []
    for name in names(proxy):
        notes = Notes()
        provisioner.pull(name, progress=notes)
        phases += notes.phases.items()
    check(provisioner, proxy, phases)


def test_all_at_once_in_one_process(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    phases: list[tuple[str, str]] = []

    def pull(name: str) -> None:
        notes = Notes()
        provisioner.pull(name, progress=notes)
        phases.extend(notes.phases.items())

    threads = [threading.Thread(target=pull, args=(name,)) for name in names(proxy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_TIMEOUT)
    check(provisioner, proxy, phases)


@pytest.mark.usefixtures("provisioner")  # for its settings, which the processes inherit
def test_by_several_processes_at_once(proxy: FaultyProxy, root: Path) -> None:
    command = [sys.executable, "-c", PULL, str(root)]
    pulls = [
        subprocess.Popen(
            [*command, *names(proxy)[number::4]],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for pull in pulls:  # all have started, and now go
        assert pull.stdin is not None
        pull.stdin.write("\n")
        pull.stdin.flush()
    phases = [pair for pull in pulls for pair in json.loads(pull.communicate(timeout=_TIMEOUT)[0])]
    check(Provisioner(str(root)), proxy, list(map(tuple, phases)))
