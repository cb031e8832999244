"""Docker, served by a daemon of the benchmark's own: own files, own sockets, and no network."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peers

_PATIENCE = 30.0  # seconds for the daemon to answer
_BETWEEN = 0.1  # seconds
_NAME = "benchmark:latest"
_LIMITS = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "20")


@contextmanager
def command(image: str, root: Path) -> Iterator[list[str]]:
    """The beginning of a docker command that runs a task without a network, while the daemon is there.

    Raises CalledProcessError where it does not come up, with what it said.
    """
    place = root / "docker"
    place.mkdir()
    client = ["docker", "--host", f"unix://{place}/docker.sock"]
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(_daemon(place), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await(daemon, client, place)
        archive = place / "files.tar"
        peers.run(["tar", "-C", str(peers.unpack(image, place / "unpacked")), "-cf", str(archive), "."])
        peers.run([*client, "import", str(archive), _NAME])
        yield [*client, "run", "--rm", "--network", "none", *_LIMITS, _NAME]
    finally:
        daemon.terminate()
        daemon.wait()
        for namespace in (place / "run" / "netns").glob("*"):
            with contextlib.suppress(subprocess.CalledProcessError):
                peers.run(["umount", str(namespace)])


def _daemon(place: Path) -> list[str]:
    directories = ["--data-root", f"{place}/data", "--exec-root", f"{place}/run", "--pidfile", f"{place}/pid"]
    network = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    return ["dockerd", "--host", f"unix://{place}/docker.sock", *directories, *network]


def _await(daemon: subprocess.Popen[bytes], client: list[str], place: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while subprocess.run([*client, "info"], check=False, capture_output=True).returncode != 0:
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise subprocess.CalledProcessError(daemon.poll() or 1, "dockerd", (place / "log").read_bytes())
        time.sleep(_BETWEEN)
