"""A volume plug-in whose volumes are directories of another host, by sshfs from a server on loopback."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

from tests.support.volume_plugin import VolumePlugin

SERVER = "/usr/lib/openssh/sftp-server"


class SftpPlugin(VolumePlugin):
    """A connection has a server of its own, as it has by sshd."""

    def __init__(self, directory: Path, remote: Path) -> None:
        super().__init__(directory)
        self.remote = remote
        self.servers: dict[str, subprocess.Popen[bytes]] = {}

    def mount(self, name: str) -> None:
        (self.remote / name).mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=self._serve, args=(name, listening))
            thread.start()
            options = f"directport={listening.getsockname()[1]},allow_other"
            source = f"127.0.0.1:{self.remote / name}"
            subprocess.run(["sshfs", "-o", options, source, self.mounts / name], check=True)
            thread.join()

    def unmount(self, name: str) -> None:
        super().unmount(name)
        self.servers.pop(name).wait()  # it ends with the connection

    def _serve(self, name: str, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            self.servers[name] = subprocess.Popen([SERVER], stdin=connection, stdout=connection)
