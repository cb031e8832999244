"""`make prove-gpu`: on a host with NVIDIA GPUs, that a container sees those it was given, and no others.

Two containers are given a GPU each, or one of them the only one; a third has none. Each lists what its
nvidia-smi finds and what it can open. The image is made here: a shell, and the host's C library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators import catalog
from isolators.gpu import inventory
from launcher.errors import ContainerizerError
from launcher.stdio import Inherit
from tests.support import images

ISOLATION = (*catalog.DEFAULT, "gpu/nvidia", "cgroups/devices")
SHOW = """
nvidia-smi -L 2>/dev/null | sed -n 's/.*(UUID: \\(.*\\))/\\1/p'
for number in $(seq 0 15); do
    test -c /dev/nvidia$number || mknod /dev/nvidia$number c 195 $number
    (: </dev/nvidia$number) 2>/dev/null && echo opened $number
done
echo end
exec sleep 1000
"""


def main() -> int:
    try:
        gpus = inventory.read(None, "/")
    except ContainerizerError as error:
        print(f"prove-gpu: {error}", file=sys.stderr)
        return 1
    print(f"{len(gpus)} GPUs: {', '.join(gpu.uuid for gpu in gpus)}")
    asked = ["1", "1", None] if len(gpus) > 1 else ["1", None]
    with tempfile.TemporaryDirectory() as temporary:
        layout = images.write_layout([("latest", image())], Path(temporary) / "image")
        directories = {"root": f"{temporary}/root", "state": f"{temporary}/state"}
        with Containerizer(isolation=ISOLATION, **directories) as owner:
            seen = [look(owner, f"oci:{layout}:latest", count) for count in asked]
    for count, lines in zip(asked, seen, strict=True):
        print(f"a container with {count or 'no'} GPU: {', '.join(lines) or 'finds and opens none'}")
    mine = [line for lines in seen for line in lines]
    right = [2 * int(count or 0) for count in asked] == [len(lines) for lines in seen]
    print("as it should be" if right and len(mine) == len(set(mine)) else "WRONG")
    return 0 if right and len(mine) == len(set(mine)) else 1


def image() -> images.ImageParts:
    """Busybox, with the libraries that nvidia-smi needs beside those of the driver."""
    program = shutil.which("nvidia-smi")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True) if program else None
    libraries = set(re.findall(r"(/\S+) \(0x", listed.stdout)) if listed else set[str]()
    own = [path for path in sorted(libraries) if "nvidia" not in path and "cuda" not in path]
    files = [images.entry(path.lstrip("/"), Path(path).read_bytes(), mode=0o755) for path in own]
    return images.image(images.busybox().layers[0], images.layer(files), config={"Env": ["PATH=/bin"]})


def look(owner: Containerizer, name: str, gpus: str | None) -> list[str]:
    """What a container with so many GPUs finds, and what it can open. It runs on."""
    request = ContainerRequest.of(name, ["sh", "-c", SHOW], gpus=gpus)
    reader, writer = os.pipe()
    with open(reader) as output, open(os.devnull) as null:
        try:
            container = owner.create(request, Inherit(null.fileno(), writer, writer))
        finally:
            os.close(writer)
        container.start()
        lines = []
        for line in output:
            if line == "end\n":
                break
            lines.append(line.strip())
        return lines


if __name__ == "__main__":
    sys.exit(main())
