"""Registries behind an HTTP proxy: through its tunnel where they speak TLS, by whole URLs where not.

`r.invalid` is no name: only the proxy knows the way, so what arrives has gone through it.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import RegistryUnreachable
from provisioner.provisioner import Provisioner
from provisioner.registry.options import RegistryOptions
from tests.provisioner.conftest import isolate
from tests.provisioner.parts import ONE, log_in
from tests.support import images
from tests.support.authority import Authority
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import image
from tests.support.registry import Registry
from tests.support.tunnel_proxy import TunnelProxy

pytestmark = pytest.mark.requires("root", "registry", "openssl")

NAME = "r.invalid:5000"
_TIMEOUT = 60  # seconds until something counts as hung
BLOB = f"/blobs/{images.digest(ONE.blob)}"


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def secure(registry: Registry, tmp_path: Path) -> Iterator[FaultyProxy]:
    """A registry that speaks TLS as r.invalid; its authority is in certs.d."""
    images.push(image(ONE), registry.host, "image", "latest")
    authority = Authority.make(tmp_path / "authority")
    where = tmp_path / "certs.d" / NAME
    where.mkdir(parents=True)
    shutil.copy(authority.certificate, where / "ca.crt")
    with FaultyProxy.start(registry.host, authority.issue("server")) as running:
        yield running


@pytest.fixture
def plain(registry: Registry) -> str:
    images.push(image(ONE), registry.host, "image", "latest")
    return registry.host


def pull(root: Path, **options: object) -> int:
    registries = RegistryOptions(**options)  # type: ignore[arg-type]
    return Provisioner(str(root), registries=registries).pull(f"{NAME}/image").size


def test_tls_goes_through_the_tunnel(
    secure: FaultyProxy, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(tmp_path, NAME, "user:secret")
    secure.fault("/manifests/", Fault(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
    with TunnelProxy.start({NAME: secure.host}, user="me:p@ss/word") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss%2Fword@{proxy.host}")
        assert pull(root) == 3
        assert set(proxy.tunnels) == {NAME} and proxy.plain == []
    assert all("Proxy-Authorization" not in headers for _, _, headers in secure.requests)
    assert sum("Authorization" in headers for _, _, headers in secure.requests) >= 2


@pytest.mark.parametrize("credentials", ["", "me:wrong@"])
def test_a_proxy_that_wants_credentials(
    secure: FaultyProxy, root: Path, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    with TunnelProxy.start({NAME: secure.host}, user="me:right") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{credentials}{proxy.host}")
        with pytest.raises(RegistryUnreachable, match="the proxy wants to know who asks") as caught:
            pull(root)
        assert "USER:PASSWORD@HOST" in str(caught.value.hint)
    assert secure.requests == []


@pytest.mark.parametrize("excepted", ["r.invalid", ".invalid", NAME, "x,r.invalid,y", "*"])
def test_what_is_excepted_is_asked_directly(
    secure: FaultyProxy, root: Path, monkeypatch: pytest.MonkeyPatch, excepted: str
) -> None:
    with TunnelProxy.start({NAME: secure.host}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", excepted)
        with pytest.raises(RegistryUnreachable, match=r"r\.invalid:5000: "):
            pull(root)
        assert proxy.tunnels == []
        monkeypatch.setenv("NO_PROXY", "another.invalid")
        assert pull(root) == 3


def test_a_mirrors_own_proxy(secure: FaultyProxy, root: Path, tmp_path: Path) -> None:
    """hosts.toml names it; the environment has none."""
    with TunnelProxy.start({NAME: secure.host}) as proxy:
        text = f'server = "https://{NAME}"\nproxy = "{proxy.url}"\n'
        (tmp_path / "certs.d" / NAME / "hosts.toml").write_text(text)
        assert pull(root) == 3
        assert set(proxy.tunnels) == {NAME}


def test_an_insecure_registry_behind_a_proxy_is_found_to_speak_tls(
    secure: FaultyProxy, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority/server.cert"))
    (tmp_path / "certs.d" / NAME / "ca.crt").unlink()
    with TunnelProxy.start({NAME: secure.host}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(RegistryUnreachable, match="certificate is not trusted"):
            pull(root)
        assert pull(root, insecure=(NAME,)) == 3
        assert proxy.plain == []


@pytest.mark.parametrize("refuses", [True, False], ids=["no-tunnel", "tunnel"])
def test_an_insecure_registry_behind_a_proxy_is_found_to_speak_none(
    plain: str, root: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    with TunnelProxy.start({NAME: plain}, refuses_tunnels=refuses, user="me:right") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:right@{proxy.host}")
        assert pull(root, insecure=(NAME,)) == 3
        assert proxy.tunnels == [NAME]
        assert all(path.startswith(f"http://{NAME}/v2/") for path in proxy.plain) and proxy.plain
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(RegistryUnreachable, match="the proxy wants to know who asks"):
            pull(root.with_name("other"), insecure=(NAME,))


def test_a_proxy_that_refuses_the_tunnel_is_named(
    secure: FaultyProxy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TunnelProxy.start({NAME: secure.host}, refuses_tunnels=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(RegistryUnreachable, match="the proxy fails: tunnel connection failed: 403"):
            pull(root)


def test_one_interrupt_ends_a_download_in_a_tunnel(
    secure: FaultyProxy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.fault(BLOB, Fault(stall_after=10))

    def interrupt() -> None:
        assert secure.stalled.acquire(timeout=_TIMEOUT)
        os.kill(os.getpid(), signal.SIGINT)

    with TunnelProxy.start({NAME: secure.host}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        user = threading.Thread(target=interrupt)
        user.start()
        with pytest.raises(KeyboardInterrupt):
            pull(root)
        user.join()
    assert not secure._released.is_set(), "the connection stood still to the end"
