"""Mounts: of files and directories, by links, read-only, and with what is mounted later."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.cri.client import status_of
from tests.cri.conftest import Node, Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


def test_directories_and_files_are_mounted(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "hosts").write_text("10.0.0.1 somebody\n")
    mounts = [
        {"container_path": "/data/below/it", "host_path": str(tmp_path / "new"), "readonly": True},
        {"container_path": "/data", "host_path": str(tmp_path / "data")},
        {"container_path": "/etc/hosts", "host_path": str(tmp_path / "hosts")},
    ]
    container = pods.start(pods.run(), mounts=mounts)
    assert pods.sh(container, "cat /etc/hosts") == "10.0.0.1 somebody\n"
    pods.sh(container, "echo x > /data/file")
    assert (tmp_path / "data/file").read_text() == "x\n"
    assert (tmp_path / "new").is_dir()  # made, as others do
    assert "Read-only" in pods.sh(container, "touch /data/below/it/x 2>&1; true")
    told = pods.status(container).mounts
    assert [each.container_path for each in told] == [each["container_path"] for each in mounts]


def test_what_a_kubelet_mounts_into_every_container(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "token").mkdir()
    (tmp_path / "token/ca.crt").write_text("ca\n")
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    mounts = [
        {"container_path": "/dev/termination-log", "host_path": str(tmp_path / "log")},
        {"container_path": account, "host_path": str(tmp_path / "token"), "readonly": True},
    ]
    container = pods.start(pods.run(), mounts=mounts, context={"run_as_user": {"value": 1000}})
    assert pods.sh(container, f"cat {account}/ca.crt") == "ca\n"
    (tmp_path / "log").chmod(0o666)
    pods.sh(container, "echo why > /dev/termination-log")
    assert (tmp_path / "log").read_text() == "why\n"


def test_links_of_the_node_are_followed(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("real\n")
    (tmp_path / "link").symlink_to("real")
    mounts = [{"container_path": "/data", "host_path": str(tmp_path / "link")}]
    assert pods.sh(pods.start(pods.run(), mounts=mounts), "cat /data/file") == "real\n"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory on a shared mount."""
    place = tmp_path / "shared"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    try:
        (place / "inner").mkdir()
        yield place
    finally:
        subprocess.run(["umount", "-R", place], check=True)


def mount_tmpfs(place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)


@pytest.mark.parametrize(
    ("propagation", "comes"), [("PROPAGATION_PRIVATE", False), ("PROPAGATION_HOST_TO_CONTAINER", True)]
)
def test_what_the_node_mounts_later_comes_in(
    pods: Pods, shared: Path, propagation: str, *, comes: bool
) -> None:
    mounts = [{"container_path": "/data", "host_path": str(shared), "propagation": propagation}]
    container = pods.start(pods.run(), mounts=mounts)
    mount_tmpfs(shared / "inner")
    (shared / "inner/later").write_text("x")
    assert (pods.sh(container, "ls /data/inner") == "later\n") is comes


def test_what_the_container_mounts_goes_out(pods: Pods, shared: Path) -> None:
    mounts = [
        {"container_path": "/data", "host_path": str(shared), "propagation": "PROPAGATION_BIDIRECTIONAL"}
    ]
    container = pods.start(pods.run(), mounts=mounts, context={"privileged": True})
    pods.sh(container, "mount -t tmpfs none /data/inner && touch /data/inner/mine")
    assert [path.name for path in (shared / "inner").iterdir()] == ["mine"]


def test_what_is_mounted_below_is_read_only_if_asked(pods: Pods, shared: Path) -> None:
    mount_tmpfs(shared / "inner")
    mounts = [
        {"container_path": "/top", "host_path": str(shared), "readonly": True},
        {
            "container_path": "/all",
            "host_path": str(shared),
            "readonly": True,
            "recursive_read_only": True,
        },
    ]
    container = pods.start(pods.run(), mounts=mounts)
    pods.sh(container, "touch /top/inner/file; test -e /all/inner/file")
    for place in ("/top/file", "/all/file", "/all/inner/other"):
        assert "Read-only" in pods.sh(container, f"touch {place} 2>&1; true"), place


def test_further_options_of_a_mount(pods: Pods, node: Node, tmp_path: Path) -> None:
    options = ["noexec", "nosuid", "nodev"]
    mounts = [
        {"container_path": "/a", "host_path": str(tmp_path), "mount_options": options},
        {"container_path": "/b", "image": {"image": node.image}, "readonly": True, "mount_options": options},
    ]
    container = pods.start(pods.run(), mounts=mounts)
    for place in ("/a", "/b"):
        shown = pods.sh(container, f"grep ' {place} ' /proc/mounts").split()[3].split(",")
        assert {"noexec", "nosuid", "nodev"} <= set(shown), (place, shown)


@pytest.mark.parametrize(
    ("mount", "word"),
    [
        ({"container_path": "data", "host_path": "/tmp"}, "absolute"),
        ({"container_path": "/data", "host_path": "/tmp", "recursive_read_only": True}, "read-only"),
        ({"container_path": "/data", "host_path": "/tmp", "mount_options": ["size=1"]}, "size=1"),
    ],
)
def test_nonsense_is_refused(pods: Pods, mount: dict[str, object], word: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pods.run(), mounts=[mount])
    code, details = status_of(refused.value)
    assert (code, word in details) == ("INVALID_ARGUMENT", True), details


def test_the_files_of_an_image(pods: Pods, node: Node) -> None:
    """Which the kubelet has pulled; read-only, and a part of it if it says so."""
    mounts = [
        {"container_path": "/i", "image": {"image": node.image}, "readonly": True},
        {
            "container_path": "/part",
            "image": {"image": node.image},
            "image_sub_path": "etc",
            "readonly": True,
        },
    ]
    container = pods.start(pods.run(), mounts=mounts)
    status = pods.status(container)
    assert [each.image.image_ref for each in status.mounts] == [status.image_id] * 2
    assert pods.sh(container, "touch /i/x 2>/dev/null || ls /i/etc /part") == (
        "/i/etc:\ngroup\npasswd\n\n/part:\ngroup\npasswd\n"
    )
    for wrong, word in (
        ({"image": {"image": "no/such"}}, "no/such"),
        ({"image": {"image": node.image}, "readonly": False}, "readonly"),
        ({"image": {"image": node.image}, "image_sub_path": "no/such"}, "no/such"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            pods.start(pods.run(), mounts=[{"container_path": "/i", "readonly": True, **wrong}])
        assert word in status_of(refused.value)[1]


def test_propagation_takes_a_shared_mount(pods: Pods, shared: Path) -> None:
    subprocess.run(["mount", "--make-private", shared], check=True)
    mount = {
        "container_path": "/data",
        "host_path": str(shared),
        "propagation": "PROPAGATION_BIDIRECTIONAL",
    }
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pods.run(), mounts=[mount])
    assert "shared" in status_of(refused.value)[1]


def test_devices_are_there(pods: Pods) -> None:
    devices = [{"container_path": "/dev/own", "host_path": "/dev/zero", "permissions": "rw"}]
    container = pods.start(pods.run(), devices=devices)
    assert pods.sh(container, "head -c 3 /dev/own | wc -c").strip() == "3"
