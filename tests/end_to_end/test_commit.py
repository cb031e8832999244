"""An image of what a container has written: it runs here, and in podman."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.images import directory, entry, layer
from tests.support.tools import run, storage

pytestmark = pytest.mark.requires("root", "busybox", "overlay", "cgroup")

WRITE = """
echo new > /new; ln /new /hard; ln -s new /soft; rm /etc/group; rm -r /old; mkdir /old; echo x > /old/mine
mkfifo /fifo; chown 70000:3 /new; chmod 4711 /new; truncate -s 64M /sparse; rmdir /usr
"""
SHOW = "cat /hard /soft /old/mine; ls /old; ls /etc; ls -ln /new | cut -c1-40; ls -d /usr; stat -c %s /sparse"


@pytest.fixture
def layout(tmp_path: Path) -> str:
    base = images.busybox()
    parts = images.image(
        *base.layers,
        layer([directory("old/"), entry("old/theirs", b"1")]),
        config={"Env": ["PATH=/bin"], "Cmd": ["sh"]},
    )
    return f"oci:{images.write_layout([('v1', parts)], tmp_path / 'layout')}:v1"


def committed(cli: Cli, *options: str, container: str = "writer", name: str = "made:v1") -> None:
    done = cli("commit", *options, container, name)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ended_container(cli: Cli, layout: str) -> None:
    before = cli("run", "--name", "writer", layout, "sh", "-c", WRITE + SHOW)
    committed(
        cli, "-c", f"CMD {json.dumps(['sh', '-c', SHOW])}", "-c", "ENV A=1 B='2 3'", "-c", "WORKDIR /old"
    )
    cli("rm", "writer")
    assert before.stderr == "ls: /usr: No such file or directory\n"
    (sparse,) = cli.root.glob("store/layers/sha256/*/diff/sparse")
    assert sparse.stat().st_size == 64 << 20 and sparse.stat().st_blocks * 512 < 1 << 20
    after = cli("run", "--rm", "--pull", "never", "made:v1")
    assert after.stdout == before.stdout
    assert "mine" in after.stdout and "theirs" not in after.stdout and "group" not in after.stdout
    environment = cli("run", "--rm", "--pull", "never", "made:v1", "sh", "-c", 'echo "$A $B $PWD"')
    assert environment.stdout == "1 2 3 /old\n"
    cli("rmi", "made:v1")


def test_a_running_container_is_paused_meanwhile_and_goes_on(cli: Cli, layout: str) -> None:
    ready = "echo one > /file; echo ready; while [ ! -e /stop ]; do sleep 0.1; done; echo went on"
    cli("run", "-d", "--name", "writer", layout, "sh", "-c", ready)
    with cli.start("logs", "-f", "writer") as logs:
        assert logs.stdout is not None and logs.stdout.readline() == "ready\n"
        committed(cli)
        committed(cli, "--no-pause", name="made:v2")
        cli("pause", "writer")
        committed(cli, name="made:v3")
        assert json.loads(cli("ps", "--json").stdout)[0]["paused"]
        cli("unpause", "writer")
        cli("exec", "writer", "touch", "/stop")
        assert logs.stdout.readline() == "went on\n"
    cli("wait", "writer")
    for tag in ("v1", "v2", "v3"):
        done = cli("run", "--rm", "--pull", "never", f"made:{tag}", "sh", "-c", "cat /file; ls /stop")
        assert done.stdout == "one\n"
    cli("rm", "writer")


@pytest.mark.requires("podman")
def test_podman_reads_what_was_committed_and_saved(cli: Cli, layout: str, tmp_path: Path) -> None:
    cli("run", "--name", "writer", layout, "sh", "-c", WRITE)
    changes = (
        "LABEL a=b",
        "EXPOSE 80 53/udp",
        "VOLUME /v",
        "USER 1:1",
        'ENTRYPOINT ["/bin/sh"]',
        "STOPSIGNAL SIGINT",
    )
    committed(cli, "-a", "me", "-m", "a message", *(word for change in changes for word in ("-c", change)))
    cli("rm", "writer")
    cli("save", "-o", f"{tmp_path}/made.tar", "made:v1")
    with storage("podman") as podman:
        run(*podman, "load", "-i", f"{tmp_path}/made.tar")
        (found,) = json.loads(run(*podman, "image", "inspect", "made:v1"))
        mounted = Path(run(*podman, "image", "mount", "made:v1").strip())
        assert (mounted / "old/mine").read_text() == "x\n" and not (mounted / "old/theirs").exists()
        assert (mounted / "hard").stat().st_ino == (mounted / "new").stat().st_ino
        assert (mounted / "new").stat().st_mode & 0o7777 == 0o4711 and (
            mounted / "new"
        ).stat().st_uid == 70000
        run(*podman, "image", "umount", "made:v1")
    config = found["Config"]
    assert (config["Labels"], config["User"], config["Entrypoint"]) == ({"a": "b"}, "1:1", ["/bin/sh"])
    assert (set(config["ExposedPorts"]), config["Volumes"], config["StopSignal"]) == (
        {"80/tcp", "53/udp"},
        {"/v": {}},
        "SIGINT",
    )
    assert "Cmd" not in config and found["Author"] == "me"
    assert found["History"][-1]["comment"] == "a message"


def test_a_container_with_users_of_its_own(cli: Cli, layout: str) -> None:
    cli("run", "--name", "writer", "--userns", "auto", layout, "sh", "-c", "touch /f; chown 5:6 /f")
    committed(cli)
    cli("rm", "writer")
    assert cli("run", "--rm", "--pull", "never", "made:v1", "stat", "-c", "%u:%g", "/f").stdout == "5:6\n"


def test_sizes_of_what_was_written(cli: Cli, layout: str) -> None:
    cli("run", "--name", "writer", layout, "dd", "if=/dev/urandom", "of=/f", "bs=1M", "count=3")
    (record,) = json.loads(cli("ps", "-a", "--size", "--json").stdout)
    assert 3 << 20 <= record["size"] < 4 << 20
    assert "3.0 MiB" in cli("ps", "-as").stdout
    cli("rm", "writer")


def test_what_cannot_be_committed(cli: Cli, layout: str) -> None:
    cli("run", "--name", "writer", "host", "true")
    cli("run", "--name", "other", layout, "true")
    for arguments, message in (
        (("absent", "made"), "no container absent"),
        (("writer", "made"), "no writable layer"),
        (("other", "oci:/x"), "cannot name a new image"),
        (("other", "made@sha256:" + "0" * 64), "cannot name a new image"),
        (("-c", "RUN x", "other", "made"), "invalid change 'RUN x'"),
        (("-c", "CMD [1]", "other", "made"), "JSON list of strings"),
        (("-c", "EXPOSE x", "other", "made"), "is no port"),
        (("-c", "ENV x", "other", "made"), "write NAME=VALUE"),
    ):
        done = cli("commit", *arguments)
        assert done.returncode == 125 and message in done.stderr
    cli("rm", "writer", "other")
