"""On a filesystem that shares extents, a copy of an image takes no space, and still is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import images
from tests.support.images import entry, image, layer

pytestmark = pytest.mark.requires("root", "reflink")

ROOT = Path(__file__).resolve().parents[2]
SIZE = 20_000_000
MOUNTED = """
mount -t tmpfs none /mnt && cd /mnt && mkdir disk && truncate -s 320M image &&
mkfs.xfs -q -m reflink=1 image && mount -o loop image disk && cd "$1" && exec "$2" -c "$3" "$4"
"""
SCRIPT = """
import json, os, sys
from provisioner.provisioner import Provisioner

def used():
    os.sync()
    status = os.statvfs("/mnt/disk")
    return (status.f_blocks - status.f_bfree) * status.f_bsize

provisioner = Provisioner("/mnt/disk/root", backend="copy")
image = provisioner.pull(sys.argv[1])
before = used()
os.mkdir("/mnt/disk/container")
provisioner.provision(image, "c", "/mnt/disk/container")
copied = used() - before
with open("/mnt/disk/container/copy/large", "r+b") as file:
    first = file.read(4)
    file.seek(0)
    file.write(b"mine")
result = {
    "copied": copied, "first": first.hex(), "size": os.stat("/mnt/disk/container/copy/large").st_size,
    "damages": len(provisioner.verify().damages),
}
provisioner.destroy("c", "/mnt/disk/container")
print(json.dumps(result | {"left": os.listdir("/mnt/disk/container")}))
"""


def test_a_copy_shares_what_it_has_not_changed(tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    parts = image(layer([entry("large", content)], compression="none"))
    reference = f"oci:{images.write_layout([('', parts)], tmp_path / 'layout')}"
    argv = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", str(ROOT), sys.executable, SCRIPT, reference]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("copied") < SIZE / 10
    assert found == {"first": content[:4].hex(), "size": SIZE, "damages": 0, "left": []}
