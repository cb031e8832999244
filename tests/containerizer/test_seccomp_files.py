"""Seccomp profiles by their names: what is read, when, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerizer import seccomp_files
from containerizer.request import ContainerRequest
from isolators.flags import IsolatorFlags
from isolators.isolator import BUILTIN_SECCOMP, UNCONFINED, ContainerConfig
from launcher.errors import InvalidRequest


def read(name: str, root: Path) -> str:
    request = ContainerRequest(image="host", config=ContainerConfig(seccomp=name))
    return seccomp_files.resolved(request, IsolatorFlags(seccomp_profile_root=str(root))).config.seccomp


def test_profiles_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "a.json").write_text("{}")
    (tmp_path / "link").symlink_to("profiles/a.json")
    assert read("localhost/profiles/a.json", tmp_path) == read("localhost/link", tmp_path) == "{}"
    assert read(str(tmp_path / "link"), tmp_path) == "{}"
    for other in (BUILTIN_SECCOMP, UNCONFINED, '{"localhost/": 1}'):
        assert read(other, tmp_path) == other


def test_a_profile_is_read_each_time(tmp_path: Path) -> None:
    for text in ("{}", '{"defaultAction": "SCMP_ACT_ALLOW"}'):
        (tmp_path / "a").write_text(text)
        assert read("localhost/a", tmp_path) == text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is no relative path"),
        ("/etc/passwd", "is no relative path"),
        ("../outside", "has a '..'"),
        ("a/../../outside", "has a '..'"),
        ("missing", "no such file"),
        ("leads/outside", "no such file"),
        ("absolute", "no such file"),
        ("directory", "is no file"),
        ("fifo", "is no file"),
        ("null\0byte", "null byte"),
    ],
)
def test_nothing_leads_out(tmp_path: Path, name: str, why: str) -> None:
    root = tmp_path / "root"
    (root / "directory").mkdir(parents=True)
    (tmp_path / "outside").write_text("{}")
    (root / "leads").symlink_to("..")
    (root / "absolute").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "fifo")
    with pytest.raises(InvalidRequest, match=why):
        read(f"localhost/{name}", root)


def test_what_an_agent_hands_to_its_pods() -> None:
    flags = IsolatorFlags(
        seccomp_profile_root="/x",
        bounding_capabilities=("KILL",),
        host_path_volume_allowed=(),
        xfs_project_range=(7, 9),
        nvidia_gpu_devices=None,
        enforce_container_ports=False,
    )
    assert IsolatorFlags.from_json(flags.to_json()) == flags
    assert IsolatorFlags().to_json() == "{}"
