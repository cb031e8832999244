"""The agent's flags: three sources, one table."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from containerizer.agent import flags, image_gc
from containerizer.agent.durations import parse_duration
from containerizer.agent.main import _shown
from containerizer.agent.settings import ImageGc
from launcher.errors import InvalidRequest


def read(*argv: str, environment: Mapping[str, str] | None = None) -> flags.Flags:
    parser = argparse.ArgumentParser()
    flags.add(parser)
    return flags.read(parser.parse_args(argv), environment or {})


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('gc_delay = "3days"\nlaunches = 7\nisolation = ["posix/rlimits", "linux/nnp"]\n')
    found = read(
        *("--config", str(config), "--gc-delay", "1days"),
        environment={"CONTAINERIZER_GC_DELAY": "2days", "CONTAINERIZER_LAUNCHES": "8"},
    )
    assert (found["gc_delay"], found["launches"]) == (86400, 8)
    assert found["isolation"] == ("posix/rlimits", "linux/nnp")
    assert found["recover"] == "reconnect"


def test_names_are_spelled_as_the_predecessors_too() -> None:
    assert read("--work_dir=/a")["work_dir"] == read("--work-dir=/a")["work_dir"] == "/a"


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('gc_dely = "3days"\n')
    with pytest.raises(InvalidRequest, match=r"unknown flag 'gc_dely'.*did you mean 'gc_delay'"):
        read("--config", str(config))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gc_delay", "soon"),
        ("launcher", "windows"),
        ("launches", "0"),
        ("launches", "many"),
        ("gc_disk_headroom", "2"),
        ("socket_mode", "rw"),
        ("cgroups_net_cls_primary_handle", "12:"),
        ("cgroups_net_cls_secondary_handles", "1"),
        ("image_providers", "docker,oci"),
        ("enforce_container_disk_quota", "perhaps"),
        ("container_disk_watch_interval", "0"),
        ("xfs_project_range", "0-5"),
        ("xfs_project_range", "9-5"),
        ("xfs_project_range", "5"),
        ("xfs_quota_headroom", "-1"),
        ("image_gc_config", "{}x"),
        ("image_gc_config", "/no/such/file"),
        ("image_gc_config", '{"image_disk_headroom": 2}'),
        ("image_gc_config", '{"image_disk_watch_interval": "0secs"}'),
        ("image_gc_config", '{"excluded_images": [1]}'),
        ("image_gc_config", '{"headroom": 1}'),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"invalid flag {name}={value} in the environment")):
        read(environment={f"CONTAINERIZER_{name.upper()}": value})


def test_which_images_go_by_themselves(tmp_path: Path) -> None:
    text = """{"image_disk_headroom": 0.25, "image_disk_watch_interval": {"nanoseconds": 90000000000},
        "excluded_images": ["busybox", {"type": "DOCKER", "docker": {"name": "alpine:3"}}]}"""
    expected = ImageGc(headroom=0.25, interval=90.0, excluded=("busybox", "alpine:3"))
    (tmp_path / "gc.json").write_text(text)
    for given in (text, str(tmp_path / "gc.json"), f"file://{tmp_path}/gc.json"):
        assert read(environment={"CONTAINERIZER_IMAGE_GC_CONFIG": given})["image_gc_config"] == expected
    assert read(environment={})["image_gc_config"] is None
    assert image_gc.parse("{}") == ImageGc(headroom=0.1, interval=3600.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10secs", 10), ("5mins", 300), ("1weeks", 604800), ("100ms", 0.1), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "secs", "-1secs", "1 fortnight", "١secs"])
def test_no_durations(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_duration(text)


def test_flags_are_shown_as_they_are_written() -> None:
    assert _shown((0, 1)) == "0,1"
    assert _shown(("a", "b")) == "a,b"
    assert _shown(7) == "7"
