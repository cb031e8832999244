"""A volume plug-in of Docker's protocol, written against its documents, that misbehaves as it is told.

A volume is a directory that outlives its mounts; it is mounted (a bind mount, seen by the whole host) for
the first user by an ID, and unmounted after the last. `behaviour` says for a method what is to become of
the next calls, until it is taken away:

    "hang"     no answer, until the server stops
    "error"    an Err, and nothing done
    "die"      it is done, and the connection is closed without an answer
    "junk"     an answer that is no JSON
    "missing"  status 404
    "dribble"  an answer that begins and does not end: a byte a moment
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class VolumePlugin:
    """What it has, and how it behaves."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.mounts = directory / "mounts"
        for each in (self.data, self.mounts):
            each.mkdir(parents=True, exist_ok=True)
        self.behaviour: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.volumes: dict[str, dict[str, str]] = {}  # name → options
        self.users: dict[str, set[str]] = {}
        self.implements = ["VolumeDriver"]
        self.scope = "global"
        self.hanging = threading.Event()  # somebody does
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def named(self, method: str) -> list[dict[str, Any]]:
        """What calls of the method asked for, in their order."""
        return [body for name, body in self.calls if name == method]

    def is_mounted(self, name: str) -> bool:
        return _is_mounted(self.mounts / name)

    def forget(self) -> None:
        """As one that has been started again with nothing on disk: no user, and no mount."""
        self.users.clear()
        for path in self.mounts.iterdir():
            while _is_mounted(path):
                subprocess.run(["umount", str(path)], check=True)

    def mount(self, name: str) -> None:
        """For the first user."""
        subprocess.run(["mount", "--bind", self.data / name, self.mounts / name], check=True)

    def unmount(self, name: str) -> None:
        """After the last."""
        subprocess.run(["umount", self.mounts / name], check=True)

    def answer(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.behaviour.get(method) == "error":
            return {"Err": f"storage says no to {method}"}
        with self._lock:
            return _METHODS[method](self, body)

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["Opts"].get("refused"):
            return {"Err": "option refused is refused"}
        self.volumes.setdefault(body["Name"], body["Opts"])
        (self.data / body["Name"]).mkdir(exist_ok=True)
        (self.mounts / body["Name"]).mkdir(exist_ok=True)
        return {}

    def _remove(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.users.get(body["Name"]):
            return {"Err": "volume is in use"}
        if self.volumes.pop(body["Name"], None) is None:
            return {"Err": "no such volume"}
        return {}

    def _mount(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["Name"]
        if name not in self.volumes:
            return {"Err": "no such volume"}
        users = self.users.setdefault(name, set())
        if not users:
            self.mount(name)
        users.add(body["ID"])
        return {"Mountpoint": str(self.mounts / name)}

    def _unmount(self, body: dict[str, Any]) -> dict[str, Any]:
        users = self.users.get(body["Name"], set())
        if body["ID"] not in users:
            return {"Err": "not mounted by this ID"}
        users.discard(body["ID"])
        if not users:
            self.unmount(body["Name"])
        return {}

    def _path(self, body: dict[str, Any]) -> dict[str, Any]:
        mounted = self.users.get(body["Name"])
        return {"Mountpoint": str(self.mounts / body["Name"])} if mounted else {"Err": "not mounted"}

    def _get(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["Name"] not in self.volumes:
            return {"Err": "no such volume"}
        return {"Volume": {"Name": body["Name"], **self._path(body), "Status": {"users": 1}, "Err": None}}

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"Volumes": [{"Name": name} for name in self.volumes]}


_METHODS = {
    "Plugin.Activate": lambda plugin, body: {"Implements": plugin.implements},
    "VolumeDriver.Create": VolumePlugin._create,
    "VolumeDriver.Remove": VolumePlugin._remove,
    "VolumeDriver.Mount": VolumePlugin._mount,
    "VolumeDriver.Unmount": VolumePlugin._unmount,
    "VolumeDriver.Path": VolumePlugin._path,
    "VolumeDriver.Get": VolumePlugin._get,
    "VolumeDriver.List": VolumePlugin._list,
    "VolumeDriver.Capabilities": lambda plugin, body: {"Capabilities": {"Scope": plugin.scope}},
}


def _is_mounted(path: Path) -> bool:
    """A bind mount of the same filesystem is one as well."""
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def handler(plugin: VolumePlugin) -> type[http.server.BaseHTTPRequestHandler]:
    """What serves it, by any server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            method = self.path.lstrip("/")
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(content) if content else {}
            plugin.calls.append((method, body))
            behaviour = plugin.behaviour.get(method, "" if method in _METHODS else "missing")
            if behaviour == "missing":
                self._say(404, b"")
                return
            if behaviour == "hang":
                plugin.hanging.set()
                plugin.stopping.wait()
                return
            answer = json.dumps({"Err": "", **plugin.answer(method, body)}).encode()
            if behaviour == "die":
                self.close_connection = True
            elif behaviour == "dribble":
                self._dribble()
            else:
                self._say(200, b"<p>" if behaviour == "junk" else answer)

        def _say(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")  # as Go's server does, where a client asks for it
            self.end_headers()
            self.wfile.write(content)

        def _dribble(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not plugin.stopping.wait(0.01):
                    self.wfile.write(b" ")

        def address_string(self) -> str:
            return "plugin"

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False  # joined when the server closes

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asks may have hung up; of anything else the test is told by the missing answer."""


@contextlib.contextmanager
def listening(plugin: VolumePlugin, path: Path) -> Iterator[VolumePlugin]:
    """Have it serve at a Unix socket, until the context ends; nothing stays mounted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plugin.stopping.clear()
    server = _Server(str(path), handler(plugin))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield plugin
    finally:
        plugin.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink()
        plugin.forget()
