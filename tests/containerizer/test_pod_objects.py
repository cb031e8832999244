"""ConfigMaps and Secrets beside a Pod: what its containers have of them, and what messages do not say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from containerizer.pods.document import InvalidManifest
from containerizer.pods.file_volumes import File, FileVolume
from containerizer.pods.manifest import PodManifest, parse

_VALUE = "hunter2-correct-horse"


def _config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


def _secret(**data: str) -> dict[str, Any]:
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": coded}


def _text(*others: dict[str, Any], container: dict[str, Any] | None = None, **spec: Any) -> bytes:
    containers = [{"name": "c", "image": "i:1", **(container or {})}]
    metadata = {"name": "p", "labels": {"b": "2", "a": 'x"y'}, "annotations": {"k": "v"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": containers, **spec},
    }
    return "\n---\n".join(json.dumps(each) for each in (*others, pod)).encode()


def _parsed(*others: dict[str, Any], **rest: Any) -> PodManifest:
    return parse(_text(*others, **rest))


def _from(kind: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"valueFrom": {kind: {"name": name, "key": key, **more}}}


def test_variables_come_from_both_and_expand() -> None:
    """Kubernetes' order: envFrom, then env; a value that has a secret in it is one."""
    env = [
        {"name": "PLAIN", **_from("configMapKeyRef", "m", "one")},
        {"name": "PASSWORD", **_from("secretKeyRef", "s", "password")},
        {"name": "URL", "value": "http://u:$(PASSWORD)@h/$(PLAIN)/$(NONE)/$$(PLAIN)"},
        {"name": "NOTHING", **_from("secretKeyRef", "other", "k", optional=True)},
        {"name": "NO_KEY", **_from("configMapKeyRef", "m", "none", optional=True)},
        {"name": "two", "value": "overridden"},
        {"name": "S_token", "value": "no secret any more"},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['b']"}}},
    ]
    sources = [
        {"configMapRef": {"name": "m"}},
        {"prefix": "S_", "secretRef": {"name": "s"}},
        {"configMapRef": {"name": "none", "optional": True}},
    ]
    own = {"env": env, "envFrom": sources, "command": ["run", "$(URL)"], "args": ["$(two)", "$$x", "$(NONE)"]}
    (container,) = _parsed(
        _config_map(one="1", two="2"), _secret(password=_VALUE, token="t"), container=own
    ).containers
    url = f"http://u:{_VALUE}@h/1/$(NONE)/$(PLAIN)"
    assert container.environment == {
        "one": "1",
        "two": "overridden",
        "PLAIN": "1",
        "S_token": "no secret any more",
        "LABEL": "2",
    }
    assert container.secret_environment == {"S_password": _VALUE, "PASSWORD": _VALUE, "URL": url}
    assert container.entrypoint == ("run", url)
    assert container.arguments == ("overridden", "$x", "$(NONE)")


def test_volumes_of_files() -> None:
    items = [{"key": "one", "path": "deep/er/one", "mode": 0o400}]
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    name = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
    of = {"containerName": "c", "resource": "requests.cpu", "divisor": "1m"}
    cpus = {"path": "cpus", "resourceFieldRef": of}
    sources = [
        {"configMap": {"name": "m", "items": items}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [labels, name, cpus]}},
    ]
    volumes = [
        {"name": "a", "configMap": {"name": "m", "defaultMode": 0o440}},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "projected": {"defaultMode": 0o444, "sources": sources}},
        {"name": "d", "secret": {"secretName": "none", "optional": True}},
    ]
    pod = _parsed(_config_map(one="1"), _secret(password=_VALUE), volumes=volumes)
    secret = _VALUE.encode()
    assert pod.volumes == (
        FileVolume(name="a", files=(File(path="one", content=b"1", mode=0o440),)),
        FileVolume(name="b", files=(File(path="password", content=secret, mode=0o644),)),
        FileVolume(
            name="c",
            files=(
                File(path="deep/er/one", content=b"1", mode=0o400),
                File(path="password", content=secret, mode=0o444),
                File(path="labels", content=b'a="x\\"y"\nb="2"', mode=0o444),
                File(path="name", content=b"p", mode=0o444),
                File(path="cpus", content=b"0", mode=0o444),
            ),
        ),
        FileVolume(name="d"),
    )


def test_binary_data_and_strings() -> None:
    binary = {**_config_map(a="x"), "binaryData": {"b": "/wA="}}
    strings = {**_secret(password="old"), "stringData": {"password": _VALUE}, "immutable": True}
    volumes = [{"name": "m", "configMap": {"name": "m"}}, {"name": "s", "secret": {"secretName": "s"}}]
    ours, theirs = _parsed(binary, strings, volumes=volumes).volumes
    assert isinstance(ours, FileVolume) and isinstance(theirs, FileVolume)
    assert {file.path: file.content for file in ours.files} == {"a": b"x", "b": b"\xff\0"}
    assert theirs.files == (File(path="password", content=_VALUE.encode(), mode=0o644),)


def test_aliases_of_hosts() -> None:
    aliases = [{"ip": "10.0.0.1", "hostnames": ["a.example", "b"]}, {"ip": "fd00::1", "hostnames": ["c"]}]
    pairs = (("10.0.0.1", "a.example"), ("10.0.0.1", "b"), ("fd00::1", "c"))
    assert _parsed(hostAliases=aliases).hosts == pairs


def test_what_only_a_cluster_has_use_for_is_named() -> None:
    pod = _parsed(container={"terminationMessagePath": "/x"}, nodeName="n", tolerations=[{"key": "k"}])
    assert pod.ignored == (
        "spec.nodeName",
        "spec.tolerations",
        "spec.containers[0].terminationMessagePath",
    )


_SECRET_ENV = {"env": [{"name": "A", **_from("secretKeyRef", "s", "k")}]}
_TOO_DEEP = [{"key": "one", "path": "x"}, {"key": "two", "path": "x/y"}]


def _volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (_text(container=_SECRET_ENV), "secretKeyRef.name is 's', and no such Secret is in the manifest"),
        (_text(_secret(x="y"), container=_SECRET_ENV), "secretKeyRef.key is 'k', which the Secret does not"),
        (_text(**_volume(configMap={"name": "m"})), "spec.volumes[0].configMap.name is 'm', and no such"),
        (_text(_config_map(), _config_map()), "metadata.name is 'm', as another ConfigMap's"),
        (_text({**_config_map(), "foo": 1}), "foo is not supported"),
        (_text(_config_map(**{"../x": "y"})), "data has the key '../x'"),
        (_text(_config_map(**{"..": "y"})), "data has the key '..'"),
        (_text({**_config_map(a="x"), "binaryData": {"a": ""}}), "binaryData has 'a', as data has"),
        (
            _text(
                _config_map(one="1"),
                **_volume(configMap={"name": "m", "items": [{"key": "one", "path": "../x"}]}),
            ),
            "items[0].path is '../x'",
        ),
        (
            _text(_config_map(one="1", two="2"), **_volume(configMap={"name": "m", "items": _TOO_DEEP})),
            "puts a file at 'x', and one below it",
        ),
        (_text(_secret(a="b"), **_volume(secret={"secretName": "s", "defaultMode": 0o1777})), "is 0o1777"),
        (
            _text(**_volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]})),
            "sources[0].serviceAccountToken is not supported",
        ),
        (_text(hostAliases=[{"ip": "x", "hostnames": []}]), "hostAliases[0].ip is 'x'"),
        (_text(hostAliases=[{"ip": "fe80::1%a\nb", "hostnames": []}]), "hostAliases[0].ip is 'fe80"),
        (
            _text(hostAliases=[{"ip": "::1", "hostnames": ["a\n::2 b"]}]),
            "hostAliases[0].hostnames has 'a\\n::2 b'",
        ),
        (_text({**_config_map(), "kind": "List"}), "kind is 'List'"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_path(manifest: bytes, message: str) -> None:
    with pytest.raises(InvalidManifest) as raised:
        parse(manifest)
    assert message in raised.value.message


_HEAD = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{_HEAD}data: {{a: '{_VALUE}!'}}\n",  # no base64
        f"{_HEAD}data: {_VALUE}\n",
        f"{_HEAD}data: [{_VALUE}]\n",
        f"{_HEAD}stringData: {{a: [{_VALUE}]}}\n",
        f"{_HEAD}type: [{_VALUE}]\n",
        f"{_HEAD}immutable: {_VALUE}\n",
        f"{_HEAD}stringData:\n  a: {_VALUE}\n b: x\n",  # malformed from here on
        f"{_HEAD}stringData:\n  a: *{_VALUE}\n",
        f"{_HEAD}stringData:\n  a: !{_VALUE} x\n",
        f"{_HEAD}stringData:\n  a: &{_VALUE} x\n  b: &{_VALUE} y\n  c: '\n",
        f"{_HEAD}stringData:\n  a: '{_VALUE}\n",
        f'{_HEAD}stringData:\n  a: "\\q{_VALUE}"\n',
        f"{_HEAD}stringData:\n  a: x\n  a: {_VALUE}\n",
        f"{_HEAD}stringData:\n  a: '2024-99-99{_VALUE}'\n  b: 2024-99-99\n",
        f'{_HEAD}stringData: {{a: "{_VALUE}\\0"}}\n---\n'
        + _text(container={"envFrom": [{"secretRef": {"name": "s"}}]}).decode(),
    ],
)
def test_no_message_has_what_a_secret_says(text: str) -> None:
    with pytest.raises(InvalidManifest) as raised:
        parse(text.encode())
    error = raised.value
    assert _VALUE not in f"{error} {error.hint} {error!r} {error.__cause__}"
