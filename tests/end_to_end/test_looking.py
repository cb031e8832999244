"""What containers have done and are doing: inspect, diff, port, events, prune."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.end_to_end.conftest import Cli
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def value_of(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_diff_tells_what_a_container_has_changed(cli: Cli, busybox: str) -> None:
    script = "echo x > /new; mkdir /d; echo y > /d/file; rm /etc/group; echo z >> /etc/passwd"
    assert cli("run", "--name", "writer", busybox, "sh", "-c", script).returncode == 0
    told = cli("diff", "writer").stdout.splitlines()
    assert {"A /new", "A /d", "A /d/file", "D /etc/group", "C /etc/passwd", "C /etc"} <= set(told)
    assert "D /new" not in told and not any(".wh." in line for line in told)
    assert {"kind": "D", "path": "/etc/group"} in value_of(cli, "diff", "--json", "writer")
    cli("rm", "writer")


def test_diff_of_what_is_on_no_image(cli: Cli) -> None:
    cli("run", "--name", "plain", "--launcher", "posix", "host", "true")
    done = cli("diff", "plain")
    assert done.returncode == 125 and "no writable layer" in done.stderr
    cli("rm", "plain")


def test_inspect_knows_containers_images_and_networks(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "web", "-m", "64m", busybox, "sleep", "1000")
    (web,) = value_of(cli, "inspect", "web")
    assert (web["kind"], web["id"], web["state"], web["running"]) == ("container", "web", "running", True)
    assert web["limits"]["memory"] == 64 << 20 and web["launch_info"]["namespaces"]
    assert web["usage"]["memory_limit_bytes"] == 64 << 20
    (image,) = value_of(cli, "inspect", busybox)
    assert (image["kind"], image["reference"]) == ("image", f"{busybox}:latest")
    assert "web" in image["containers"]
    done = cli("inspect", "--format", "{{.id}} {{.limits.memory}}", "web")
    assert done.stdout == f"web {64 << 20}\n"
    assert cli("inspect", "--type", "image", "web").returncode == 125
    done = cli("inspect", "nothing")
    assert done.returncode == 125 and "no container, image, network or volume 'nothing'" in done.stderr
    cli("rm", "-f", "web")
    (network,) = [value_of(cli, "inspect", cli("network", "create", "looked-at").stdout.strip())]
    assert network[0]["kind"] == "network" and network[0]["driver"] == "bridge"
    cli("network", "rm", "looked-at")
    cli("volume", "create", "kept")
    (volume,) = value_of(cli, "inspect", "kept")
    assert (volume["kind"], volume["name"], volume["driver"]) == ("volume", "kept", "local")
    cli("volume", "rm", "kept")


def test_inspect_tells_no_secrets_of_others(cli: Cli, busybox: str) -> None:
    done = cli("inspect", "../../etc")
    assert done.returncode == 125 and "no container, image, network or volume" in done.stderr


@pytest.mark.requires("nftables")
def test_published_ports(here: Cli, busybox: str, network: HostNetwork) -> None:
    options = ("--network", "bridge", "-p", "127.0.0.1:8080:80", "-p", "9000:90/udp")
    done = here("run", "-d", "--name", "web", "--pull", "never", *options, busybox, "sleep", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert here("port", "web").stdout == "80/tcp -> 127.0.0.1:8080\n90/udp -> *:9000\n"
    assert here("port", "web", "80").stdout == "80/tcp -> 127.0.0.1:8080\n"
    assert "is not published" in here("port", "web", "90").stderr
    here("rm", "-f", "web")


def lines_until(stream: Any, kind: str, subject: str) -> list[dict[str, Any]]:
    events = []
    for line in stream:
        events.append(json.loads(line))
        if (events[-1]["kind"], events[-1]["subject"]) == (kind, subject):
            return events
    raise AssertionError(f"the stream ended: {events}")


def test_events_without_an_agent(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "before", busybox, "sleep", "1000")
    with cli.start("events", "--json") as events:
        until_it_follows(events)
        cli("rm", "-f", "before")
        assert [each["kind"] for each in lines_until(events.stdout, "removed", "before")] == [
            "ended",
            "removed",
        ]
        cli("run", "--name", "web", busybox, "sh", "-c", "exit 3")
        told = lines_until(events.stdout, "ended", "web")
        assert [each["kind"] for each in told] == ["launching", "launched", "ended"]
        assert told[-1]["details"]["exit_code"] == 3 and told[-1]["details"]["image"] == busybox
        cli("rm", "web")
        assert lines_until(events.stdout, "removed", "web")[-1]["subject"] == "web"
        cli("run", "-d", "--name", "web", "-m", "64m", busybox, "sleep", "1000")
        cli("update", "-m", "32m", "web")
        updated = lines_until(events.stdout, "updated", "web")[-1]
        assert updated["details"]["limits"]["memory"] == 32 << 20
        cli("exec", "web", "true")
        assert any(each["subject"].startswith("web.exec-") for each in until_removed(events.stdout))
        cli("rm", "-f", "web")
        ended = lines_until(events.stdout, "removed", "web")
        assert [each["kind"] for each in ended if each["subject"] == "web"] == ["ended", "removed"]
        assert ended[0]["details"]["exit_code"] == 137


def until_removed(stream: Any) -> list[dict[str, Any]]:
    events = []
    for line in stream:
        events.append(json.loads(line))
        if events[-1]["kind"] == "removed":
            break
    return events


def test_events_that_are_asked_for(cli: Cli, busybox: str) -> None:
    asked = ("--filter", "kind=ended", "--filter", "kind=removed", "--filter", "container=b")
    with cli.start("events", "--format", "{{.kind}} {{.subject}}", *asked) as events:
        assert events.stdout is not None
        until_it_follows(events)
        for name in ("a", "b"):
            cli("run", "--name", name, busybox, "true")
            cli("rm", name)
        assert [events.stdout.readline() for _ in range(2)] == ["ended b\n", "removed b\n"]


def until_it_follows(events: Popen[str]) -> None:
    """Until it watches a directory: fdinfo has a line for each, proc_pid_fdinfo(5)."""
    fdinfo = Path(f"/proc/{events.pid}/fdinfo")
    while not any("inotify wd:" in text for text in map(_text, fdinfo.iterdir())):
        assert events.poll() is None


def _text(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    return ""


def test_prune(fresh: Cli, busybox: str) -> None:
    fresh("run", "--name", "ended", busybox, "true")
    fresh("run", "-d", "--name", "runs", busybox, "sleep", "1000")
    fresh("network", "create", "empty")
    unnamed, _ = fresh("volume", "create").stdout.strip(), fresh("volume", "create", "named")
    refused = fresh("prune")
    assert refused.returncode == 125 and "--force" in refused.stderr
    pruned = value_of(fresh, "prune", "--all", "--volumes", "--force", "--json")
    assert pruned["volumes"] == [unnamed]
    assert (pruned["containers"], pruned["networks"], pruned["images"]) == (["ended"], ["empty"], [])
    assert [each["id"] for each in fresh.containers()] == ["runs"]
    fresh("rm", "-f", "runs")
    assert fresh("prune", "--all", "--force").stdout.splitlines()[0] == f"image {busybox}:latest"
    assert fresh("images", "-q").stdout == ""


def test_ps_filters_and_draws(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "web", busybox, "sleep", "1000")
    cli("run", "-d", "--name", "web.db", busybox, "sleep", "1000")
    cli("run", "--name", "over", busybox, "sh", "-c", "exit 4")
    assert cli("ps", "-q").stdout.split() == ["web", "web.db"]
    assert cli("ps", "-q", "-f", "exited=4").stdout.split() == ["over"]
    assert "└─ db" in cli("ps", "--tree").stdout
    assert cli("ps", "-a", "--format", "{{.id}}={{.state}}", "-f", "name=over").stdout == "over=terminated\n"
    cli("rm", "-f", "web.db", "web", "over")


def test_logs_of_several(cli: Cli, busybox: str) -> None:
    for name, text in (("one", "first"), ("second", "then")):
        script = f"echo {text}; echo e >&2; printf rest; exec sleep 1000"
        cli("run", "-d", "--name", name, busybox, "sh", "-c", script)
    with cli.start("logs", "-f", "one", "second") as logs:
        assert logs.stdout is not None and logs.stderr is not None
        assert {logs.stdout.readline() for _ in range(2)} == {"one    | first\n", "second | then\n"}
        assert {logs.stderr.readline() for _ in range(2)} == {"one    | e\n", "second | e\n"}
        cli("stop", "-t", "0", "one", "second")
        assert {logs.stdout.readline() for _ in range(2)} == {"one    | rest\n", "second | rest\n"}
        assert logs.wait() == 0
    done = cli("logs", "--timestamps", "second", "one")
    times = [line.split()[2] for line in done.stdout.splitlines()]
    assert times == sorted(times) and len(times) == 4
    tailed = cli("logs", "--tail", "1", "one", "second")
    assert len((tailed.stdout + tailed.stderr).splitlines()) == 2, "one of each, of whichever stream"
    done = cli("logs", "one", "nobody")
    assert done.returncode == 125 and "no container nobody" in done.stderr and done.stdout == ""
    cli("rm", "one", "second")
