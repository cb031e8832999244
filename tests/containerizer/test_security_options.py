"""`--security-opt` and `--privileged`: what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from containerizer.cli import security_options
from isolators.filesystem.linux import MASKED_PATHS, READONLY_PATHS
from launcher.errors import InvalidRequest


def fields(*options: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    security_options.add(parser.add_argument_group())
    return security_options.fields(parser.parse_args(options))


def of(*options: str) -> dict[str, Any]:
    return fields(*(word for option in options for word in ("--security-opt", option)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["no-new-privileges"], {"no_new_privileges": True}),
        (["no-new-privileges:false"], {"no_new_privileges": False}),
        (["no-new-privileges=false", "no-new-privileges=true"], {"no_new_privileges": True}),
        (["seccomp=unconfined"], {"seccomp": "unconfined"}),
        (["seccomp:builtin"], {"seccomp": "builtin"}),
        (["apparmor=docker-default"], {"apparmor": "docker-default"}),
        (["apparmor=unconfined"], {"apparmor": "unconfined"}),
        (["label=type:spc_t"], {"selinux": "system_u:system_r:spc_t:s0"}),
        (["label=level:s0:c1,c2", "label=user:u"], {"selinux": "u:system_r:container_t:s0:c1,c2"}),
        (["label:disable"], {"selinux": None}),
        (["mask=/proc/a:/sys/b"], {"masked_paths": (*MASKED_PATHS, "/proc/a", "/sys/b")}),
        (["systempaths=unconfined"], {"masked_paths": (), "readonly_paths": ()}),
        (["unmask=ALL", "mask=/x"], {"masked_paths": ("/x",), "readonly_paths": ()}),
    ],
)
def test_options(options: list[str], expected: dict[str, Any]) -> None:
    assert of(*options) == expected


def test_unmasked_are_neither_hidden_nor_read_only() -> None:
    found = of("unmask=/proc/keys:/proc/sys", "unmask=/sys/*")
    assert set(MASKED_PATHS) - set(found["masked_paths"]) == {
        *("/proc/keys", "/sys/firmware", "/sys/devices/virtual/powercap")
    }
    assert set(READONLY_PATHS) - set(found["readonly_paths"]) == {"/proc/sys"}


def test_a_profile_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a:b=c.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    monkeypatch.chdir(tmp_path)
    assert of("seccomp=a:b=c.json") == {"seccomp": '{"defaultAction": "SCMP_ACT_ALLOW"}'}


def test_privileged_is_without_shields_but_for_those_that_are_named() -> None:
    found = fields("--privileged", "--security-opt", "seccomp=builtin")
    assert found == {
        "capabilities_add": ("ALL",),
        "no_new_privileges": False,
        "seccomp": "builtin",
        "apparmor": "unconfined",
        "masked_paths": (),
        "readonly_paths": (),
        "writable_sysfs": True,
    }


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("sandbox", "unknown --security-opt 'sandbox'"),
        ("no-new-privileges=perhaps", "unknown --security-opt"),
        ("seccomp=", "names no profile"),
        ("seccomp=/none", "cannot read the seccomp profile /none"),
        ("apparmor", "names no profile"),
        ("label=colour:red", "unknown --security-opt"),
        ("label=type", "unknown --security-opt"),
        ("mask=proc", "invalid path"),
        ("mask=/proc/../etc", "invalid path"),
        ("systempaths=some", "unknown --security-opt"),
    ],
)
def test_refused(option: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        of(option)
