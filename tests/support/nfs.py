"""An NFS server of the kernel's, in a network namespace, for its loopback: the host's own is left alone."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.netns import HostNetwork
from tests.support.volume_plugin import VolumePlugin

# In a mount namespace of its own: the state of exports, and the network namespace's nfsd. For its first ten
# seconds, no fewer can be asked for, it opens no files: clients of a server before it might have some open.
_SERVE = """set -e
mount -t tmpfs none /var/lib/nfs
mkdir /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t nfsd nfsd /proc/fs/nfsd
for each in lease grace; do echo 10 > /proc/fs/nfsd/nfsv4${each}time; done
rpc.mountd --no-nfs-version 3 --foreground >/dev/null 2>&1 &
exportfs -o rw,root_squash,insecure,no_subtree_check,fsid=0 127.0.0.1:"$1"
rpc.nfsd --no-nfs-version 3 --host 127.0.0.1 2
echo serving
read line || :
echo 0 > /proc/fs/nfsd/threads
exportfs -ua
kill $!
"""
SOURCE = "127.0.0.1:/"
OPTIONS = "vers=4.2,hard,timeo=20"  # tenths of a second until it tries again; for ever


class NfsServer:
    """What it exports, to that network's loopback alone."""

    def __init__(self, network: HostNetwork, directory: Path) -> None:
        self.network = network
        self.directory = directory

    def mount(self, path: Path) -> None:
        self.network.run("mount", "-t", "nfs4", "-o", OPTIONS, SOURCE, str(path))

    def vanish(self) -> None:
        """No answer any more, and no refusal either."""
        self.network.run("ip", "link", "set", "lo", "down")

    def come_back(self) -> None:
        self.network.run("ip", "link", "set", "lo", "up")


class NfsPlugin(VolumePlugin):
    """A volume plug-in whose volumes are all of an NFS server's."""

    def __init__(self, directory: Path, server: NfsServer) -> None:
        super().__init__(directory)
        self._server = server

    def mount(self, name: str) -> None:
        self._server.mount(self.mounts / name)


@contextlib.contextmanager
def nfs_server(network: HostNetwork, directory: Path) -> Iterator[NfsServer]:
    command = [*network.within, "unshare", "--mount", "sh", "-c", _SERVE, "sh", str(directory)]
    pipe = subprocess.PIPE
    server = NfsServer(network, directory)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serving\n"
        try:
            yield server
        finally:
            server.come_back()
            process.communicate(timeout=60)


@contextlib.contextmanager
def mounted(server: NfsServer, path: Path) -> Iterator[Path]:
    path.mkdir()
    server.mount(path)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
