"""What is asked of filesystems in memory, and what of that is refused."""

from __future__ import annotations

import pytest

from containerizer import tmpfs
from containerizer.request import ContainerRequest
from containerizer.tmpfs import Tmpfs
from launcher.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/a", Tmpfs(target="/a")),
        ("/a/", Tmpfs(target="/a")),
        ("/a:", Tmpfs(target="/a")),
        ("/a:size=1m", Tmpfs(target="/a", size=1 << 20)),
        ("/a:rw,noexec,nosuid,nodev,size=65536k", Tmpfs(target="/a", size=64 << 20)),
        (
            "/a:exec,ro,mode=755,uid=7,gid=8",
            Tmpfs(target="/a", executable=True, readonly=True, mode=0o755, uid=7, gid=8),
        ),
        ("/dev/shm:nr_inodes=5", Tmpfs(target="/dev/shm", nr_inodes=5)),
    ],
)
def test_options_are_dockers(text: str, asked: Tmpfs) -> None:
    assert tmpfs.parse(text) == asked
    assert tmpfs.parse(str(asked)) == asked


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("a", "'a'"),
        ("/a/../b", "'/a/../b'"),
        ("/", "cannot be at /"),
        ("/proc/x", "cannot be at /proc/x"),
        ("/dev", "cannot be at /dev"),
        ("/a:size=", "invalid size '' of the tmpfs at /a"),
        ("/a:size=0", "the size 0"),
        ("/a:size=-1", "invalid size '-1'"),
        ("/a:size=50%", "invalid size '50%'"),
        ("/a:size=1x", "invalid size '1x'"),
        ("/a:size", "unknown option 'size'"),
        ("/a:mode=9", "unknown option 'mode=9'"),
        ("/a:mode=77777", "unknown option 'mode=77777'"),
        ("/a:nr_inodes=0", "nr_inodes=0"),
        ("/a:uid=4294967295", "uid=4294967295"),
        ("/a:dev", "unknown option 'dev'"),
        ("/a:suid", "unknown option 'suid'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tmpfs.parse(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"tmpfs": ["/a", "/a/"]}, "two tmpfs are to be at /a"),
        ({"tmpfs": ["/dev/shm"], "shm_size": "1m"}, "two tmpfs are to be at /dev/shm"),
        ({"tmpfs": ["/a:size=1000000g"]}, "cannot hold a tmpfs of 1073741824000000 bytes at /a"),
        ({"shm_size": "1m", "namespaces": {"ipc": "host"}}, "not the container's own"),
        ({"shm_size": "1m", "name": "a.b"}, "not the container's own"),
    ],
)
def test_what_cannot_be_had_here_is_refused(asked: dict[str, object], named: str) -> None:
    request = ContainerRequest.of("host", ["true"], **asked)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest) as caught:
        tmpfs.check(request.tmpfs, request.container_id, request.config)
    assert named in str(caught.value)


def test_what_is_around_others_is_mounted_first() -> None:
    request = ContainerRequest.of("host", ["true"], tmpfs=["/a/b:size=2m", "/a:size=1m"], shm_size="3m")
    tmpfs.check(request.tmpfs, request.container_id, request.config)
    mounts = tmpfs.contribution(request.tmpfs).mounts
    assert [mount.target for mount in mounts] == ["/a", "/a/b", "/dev/shm"]
    assert mounts[2].source == "shm"
    assert mounts[0].options == (("mode", "1777"), ("size", "1048576"))
