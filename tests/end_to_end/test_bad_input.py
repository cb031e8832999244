"""Bad input: one line on stderr that names the thing and the way out, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def _check_one_line(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("containerizer: ")
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("options", "command", "code", "parts"),
    [
        ((), ("nope",), 127, ["'nope'", "no such file", "PATH"]),
        ((), ("/bin/nope",), 127, ["'/bin/nope'"]),
        ((), ("/etc/passwd",), 126, ["'/etc/passwd'", "permission denied"]),
        ((), ("/etc",), 126, ["'/etc'"]),
        (("-u", "nobody-knows"), ("true",), 125, ["nobody-knows", "/etc/passwd"]),
        (("-u", "0:nogroup-here"), ("true",), 125, ["nogroup-here", "/etc/group"]),
        (("-w", "/etc/passwd"), ("true",), 125, ["/etc/passwd", "working directory"]),
        (("-w", "relative"), ("true",), 125, ["relative", "begin it with /"]),
        (("-w", "/proc/self/fd/3"), ("true",), 125, ["/proc/self/fd/3"]),
        (("-m", "1"), ("true",), 125, ["memory", "4m"]),
        (("-m", "much"), ("true",), 125, ["'much'"]),
        (("--cpus", "0"), ("true",), 125, ["'0'"]),
        (("--cpus", "100000"), ("true",), 125, ["100000"]),
        (("--cpuset-cpus", "100000"), ("true",), 125, ["no CPUs 100000", "choose from"]),
        (("--device", "fuse"), ("true",), 125, ["'fuse'", "begin with /"]),
        (("--device", "/dev/no-such"), ("true",), 125, ["/dev/no-such: there is no such file"]),
        (("--device", "/etc/passwd"), ("true",), 125, ["/etc/passwd: it is none"]),
        (("--device-cgroup-rule", "c 1:3"), ("true",), 125, ["'c 1:3'", "c 10:229 rwm"]),
        (("--device-read-bps", "/dev/nosuchdisk:1m"), ("true",), 125, ["unknown device '/dev/nosuchdisk'"]),
        (("--device-read-bps", "1m"), ("true",), 125, ["NAME:VALUE"]),
        (("--device-write-iops", "/dev/sda:1k"), ("true",), 125, ["invalid number '1k'"]),
        (("--pressure", "cpu:much"), ("true",), 125, ["invalid pressure 'much'", "150ms/1s"]),
        (("--pressure", "disk:low"), ("true",), 125, ["'disk'", "memory, cpu, io"]),
        (("--cpuset-count", "100000"), ("true",), 125, ["100000 CPUs are asked for", "this host has"]),
        (("--hugetlb", "3MB:3m"), ("true",), 125, ["no huge pages of 3MB", "it has 2MB"]),
        (
            ("--hugetlb", "2MB:1m"),
            ("true",),
            125,
            ["invalid limit of 1048576 bytes", "a multiple of 2097152"],
        ),
        (("--blkio-weight", "5"), ("true",), 125, ["weight 5", "10 to 1000"]),
        (("--cpuset-mems", "x"), ("true",), 125, ["'x'", "0-3,5"]),
        (("--pids-limit", "0"), ("true",), 125, ["processes"]),
        (("--pids-limit", "4194305"), ("true",), 125, ["4194305 processes", "1 to 4194304"]),
        (("-m", "5000000t"), ("true",), 125, ["memory of 5497558138880000000 bytes is too large"]),
        (("-m", "99999999t"), ("true",), 125, ["'99999999t'"]),
        (("--cap-add", "SYS_ADMINN"), ("true",), 125, ["'SYS_ADMINN'", "CAP_SYS_ADMIN"]),
        (("--hostname", "a b"), ("true",), 125, ["'a b'"]),
        (("--name", "a/b"), ("true",), 125, ["'a/b'"]),
        (("--name", "a.b"), ("true",), 125, ["no container a"]),
        (("--security-opt", "seccomp=x"), ("true",), 125, ["cannot read the seccomp profile"]),
        (("-e", "=x"), ("true",), 125, ["'=x'"]),
        (("--env-file", "/nonexistent"), ("true",), 125, ["/nonexistent"]),
        (("--stop-signal", "SIGNOPE"), ("true",), 125, ["SIGNOPE"]),
        (
            ("--isolation", "filesystem/linux,foo/bar"),
            ("true",),
            125,
            ["'foo/bar'", "containerizer isolators"],
        ),
        (("--isolation", "namespaces/pid"), ("true",), 125, ["namespaces/pid", "filesystem/linux"]),
        (("--isolation", "docker/runtime"), ("true",), 125, ["filesystem/linux"]),
        (("--isolation", "filesystem/linux", "-m", "64m"), ("true",), 125, ["memory", "cgroups/mem"]),
        (("--isolation", "filesystem/linux"), (), 125, ["no command"]),
    ],
)
def test_a_request_that_cannot_be_met(
    cli: Cli, busybox: str, options: tuple[str, ...], command: tuple[str, ...], code: int, parts: list[str]
) -> None:
    _check_one_line(cli("run", "--rm", *options, busybox, *command), code, *parts)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("some/UPPER", ["'some/UPPER'", "lower case"]),
        ("a b", ["'a b'"]),
        ("", ["no image"]),
        ("busybox@sha256:1234", ["sha256:1234"]),
        ("127.0.0.1:9/nobody/home", ["127.0.0.1:9", "connection refused"]),
        ("oci:/nonexistent", ["/nonexistent"]),
    ],
)
def test_an_image_that_cannot_be_had(cli: Cli, image: str, parts: list[str]) -> None:
    _check_one_line(cli("run", "--rm", image, "true"), 125, *parts)


def test_an_image_or_tag_that_the_registry_does_not_have(cli: Cli, registry: Registry, busybox: str) -> None:
    _check_one_line(cli("run", "--rm", f"{registry.host}/nobody/home", "true"), 125, "nobody/home")
    _check_one_line(cli("run", "--rm", f"{busybox}:nope", "true"), 125, "nope")


def test_an_image_that_may_not_be_pulled(fresh: Cli, busybox: str) -> None:
    _check_one_line(fresh("run", "--rm", "--pull", "never", busybox, "true"), 125, busybox, "pull it first")
    assert fresh.left() == []


def test_a_registry_that_wants_to_know_who(tmp_path: Path, fresh: Cli) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text("u:$2y$05$n3A3wJ5UDqFBSwNqrC0X8uVXUvEhFEBHkHRtnFHuIqcbJRcXzsSMC\n")
    with Registry.start(tmp_path / "private", htpasswd=htpasswd) as private:
        _check_one_line(fresh("run", "--rm", f"{private.host}/secret", "true"), 125, private.host)
    assert fresh.left() == []


def test_a_layer_that_is_not_what_the_manifest_says(tmp_path: Path, fresh: Cli) -> None:
    """The registry serves what lies in its storage, so that is where the layer is spoiled."""
    from tests.support import images

    parts = images.busybox()
    with Registry.start(tmp_path / "storage") as registry:
        images.push(parts, registry.host, "spoiled", "latest")
        (layer,) = (layer.descriptor["digest"] for layer in parts.layers)
        hexadecimal = layer.partition(":")[2]
        (blob,) = (tmp_path / "storage").glob(f"**/sha256/{hexadecimal[:2]}/{hexadecimal}/data")
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 0xFF
        blob.write_bytes(content)
        done = fresh("run", "--rm", f"{registry.host}/spoiled", "true")
        assert done.returncode == 125
        assert layer in done.stderr
        blob.write_bytes(content[: len(content) // 2])
        assert fresh("run", "--rm", f"{registry.host}/spoiled", "true").returncode == 125
        assert fresh("images", "-q").stdout.strip() == ""
    assert fresh.left() == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("rum",), ["'rum'", "did you mean"]),
        (("run",), ["IMAGE"]),
        (("run", "--frobnicate", "x"), ["--frobnicate"]),
        (("run", "--pull", "sometimes", "x"), ["sometimes"]),
        (("rm", "nobody"), ["no container nobody"]),
        (("rmi", "nobody"), ["nobody"]),
        (("plan", "--pull", "never", "nobody"), ["nobody"]),
    ],
)
def test_a_command_line_that_makes_no_sense(cli: Cli, arguments: tuple[str, ...], parts: list[str]) -> None:
    _check_one_line(cli(*arguments), 125, *parts)


@pytest.mark.parametrize("arguments", [("--help",), ("isolators",)], ids=" ".join)
def test_output_that_cannot_be_written_is_an_error(cli: Cli, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*cli.argv, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    _check_one_line(done, 125, "no space left")


def test_a_reader_that_has_gone_is_no_news(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*cli.argv, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (125, "")
