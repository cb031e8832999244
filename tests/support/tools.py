"""Real programs that write and read images, each on a storage of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def run(*command: str) -> str:
    """Its output. Fails the test with what it said otherwise."""
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def storage(program: str) -> Iterator[list[str]]:
    """podman or buildah with a storage that is removed; its path must be short."""
    directory = tempfile.mkdtemp(prefix="ct-")
    try:
        yield [
            program,
            "--root",
            f"{directory}/root",
            "--runroot",
            f"{directory}/run",
            "--storage-driver",
            "vfs",
        ]
    finally:
        shutil.rmtree(directory)
