"""registries.conf: what containers-registries.conf(5) says of prefixes, mirrors, short names and helpers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import ImageBlocked, InvalidReference, RegistryConfigurationError
from provisioner.provisioner import Provisioner
from provisioner.reference import ImageReference
from provisioner.registry import conf_files, credentials
from provisioner.registry.options import RegistryOptions
from provisioner.registry.registries_conf import AUTH_FILES, RegistriesConf
from provisioner.registry.settings import Settings
from provisioner.store.prune import Criteria
from tests.provisioner.conftest import isolate
from tests.provisioner.parts import ONE, TWO, log_in
from tests.provisioner.places import places
from tests.support import images
from tests.support.images import image
from tests.support.registry import Registry

needs_registry = pytest.mark.requires("root", "registry")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


CONF = """
[[registry]]
prefix = "example.com/team"
location = "real.local:5000/group"
[[registry.mirror]]
location = "one.local/m"
insecure = true
[[registry.mirror]]
location = "two.local/m"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "example.com/team/forbidden"
blocked = true
[[registry]]
prefix = "*.wild.local"
insecure = true
"""


def test_the_longest_prefix_gives_mirrors_and_the_place(tmp_path: Path) -> None:
    assert places(tmp_path, "example.com/team/app", conf=CONF) == [
        "either://one.local/v2/m/app",
        "https://real.local:5000/v2/group/app",
    ]
    pinned = f"example.com/team/app@sha256:{'0' * 64}"
    assert "https://two.local/v2/m/app" in places(tmp_path, pinned, conf=CONF)
    assert places(tmp_path, "example.com/teams/app", conf=CONF) == ["https://example.com/v2/teams/app"]
    assert places(tmp_path, "a.b.wild.local/x/y", conf=CONF) == ["either://a.b.wild.local/v2/x/y"]
    with pytest.raises(ImageBlocked, match=r"example\.com/team/forbidden:latest is blocked"):
        places(tmp_path, "example.com/team/forbidden", conf=CONF)


def test_a_prefix_may_name_one_image(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    text = f"""
    [[registry]]
    prefix = "r.local/team/app:v1"
    location = "old.local/archive:frozen"
    [[registry.mirror]]
    location = "mirror.local/app"
    [[registry]]
    prefix = "r.local/team/app@{digest}"
    blocked = true
    """
    assert places(tmp_path, "r.local/team/app:v1", conf=text) == [
        "https://mirror.local/v2/app",
        "https://old.local/v2/archive:frozen",
    ]
    assert places(tmp_path, "r.local/team/app:v12", conf=text) == ["https://r.local/v2/team/app"]
    for name in (f"r.local/team/app@{digest}", f"r.local/team/app:v2@{digest}"):
        with pytest.raises(ImageBlocked):
            places(tmp_path, name, conf=text)


def test_a_prefix_ends_where_a_part_of_the_name_does(tmp_path: Path) -> None:
    text = """
    [[registry]]
    prefix = "r.local"
    location = "all.local"
    [[registry]]
    prefix = "r.local/a"
    location = "a.local"
    [[registry]]
    prefix = "*.r.local"
    blocked = true
    """
    assert places(tmp_path, "r.local/a/b", conf=text) == ["https://a.local/v2/b"]
    assert places(tmp_path, "r.local/ab", conf=text) == ["https://all.local/v2/ab"]
    assert places(tmp_path, "r.local:5000/a/b", conf=text) == ["https://r.local:5000/v2/a/b"]
    for host in ("x.r.local", "x.y.r.local:5000"):
        with pytest.raises(ImageBlocked):
            places(tmp_path, f"{host}/a", conf=text)


def test_mirrors_by_how_the_image_is_asked_for(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    text = """
    [[registry]]
    prefix = "r.local"
    [[registry.mirror]]
    location = "digests.local"
    pull-from-mirror = "digest-only"
    [[registry.mirror]]
    location = "tags.local"
    pull-from-mirror = "tag-only"
    [[registry]]
    prefix = "strict.local"
    mirror-by-digest-only = true
    [[registry.mirror]]
    location = "digests.local"
    """
    asked = {
        "r.local/x": ["tags.local", "r.local"],
        f"r.local/x@{digest}": ["digests.local", "r.local"],
        f"r.local/x:v1@{digest}": ["digests.local", "r.local"],
        "strict.local/x": ["strict.local"],
        f"strict.local/x@{digest}": ["digests.local", "strict.local"],
    }
    for name, hosts in asked.items():
        assert places(tmp_path, name, conf=text) == [f"https://{host}/v2/x" for host in hosts]


A, B = (f"sha256:{digit * 64}" for digit in "ab")
MIRRORED, MIRROR = "[[registry]]\nprefix = 'r.local'\n", "[[registry.mirror]]\nlocation = 'm.local'\n"


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("[[registry", "is not TOML"),
        ("[[registry]]\nblocked = true", "prefix is missing"),
        ('[[registry]]\nprefix = "r.local"\ninsecure = "yes"', "insecure has to be of type bool"),
        ('[[registry]]\nprefix = "*.r.local/x"', "wildcard as"),
        ('[[registry]]\nprefix = "r.*.local"', "wildcard as"),
        ('[[registry]]\nprefix = "r.local"\nlocation = "s.local:5000/x:tag"', "which is no image"),
        (f'[[registry]]\nprefix = "r.local/x@{A}"\nlocation = "s.local/x@{B}"', "another digest"),
        (f"{MIRRORED}mirror-by-digest-only = true\n{MIRROR}pull-from-mirror = 'all'", "contradicts"),
        (f"{MIRRORED}{MIRROR}pull-from-mirror = 'some'", "has to be one of all"),
        ('[aliases]\nx = "y"', "lead from a short name"),
        ('[aliases]\nx = "r.local/y:v1"', "without tags"),
        ('[aliases]\n"r.local/x" = "r.local/y"', "lead from a short name"),
        ("[registries.search]\nregistries = []", "of version 1"),
        ('registry = "r.local"', "registry has to be of type list"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, conf: str, message: str) -> None:
    with pytest.raises(RegistryConfigurationError, match=rf"registries\.conf.*{message}"):
        places(tmp_path, f"r.local/x@{A}", conf=conf)


# Short names.


def completed(tmp_path: Path, text: str, conf: str) -> str:
    (tmp_path / "registries.conf").write_text(conf)
    return RegistriesConf.load(None).short_names.complete(text)


def test_short_names_are_docker_hubs_or_refused(tmp_path: Path) -> None:
    assert places(tmp_path, "busybox") == ["https://registry-1.docker.io/v2/library/busybox"]
    (tmp_path / "registries.conf").write_text('unqualified-search-registries = ["quay.io", "docker.io"]')
    settings = Settings(RegistryOptions())
    settings.check_short_name("quay.io/busybox")
    with pytest.raises(InvalidReference, match="'busybox' names no registry") as caught:
        settings.check_short_name("busybox")
    assert "docker.io/busybox" in str(caught.value.hint)


def test_an_alias_comes_before_a_search(tmp_path: Path) -> None:
    conf = """
    unqualified-search-registries = ["one.local", "two.local"]
    [aliases]
    "app" = "r.local:5000/team/app"
    "team/tool" = "r.local/tool"
    "gone" = ""
    """
    digest = f"@sha256:{'0' * 64}"
    for suffix in ("", ":v1", digest, f":v1{digest}"):
        assert completed(tmp_path, f"app{suffix}", conf) == f"r.local:5000/team/app{suffix}"
    assert completed(tmp_path, "docker://team/tool", conf) == "r.local/tool"
    for same in ("gone", "other", "two.local/app", "localhost/app", "oci:/app", "oci-archive:app"):
        assert completed(tmp_path, same, conf) == same
    Settings(RegistryOptions()).check_short_name("app:v1")
    with pytest.raises(InvalidReference, match="names no registry"):
        Settings(RegistryOptions()).check_short_name("gone")


def test_one_registry_to_search_is_no_guess(tmp_path: Path) -> None:
    conf = 'unqualified-search-registries = ["r.local"]'
    assert completed(tmp_path, "app:v1", conf) == "r.local/app:v1"
    Settings(RegistryOptions()).check_short_name("app:v1")


def test_drop_ins_replace_and_take_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(conf_files.ENVIRONMENT)
    own = tmp_path / "home/.config/containers/registries.conf"
    own.parent.mkdir(parents=True)
    own.write_text('[aliases]\nx = "a.local/x"\ny = "a.local/y"\n[[registry]]\nlocation = "a.local"\n')
    drop_in = own.with_name("registries.conf.d") / "50.conf"
    drop_in.parent.mkdir()
    drop_in.write_text('[aliases]\nx = ""\n[[registry]]\nlocation = "a.local"\nblocked = true\n')
    drop_in.with_name("50.txt").write_text("no TOML")
    names = RegistriesConf.load(None).short_names
    assert (names.complete("x"), names.complete("y")) == ("x", "a.local/y")
    with pytest.raises(ImageBlocked):
        Settings(RegistryOptions()).endpoints(ImageReference.parse("a.local/y"))


@needs_registry
def test_an_alias_leads_to_the_image_wherever_it_is_named(
    provisioner: Provisioner, registry: Registry, tmp_path: Path
) -> None:
    images.push(image(ONE), registry.host, "team/real", "v1")
    images.push(image(TWO), registry.host, "team/real", "latest")
    (tmp_path / "registries.conf").write_text(f'aliases = {{ short = "{registry.host}/team/real" }}')
    pulled = provisioner.pull("short:v1")
    assert pulled.reference == f"{registry.host}/team/real:v1"
    assert provisioner.pull("short:v1", policy="never") == pulled
    provisioner.pull("short")
    assert provisioner.save(["short:v1"], str(tmp_path / "saved")) == [pulled]
    gone = provisioner.prune(Criteria(everything=True, excluded=("short:v1",)))
    assert [one.reference for one in gone.images] == [f"{registry.host}/team/real:latest"]
    assert provisioner.remove("short:v1") == pulled


def test_files_that_do_not_mention_a_name_are_not_read_as_toml(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text("# unqualified-search-registries\n# app\n[aliases]\nother = 'r.local/other'")
    assert not conf_files.mention("app", None)
    assert conf_files.mention("other", None)
    conf.write_text("unqualified-search-registries = []")
    assert conf_files.mention("app", None)


# One image's place, and credential helpers.


@needs_registry
def test_another_tag_is_asked_for(provisioner: Provisioner, registry: Registry, tmp_path: Path) -> None:
    digest = images.push(image(ONE), registry.host, "frozen", "old")
    place = f'[[registry]]\nprefix = "r.local/app:v1"\nlocation = "{registry.host}/frozen:old"'
    (tmp_path / "registries.conf").write_text(place)
    pulled = provisioner.pull("r.local/app:v1")
    assert (pulled.reference, pulled.digest) == ("r.local/app:v1", digest)
    assert provisioner.pull("r.local/app:v1") == pulled


HELPER = """#!/bin/sh
read server
echo "$1 $server" >> {log}
[ "$1" = get ] && echo '{{"Username": "from-helper", "Secret": "s"}}'
exit 0
"""


def test_credential_helpers_are_asked_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, program = tmp_path / "log", tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    log_in(tmp_path, "r.local", "from-file:x")

    def who(registry: str, *helpers: str, authfile: str | None = None) -> str:
        (tmp_path / "registries.conf").write_text(f"credential-helpers = {json.dumps(helpers)}")
        configured = Settings(RegistryOptions()).credential_helpers
        found = credentials.find(registry, "app", authfile, configured)
        return found.username if found else ""

    assert who("r.local", "test", AUTH_FILES) == "from-helper"
    assert who("r.local", AUTH_FILES, "test") == "from-file"
    assert who("other.local", AUTH_FILES, "test") == "from-helper"
    assert who("r.local", "test", authfile=str(tmp_path / "config.json")) == "from-file"
    assert who("other.local") == ""
    assert log.read_text() == "get r.local\nget other.local\n"
