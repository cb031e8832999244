"""Registries from the command line: login, logout, options, and what is said of trouble."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "registry")

PARTS = image(layer([entry("file", b"x" * 5000)], compression="none"))
# bcrypt of "secret": docker-registry takes no other kind.
USERS = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


def test_login_pull_logout(fresh: Cli, tmp_path: Path) -> None:
    with Registry.start(tmp_path / "storage") as plain:
        images.push(PARTS, plain.host, "image", "latest")
    (tmp_path / "htpasswd").write_text(USERS)
    authfile = ("--authfile", str(tmp_path / "auth.json"))
    who = ("--username", "user", "--password-stdin")
    with Registry.start(tmp_path / "storage", htpasswd=tmp_path / "htpasswd") as private:
        name = f"{private.host}/image"
        refused = fresh("login", *authfile, *who, private.host, stdin="wrong\n")
        assert refused.returncode == 125 and "denies access to user 'user'" in refused.stderr
        assert "needs a user" in fresh("pull", "--password-stdin", name, stdin="x").stderr
        assert fresh("pull", *authfile, name).returncode == 125
        assert fresh("pull", *authfile, *who, name, stdin="secret").returncode == 0
        done = fresh("login", *authfile, *who, private.host, stdin="secret\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"logged in to {private.host} as user" in done.stdout and "secret" not in done.stdout
        assert fresh("pull", *authfile, name).returncode == 0
        assert fresh("logout", *authfile, private.host).returncode == 0
        assert "nobody is logged in" in fresh("logout", *authfile, private.host).stderr
        assert "use --username" in fresh("login", *authfile, private.host).stderr


def test_login_where_nobody_is_asked_says_so(fresh: Cli, registry: Registry, tmp_path: Path) -> None:
    """Any password is stored, and none is known to be right."""
    where = ("--authfile", str(tmp_path / "auth.json"), "--username", "user", "--password-stdin")
    done = fresh("login", *where, registry.host, stdin="any\n")
    assert done.returncode == 0 and "logged in" not in done.stdout
    assert "but not tried: the registry asks nobody who they are" in done.stdout
    assert registry.host in (tmp_path / "auth.json").read_text()


def test_trouble_is_told_and_a_mirror_is_taken(fresh: Cli, registry: Registry, tmp_path: Path) -> None:
    images.push(PARTS, registry.host, "trouble", "latest")
    conf = tmp_path / "registries.conf"
    with FaultyProxy.start(registry.host) as proxy:
        mirror = f'[[registry.mirror]]\nlocation = "{proxy.host}"\n'
        conf.write_text(f'[[registry]]\nprefix = "real.local"\nlocation = "127.0.0.1:9"\n{mirror}')
        proxy.fault("/manifests/", Fault(status=503))
        done = fresh("pull", "--registries-conf", str(conf), "real.local/trouble")
    assert done.returncode == 0, done.stderr
    assert f"registry {proxy.host} answers 503; trying again in" in done.stderr


def test_one_ctrl_c_ends_a_slow_pull(fresh: Cli, registry: Registry) -> None:
    images.push(PARTS, registry.host, "slow", "latest")
    with FaultyProxy.start(registry.host) as proxy:
        proxy.fault(f"/blobs/{images.digest(PARTS.layers[0].blob)}", Fault(stall_after=1000))
        argv = [*fresh.argv, "pull", f"{proxy.host}/slow"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as pull:
            assert proxy.stalled.acquire(timeout=60)
            pull.send_signal(signal.SIGINT)
            assert pull.wait(30) == 130
            assert pull.stderr is not None and b"Traceback" not in pull.stderr.read()
    assert fresh("images", "--quiet").stdout.strip() == ""
