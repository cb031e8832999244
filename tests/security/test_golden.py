"""What a default container can do, as it was when somebody last looked at it: default_container.json.

A loosening is noticed, and so is a tightening, which is written down here. What the kernel of this host does
not have is not missed. `python -m tests.security.test_golden PID` prints what is there now.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import pid_of, running
from tests.support import shields

GOLDEN = Path(__file__).with_name("default_container.json")

pytestmark = [
    pytest.mark.requires("root", "overlay", "registry", "busybox"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="recorded on x86_64"),
]


def test_a_default_container(cli: Cli, busybox: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    with running(cli, busybox) as name:
        found = shields.look(pid_of(cli, name))
        further = cli("exec", name, "sh", "-c", "grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/self/status").stdout
        first = cli("exec", name, "sh", "-c", "grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/1/status").stdout
    for field in ("capabilities", "no_new_privileges", "seccomp_mode", "calls", "devices", "uid_map"):
        assert found[field] == golden[field], field
    kinds = {kind for kind in golden["namespaces"] if os.path.exists(f"/proc/self/ns/{kind}")}
    assert set(found["namespaces"]) == kinds
    for field in ("masked", "read_only"):
        assert set(found[field]) == {path for path in golden[field] if os.path.exists(path)}, field
    for top in ("proc", "sys"):
        loosened = set(found["writable"][top]) - set(golden["writable"][top])
        assert not loosened, "writable, and was not"
    assert further == first, "a further command has the same"


if __name__ == "__main__":
    print(json.dumps(shields.look(int(sys.argv[1])), indent=1))
