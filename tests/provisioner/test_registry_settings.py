"""Mirrors, certificates and proxies, by registries.conf, certs.d and the environment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import (
    ImageNotFound,
    RegistryConfigurationError,
    RegistryFailed,
    RegistryUnreachable,
)
from provisioner.provisioner import Provisioner
from provisioner.reference import ImageReference
from provisioner.registry.options import RegistryOptions
from provisioner.registry.settings import Settings
from tests.provisioner.conftest import isolate
from tests.provisioner.parts import ONE
from tests.provisioner.places import places
from tests.support import images
from tests.support.authority import Authority
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import image
from tests.support.registry import Registry

needs_registry = pytest.mark.requires("root", "registry")
NOWHERE = "127.0.0.1:9"  # the discard port, where nothing listens


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "authority")


def test_hosts_toml_is_read_as_containerd_does(tmp_path: Path) -> None:
    text = """
    server = "https://registry-1.docker.io"
    [host."https://mirror.local/prefix"]
      capabilities = ["pull"]
      ca = "mirror.crt"
      client = [["a.cert", "/abs/a.key"]]
      dial_timeout = "1m2.5s"
      [host."https://mirror.local/prefix".header]
        x-one = ["a", "b"]
    [host."http://plain.local:5000/api"]
      override_path = true
      skip_verify = true
      proxy = "http://proxy.local:8080"
    """
    assert places(tmp_path, "busybox", hosts={"docker.io": text}) == [
        "https://mirror.local/prefix/v2/library/busybox",
        "http://plain.local:5000/api/library/busybox",
        "https://registry-1.docker.io/v2/library/busybox",
    ]
    first, second, last = Settings(RegistryOptions()).endpoints(ImageReference.parse("busybox"))
    where = tmp_path / "certs.d/docker.io"
    assert first.trust.authorities == (str(where / "mirror.crt"),)
    assert first.trust.clients == ((str(where / "a.cert"), "/abs/a.key"),)
    assert (first.pulls, first.resolves, first.connect_timeout) == (True, False, 62.5)
    assert (first.headers, first.namespace) == ((("x-one", "a, b"),), "docker.io")
    assert (second.trust.verify, second.proxy) == (False, "http://proxy.local:8080")
    assert (last.registry, last.namespace) == ("docker.io", None)
    assert places(tmp_path, "r.local:5000/x", hosts={"_default": 'server = "https://all.local"'}) == [
        "https://all.local/v2/x"
    ]
    assert places(tmp_path, "r.local:5000/x", hosts={"r.local_5000_": 'server = "https://own.local"'}) == [
        "https://own.local/v2/x"
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[host."ftp://x"]',
        '[host."https://u@x"]',
        "client = 3",
        'dial_timeout = "soon"',
        'header = {"a b" = "c"}',
    ],
)
def test_a_broken_hosts_toml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(RegistryConfigurationError, match=r"hosts\.toml"):
        places(tmp_path, "r.local/x", hosts={"r.local": text})


@pytest.fixture
def mirrored(registry: Registry, tmp_path: Path) -> Iterator[FaultyProxy]:
    """A mirror of real.local/team, which is at no place at all."""
    images.push(image(ONE), registry.host, "copy/app", "latest")
    with FaultyProxy.start(registry.host) as mirror:
        yield mirror


@needs_registry
def test_mirrors_are_tried_in_order(
    provisioner: Provisioner, registry: Registry, mirrored: FaultyProxy, tmp_path: Path
) -> None:
    mirrors = "".join(
        f'[[registry.mirror]]\nlocation = "{host}/copy"\n' for host in (NOWHERE, mirrored.host, registry.host)
    )
    conf = f'[[registry]]\nprefix = "real.local/team"\nlocation = "{NOWHERE}/team"\n{mirrors}'
    (tmp_path / "registries.conf").write_text(conf)
    pulled = provisioner.pull("real.local/team/app")
    assert pulled.reference == "real.local/team/app:latest"
    assert len(mirrored.asked("/manifests/")) == 1 and len(mirrored.asked("/blobs/")) == 2
    mirrored.fault("/v2/copy/gone", Fault(status=404))
    with pytest.raises(RegistryUnreachable, match=NOWHERE) as caught:
        provisioner.pull("real.local/team/gone")
    assert any(mirrored.host in note for note in caught.value.__notes__)


@needs_registry
def test_a_blob_goes_on_at_the_next_mirror(
    registry: Registry, mirrored: FaultyProxy, provisioner: Provisioner, tmp_path: Path
) -> None:
    """The first mirror dies in the middle of the layer."""
    conf = f'[[registry]]\nprefix = "real.local"\nlocation = "{registry.host}"\n'
    (tmp_path / "registries.conf").write_text(f'{conf}[[registry.mirror]]\nlocation = "{mirrored.host}"\n')
    blob = f"/blobs/{images.digest(ONE.blob)}"
    mirrored.fault(blob, Fault(cut_after=20))
    mirrored.fault(blob, Fault(status=404), times=9)
    assert provisioner.pull("real.local/copy/app").size == 3
    assert len(mirrored.asked(blob)) == 2


@needs_registry
def test_who_may_not_resolve_is_not_asked_for_tags(
    registry: Registry, mirrored: FaultyProxy, provisioner: Provisioner, tmp_path: Path
) -> None:
    where = tmp_path / "certs.d/real.local"
    where.mkdir(parents=True)
    text = f'server = "http://{registry.host}"\n[host."http://{mirrored.host}"]\ncapabilities = ["pull"]\n'
    (where / "hosts.toml").write_text(text + f'[host."http://{mirrored.host}".header]\nx-secret = "s"\n')
    assert provisioner.pull("real.local/copy/app").size == 3
    assert mirrored.asked("/manifests/") == []
    assert [h["x-secret"] for h in mirrored.asked("/blobs/")] == ["s", "s"]
    assert all("ns=real.local" in path for _, path, _ in mirrored.requests)


@pytest.mark.requires("root", "registry", "openssl")
def test_tls_is_trusted_by_files_only(tmp_path: Path, authority: Authority) -> None:
    """A real registry with TLS that wants a client's certificate, too."""
    server, client = authority.issue("server"), authority.issue("client", client=True)
    with Registry.start(tmp_path / "storage") as plain:
        images.push(image(ONE), plain.host, "image", "latest")
    tls = {
        "certificate": str(server.certificate),
        "key": str(server.key),
        "clientcas": [str(authority.certificate)],
    }
    with Registry.start(tmp_path / "storage", tls=tls) as secure:
        name, where = f"{secure.host}/image", tmp_path / "certs.d" / secure.host
        root = str(tmp_path / "root")
        with pytest.raises(RegistryUnreachable, match="certificate is not trusted"):
            Provisioner(root).pull(name)
        where.mkdir(parents=True)
        shutil.copy(authority.certificate, where / "ca.crt")
        with pytest.raises(RegistryUnreachable):
            Provisioner(root).pull(name)
        shutil.copy(client.certificate, where / "client.cert")
        shutil.copy(client.key, where / "client.key")
        assert Provisioner(root).pull(name).size == 3
        (where / "ca.crt").unlink()
        with pytest.raises(RegistryUnreachable, match="certificate is not trusted"):
            Provisioner(root).pull(name)
        assert Provisioner(root, insecure_registries=[secure.host]).pull(name).size == 3
        (where / "ca.crt").write_text("no certificate")
        with pytest.raises(RegistryConfigurationError, match=r"cannot use certificate .*ca\.crt"):
            Provisioner(root).pull(name)


@pytest.mark.requires("root", "registry", "openssl")
def test_tls_does_not_redirect_to_plain_http(
    registry: Registry, provisioner: Provisioner, tmp_path: Path, authority: Authority
) -> None:
    images.push(image(ONE), registry.host, "image", "latest")
    where = tmp_path / "certs.d"
    with FaultyProxy.start(registry.host, authority.issue("server")) as secure:
        (where / secure.host).mkdir(parents=True)
        shutil.copy(authority.certificate, where / secure.host / "ca.crt")
        location = {"Location": f"http://{registry.host}/v2/image/manifests/latest"}
        secure.fault("/manifests/", Fault(status=307, headers=location))
        with pytest.raises(RegistryFailed, match="not in TLS"):
            provisioner.pull(f"{secure.host}/image")
        assert provisioner.pull(f"{secure.host}/image").size == 3


@needs_registry
def test_a_proxy_of_the_environment_is_used_unless_excepted(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets whole URLs, by which a registry of any name can be asked for."""
    images.push(image(ONE), registry.host, "image", "latest")
    options = RegistryOptions(insecure=("r.invalid",))
    with FaultyProxy.start(registry.host) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        assert Provisioner(str(root), registries=options).pull("r.invalid/image").size == 3
        assert all(path.startswith("http://r.invalid/v2/") for _, path, _ in proxy.requests)
        monkeypatch.setenv("NO_PROXY", "r.invalid")
        with pytest.raises(RegistryUnreachable, match=r"r\.invalid: name or service not known"):
            Provisioner(str(root), registries=options).pull("r.invalid/image:other")
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(RegistryUnreachable, match="the proxy fails: connection refused"):
        Provisioner(str(root), registries=options).pull("r.invalid/image:other")


@needs_registry
def test_a_file_that_is_named_has_to_exist(tmp_path: Path) -> None:
    options = RegistryOptions(registries_conf=str(tmp_path / "absent"))
    with pytest.raises(RegistryConfigurationError, match="absent: it does not exist"):
        Provisioner(str(tmp_path / "root"), registries=options).pull("r.local/x")


@needs_registry
def test_not_there_is_not_hidden_by_a_mirror(
    provisioner: Provisioner, registry: Registry, tmp_path: Path
) -> None:
    conf = f'[[registry]]\nprefix = "real.local"\nlocation = "{registry.host}"\n'
    (tmp_path / "registries.conf").write_text(f'{conf}[[registry.mirror]]\nlocation = "{NOWHERE}"\n')
    with pytest.raises(ImageNotFound, match=r"has no real\.local/absent:latest"):
        provisioner.pull("real.local/absent")
