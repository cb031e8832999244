"""A network namespace that stands for the host's: bridges, addresses and rules of a test stay in it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class HostNetwork:
    pid: int

    @property
    def within(self) -> tuple[str, ...]:
        """The beginning of a command that is to run there."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    def run(self, *command: str, check: bool = True) -> str:
        """Its output."""
        done = subprocess.run([*self.within, *command], capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def rules(self) -> str:
        """Those of nftables, but for what stays as long as the host forwards."""
        tables = [line.split(maxsplit=1)[1] for line in self.run("nft", "list", "tables").splitlines()]
        kept = [table for table in tables if table != "inet containerizer"]
        return "".join(self.run("nft", "list", "table", *table.split()) for table in kept)

    def devices(self) -> set[str]:
        """All but the loopback."""
        lines = self.run("ip", "-o", "link").splitlines()
        return {line.split(": ")[1].partition("@")[0] for line in lines} - {"lo"}


@contextlib.contextmanager
def host_network() -> Iterator[HostNetwork]:
    script = "ip link set lo up; echo; exec sleep infinity"
    command = ["unshare", "--net", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield HostNetwork(process.pid)
        finally:
            process.kill()
