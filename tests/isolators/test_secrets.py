"""What is asked of secrets, and who has them: no text has a value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

import pytest

from containerizer import codec
from isolators import secret_resolvers, secrets, volumes
from isolators.environment_secret import EnvironmentSecret
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.secrets import Secret, SecretReference
from isolators.volume.secret import VolumeSecret
from isolators.volumes import Volume
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import LaunchInfo
from launcher.merge import MergeConflict, merge
from tests.isolators.support import WEB

VALUE = b"hunter2\0\xff"
TARGET = "/run/secrets/password"


def volume(secret: Secret, target: str = TARGET) -> Volume:
    return Volume(kind=volumes.SECRET, target=target, secret=secret)


def given(**named: object) -> Secret:
    return Secret(content=secrets.encoded(VALUE), **named)  # type: ignore[arg-type]


def test_text_has_no_value() -> None:
    config = ContainerConfig(rootfs="/r", volumes=(volume(given()),))
    info = VolumeSecret(IsolatorFlags()).prepare(WEB, config)
    for text in (repr(config), repr(info), str(given())):
        assert secrets.encoded(VALUE) not in text
    assert config.asked() >= {"secret_volumes"}


def test_who_launches_gets_the_value(tmp_path: Path) -> None:
    config = ContainerConfig(rootfs="/r", volumes=(volume(given(mode=0o400, uid=7)),))
    assert codec.decode(ContainerConfig, json.loads(json.dumps(codec.encode(config)))) == config
    isolator = VolumeSecret(IsolatorFlags())
    (mount,) = isolator.prepare(WEB, config).mounts
    assert mount.file is not None
    assert (mount.file.content, mount.file.mode, mount.file.uid) == (secrets.encoded(VALUE), 0o400, 7)
    (planned,) = isolator.contribute(WEB, config).mounts
    assert planned.file is not None
    assert planned.file.content == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"content": "YQ==", "reference": SecretReference(name="a")},
        {"content": "YQ==", "mode": 0o1777},
        {"content": "YQ==", "uid": -1},
        {"content": "YQ==", "gid": (1 << 32) - 1},
        {"content": "no base64!"},
        {"content": secrets.encoded(bytes(secrets.LARGEST + 1))},
    ],
)
def test_bad_ones_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        Secret(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a\0b", "a" * 256])
def test_bad_references_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        SecretReference(name=name)
    with pytest.raises(InvalidRequest):
        SecretReference(name="a", key=name)


def test_without_an_image_the_file_has_to_be_there(tmp_path: Path) -> None:
    """Or the host would be left with an empty one."""
    isolator = VolumeSecret(IsolatorFlags())
    config = ContainerConfig(volumes=(volume(given(), str(tmp_path / "password")),))
    with pytest.raises(InvalidRequest, match="is not there on the host"):
        isolator.prepare(WEB, config)
    (tmp_path / "password").touch()
    assert isolator.prepare(WEB, config).mounts


def test_a_conflict_tells_no_value() -> None:
    parts = [(name, LaunchInfo(secret_environment={"PW": f"hunter-{name}"})) for name in ("a", "b")]
    with pytest.raises(MergeConflict, match=r"secret_environment\[PW\]") as caught:
        merge(parts)
    assert "hunter" not in str(caught.value)


# Resolvers ---------------------------------------------------------------------------------------


def test_files_by_name_and_key(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "password").write_bytes(VALUE)
    (tmp_path / "db").symlink_to("..data")  # as Kubernetes mounts secrets
    (tmp_path / "out").symlink_to("/etc/hostname")
    flags = IsolatorFlags(secret_resolver="file", secrets_dir=str(tmp_path))
    assert secret_resolvers.resolve(SecretReference(name="db", key="password"), flags) == VALUE
    for name, key in (("db", None), ("out", None), ("missing", None), ("../etc/hostname", None), ("db", "x")):
        with pytest.raises(secret_resolvers.SecretUnavailable, match="resolver file has no secret"):
            secret_resolvers.resolve(SecretReference(name=name, key=key), flags)


def test_a_fifo_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    flags = IsolatorFlags(secret_resolver="file", secrets_dir=str(tmp_path))
    with pytest.raises(secret_resolvers.SecretUnavailable, match="no file of"):
        secret_resolvers.resolve(SecretReference(name="fifo"), flags)


def test_variables_with_the_prefix_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERIZER_SECRET_DB_password", "hunter2")
    monkeypatch.setenv("AWS_KEY", "not for you")
    flags = IsolatorFlags(secret_resolver="environment")
    reference = SecretReference(name="DB", key="password")
    assert secret_resolvers.resolve(reference, flags) == b"hunter2"
    for name in ("AWS_KEY", "DB=x", "db password"):
        with pytest.raises(secret_resolvers.SecretUnavailable):
            secret_resolvers.resolve(SecretReference(name=name), flags)


class Vault(secret_resolvers.Resolver):
    """A third party's, which tells too much when it fails."""

    results: ClassVar[dict[str, object]] = {"good": b"hunter2", "text": "hunter2", "large": bytes(1 << 20)}

    def resolve(self, name: str, key: str | None) -> bytes:
        if name not in self.results:
            raise ValueError("hunter2 is the wrong password")
        return self.results[name]  # type: ignore[return-value]


def test_those_of_others_are_found_and_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_resolvers, "_third_party", {"vault": Vault}.__getitem__)
    flags = IsolatorFlags()
    found = secret_resolvers.resolve(SecretReference(name="good", resolver="vault"), flags)
    assert found == b"hunter2"
    for name, told in (("text", "no bytes"), ("bad", "ValueError"), ("large", "at most")):
        with pytest.raises(ContainerizerError, match=told) as caught:
            secret_resolvers.resolve(SecretReference(name=name, resolver="vault"), flags)
        assert "hunter2" not in str(caught.value)


# environment_secret ------------------------------------------------------------------------------


def test_variables_are_resolved_for_a_launch_only(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2")
    isolator = EnvironmentSecret(IsolatorFlags(secret_resolver="file", secrets_dir=str(tmp_path)))
    config = ContainerConfig(environment_secrets={"PW": SecretReference(name="pw")})
    assert isolator.contribute(WEB, config).secret_environment == {"PW": ""}
    assert isolator.prepare(WEB, config).secret_environment == {"PW": "hunter2"}
    (tmp_path / "pw").write_bytes(b"a\0b")
    with pytest.raises(InvalidRequest, match="null byte"):
        isolator.prepare(WEB, config)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_bad_names_are_refused(name: str) -> None:
    config = ContainerConfig(environment_secrets={name: SecretReference(name="pw")})
    with pytest.raises(InvalidRequest, match="invalid name"):
        EnvironmentSecret(IsolatorFlags()).contribute(WEB, config)


def test_one_variable_has_one_secret() -> None:
    config = ContainerConfig(
        environment_secrets={"PW": SecretReference(name="pw")}, secret_environment={"PW": "x"}
    )
    with pytest.raises(InvalidRequest, match="two secrets"):
        EnvironmentSecret(IsolatorFlags()).contribute(WEB, config)
