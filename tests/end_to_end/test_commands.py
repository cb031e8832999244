"""The other commands: pull, images, rmi, plan, isolators, doctor."""

from __future__ import annotations

import json

import pytest

from isolators import catalog
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def test_pull_list_and_remove(fresh: Cli, busybox: str) -> None:
    pulled = fresh("pull", busybox)
    assert pulled.returncode == 0 and "\x1b" not in pulled.stderr, "no bars where there is no terminal"
    reference, _, digest = pulled.stdout.strip().partition("@")
    assert reference == f"{busybox}:latest"
    (listed,) = json.loads(fresh("images", "--json").stdout)
    assert (listed["reference"], listed["digest"]) == (reference, digest)
    assert digest.removeprefix("sha256:")[:12] in fresh("images").stdout
    assert fresh("images", "-q").stdout.strip() == digest
    assert fresh("rmi", busybox).stdout.strip() == reference
    assert json.loads(fresh("images", "--json").stdout) == []
    assert list((fresh.root / "store" / "layers" / "sha256").iterdir()) == []


def test_plan_names_the_isolator_of_each_field(cli: Cli, busybox: str) -> None:
    planned = json.loads(cli("plan", "--json", "-m", "64m", "--name", "p", busybox, "echo", "x").stdout)
    assert planned["launch_info"]["argv"] == ["echo", "x"]
    owners = planned["owners"]
    assert owners["argv"] == "docker/runtime"
    assert owners["namespaces[pid]"] == "namespaces/pid"
    assert owners["capabilities"] == "linux/capabilities"
    assert owners["interfaces_up[lo]"] == "network/loopback"
    table = cli("plan", "--name", "p", busybox, "echo", "x").stdout.splitlines()
    assert table[0].split() == ["FIELD", "ISOLATOR", "VALUE"]
    rows = {line.split()[0]: line.split()[1] for line in table[1:]}
    assert rows == owners, "every field is in the table, with its isolator"


def test_plan_of_a_bad_request_fails_as_the_run_would(cli: Cli, busybox: str) -> None:
    options = ("--cap-add", "NOPE", busybox)
    assert cli("plan", *options).stderr == cli("run", "--rm", *options).stderr


def test_isolators_lists_the_catalog(cli: Cli) -> None:
    listed = json.loads(cli("isolators", "--json").stdout)
    assert [row["name"] for row in listed] == list(catalog.TABLE)
    assert {row["name"] for row in listed if row["default"]} == set(catalog.defaults())
    table = cli("isolators").stdout
    assert all(name in table for name in catalog.TABLE)


def test_doctor_finds_this_host_fit(cli: Cli) -> None:
    found = json.loads(cli("doctor", "--json").stdout)
    assert {finding["what"] for finding in found} >= {"root privileges", "overlayfs"}
    lacking = [finding for finding in found if not finding["present"]]
    assert cli("doctor").returncode == (1 if lacking else 0)


@pytest.mark.parametrize(
    "command", ["run", "ps", "rm", "pull", "images", "rmi", "plan", "isolators", "doctor"]
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: containerizer {command}")


def test_the_command_lists_its_commands(cli: Cli) -> None:
    done = cli()
    assert "doctor" in done.stdout
    assert "reap" not in done.stdout, "for the project's own processes"


def test_a_reader_that_goes_away_is_no_error_message(cli: Cli) -> None:
    with cli.start("isolators") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
