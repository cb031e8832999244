"""The agent's own log, read by clients; and flags of the fetcher."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.agent import api
from tests.agent.process import started

pytestmark = pytest.mark.requires("root")


def test_the_log_is_a_file_that_clients_read(tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    with started(tmp_path / "root", tmp_path / "state", "--log-file", str(log)) as agent:
        status, answer = api.call(agent, "READ_FILE", path="/slave/log", offset=0)
        assert status == 200
        data = base64.b64decode(answer["read_file"]["data"])
        assert data == log.read_bytes()[: len(data)]
        assert b"listening at unix:" in data
        assert agent.get("/files/read?path=/slave/log&offset=0&length=4")["data"] == data[:4].decode()
        (found,) = api.call(agent, "LIST_FILES", path="/slave/log")[1]["list_files"]["file_infos"]
        assert found["path"] == "/slave/log"
        assert "listening at unix:" in agent.stop()


def test_without_the_flag_there_is_none(tmp_path: Path) -> None:
    with started(tmp_path / "root", tmp_path / "state") as agent:
        assert api.call(agent, "READ_FILE", path="/slave/log", offset=0)[0] == 404
        agent.stop()


def test_a_file_may_be_too_large_to_be_fetched(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 1000)
    (tmp_path / "large").write_bytes(b"x" * 1001)
    with started(tmp_path / "root", tmp_path / "state", "--fetcher-max-size", "1000") as agent:
        for name, expected in (("small", 200), ("large", 400)):
            status, answer = api.call(
                agent,
                "LAUNCH_CONTAINER",
                container_id=api.container_id(name),
                command={"shell": True, "value": f"test -e {name}"},
                options={"fetch": [{"value": f"file://{tmp_path}/{name}"}]},
            )
            assert status == expected, answer
        assert api.wait(agent, "small")["exit_status"] == 0
        assert api.remove(agent, "small") == 200
        agent.stop()
