"""Who asks: real token services and htpasswd, credential files, helper programs, login and logout."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import InvalidReference, RegistryConfigurationError, Unauthorized
from provisioner.provisioner import Provisioner
from provisioner.registry import credentials
from provisioner.registry.login import login, logout
from provisioner.registry.options import Credentials, RegistryOptions
from tests.provisioner.conftest import isolate
from tests.provisioner.parts import ONE, log_in
from tests.provisioner.scripted import Answer, ScriptedRegistry
from tests.support import images
from tests.support.authority import Authority
from tests.support.images import image
from tests.support.registry import Registry
from tests.support.token_server import TokenServer

needs_registry = pytest.mark.requires("root", "registry", "openssl")
USER = Credentials(username="user", password="secret")

HELPER = (
    f"#!{sys.executable}"
    + """
import json, os, sys
path = os.path.join(os.path.dirname(sys.argv[0]), "keychain.json")
secrets = json.load(open(path)) if os.path.exists(path) else {}
given = sys.stdin.read()
if sys.argv[1] == "get":
    if given not in secrets:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(secrets[given]))
elif sys.argv[1] == "store":
    secrets[json.loads(given)["ServerURL"]] = json.loads(given)
elif sys.argv[1] == "erase":
    secrets.pop(given)
json.dump(secrets, open(path, "w"))
"""
)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    with TokenServer.start(Authority.make(tmp_path / "authority"), users={"user": "secret"}) as running:
        yield running


@pytest.fixture
def private(tokens: TokenServer, tmp_path: Path) -> Iterator[Registry]:
    """A registry with two repositories: private, and public/image."""
    with Registry.start(tmp_path / "storage") as open_to_all:
        for name in ("private", "public/image"):
            images.push(image(ONE), open_to_all.host, name, "latest")
    with Registry.start(tmp_path / "storage", auth=tokens.settings) as running:
        yield running


@pytest.fixture
def keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real helper program in PATH, docker-credential-test; where it keeps its secrets."""
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program.parent / "keychain.json"


@needs_registry
@pytest.mark.parametrize("field", ["token", "access_token"])
def test_real_tokens_are_asked_for_and_verified(
    provisioner: Provisioner, private: Registry, tokens: TokenServer, tmp_path: Path, field: str
) -> None:
    tokens.field = field
    assert provisioner.pull(f"{private.host}/public/image").size == 3
    with pytest.raises(Unauthorized, match="denies access"):
        provisioner.pull(f"{private.host}/private")
    log_in(tmp_path, private.host, "user:secret")
    assert provisioner.pull(f"{private.host}/private").size == 3
    _, parameters, _ = tokens.requests[-1]
    assert parameters["scope"] == ["repository:private:pull"] and parameters["account"] == ["user"]
    asked = len(tokens.requests)
    provisioner.pull(f"{private.host}/private")
    assert len(tokens.requests) == asked, "a token that has not expired is used again"


@needs_registry
def test_a_wrong_password_is_told_with_the_services_words(
    provisioner: Provisioner, private: Registry, tmp_path: Path
) -> None:
    log_in(tmp_path, private.host, "user:wrong")
    with pytest.raises(Unauthorized, match=r"token service .*incorrect username or password"):
        provisioner.pull(f"{private.host}/private")


@needs_registry
def test_tokens_that_expire_or_are_refused_are_asked_for_again(
    provisioner: Provisioner, private: Registry, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.registry.tokens._MARGIN", 1e6)
    tokens.life = 2  # of which half counts
    clock = [0.0]
    monkeypatch.setattr("provisioner.registry.tokens.time.monotonic", lambda: clock[0])
    provisioner.pull(f"{private.host}/public/image")
    asked = len(tokens.requests)
    clock[0] += 1.5
    provisioner.pull(f"{private.host}/public/image")
    assert len(tokens.requests) == asked + 1
    tokens.revoked = True
    clock[0] += 1.5
    with pytest.raises(Unauthorized):
        provisioner.pull(f"{private.host}/public/image")


@needs_registry
def test_login_exchanges_the_password_for_an_identity_token(
    provisioner: Provisioner, private: Registry, tokens: TokenServer, tmp_path: Path
) -> None:
    options = RegistryOptions(credentials=USER)
    path = Path(login(private.host, options).where)
    assert path == tmp_path / "run/containers/auth.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    entry = json.loads(path.read_text())["auths"][private.host]
    assert entry["identitytoken"] in tokens.identities
    assert "secret" not in base64.b64decode(entry["auth"]).decode()
    assert provisioner.pull(f"{private.host}/private").size == 3
    method, parameters, headers = tokens.requests[-1]
    assert (method, parameters["grant_type"]) == ("POST", ["refresh_token"])
    assert "Authorization" not in headers
    tokens.identities.clear()
    with pytest.raises(Unauthorized, match="unknown token"):
        Provisioner(str(tmp_path / "other")).pull(f"{private.host}/private")
    assert logout(private.host, options) == [str(path)]
    with pytest.raises(Unauthorized, match="nobody is logged in"):
        logout(private.host, options)


@needs_registry
def test_login_refuses_a_wrong_password_and_stores_nothing(private: Registry, tmp_path: Path) -> None:
    wrong = RegistryOptions(credentials=Credentials(username="user", password="wrong"))
    with pytest.raises(Unauthorized, match="incorrect username") as refused:
        login(private.host, wrong)
    assert "password" in str(refused.value.hint) and "login" not in str(refused.value.hint)
    assert not (tmp_path / "run").exists()


@needs_registry
def test_credentials_that_are_given_count_before_stored_ones(private: Registry, tmp_path: Path) -> None:
    log_in(tmp_path, private.host, "user:wrong")
    provisioner = Provisioner(str(tmp_path / "root"), registries=RegistryOptions(credentials=USER))
    assert provisioner.pull(f"{private.host}/private").size == 3


@needs_registry
@pytest.mark.parametrize("setting", ["credsStore", "credHelpers", "credential-helpers"])
def test_a_helper_program_keeps_the_secret(
    provisioner: Provisioner, private: Registry, tmp_path: Path, keychain: Path, setting: str
) -> None:
    if setting == "credential-helpers":
        (tmp_path / "registries.conf").write_text('credential-helpers = ["test", "containers-auth.json"]')
    else:
        value = "test" if setting == "credsStore" else {private.host: "test"}
        (tmp_path / "config.json").write_text(json.dumps({setting: value}))
    with pytest.raises(Unauthorized):
        provisioner.pull(f"{private.host}/private")
    done = login(private.host, RegistryOptions(credentials=USER))
    assert (done.where, done.tried) == ("docker-credential-test", True)
    assert json.loads(keychain.read_text())[private.host]["Username"] == "<token>"
    assert provisioner.pull(f"{private.host}/private").size == 3
    assert logout(private.host, RegistryOptions()) == ["docker-credential-test"]
    assert json.loads(keychain.read_text()) == {}


def test_helpers_that_are_missing_or_fail_are_named(tmp_path: Path, keychain: Path) -> None:
    (tmp_path / "config.json").write_text('{"credHelpers": {"a.local": "absent", "b.local": "../x"}}')
    with pytest.raises(RegistryConfigurationError, match="docker-credential-absent is not installed"):
        credentials.find("a.local", "image")
    with pytest.raises(RegistryConfigurationError, match="invalid name of a credential helper"):
        credentials.find("b.local", "image")
    (tmp_path / "config.json").write_text('{"credsStore": "test"}')
    keychain.with_name("docker-credential-test").write_text("#!/bin/sh\necho locked; exit 1\n")
    with pytest.raises(
        RegistryConfigurationError, match=r"docker-credential-test cannot get c\.local: locked"
    ):
        credentials.find("c.local", "image")


def test_the_most_specific_key_of_the_first_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def auths(path: Path, **entries: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        keys = {key: {"auth": base64.b64encode(f"{who}:x".encode()).decode()} for key, who in entries.items()}
        path.write_text(json.dumps({"auths": keys}))

    def who(registry: str, repository: str) -> str | None:
        found = credentials.find(registry, repository)
        return found.username if found else None

    hub = {"https://index.docker.io/v1/": "docker"}
    auths(tmp_path / "config.json", **{"r.local": "docker", "only.local": "docker", **hub})
    auths(tmp_path / "config/containers/auth.json", **{"r.local": "config"})
    run = {"r.local/team/app": "app", "r.local/team": "team", "r.local": "host"}
    auths(tmp_path / "run/containers/auth.json", **run)
    assert who("r.local", "team/app") == "app"
    assert who("r.local", "team/apple") == "team"
    assert who("r.local", "other") == "host"
    assert who("only.local", "x") == "docker" and who("docker.io", "library/busybox") == "docker"
    assert who("r.local:5000", "x") is None
    (tmp_path / "run/containers/auth.json").unlink()
    assert who("r.local", "team/app") == "config"
    auths(tmp_path / "mine.json", **{"r.local": "mine"})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "mine.json"))
    assert who("r.local", "team/app") == "mine"


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(RegistryOptions(credentials=USER))


@pytest.mark.parametrize(
    "key", ["", "busybox", "r.local/", "r.local/x:tag", "r.local/x@sha256:00", "https://r.local"]
)
def test_what_is_no_registry_is_refused(key: str) -> None:
    with pytest.raises(InvalidReference, match="invalid registry"):
        logout(key, RegistryOptions())


@pytest.mark.requires("root")
def test_secrets_are_not_posted_elsewhere(
    provisioner: Provisioner, scripted: ScriptedRegistry, tmp_path: Path
) -> None:
    """A token service that redirects its POST would have the identity token go with it."""
    realm = f'Bearer realm="http://{scripted.host}/token"'
    scripted.answer("/v2/x/manifests/latest", Answer(401, headers={"WWW-Authenticate": realm}))
    elsewhere = f"http://localhost:{scripted.host.partition(':')[2]}/elsewhere"
    scripted.answer("/token", Answer(307, headers={"Location": elsewhere}))
    entry = {"auth": base64.b64encode(b"user:").decode(), "identitytoken": "precious"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {scripted.host: entry}}))
    with pytest.raises(Exception, match="redirects secrets"):
        provisioner.pull(f"{scripted.host}/x")
    assert scripted.asked("/elsewhere") == []
