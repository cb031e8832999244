from __future__ import annotations

import ctypes
import json
import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.launch_info import Mount
from provisioner.image import Rootfs
from provisioner.provisioner import Provisioner
from tests.support import images
from tests.support.images import directory, entry, image, layer, symlink

pytestmark = pytest.mark.requires("root", "overlay")

CLONE_NEWNS = 0x00020000
MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 4, 4096, 16384, 1 << 18

LOWER = layer(
    [
        directory("./", mode=0o711, uid=3),
        directory("etc/", mode=0o750, uid=7),
        entry("etc/gone", b"1"),
        entry("etc/kept", b"lower"),
        directory("data/"),
        entry("data/old", b"2"),
    ]
)
UPPER = layer(
    [entry("etc/.wh.gone"), entry("etc/new", b"upper"), entry("data/.wh..wh..opq"), entry("data/only")]
)


def in_own_mounts(action: Callable[[], Any]) -> Any:
    """What the action returns, from a forked child with its own mounts; its exception comes home too."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            libc = ctypes.PyDLL(None, use_errno=True)
            assert libc.unshare(CLONE_NEWNS) == 0
            assert libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
            result = {"value": action()}
        except BaseException:
            result = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        result = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert "error" not in result, result["error"]
    return result["value"]


def mount(one: Mount) -> None:
    """mount(2), as the launcher does it on an old kernel."""
    lowers = ":".join(value for key, value in one.options if key == "lowerdir+")
    rest = [f"{key}={value}" for key, value in one.options if key != "lowerdir+"]
    data = ",".join([f"lowerdir={lowers}", *rest]) if lowers else None
    flags = MS_NODEV | (MS_BIND if one.fstype == "bind" else 0)
    libc = ctypes.PyDLL(None, use_errno=True)
    arguments = [os.fsencode(text) for text in (one.source, one.target, one.fstype)]
    if libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(data) if data else None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), one.target)


def provision(provisioner: Provisioner, tmp_path: Path, parts: images.ImageParts) -> Rootfs:
    images.write_layout([("", parts)], tmp_path / "layout")
    pulled = provisioner.pull(f"oci:{tmp_path}/layout")
    container = tmp_path / "container"
    container.mkdir()
    rootfs = provisioner.provision(pulled, "c", str(container))
    assert provisioner.describe(pulled, str(container)) == rootfs
    return rootfs


def test_kernel_shows_the_image(provisioner: Provisioner, tmp_path: Path) -> None:
    rootfs = provision(provisioner, tmp_path, image(LOWER, UPPER))
    path = Path(rootfs.path)

    def look() -> dict[str, Any]:
        for one in rootfs.mounts:
            mount(one)
        (path / "written").write_text("by the container")
        etc = (path / "etc").stat()
        return {
            "etc": sorted(os.listdir(path / "etc")),
            "data": os.listdir(path / "data"),
            "kept": (path / "etc/kept").read_text(),
            "etc mode": [stat.S_IMODE(etc.st_mode), etc.st_uid],
            "root mode": [stat.S_IMODE(path.stat().st_mode), path.stat().st_uid],
        }

    assert in_own_mounts(look) == {
        "etc": ["kept", "new"],
        "data": ["only"],
        "kept": "lower",
        "etc mode": [0o750, 7],  # of the layer below: the upper one does not describe it
        "root mode": [0o711, 3],
    }
    assert os.listdir(path) == []  # nothing is mounted outside
    assert (tmp_path / "container/upper/written").exists()
    provisioner.destroy("c", str(tmp_path / "container"))
    assert os.listdir(tmp_path / "container") == []


def test_no_whiteout_shows(provisioner: Provisioner, tmp_path: Path) -> None:
    """overlayfs lists those of a directory that it merges with no other."""
    below = layer([entry("both/hidden"), entry("both/kept"), entry("opaque/old"), entry("link/f")])
    above = layer(
        [
            *(directory("alone/", mtime=5_000), entry("alone/.wh.gone"), entry("alone/kept")),
            *(entry("both/.wh.hidden"), entry("both/.wh.never"), entry("both/.wh.here"), entry("both/here")),
            *(entry("opaque/.wh..wh..opq"), entry("opaque/.wh.old"), entry("opaque/new")),
            *(symlink("to", "link"), directory("link/"), entry("to/.wh.f")),
        ]
    )
    rootfs = provision(provisioner, tmp_path, image(layer([entry("b/.wh.x"), entry("b/y")]), below, above))

    def look() -> dict[str, Any]:
        for one in rootfs.mounts:
            mount(one)
        top = Path(rootfs.path)
        names = ("b", "alone", "both", "opaque", "link")
        return {name: sorted(os.listdir(top / name)) for name in names} | {
            "time": (top / "alone").stat().st_mtime
        }

    assert in_own_mounts(look) == {
        "b": ["y"],
        "alone": ["kept"],
        "both": ["here", "kept"],
        "opaque": ["new"],
        "link": [],
        "time": 5_000,
    }
    assert provisioner.verify().damages == ()


def test_mount_is_data(provisioner: Provisioner, tmp_path: Path) -> None:
    rootfs = provision(provisioner, tmp_path, image(LOWER, UPPER))
    (one,) = rootfs.mounts
    container = f"{tmp_path}/container"
    assert (one.target, one.fstype, one.flags) == (f"{container}/rootfs", "overlay", ("nodev",))
    keys = [key for key, _ in one.options]
    assert keys == ["lowerdir+", "lowerdir+", "upperdir", "workdir"]
    top, bottom, upper, work = (Path(value) for _, value in one.options)
    assert (top / "etc/new").exists() and (bottom / "etc/kept").exists()  # the topmost first
    assert (str(upper), str(work)) == (f"{container}/upper", f"{container}/work")
    assert Mount.decode(one_as_json(one)) == one  # also after a checkpoint


def one_as_json(one: Mount) -> dict[str, Any]:
    fields = ("target", "fstype", "source", "flags", "options", "populate")
    decoded: dict[str, Any] = json.loads(json.dumps({name: getattr(one, name) for name in fields}))
    return decoded


def test_image_without_layers(provisioner: Provisioner, tmp_path: Path) -> None:
    rootfs = provision(provisioner, tmp_path, image())

    def write() -> list[str]:
        for one in rootfs.mounts:
            mount(one)
        (Path(rootfs.path) / "file").touch()
        return os.listdir(rootfs.path)

    assert in_own_mounts(write) == ["file"]
    assert (tmp_path / "container/upper/file").exists()
