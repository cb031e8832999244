"""A real registry on loopback: Debian's docker-registry, for the tests, the demo and the benchmarks.

with Registry.start("/tmp/storage") as registry:
    registry.host                        # "127.0.0.1:43521"
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

PACKAGE = "docker-registry"
_READY = 20.0  # seconds; it takes one on a slow machine
_STOP = 10.0


class RegistryUnavailable(Exception):
    """The registry cannot be started here; the message says what is missing."""


@dataclasses.dataclass
class Registry:
    """A running registry; leaving it as a context manager stops it. Its storage stays."""

    host: str  # HOST:PORT
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls,
        storage: str | Path,
        *,
        htpasswd: str | Path | None = None,
        auth: Mapping[str, object] | None = None,
        tls: Mapping[str, object] | None = None,
    ) -> Registry:
        """Serve `storage`, made if missing. `htpasswd`: a file of users that Basic auth lets in.

        `auth` and `tls` are what its configuration has under these names.

        Raises RegistryUnavailable when the package is missing or the registry does not come up.
        """
        program = shutil.which(PACKAGE)
        if program is None:
            raise RegistryUnavailable(f"{PACKAGE} is not installed (apt-get install {PACKAGE})")
        storage = Path(storage)
        storage.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        config, log = storage / "config.yml", storage / "registry.log"
        if htpasswd is not None:
            auth = {"htpasswd": {"realm": "test", "path": str(htpasswd)}}
        config.write_text(json.dumps(_config(storage, port, auth, tls)))  # JSON is YAML
        with log.open("wb") as output:
            process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=output)
        registry = cls(f"127.0.0.1:{port}", process, log)
        registry._wait_until_ready()
        return registry

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """Idempotent."""
        self.process.terminate()
        try:
            self.process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY
        while not _answers(self.host):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = self.log.read_text(errors="replace")[-500:]
                raise RegistryUnavailable(f"{PACKAGE} does not answer on {self.host}: {tail}")
            time.sleep(0.02)  # between two looks, not instead of one


def _config(
    storage: Path, port: int, auth: Mapping[str, object] | None, tls: Mapping[str, object] | None
) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage / "data")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"127.0.0.1:{port}", "secret": "loopback"} | ({"tls": tls} if tls else {}),
    } | ({"auth": auth} if auth else {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(host: str) -> bool:
    connection = http.client.HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 400, 401)  # 400: it wants TLS
    except OSError:
        return False
    finally:
        connection.close()
