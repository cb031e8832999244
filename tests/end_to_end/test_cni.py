"""Containers in networks of CNI plug-ins: Debian's, and one that records how it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, Configure
from tests.support import recording_plugin
from tests.support.netns import HostNetwork

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def commands(tmp_path: Path) -> list[tuple[str, str]]:
    calls = recording_plugin.calls(tmp_path / "log")
    return [(call["command"], call["environment"]["CNI_IFNAME"]) for call in calls]


# What plug-ins of others are owed ----------------------------------------------------------------------


def test_what_a_plugin_is_told(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    capabilities = dict.fromkeys(("portMappings", "ips", "mac", "dns", "aliases", "bandwidth"), True)
    configure("calico", {"type": "recording", "capabilities": capabilities, "policy": {"type": "k8s"}})
    options = [
        "-p",
        "127.0.0.1:8000-8001:80-81/udp",
        "--ip",
        "10.7.0.2",
        "--mac-address",
        "02:00:00:00:00:01",
    ]
    options += ["--dns", "10.1.1.1", "--dns-search", "lan", "--network-alias", "db", "--ingress", "1mbit"]
    done = here("run", "--rm", "--name", "web", "--network", "calico", *options, *cni, busybox, "true")
    assert done.returncode == 0, done.stderr
    add, delete = recording_plugin.calls(tmp_path / "log")
    environment = add["environment"]
    assert environment["CNI_CONTAINERID"].startswith("web-")
    assert environment["CNI_NETNS"].startswith(str(tmp_path / "state"))
    assert (environment["CNI_IFNAME"], environment["CNI_ARGS"]) == ("eth0", "IgnoreUnknown=1")
    assert add["config"]["policy"] == {"type": "k8s"}
    assert add["config"]["runtimeConfig"] == {
        "portMappings": [
            {"hostPort": 8000, "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1"},
            {"hostPort": 8001, "containerPort": 81, "protocol": "udp", "hostIP": "127.0.0.1"},
        ],
        "bandwidth": {"ingressRate": 1_000_000, "ingressBurst": 2_097_152},
        "ips": ["10.7.0.2"],
        "mac": "02:00:00:00:00:01",
        "aliases": ["web", "db"],
        "dns": {"servers": ["10.1.1.1"], "searches": ["lan"], "options": []},
    }
    assert delete["command"] == "DEL"
    same = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH")
    assert [delete["environment"][name] for name in same] == [environment[name] for name in same]
    assert delete["config"]["prevResult"]["ips"] == [
        {"address": "10.7.0.2/24", "gateway": "10.7.0.1", "interface": 0}
    ]


def test_files_have_what_the_plugin_and_the_request_say(
    here: Cli, busybox: str, configure: Configure, cni: list[str]
) -> None:
    configure("weave", {"type": "recording"})
    show = [busybox, "cat", "/etc/hosts", "/etc/resolv.conf"]
    hosts = ["--add-host", "db:10.0.0.5", "--add-host", "outside:host-gateway", "--hostname", "www"]
    done = here("run", "--rm", "--network", "weave", *hosts, *cni, *show)
    assert done.returncode == 0, done.stderr
    assert "10.7.0.2\twww\n10.0.0.5\tdb\n10.7.0.1\toutside\n" in done.stdout
    assert "nameserver 10.7.0.1\nsearch weave.local\n" in done.stdout
    dns = ["--dns", "10.1.1.1", "--dns-search", "lan", "--dns-option", "ndots:2"]
    done = here("run", "--rm", "--network", "weave", *dns, *cni, *show)
    assert done.stdout.endswith("nameserver 10.1.1.1\nsearch lan\noptions ndots:2\n")


def test_a_chain_that_fails_midway_is_taken_back_as_a_whole(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    failing = {"type": "further", "results": {"ADD": {"code": 100, "msg": "no route"}}, "codes": {"ADD": 1}}
    configure("good", {"type": "recording"})
    configure("bad", {"type": "recording"}, failing)
    done = here("run", "--rm", "--name", "web", "--network", "good,bad", *cni, busybox, "true")
    assert done.returncode == 125
    message = "cannot add container web to network bad: CNI plug-in further failed: no route (code 100)"
    assert message in done.stderr
    told = [
        (call["command"], call["environment"]["CNI_IFNAME"], call["config"]["type"])
        for call in recording_plugin.calls(tmp_path / "log")
    ]
    assert told == [
        *(("ADD", "eth0", "recording"), ("ADD", "eth1", "recording"), ("ADD", "eth1", "further")),
        *(("DEL", "eth1", "further"), ("DEL", "eth1", "recording"), ("DEL", "eth0", "recording")),
    ]


def test_a_plugin_that_fails_to_delete_is_asked_again(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    """The configuration of the time of ADD counts: only the plug-in itself can be mended."""
    configure("lan", {"type": "recording"})
    plugin = tmp_path / "bin" / "recording"
    good, bad = plugin.read_text(), '#!/bin/sh\necho \'{"code": 100, "msg": "not now"}\'\nexit 1\n'
    with here.start(
        "run", "--name", "web", "--network", "lan", *cni, busybox, "sh", "-c", "echo up; read x"
    ) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline() == "up\n"
        plugin.write_text(bad)
        process.kill()
        process.wait()
        here.kill_containers()
    done = here("rm", "-f", "web")
    assert (
        "cannot remove container web from network lan: CNI plug-in recording failed: not now" in done.stderr
    )
    plugin.write_text(good)
    done = here("rm", "-f", "web")
    assert done.returncode == 0, done.stderr
    assert commands(tmp_path)[-1] == ("DEL", "eth0")


def test_a_plugin_that_can_do_nothing_holds_no_container(
    here: Cli, busybox: str, configure: Configure, cni: list[str], directories: Path
) -> None:
    """It fails to remove what it has failed to add: what it may have left is written down."""
    configure(
        "lan", {"type": "recording", "codes": {"ADD": 1, "DEL": 1}, "results": {"ADD": "no", "DEL": "no"}}
    )
    done = here("run", "--rm", "--network", "lan", *cni, busybox, "true")
    assert (done.returncode, "failed with exit code 1: no" in done.stderr) == (125, True)
    assert here.left() == []
    (orphan,) = (directories / "root" / "networks" / "orphans").iterdir()
    orphan.unlink()


def test_plugins_are_asked_whether_all_is_well(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    busy = {"code": 50, "msg": "no address is left"}
    configure("lan", {"type": "recording"}, version="1.1.0")
    configure(
        "full", {"type": "recording", "results": {"STATUS": busy}, "codes": {"STATUS": 1}}, version="1.1.0"
    )
    run = ["run", "-d", "--name", "web", "--network", "lan", *cni, busybox]
    assert here(*run, "sleep", "1000").returncode == 0
    try:
        done = here("network", *cni, "check", "web")
        assert (done.returncode, done.stdout) == (0, "web\n"), done.stderr
        assert commands(tmp_path) == [("ADD", "eth0"), ("CHECK", "eth0")]
        (tmp_path / "bin" / "recording").write_text(
            '#!/bin/sh\necho \'{"code": 100, "msg": "gone"}\'\nexit 1\n'
        )
        done = here("network", *cni, "check", "web")
        assert done.returncode == 125
        assert "web has lost what it had in network lan: CNI plug-in recording failed: gone" in done.stderr
    finally:
        recording_plugin.install(tmp_path / "bin", "recording")
        here("rm", "-f", "web")
    done = here("network", *cni, "status", "lan", "full", "none-such")
    assert (done.returncode, done.stdout) == (125, "lan\n")
    assert "no address is left (code 50)" in done.stderr
    assert "unknown network 'none-such'" in done.stderr
    assert "no container web" in here("network", *cni, "check", "web").stderr


def test_networks_are_read_anew_and_unknown_ones_refused(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    done = here("run", "--rm", "--network", "lan", *cni, busybox, "true")
    assert (done.returncode, "unknown network 'lan'" in done.stderr) == (125, True)
    configure("lan", {"type": "recording"})
    assert here("run", "--rm", "--network", "lan", *cni, busybox, "true").returncode == 0
    assert [command for command, _ in commands(tmp_path)] == ["ADD", "DEL"]
    configure("lan", {"type": "missing"})
    done = here("run", "--rm", "--network", "lan", *cni, busybox, "true")
    assert "CNI plug-in 'missing' is not installed" in done.stderr


def test_a_nested_container_has_its_parents_network_or_its_own(
    here: Cli, busybox: str, configure: Configure, cni: list[str], tmp_path: Path
) -> None:
    configure("lan", {"type": "recording"})
    parent = ["run", "-d", "--name", "pod", "--network", "none", busybox, "sleep", "1000"]
    assert here(*parent).returncode == 0
    try:
        show = [busybox, "readlink", "/proc/self/ns/net"]
        shared = here("run", "--rm", "--name", "pod.one", *show).stdout
        own = here("run", "--rm", "--name", "pod.two", "--network", "lan", *cni, *show).stdout
        assert here("exec", "pod", "readlink", "/proc/self/ns/net").stdout == shared != own
        assert [command for command, _ in commands(tmp_path)] == ["ADD", "DEL"]
    finally:
        here("rm", "-f", "pod")


def test_network_none_host_and_container(
    here: Cli, busybox: str, network: HostNetwork, configure: Configure, cni: list[str]
) -> None:
    show = [busybox, "readlink", "/proc/self/ns/net"]
    host = network.run("readlink", "/proc/self/ns/net")
    assert here("run", "--rm", "--network", "host", *show).stdout == host
    assert here("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "1000").returncode == 0
    try:
        webs = here("exec", "web", "readlink", "/proc/self/ns/net").stdout
        assert webs != host
        assert here("run", "--rm", "--network", "container:web", *show).stdout == webs
    finally:
        here("rm", "-f", "web")


def test_a_port_is_one_containers(here: Cli, busybox: str, configure: Configure, cni: list[str]) -> None:
    configure("lan", {"type": "recording", "capabilities": {"portMappings": True}})
    options = ["--network", "lan", *cni, busybox]
    assert here("run", "-d", "--name", "web", "-p", "8080:80", *options, "sleep", "1000").returncode == 0
    try:
        done = here("run", "--rm", "-p", "127.0.0.1:8080:81", *options, "true")
        assert (done.returncode, "port 8080/tcp is published by web" in done.stderr) == (125, True)
        assert here("run", "--rm", "-p", "8080:80/udp", *options, "true").returncode == 0
    finally:
        here("rm", "-f", "web")
    assert here("run", "--rm", "-p", "8080:80", *options, "true").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "80:80"], "--publish needs a network"),
        (["--network", "none", "-p", "80:80"], "need a network"),
        (["--network", "lan", "-p", "0:80"], "invalid port '0:80'"),
        (["--network", "lan", "-p", "80-82:80-81"], "differ in length"),
        (["--network", "lan", "-p", "80:80/icmp"], "unknown protocol 'icmp'"),
        (["--network", "lan", "--add-host", "db"], "invalid --add-host 'db'"),
        (["--network", "lan,lan"], "named twice"),
        (["--network", "lan", "--ns", "net=host"], "joins no networks"),
        (["--network", "lan", "--egress", "fast"], "invalid rate 'fast'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    here: Cli, busybox: str, configure: Configure, cni: list[str], options: list[str], message: str
) -> None:
    configure("lan", {"type": "recording"})
    done = here("run", "--rm", *options, *cni, busybox, "true")
    assert (done.returncode, message in done.stderr) == (125, True), done.stderr
