"""Secret variables of LAUNCH_CONTAINER: for the container, its commands and the next agent alone."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent import api
from tests.agent.process import AgentProcess, started
from tests.support import images

pytestmark = pytest.mark.requires("root")

_VALUE = "s3cr3t-of-4-test"
_ENCODED = base64.b64encode(_VALUE.encode()).decode()
_DIGEST = hashlib.sha256(_VALUE.encode()).hexdigest()  # what commands compare with, for they are shown
_SAME = f'test "$(printf %s "$A" | sha256sum)" = "{_DIGEST}  -"'


def _secret(name: str, value: str) -> dict[str, Any]:
    data = base64.b64encode(value.encode()).decode()
    return {"name": name, "type": "SECRET", "secret": {"type": "VALUE", "value": {"data": data}}}


def _command(script: str, *variables: dict[str, Any]) -> dict[str, Any]:
    return {"shell": True, "value": script, "environment": {"variables": list(variables)}}


def _run(agent: AgentProcess, script: str, *variables: dict[str, Any]) -> int:
    """The exit code of a further command in the container `box`."""
    command = _command(script, *variables)
    status, answer = api.call(agent, "EXEC", container_id=api.container_id("box"), command=command)
    assert status == 200, answer
    own = answer["exec"]["container_id"]
    status, answer = api.call(agent, "AWAIT_CONTAINER", container_id=own)
    code: int = answer["await_container"]["container"]["termination"]["code"]
    assert api.call(agent, "REMOVE_CONTAINER", container_id=own)[0] == 200
    return code


def _with_value(*directories: Path) -> list[Path]:
    return [
        path
        for directory in directories
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink()
        if any(text.encode() in path.read_bytes() for text in (_VALUE, _ENCODED))
    ]


def test_a_secret_is_on_no_disk_and_in_no_answer(tmp_path: Path) -> None:
    """Whoever is killed: the container's supervisor has it for the commands that come later."""
    places = (tmp_path / "root", tmp_path / "state")
    with started(*places, "--logging-level=DEBUG") as agent:
        variables = _secret("A", _VALUE), {"name": "B", "value": "plain"}
        asked = {
            "container_id": api.container_id("box"),
            "command": _command(f"{_SAME} && exec sleep 1000", *variables),
        }
        assert api.call(agent, "LAUNCH_CONTAINER", **asked) == (200, None)
        agent.kill()
    with started(*places, "--logging-level=DEBUG") as agent:
        assert _run(agent, f"{_SAME} && test $B = plain") == 0
        assert _run(agent, 'test "$A" = other', {"name": "A", "value": "other"}) == 0
        assert _run(agent, f'{_SAME} && test "$C" = mine', _secret("C", "mine")) == 0
        told = [agent.request("GET", path)[1].decode() for path in ("/state", "/containers", "/metrics")]
        told += [json.dumps(api.call(agent, kind)) for kind in ("LIST_CONTAINERS", "GET_STATE", "GET_FLAGS")]
        assert [each for each in told if _VALUE in each or _ENCODED in each] == []
        assert _with_value(*places, agent.log.parent) == []
        assert (api.kill(agent, "box"), api.wait(agent, "box")["exit_status"]) == (200, 9)
        assert api.remove(agent, "box") == 200
        agent.stop()


def test_a_failed_launch_tells_no_secret(tmp_path: Path) -> None:
    with started(tmp_path / "root", tmp_path / "state") as agent:
        for command in (
            _command("true", _secret("A", _VALUE), _secret("B", f"{_VALUE}\0")),
            _command("true", _secret(_VALUE, _VALUE), _secret("", _VALUE)),
            {**_command("true", _secret("A", _VALUE)), "shell": False, "value": "/no/such"},
        ):
            asked = {"container_id": api.container_id("box"), "command": command}
            status, answer = api.call(agent, "LAUNCH_CONTAINER", **asked)
            assert status == 400 and answer, answer
            assert _VALUE not in answer.replace(f"variable {_VALUE!r}", "")
        assert _VALUE not in agent.stop()


@pytest.mark.requires("overlay", "busybox")
def test_a_secret_that_is_referred_to(tmp_path: Path) -> None:
    """The operator's resolver has it, and a container whose secret it does not have is not launched."""
    images.write_layout([("v1", images.busybox())], tmp_path / "layout")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text(_VALUE)
    flags = "--secret-resolver=file", f"--secrets-dir={tmp_path}/secrets"

    def referring(name: str) -> dict[str, Any]:
        secret = {"type": "REFERENCE", "reference": {"name": name}}
        return {"name": "A", "type": "SECRET", "secret": secret}

    places = tmp_path / "root", tmp_path / "state"
    with started(*places, *flags) as agent:
        asked = {"container_id": api.container_id("box")}
        command = _command(f"{_SAME} && exec sleep 1000", referring("token"))
        assert api.call(agent, "LAUNCH_CONTAINER", **asked, command=command) == (200, None)
        assert _run(agent, _SAME) == 0
        assert _with_value(*places) == []
        value = {"type": "VALUE", "value": {"data": _ENCODED}}
        volume = {"mode": "RO", "container_path": "/s", "source": {"type": "SECRET", "secret": value}}
        image = {"type": "DOCKER", "docker": {"name": f"oci:{tmp_path / 'layout'}:v1"}}
        container = {"type": "MESOS", "mesos": {"image": image}, "volumes": [volume]}
        reads = _command(f'test "$(sha256sum < /s)" = "{_DIGEST}  -"; exit $((9 + $?))')
        file = {"container_id": api.container_id("box.file"), "container": container, "command": reads}
        assert api.call(agent, "LAUNCH_CONTAINER", **file) == (200, None)
        assert api.wait(agent, "box.file")["exit_status"] == 9 << 8
        assert _with_value(*places) == []
        nested = {"container_id": api.container_id("box.in"), "command": _command("true", referring("other"))}
        status, answer = api.call(agent, "LAUNCH_CONTAINER", **nested)
        assert (status, "other" in answer) == (400, True)
        status, answer = api.call(agent, "EXEC", **asked, command=_command("true", referring("token")))
        assert (status, "is a reference" in answer) == (400, True)
        assert (api.kill(agent, "box"), api.wait(agent, "box")["exit_status"]) == (200, 9)
        assert api.remove(agent, "box") == 200
        agent.stop()
