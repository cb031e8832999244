"""Network configuration lists: what is read of them, and what is refused."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from containerizer.request import ContainerRequest
from isolators.isolator import IsolatorFlags
from isolators.network import capabilities, config_list, published
from isolators.network.attachments import Attached
from isolators.network.bridge import rules, settings
from isolators.network.cni import NetworkCni
from isolators.network.config_list import InvalidConfig, UnknownNetwork
from isolators.network.places import Places
from isolators.network.published import PortTaken
from isolators.networks import NetworkRequest, PortMapping
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest


def write(directory: Path, file: str, **value: Any) -> Path:
    path = directory / file
    path.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one"}]} | value))
    return path


def test_first_file_by_name_has_the_network(tmp_path: Path) -> None:
    write(tmp_path, "20-b.conflist", plugins=[{"type": "second"}])
    write(tmp_path, "10-a.conflist", plugins=[{"type": "first"}])
    write(tmp_path, "00-other.conflist", name="other")
    (tmp_path / "00-readme.txt").write_text("no network")
    found = config_list.find([str(tmp_path / "missing"), str(tmp_path)], "net")
    assert [plugin["type"] for plugin in found.plugins] == ["first"]
    assert found.path.endswith("10-a.conflist")


def test_a_file_of_one_plugin_is_a_list_of_one(tmp_path: Path) -> None:
    plugin = {"cniVersion": "0.3.1", "name": "old", "type": "bridge", "bridge": "cni0"}
    (tmp_path / "old.conf").write_text(json.dumps(plugin))
    found = config_list.find([str(tmp_path)], "old")
    assert (found.versions, list(found.plugins)) == (("0.3.1",), [plugin])


def test_plugins_beside_are_added_unless_the_list_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "b.conf").write_text('{"type": "third"}')
    (tmp_path / "net" / "a.conf").write_text('{"type": "second"}')
    path = write(tmp_path, "net.conflist")
    assert [plugin["type"] for plugin in config_list.read(str(path)).plugins] == ["one", "second", "third"]
    path = write(tmp_path, "net.conflist", loadOnlyInlinedPlugins=True)
    assert [plugin["type"] for plugin in config_list.read(str(path)).plugins] == ["one"]


def test_versions_are_those_of_both_keys_that_are_known(tmp_path: Path) -> None:
    path = write(tmp_path, "net.conflist", cniVersions=["0.4.0", "1.1.0", "9.0.0"])
    assert config_list.read(str(path)).versions == ("0.4.0", "1.0.0", "1.1.0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../net"}, "invalid name of a network '../net'"),
        ({"name": None}, "no name"),
        ({"plugins": []}, "no plugins"),
        ({"plugins": "bridge"}, "plugins is no list"),
        ({"plugins": ["bridge"]}, "no object"),
        ({"plugins": [{"type": "../../bin/sh"}]}, "invalid type"),
        ({"plugins": [{"type": "one", "capabilities": ["mac"]}]}, "capabilities"),
        ({"cniVersion": "0.2.0"}, "CNI version 0.2.0"),
        ({"cniVersion": None}, "CNI version"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, "net.conflist", **changes)
    with pytest.raises(InvalidConfig, match=f"{path}.*{message}"):
        config_list.read(str(path))


def test_a_broken_file_hides_no_other_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "00.conflist").write_text("{")
    write(tmp_path, "10.conflist")
    assert config_list.find([str(tmp_path)], "net").name == "net"
    with pytest.raises(UnknownNetwork, match=r"unknown network 'lan'; .*00\.conflist"):
        config_list.find([str(tmp_path)], "lan")
    networks, broken = config_list.find_all([str(tmp_path)])
    assert ([network.name for network in networks], len(broken)) == (["net"], 1)


# Capabilities --------------------------------------------------------------------------------------


def network(name: str, *words: str) -> config_list.ConfigList:
    plugin = {"type": "one", "capabilities": dict.fromkeys(words, True)}
    return config_list.parse({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]})


def test_each_network_is_told_what_it_knows() -> None:
    request = NetworkRequest(
        names=("a", "b"),
        ports=(PortMapping(container_port=80, host_port=8080, host_ip="127.0.0.1"),),
        addresses=("10.0.0.9",),
        aliases=("db",),
        egress_rate=10_000_000,
    )
    networks = [network("a", "ips", "aliases"), network("b", "portMappings", "bandwidth", "ips")]
    first, second = capabilities.of_each(networks, request, names=("web", None))
    assert first == {"ips": ["10.0.0.9"], "aliases": ["web", "db"]}
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}
    assert second == {
        "portMappings": [mapping],
        "bandwidth": {"egressRate": 10_000_000, "egressBurst": 2_097_152},
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"ports": (PortMapping(container_port=80),)},
        {"mac_address": "02:00:00:00:00:01"},
        {"addresses": ("10.0.0.2",)},
        {"ingress_rate": 1000},
        {"aliases": ("db",)},
    ],
)
def test_what_no_plugin_does_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="nothing in network a does what is asked"):
        capabilities.of_each([network("a")], NetworkRequest(names=("a",), **asked))


def test_words_of_a_program() -> None:
    words = {"network": "lan,wan", "publish": ["[::1]:8080:80", "53/udp"], "add_host": ["db:10.0.0.5"]}
    request = ContainerRequest.of("web", **words, egress="10mbit", hostname="www").config
    assert request.hostname == "www"
    assert request.networks == NetworkRequest(
        names=("lan", "wan"),
        ports=(
            PortMapping(host_ip="::1", host_port=8080, container_port=80),
            PortMapping(container_port=53, protocol="udp"),
        ),
        extra_hosts=(("db", "10.0.0.5"),),
        egress_rate=10_000_000,
    )
    shared = ContainerRequest.of("web", network="host", namespaces={"uts": "host"}).config
    assert (shared.namespaces, shared.networks) == ({"net": "host", "uts": "host"}, NetworkRequest())


@pytest.mark.parametrize(
    "asked",
    [
        {"names": ("a", "a")},
        {"names": ("a/b",)},
        {"addresses": ("10.0.0",)},
        {"mac_address": "02:00"},
        {"addresses": ("fe80::1%eth0",)},
        {"dns_servers": ("localhost",)},
        {"dns_servers": ("fe80::1%\nsearch evil",)},
        {"extra_hosts": (("db", "fe80::1%eth0 bank"),)},
        {"dns_search": ("a b",)},
        {"dns_options": ("ndots:1\nnameserver 1.1.1.1",)},
        {"extra_hosts": (("a\nb", "10.0.0.1"),)},
        {"names": (), "aliases": ("db",)},
    ],
)
def test_requests_that_make_no_sense_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        NetworkRequest(**{"names": ("a",), **asked})


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fe80::1%x . tcp . 1 : ::1 . 1 }; flush ruleset #"])
def test_a_scope_of_a_link_gets_into_no_script(address: str) -> None:
    with pytest.raises(InvalidRequest, match="address of a link"):
        PortMapping(container_port=80, host_ip=address)
    own = settings.Settings(name="a", bridge="ctz0", subnets=())
    ports = [{"hostPort": 80, "containerPort": 80, "protocol": "tcp", "hostIP": address}]
    with pytest.raises(InvalidRequest, match="address of a link"):
        rules.published(own, [ipaddress.ip_interface("fd00::2/64")], ports, add=True)


def test_an_address_of_the_host_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    places = Places(str(tmp_path), str(tmp_path))
    written = [PortMapping(container_port=80, host_ip=ip) for ip in ("::1", "0:0::0:1")]
    first = published.take(places, "web", NetworkRequest(names=("a",), ports=(written[0],)))
    again = replace(written[1], host_port=first.ports[0].host_port)
    with pytest.raises(PortTaken, match="is published by web"):
        published.take(places, "db", NetworkRequest(names=("a",), ports=(again,)))
    published.release(places, "web")


def test_a_container_without_networks_gets_none_of_another_boot(tmp_path: Path) -> None:
    isolator = NetworkCni(IsolatorFlags(networks=str(tmp_path / "a"), networks_state=str(tmp_path / "b")))
    old = Attached(
        container="web",
        id="web-00000000",
        boot="another",
        directories=(),
        sandbox=str(tmp_path / "sandbox"),
        request=NetworkRequest(names=("lan",)),
    )
    (tmp_path / "a" / "attached").mkdir(parents=True)
    old.save(isolator.places)
    isolator.isolate(ContainerId("web"), (1 << 22) + 1)  # nobody
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "sandbox").exists()
