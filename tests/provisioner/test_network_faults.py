"""Pulling from a real registry through a network that fails."""

from __future__ import annotations

import email.utils
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import (
    DigestMismatch,
    InvalidLayer,
    RegistryInTrouble,
    RegistryUnreachable,
    TooManyRequests,
)
from provisioner.provisioner import Provisioner
from provisioner.registry.retry import retry_after
from tests.provisioner.notes import Notes
from tests.provisioner.parts import ONE, TWO
from tests.support import images
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import directory, entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry")

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT = 60  # seconds until something counts as hung
LARGE = layer([directory("d/"), entry("d/noise", os.urandom(3 << 20))])
PARTS = image(LARGE, ONE)
BLOB = f"/blobs/{images.digest(LARGE.blob)}"


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    images.push(PARTS, registry.host, "faults", "latest")
    with FaultyProxy.start(registry.host) as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Fault(status=500, body=b"oops"),
        Fault(status=503),
        Fault(reset=True),
    ],
    ids=["429", "429-date", "500", "503", "reset"],
)
@pytest.mark.parametrize("path", ["/manifests/", BLOB])
def test_what_may_pass_is_tried_again_and_said(
    provisioner: Provisioner, proxy: FaultyProxy, fault: Fault, path: str
) -> None:
    proxy.fault(path, fault, times=3)
    notes = Notes()
    assert provisioner.pull(f"{proxy.host}/faults", progress=notes).size == (3 << 20) + 3
    assert len(proxy.asked(path)) == 4
    words = str(fault.status) if fault.status else "does not answer"
    assert sum(words in text and "trying again in" in text for text in notes.texts) == 3


def test_retry_after_is_waited_for_and_read_in_both_forms(
    provisioner: Provisioner, proxy: FaultyProxy
) -> None:
    proxy.fault("/manifests/", Fault(status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    provisioner.pull(f"{proxy.host}/faults")
    assert time.monotonic() - began >= 1
    assert 50 < retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 60
    assert [retry_after(text) for text in ("", "-1", "soon", "7")] == [0, 0, 0, 7]


def test_a_limit_that_lasts_is_told_with_the_registrys_words(
    provisioner: Provisioner, proxy: FaultyProxy
) -> None:
    body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}'
    proxy.fault("/manifests/", Fault(status=429, body=body), times=6)
    with pytest.raises(TooManyRequests, match=r"answers 429.* 6 times \(TOOMANYREQUESTS: pull rate limit\)"):
        provisioner.pull(f"{proxy.host}/faults")
    proxy.fault("/manifests/", Fault(status=429, body=body, headers={"Retry-After": "86400"}))
    with pytest.raises(TooManyRequests, match="too many requests"):
        provisioner.pull(f"{proxy.host}/faults")
    assert len(proxy.asked("/manifests/")) == 7, "a wait of a day is not waited"


@pytest.mark.parametrize("ignore_range", [False, True], ids=["range", "no-range"])
def test_a_cut_blob_goes_on_where_it_ended(
    provisioner: Provisioner, proxy: FaultyProxy, ignore_range: bool
) -> None:
    proxy.fault(BLOB, Fault(cut_after=1 << 20))
    proxy.fault(BLOB, Fault(cut_after=2 << 20 if ignore_range else 1 << 20, ignore_range=ignore_range))
    proxy.fault(BLOB, Fault(ignore_range=ignore_range))
    notes = Notes()
    assert provisioner.pull(f"{proxy.host}/faults", progress=notes).size == (3 << 20) + 3
    starts = [headers.get("Range") for headers in proxy.asked(BLOB)]
    assert starts == [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert sum("going on in" in text for text in notes.texts) == 2


def test_a_blob_that_never_comes_whole_is_given_up(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    proxy.fault(BLOB, Fault(cut_after=1000), times=20)
    with pytest.raises(RegistryUnreachable, match=r"after 6000 bytes, 6 times"):
        provisioner.pull(f"{proxy.host}/faults")


@pytest.mark.parametrize("length", [len(LARGE.blob) - 1, len(LARGE.blob) + 1])
def test_a_wrong_length_is_no_image(provisioner: Provisioner, proxy: FaultyProxy, length: int) -> None:
    proxy.fault(BLOB, Fault(length=length, cut_after=length), times=20)
    with pytest.raises((InvalidLayer, DigestMismatch, RegistryUnreachable)):
        provisioner.pull(f"{proxy.host}/faults")
    assert provisioner.images() == []


def test_a_resumed_blob_is_verified_whole(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    """The second part is another layer's: both are genuine, together they are not the blob."""
    other = layer([directory("d/"), entry("d/noise", os.urandom(3 << 20))]).blob
    cut = 1 << 20
    headers = {
        "Content-Range": f"bytes {cut}-{len(LARGE.blob) - 1}/{len(LARGE.blob)}",
        "Content-Length": str(len(LARGE.blob) - cut),
    }
    wrong = Fault(status=206, body=other.ljust(len(LARGE.blob))[cut : len(LARGE.blob)], headers=headers)
    for fault in (Fault(cut_after=cut), wrong, Fault(cut_after=cut), wrong):
        proxy.fault(BLOB, fault)
    with pytest.raises((DigestMismatch, InvalidLayer)):
        provisioner.pull(f"{proxy.host}/faults")
    assert len(proxy.asked(BLOB)) == 4
    for fault in (Fault(cut_after=cut), wrong):
        proxy.fault(BLOB, fault)
    notes = Notes()
    assert provisioner.pull(f"{proxy.host}/faults", progress=notes).size == (3 << 20) + 3
    assert any("its parts do not fit together; fetching it whole" in text for text in notes.texts)


@pytest.mark.parametrize(
    "fault",
    [Fault(stall_after=1 << 20), Fault(stall_after=0), Fault(drip_after=1 << 20)],
    ids=["body", "answer", "drip"],
)
def test_one_interrupt_ends_a_download_that_stands_still(
    provisioner: Provisioner, proxy: FaultyProxy, fault: Fault
) -> None:
    proxy.fault(BLOB, fault)
    verified = threading.Event()  # the small layer is behind the large one, and waits for it

    def progress(layer: str, phase: str, done: int, total: int) -> None:
        if layer == images.digest(ONE.blob) and phase == "verifying":
            verified.set()

    def interrupt() -> None:
        assert proxy.stalled.acquire(timeout=_TIMEOUT) and verified.wait(_TIMEOUT)
        os.kill(os.getpid(), signal.SIGINT)

    user = threading.Thread(target=interrupt)
    user.start()
    with pytest.raises(KeyboardInterrupt):
        provisioner.pull(f"{proxy.host}/faults", progress=progress)
    user.join()
    assert not proxy._released.is_set(), "the connection stood still to the end"


def test_an_interrupt_keeps_what_was_verified(
    provisioner: Provisioner, proxy: FaultyProxy, root: Path
) -> None:
    images.push(image(TWO, LARGE), proxy.upstream, "keeps", "latest")
    proxy.fault(BLOB, Fault(stall_after=1 << 20))
    whole = threading.Event()
    seen: dict[str, str] = {}

    def progress(layer: str, phase: str, done: int, total: int) -> None:
        seen[layer] = phase
        if layer == images.digest(TWO.blob) and phase == "done":
            whole.set()

    def interrupt() -> None:
        assert proxy.stalled.acquire(timeout=_TIMEOUT) and whole.wait(_TIMEOUT)
        os.kill(os.getpid(), signal.SIGINT)

    user = threading.Thread(target=interrupt)
    user.start()
    with pytest.raises(KeyboardInterrupt):
        provisioner.pull(f"{proxy.host}/keeps", progress=progress)
    user.join()
    assert provisioner.images() == []
    provisioner.pull(f"{proxy.host}/keeps", progress=progress)
    assert seen == {images.digest(TWO.blob): "exists", images.digest(LARGE.blob): "done"}


def test_the_second_pull_is_one_request(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    first = provisioner.pull(f"{proxy.host}/faults")
    before = len(proxy.requests)
    assert provisioner.pull(f"{proxy.host}/faults") == first
    assert [(method, path) for method, path, _ in proxy.requests[before:]] == [
        ("HEAD", "/v2/faults/manifests/latest")
    ]
    images.push(image(TWO), proxy.upstream, "faults", "latest")
    assert provisioner.pull(f"{proxy.host}/faults").digest != first.digest


def test_the_second_pull_through_an_index_is_one_request(
    provisioner: Provisioner, proxy: FaultyProxy
) -> None:
    images.push(images.Index((PARTS,), ("",)), proxy.upstream, "index-again", "latest")
    first = provisioner.pull(f"{proxy.host}/index-again")
    before = len(proxy.requests)
    assert provisioner.pull(f"{proxy.host}/index-again") == first
    assert len(proxy.requests) == before + 1
    provisioner.remove(first.reference)
    assert provisioner.pull(f"{proxy.host}/index-again") == first


AGAIN = """
import sys
from provisioner.provisioner import Provisioner
Provisioner(sys.argv[1]).pull(sys.argv[2], platform=sys.argv[3])
"""


@pytest.mark.parametrize("wanted", ["linux/arm", "linux/arm/v7"])
def test_so_it_is_in_another_process(
    provisioner: Provisioner, proxy: FaultyProxy, root: Path, wanted: str
) -> None:
    """Whatever the platform is called that the index led by."""
    arm = image(ONE, platform="linux/arm/v7")
    images.push(images.Index((PARTS, arm), ("", "linux/arm/v7")), proxy.upstream, "index-new", "latest")
    name = f"{proxy.host}/index-new"
    first = provisioner.pull(name, platform=wanted)
    used = provisioner.usage()[0].used_at
    before = len(proxy.requests)
    subprocess.run([sys.executable, "-c", AGAIN, root, name, wanted], cwd=ROOT, check=True, timeout=_TIMEOUT)
    assert [method for method, _, _ in proxy.requests[before:]] == ["HEAD"]
    assert provisioner.usage()[0].used_at > used
    assert provisioner.pull(name).digest == images.digest(PARTS.manifest) != first.digest


def test_a_registry_in_trouble_is_asked_once_for_all(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    """What a lasting 500 is answered to first, nothing else need be asked. It is no network's trouble."""
    provisioner.pull(f"{proxy.host}/faults")
    before = len(proxy.requests)
    proxy.fault("/manifests/", Fault(status=500), times=12)
    with pytest.raises(RegistryInTrouble, match=r"answers 500 for .* 6 times") as caught:
        provisioner.pull(f"{proxy.host}/faults")
    assert "in trouble: try again later" in str(caught.value.hint)
    assert len(proxy.requests) == before + 6


@pytest.mark.parametrize("where", [0, 1 << 20], ids=["answer", "body"])
def test_silence_counts_as_a_cut(
    provisioner: Provisioner, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    monkeypatch.setattr("provisioner.registry.http._READ_TIMEOUT", 0.3)
    proxy.fault(BLOB, Fault(stall_after=where))
    notes = Notes()
    provisioner.pull(f"{proxy.host}/faults", progress=notes)
    assert [headers.get("Range") for headers in proxy.asked(BLOB)] == [
        None,
        f"bytes={where}-" if where else None,
    ]
    assert notes.has("timed out")


def test_no_head_is_no_error(provisioner: Provisioner, proxy: FaultyProxy) -> None:
    first = provisioner.pull(f"{proxy.host}/faults")
    proxy.fault("/manifests/", Fault(status=405))
    assert provisioner.pull(f"{proxy.host}/faults") == first


def test_a_host_is_not_asked_for_more_than_a_few_things_at_once(
    registry: Registry, provisioner: Provisioner, proxy: FaultyProxy
) -> None:
    """Eight pulls at once, each of a blob that stands still: six are let through."""
    threads = []
    for number in range(8):
        parts = image(layer([entry("noise", os.urandom(1 << 18))]))
        images.push(parts, registry.host, f"many-{number}", "latest")
        proxy.fault(f"/many-{number}/blobs/{images.digest(parts.layers[0].blob)}", Fault(stall_after=1000))
        name = f"{proxy.host}/many-{number}"
        threads.append(threading.Thread(target=provisioner.pull, args=(name,)))
    for thread in threads:
        thread.start()
    for _ in range(6):
        assert proxy.stalled.acquire(timeout=_TIMEOUT)
    assert not proxy.stalled.acquire(timeout=0.3), "a seventh is asked for"
    proxy.release()
    for thread in threads:
        thread.join(_TIMEOUT)
    assert len(provisioner.images()) == 8
