"""Containers that listen on ports that they were granted, and on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from containerizer.container import Container
from isolators import catalog
from isolators.isolator import IsolatorFlags
from isolators.network.ports import parse
from launcher.errors import InvalidRequest
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

Launch = Callable[..., Container]

_TIMEOUT = 30.0
_INTERVAL = 0.05


@pytest.fixture
def launch(directories: Path, tmp_path: Path, busybox: str) -> Iterator[Launch]:
    """Launches containers that are looked at twenty times a second."""
    flags = IsolatorFlags(container_ports_watch_interval=_INTERVAL)
    isolation = (*catalog.DEFAULT, "network/ports")
    paths = {"root": str(directories / "root"), "state": str(tmp_path / "state")}
    with Containerizer(isolation=isolation, flags=flags, **paths) as made:
        yield lambda script, **options: made.launch(busybox, ["sh", "-c", script], **options)
    assert not (tmp_path / "state" / "listening").exists()


@pytest.mark.parametrize("network", ["own", "host"])
def test_a_port_that_was_not_granted_ends_the_container(launch: Launch, network: str) -> None:
    namespaces = {"net": "host"} if network == "host" else {}
    container = launch("nc -ll -p 47113 -e true", listen_ports="80,47000-47100", namespaces=namespaces)
    termination = container.wait(_TIMEOUT)
    assert termination is not None
    assert termination.limitation is not None
    assert termination.limitation.resource == "ports"
    assert "listens on port 47113, and was granted 80,47000-47100" in termination.message


@pytest.mark.parametrize(
    ("script", "granted"),
    [
        ("nc -ll -p 47113 -e true", "47113"),
        ("nc -ll -p 47113 -e true", "47000-47200"),
        ("httpd -f -p 127.0.0.1:47113", ""),  # nobody else reaches it
        ("sleep 100", ""),
    ],
)
def test_what_was_granted_goes_on(launch: Launch, script: str, granted: str) -> None:
    container = launch(script, listen_ports=granted)
    assert container.wait(6 * _INTERVAL) is None


def test_sockets_of_others_are_not_the_containers(launch: Launch) -> None:
    """In the host's network it sees them; the processes of another container have them open."""
    other = launch("nc -ll -p 47114 -e true", listen_ports="47114", namespaces={"net": "host"})
    container = launch("sleep 100", listen_ports="", namespaces={"net": "host"})
    assert container.wait(6 * _INTERVAL) is None
    assert other.wait(0) is None


def test_the_command_tells_of_it(cli: Cli, busybox: str) -> None:
    script = "nc -ll -p 47113 -e true"
    done = cli("run", "--rm", "--listen-ports", "80", busybox, "sh", "-c", script)
    assert done.returncode == 137
    assert "listens on port 47113" in done.stderr
    done = cli("run", "--rm", "--listen-ports", "80-70", busybox, "true")
    assert (done.returncode, "invalid ports '80-70'" in done.stderr) == (125, True)


@pytest.mark.parametrize("text", ["0", "65536", "1-", "-1", "a", "5-4", "1 2", "٣"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


def test_ports_and_ranges() -> None:
    assert parse("80,8000-8010") == [(80, 80), (8000, 8010)]
    assert parse("") == []
