"""Calls of CNI plug-ins: what each gets, in which order, and what comes of those that misbehave."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from isolators.network import config_list, plugin
from isolators.network.chain import Chain
from isolators.network.plugin import Call, PluginFailed
from tests.support import recording_plugin

CALL = Call(command="", container_id="web-1", netns="/run/netns/web", interface="eth0", arguments="A=1")
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def chain(tmp_path: Path, *plugins: dict[str, Any], timeout: float = 30.0, **options: Any) -> Chain:
    recording_plugin.install(tmp_path / "bin", "one", "two", "three")
    listed = [{"log": str(tmp_path / "log"), **each} for each in plugins]
    value = {"cniVersion": "1.1.0", "name": "net", "plugins": listed, **options}
    return Chain(config_list.parse(value), (str(tmp_path / "none"), str(tmp_path / "bin")), timeout)


def told(log: Path) -> list[tuple[str, str]]:
    return [(call["command"], call["config"]["type"]) for call in recording_plugin.calls(log)]


def test_results_go_down_the_chain_and_back_up(tmp_path: Path, log: Path) -> None:
    made = chain(tmp_path, {"type": "one"}, {"type": "two", "capabilities": {"portMappings": True}})
    result = made.add(CALL, "1.1.0", {"portMappings": PORTS, "mac": "02:00:00:00:00:01"})
    made.check(CALL, "1.1.0", {"portMappings": PORTS}, result)
    made.delete(CALL, "1.1.0", {"portMappings": PORTS}, result)
    assert told(log) == [
        *(("ADD", "one"), ("ADD", "two"), ("CHECK", "one"), ("CHECK", "two"), ("DEL", "two"), ("DEL", "one")),
    ]
    first, second, *others = recording_plugin.calls(log)
    assert first["environment"] == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "web-1",
        "CNI_NETNS": "/run/netns/web",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "A=1",
        "CNI_PATH": f"{tmp_path}/none:{tmp_path}/bin",
    }
    assert first["config"] == {"type": "one", "name": "net", "cniVersion": "1.1.0", "log": str(log)}
    assert second["config"]["prevResult"] == result
    assert second["config"]["runtimeConfig"] == {"portMappings": PORTS}
    assert "capabilities" not in second["config"]
    assert all(call["config"]["prevResult"] == result for call in others)


def test_before_0_4_there_is_no_check_and_del_has_no_result(tmp_path: Path, log: Path) -> None:
    made = chain(tmp_path, {"type": "one"}, cniVersion="0.3.1")
    result = made.add(CALL, "0.3.1", {})
    made.check(CALL, "0.3.1", {}, result)
    made.delete(CALL, "0.3.1", {}, result)
    assert told(log) == [("ADD", "one"), ("DEL", "one")]
    assert "prevResult" not in recording_plugin.calls(log)[1]["config"]


def test_check_and_gc_can_be_disabled(tmp_path: Path, log: Path) -> None:
    made = chain(tmp_path, {"type": "one"}, disableCheck=True, disableGC=True)
    made.check(CALL, "1.1.0", {}, made.add(CALL, "1.1.0", {}))
    assert made.collect([]) == []
    assert told(log) == [("ADD", "one")]


def test_gc_goes_on_where_a_plugin_fails(tmp_path: Path, log: Path) -> None:
    failing = {"type": "one", "results": {"GC": {"code": 100, "msg": "no"}}, "codes": {"GC": 1}}
    failures = chain(tmp_path, failing, {"type": "two"}).collect([("web-1", "eth0")])
    assert [str(failure) for failure in failures] == ["CNI plug-in one failed: no (code 100)"]
    valid = [call["config"]["cni.dev/valid-attachments"] for call in recording_plugin.calls(log)]
    assert valid == [[{"containerID": "web-1", "ifname": "eth0"}]] * 2


def test_the_version_is_the_highest_that_all_know(tmp_path: Path) -> None:
    listed = {"cniVersions": ["0.4.0", "1.0.0", "1.1.0"]}
    old = {"type": "two", "supports": ["0.4.0", "1.0.0"]}
    recording_plugin.install(tmp_path / "old", "two")
    made = chain(tmp_path, {"type": "one"}, old, **listed)
    assert made.version() == "1.1.0"  # a plug-in is asked with nothing of its configuration
    (tmp_path / "bin" / "two").write_text('#!/bin/sh\necho \'{"supportedVersions": ["0.4.0", "1.0.0"]}\'\n')
    assert made.version() == "1.0.0"
    (tmp_path / "bin" / "two").write_text('#!/bin/sh\necho \'{"supportedVersions": ["0.2.0"]}\'\n')
    with pytest.raises(PluginFailed, match="share no version"):
        made.version()


def test_status_is_every_plugins(tmp_path: Path) -> None:
    full = {"code": 50, "msg": "no address is left"}
    failing = {"type": "two", "results": {"STATUS": full}, "codes": {"STATUS": 1}}
    with pytest.raises(PluginFailed, match=r"two failed: no address is left \(code 50\)"):
        chain(tmp_path, {"type": "one"}, failing).status()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            {"results": {"ADD": {"code": 7, "msg": "Invalid", "details": "too small"}}, "codes": {"ADD": 1}},
            r"CNI plug-in one failed: Invalid: too small \(code 7\)$",
        ),
        ({"results": {"ADD": {"code": 11, "msg": "busy"}}, "codes": {"ADD": 1}}, "this passes: try again"),
        ({"codes": {"ADD": 3}, "results": {"ADD": "boom"}}, "one failed with exit code 3: boom"),
        ({"results": {"ADD": "panic: nil pointer"}}, "no JSON object: panic: nil pointer"),
        ({"results": {"ADD": "[1]"}}, "no JSON object"),
        ({"results": {"ADD": ""}}, "answered nothing to ADD"),
        ({"results": {"ADD": {"ips": "10.0.0.2"}}}, "ips that are no list of objects"),
        ({"results": {"ADD": {"interfaces": [1]}}}, "interfaces that are no list of objects"),
        ({"results": {"ADD": {"dns": []}}}, None),
        ({"results": {"ADD": {"dns": [1]}}}, "dns that is no object"),
    ],
)
def test_what_plugins_do_wrong_becomes_a_sentence(
    tmp_path: Path, behaviour: dict[str, Any], message: str | None
) -> None:
    made = chain(tmp_path, {"type": "one", **behaviour})
    if message is None:
        made.add(CALL, "1.1.0", {})
        return
    with pytest.raises(PluginFailed, match=message):
        made.add(CALL, "1.1.0", {})


def test_one_that_hangs_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    made = chain(tmp_path, {"type": "one", "hangs": ["ADD"]}, timeout=1.0)
    with pytest.raises(PluginFailed, match="plug-in one has not answered in 1 seconds"):
        made.add(CALL, "1.1.0", {})


def test_one_that_writes_without_end_gets_an_error(tmp_path: Path) -> None:
    recording_plugin.install(tmp_path / "bin", "one")
    (tmp_path / "bin" / "one").write_text("#!/bin/sh\nexec cat /dev/zero\n")
    with pytest.raises(PluginFailed, match="plug-in one failed with exit code 1"):
        plugin.call(Call(command="ADD", directories=(str(tmp_path / "bin"),)), {"type": "one"}, 30.0)


def test_one_that_is_killed_says_so(tmp_path: Path) -> None:
    recording_plugin.install(tmp_path / "bin", "one")
    (tmp_path / "bin" / "one").write_text("#!/bin/sh\necho oops >&2\nkill -9 $$\n")
    with pytest.raises(PluginFailed, match="was killed by signal 9: oops"):
        plugin.call(Call(command="ADD", directories=(str(tmp_path / "bin"),)), {"type": "one"}, 30.0)


def test_what_a_plugin_leaves_running_holds_nobody_up(tmp_path: Path) -> None:
    """Its daemon has its output, as one that a plug-in starts often has."""
    recording_plugin.install(tmp_path / "bin", "one")
    pid = tmp_path / "pid"
    (tmp_path / "bin" / "one").write_text(f"#!/bin/sh\nsleep 1000 &\necho $! >{pid}\necho '{{}}'\n")
    directories = (str(tmp_path / "bin"),)
    try:
        assert plugin.call(Call(command="ADD", directories=directories), {"type": "one"}, 30.0) == {}
    finally:
        os.kill(int(pid.read_text()), 9)


@pytest.mark.parametrize("content", [None, "no program", "#!/nowhere\n"])
def test_one_that_cannot_be_executed_is_named(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "bin").mkdir()
    if content is not None:
        (tmp_path / "bin" / "one").write_text(content)
        (tmp_path / "bin" / "one").chmod(0o755)
    with pytest.raises(PluginFailed, match=r"'one' is not installed.*bin|cannot execute CNI plug-in one"):
        plugin.call(Call(command="ADD", directories=(str(tmp_path / "bin"),)), {"type": "one"}, 30.0)


def test_a_plugin_sees_none_of_our_descriptors_and_signals(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = 'fds = [int(fd) for fd in os.listdir("/proc/self/fd")]; own = open("/proc/self/status").read()'
    answer = 'json.dumps({"fds": fds, "ignored": own.partition("SigIgn:")[2].split()[0]})'
    lines = (f"#!{sys.executable} -IS", "import json, os", script, f"print({answer})", "")
    (tmp_path / "bin" / "one").write_text("\n".join(lines))
    (tmp_path / "bin" / "one").chmod(0o755)
    told = plugin.call(Call(command="ADD", directories=(str(tmp_path / "bin"),)), {"type": "one"}, 30.0)
    assert told is not None
    inherited = {fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_inheritable(fd)}
    assert set(told["fds"]) - inherited <= {0, 1, 2, 3}  # 3 is of the listing itself
    # Python ignores two itself, and two are the C library's own.
    not_ours = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33))
    assert int(told["ignored"], 16) & ~not_ours == 0


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # of the listing
        return False
