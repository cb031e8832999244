"""The power is cut while an image is pulled, and right after: what is whole afterwards is whole.

A file that is a disk has what the filesystem has written to it, and nothing of what waits in memory: a copy
of it is the disk that a power cut leaves. The journal is committed when somebody asks for it, only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import images
from tests.support.images import directory, entry, image, layer

pytestmark = pytest.mark.requires("root", "ext4")

ROOT = Path(__file__).resolve().parents[2]
MOUNTED = """
mount -t tmpfs none /mnt && cd /mnt && mkdir disk && truncate -s 48M image && mkfs.ext4 -q image &&
mount -o loop,commit=300 image disk && cd "$1" && exec "$2" -c "$3" "$4"
"""
SCRIPT = """
import json, os, subprocess, sys
from provisioner.provisioner import Provisioner

cuts = []

def cut(name):
    if name not in cuts:
        cuts.append(name)
        subprocess.run(["cp", "--sparse=always", "/mnt/image", "/mnt/" + name], check=True)

def progress(digest, phase, done, total):
    cut(phase)

Provisioner("/mnt/disk/root").pull(sys.argv[1], progress=progress)
cut("after")
subprocess.run(["umount", "/mnt/disk"], check=True)
found = {}
for name in cuts:
    subprocess.run(["mount", "-o", "loop", "/mnt/" + name, "/mnt/disk"], check=True)
    provisioner = Provisioner("/mnt/disk/root")
    before = [len(provisioner.images()), len(provisioner.verify().damages)]
    pulled = provisioner.pull(sys.argv[1])
    verified = provisioner.verify()
    found[name] = [*before, len(verified.damages), verified.layers]
    subprocess.run(["umount", "/mnt/disk"], check=True)
print(json.dumps(found))
"""


def test_what_a_power_cut_leaves(tmp_path: Path) -> None:
    parts = image(
        layer([directory("d/"), *(entry(f"d/{number}", os.urandom(50_000)) for number in range(50))])
    )
    reference = f"oci:{images.write_layout([('', parts)], tmp_path / 'layout')}"
    argv = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", str(ROOT), sys.executable, SCRIPT, reference]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("after") == [1, 0, 0, 1]  # what was reported as pulled is there
    assert {"downloading", "verifying"} <= set(found)
    for name, (listed, *rest) in found.items():
        assert (listed, rest) == (0, [0, 0, 1]), name
