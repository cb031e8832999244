"""Application container images: from files, from a directory, and over HTTP."""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
import http.server
import json
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
    InvalidLayer,
    InvalidReference,
    ProvisionerError,
    RegistryUnreachable,
)
from provisioner.platforms import Platform
from provisioner.provisioner import Provisioner
from provisioner.sources.appc import ENVIRONMENT
from tests.provisioner.parts import diff
from tests.support import images
from tests.support.images import directory, entry, hardlink

pytestmark = pytest.mark.requires("root")

NAME = "example.com/app"
APP = {
    "exec": ["/bin/app", "-v"],
    "user": "100",
    "group": "300",
    "workingDirectory": "/srv",
    "environment": [{"name": "A", "value": "b c"}],
}


def aci(
    *entries: Any, name: str = NAME, version: str = "1.0", raw: bytes | None = None, **manifest: Any
) -> bytes:
    value = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.0",
        "name": name,
        "labels": [{"name": "version", "value": version}, {"name": "os", "value": "linux"}],
        **manifest,
    }
    content = json.dumps(value).encode() if raw is None else raw
    return images.archive([entry("manifest", content), directory("rootfs/"), *entries])


def image_id(content: bytes) -> str:
    return f"sha512-{hashlib.sha512(content).hexdigest()}"


class Discovery:
    """A directory of images, as simple discovery wants it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, content: bytes, name: str = NAME, version: str = "1.0") -> None:
        architecture = {"arm64": "aarch64"}.get(Platform.host().architecture, Platform.host().architecture)
        file = self.path / f"{name}-{version}-linux-{architecture}.aci"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.fixture
def discovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Discovery:
    monkeypatch.setenv(ENVIRONMENT, f"{tmp_path}/acis/")
    return Discovery(tmp_path / "acis")


@pytest.fixture
def server(discovery: Discovery, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    discovery.path.mkdir()
    handler = functools.partial(Quiet, directory=str(discovery.path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        prefix = f"http://127.0.0.1:{running.server_address[1]}/"
        monkeypatch.setenv(ENVIRONMENT, prefix)
        yield prefix
        running.shutdown()
        thread.join()


def test_the_app_of_a_file(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    content = aci(
        directory("rootfs/bin"),
        entry("rootfs/bin/app", b"x", mode=0o755),
        hardlink("rootfs/l", "rootfs/bin/app"),
        app=APP,
    )
    for compress in (bytes, gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "image.aci").write_bytes(compress(content))
        pulled = provisioner.pull(f"appc:{tmp_path}/image.aci")
        assert pulled.config == {
            "WorkingDir": "/srv",
            "Env": ["A=b c"],
            "Entrypoint": ["/bin/app"],
            "Cmd": ["-v"],
            "User": "100:300",
        }
        layer = diff(root, pulled, 0)
        assert (layer / "l").stat().st_ino == (layer / "bin/app").stat().st_ino
        manifest = json.loads(provisioner._store.read_blob(pulled.digest))
        assert manifest["annotations"] == {"org.appc.image.id": image_id(content)}
    assert os.listdir(root / "store/ingest") == []
    assert [found.reference for found in provisioner.images()] == [f"appc:{tmp_path}/image.aci"]


def test_discovery_over_http(provisioner: Provisioner, discovery: Discovery, server: str) -> None:
    discovery.add(gzip.compress(aci(entry("rootfs/f", b"1"))))
    discovery.add(aci(entry("rootfs/f", b"2"), version="2"), version="latest")
    assert provisioner.pull(f"appc:{NAME}:1.0").reference == f"appc:{NAME}:1.0"
    assert provisioner.pull(f"appc:{NAME}").size == 1
    with pytest.raises(ImageNotFound, match="does not exist"):
        provisioner.pull(f"appc:{NAME}:3")
    with pytest.raises(ImageNotFound, match="aarch64"):
        provisioner.pull(f"appc:{NAME}:1.0", platform="linux/arm64")


def test_a_server_that_is_not_there(provisioner: Provisioner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "http://127.0.0.1:1/")
    with pytest.raises(RegistryUnreachable, match="cannot fetch"):
        provisioner.pull(f"appc:{NAME}")


def test_dependencies_lie_below_in_their_order(
    provisioner: Provisioner, root: Path, discovery: Discovery
) -> None:
    base = aci(entry("rootfs/base", b"1"), entry("rootfs/both", b"base"), name="example.com/base", app=APP)
    other = aci(
        entry("rootfs/both", b"other"),
        name="example.com/other",
        dependencies=[{"imageName": "example.com/base", "imageID": image_id(base)}],
    )
    discovery.add(gzip.compress(base), "example.com/base", "latest")
    discovery.add(other, "example.com/other", "7")
    labels = [{"name": "version", "value": "1.0"}]
    discovery.add(
        aci(dependencies=[{"imageName": "example.com/other", "labels": [{"name": "version", "value": "7"}]}])
    )
    with pytest.raises(InvalidImage, match=r"the image found for example\.com/other"):
        provisioner.pull(f"appc:{NAME}:1.0")
    discovery.add(other, "example.com/other", "1.0")
    discovery.add(aci(dependencies=[{"imageName": "example.com/other", "labels": labels}]))
    pulled = provisioner.pull(f"appc:{NAME}:1.0")
    assert [sorted(os.listdir(diff(root, pulled, index))) for index in range(3)] == [
        ["base", "both"],
        ["both"],
        [],
    ]
    assert "Entrypoint" not in pulled.config
    discovery.add(aci(name="example.com/base"), "example.com/base", "latest")
    with pytest.raises(DigestMismatch, match="has the id sha512-"):
        provisioner.pull(f"appc:{NAME}:1.0")


def test_dependencies_in_a_circle(provisioner: Provisioner, discovery: Discovery) -> None:
    discovery.add(aci(dependencies=[{"imageName": "example.com/b"}]))
    discovery.add(aci(name="example.com/b", dependencies=[{"imageName": NAME}]), "example.com/b", "latest")
    discovery.add(aci(dependencies=[{"imageName": "example.com/b"}]), version="latest")
    with pytest.raises(
        InvalidImage, match=r"depends on itself: example\.com/app → example\.com/b → example\.com/app"
    ):
        provisioner.pull(f"appc:{NAME}:1.0")


def test_the_whitelist_hides_all_else(provisioner: Provisioner, root: Path, discovery: Discovery) -> None:
    base = aci(
        *(directory(f"rootfs/{name}") for name in ("etc", "etc/keep", "opt", "opt/deep")),
        *(entry(f"rootfs/{name}", b"x") for name in ("etc/a", "etc/keep/b", "opt/deep/c", "top")),
        name="example.com/base",
    )
    discovery.add(base, "example.com/base", "latest")
    own = aci(
        entry("rootfs/own", b"1"),
        entry("rootfs/gone", b"2"),
        dependencies=[{"imageName": "example.com/base"}],
        pathWhitelist=["/etc/a", "/etc/keep/", "/own", "/empty/"],
    )
    discovery.add(own)
    pulled = provisioner.pull(f"appc:{NAME}:1.0")
    top = diff(root, pulled, 1)
    shown = {
        str(path.relative_to(top)): "-" if path.is_char_device() else path.is_dir() for path in top.rglob("*")
    }
    assert shown == {
        "own": False,
        "empty": True,
        "etc": True,
        "etc/keep": True,
        "etc/keep/b": "-",
        "opt": "-",
        "top": "-",
    }


@pytest.mark.parametrize(
    ("user", "expected"), [(("/bin/app", "/bin/app"), "7:8"), (("web", "www"), "web:www")]
)
def test_users(provisioner: Provisioner, tmp_path: Path, user: tuple[str, str], expected: str) -> None:
    app = APP | {"user": user[0], "group": user[1]}
    (tmp_path / "i.aci").write_bytes(aci(entry("rootfs/bin/app", b"x", uid=7, gid=8), app=app))
    assert provisioner.pull(f"appc:{tmp_path}/i.aci").config["User"] == expected


BROKEN: dict[str, Callable[[], bytes]] = {
    "no manifest": lambda: images.archive([directory("rootfs/")]),
    "not JSON": lambda: aci(raw=b"{"),
    "deep JSON": lambda: aci(raw=b"[" * 100_000),
    "another kind": lambda: aci(acKind="PodManifest"),
    "no app": lambda: aci(app=[]),
    "no user": lambda: aci(app={"exec": ["/x"]}),
    "user of an absent file": lambda: aci(app=APP | {"user": "/absent"}),
    "relative directory": lambda: aci(app=APP | {"workingDirectory": "x"}),
    "odd variable": lambda: aci(app=APP | {"environment": [{"name": "A=B", "value": ""}]}),
    "twice the same label": lambda: aci(labels=[{"name": "a", "value": "b"}] * 2),
    "odd dependency": lambda: aci(dependencies=[{"imageName": "../../etc/passwd"}]),
    "odd version": lambda: aci(
        dependencies=[{"imageName": "a", "labels": [{"name": "version", "value": "../x"}]}]
    ),
    "odd id": lambda: aci(dependencies=[{"imageName": "a", "imageID": "md5-0"}]),
    "relative whitelist": lambda: aci(pathWhitelist=["x"]),
    "way out": lambda: aci(entry("rootfs/../../../etc/x", b"")),
    "link out": lambda: aci(hardlink("rootfs/x", "manifest")),
    "cut": lambda: aci(entry("rootfs/x", bytes(100_000)))[:5000],
    "no archive": lambda: b"text" * 1000,
    "cut compression": lambda: lzma.compress(aci())[:-10],
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_images(provisioner: Provisioner, root: Path, tmp_path: Path, case: str) -> None:
    (tmp_path / "i.aci").write_bytes(BROKEN[case]())
    with pytest.raises((InvalidImage, InvalidLayer, InvalidReference, ProvisionerError)):
        provisioner.pull(f"appc:{tmp_path}/i.aci")
    assert provisioner.images() == []
    assert not (root / "store/ingest").exists() or os.listdir(root / "store/ingest") == []


@pytest.mark.parametrize("name", ["a/../b", "A", "", "a//b", "a:b/c", "a:../x"])
def test_names_that_are_none(provisioner: Provisioner, name: str) -> None:
    with pytest.raises(InvalidReference):
        provisioner.pull(f"appc:{name}")
