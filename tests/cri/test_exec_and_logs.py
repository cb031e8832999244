"""ExecSync, the URLs of streams, and logs in the format that kubelets read."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from tests.cri.client import Client, status_of
from tests.cri.conftest import Pods

pytestmark = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) (P|F) (.*)")


def records(text: str) -> list[tuple[str, str, str]]:
    """Stream, F for a whole line or P for a part, and content."""
    return [LINE.fullmatch(line).groups() for line in text.split("\n")[:-1]]  # type: ignore[union-attr,misc]


def test_a_command_has_its_output_and_its_code(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    done = cri.ExecSync(container_id=container, cmd=["sh", "-c", "echo out; echo err >&2; exit 4"])
    assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 4)


def test_a_command_that_takes_too_long_is_killed(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    with pytest.raises(grpc.RpcError) as late:
        cri.ExecSync(container_id=container, cmd=["sleep", "4242"], timeout=1)
    assert status_of(late.value)[0] == "DEADLINE_EXCEEDED"
    assert "4242" not in pods.sh(container, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_much_output_is_cut_and_the_command_succeeds(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    command = ["dd", "if=/dev/zero", "bs=1M", "count=17"]
    done = cri.ExecSync(container_id=container, cmd=command)
    assert (len(done.stdout), done.exit_code) == (16 << 20, 0)


@pytest.mark.parametrize("call", ["ExecSync", "Exec", "Attach"])
def test_only_a_running_container_takes_commands(pods: Pods, cri: Client, call: str) -> None:
    pod = pods.run()
    fields = {"stdout": True} if call != "ExecSync" else {}
    fields |= {"cmd": ["true"]} if call != "Attach" else {}
    for container, code in (("0" * 32, "NOT_FOUND"), (pods.create(pod), "FAILED_PRECONDITION")):
        with pytest.raises(grpc.RpcError) as refused:
            getattr(cri, call)(container_id=container, **fields)
        assert status_of(refused.value)[0] == code


def test_a_command_that_is_not_there(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    with pytest.raises(grpc.RpcError) as failed:
        cri.ExecSync(container_id=container, cmd=["/nothing"])
    assert "/nothing" in status_of(failed.value)[1]


def test_streams_ask_for_something(pods: Pods, cri: Client) -> None:
    container = pods.start(pods.run())
    for fields in ({}, {"stdout": True, "stderr": True, "tty": True}):
        with pytest.raises(grpc.RpcError) as refused:
            cri.Exec(container_id=container, cmd=["sh"], **fields)
        assert status_of(refused.value)[0] == "INVALID_ARGUMENT"


def wait_for(log: Path, count: int) -> list[tuple[str, str, str]]:
    while len(found := records(log.read_bytes().decode())) < count:
        pass
    return found


def test_the_log_has_lines_and_parts_of_lines(pods: Pods) -> None:
    script = "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three; exec sleep 1000"
    container = pods.start(pods.run(), ["sh", "-c", script])
    assert wait_for(Path(pods.status(container).log_path), 3) == [
        ("stdout", "F", "one"),
        ("stderr", "F", "two"),
        ("stdout", "P", "three"),
    ]


def test_a_terminals_output_is_one_stream(pods: Pods) -> None:
    container = pods.start(pods.run(), ["sh", "-c", "tty; echo err >&2; exec sleep 1000"], tty=True)
    log, text = Path(pods.status(container).log_path), ""
    while not text.endswith("err\r\n"):
        found = records(log.read_bytes().decode())
        text = "".join(text + "\n" * (tag == "F") for _, tag, text in found)  # a slow kernel gives parts
    assert {stream for stream, _, _ in found} == {"stdout"}
    assert text == "/dev/pts/0\r\nerr\r\n"


def test_a_log_that_was_renamed_is_opened_anew(pods: Pods, cri: Client) -> None:
    fifo = "mkfifo /tmp/f; echo ready; while read x < /tmp/f; do echo $x; done"
    container = pods.start(pods.run(), ["sh", "-c", fifo])
    log = Path(pods.status(container).log_path)
    wait_for(log, 1)
    pods.sh(container, "echo before > /tmp/f")
    wait_for(log, 2)
    old = log.rename(log.with_name("0.log.old"))
    cri.ReopenContainerLog(container_id=container)
    assert log.read_text() == ""
    pods.sh(container, "echo after > /tmp/f")
    assert wait_for(log, 1) == [("stdout", "F", "after")]
    assert [text for _, _, text in records(old.read_text())] == ["ready", "before"]


def test_the_log_is_there_before_anything_is_written(pods: Pods) -> None:
    container = pods.start(pods.run())
    assert pods.log(container) == ""


def test_the_log_of_one_that_has_ended_cannot_be_opened_anew(pods: Pods, cri: Client) -> None:
    container = pods.create(pods.run())
    with pytest.raises(grpc.RpcError) as refused:
        cri.ReopenContainerLog(container_id=container)
    assert status_of(refused.value)[0] == "FAILED_PRECONDITION"


@pytest.mark.parametrize("path", ["../out.log", "/etc/out.log"])
def test_a_log_stays_in_the_pods_directory(pods: Pods, path: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        pods.create(pods.run(), log_path=path)
    assert status_of(refused.value)[0] == "INVALID_ARGUMENT"
