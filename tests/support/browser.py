"""Debian's Chromium, without a screen, driven by chromedriver: https://www.w3.org/TR/webdriver2/."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")

TIMEOUT = 60  # seconds until something counts as hung

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of a reference to one, by the standard
_OPTIONS = [
    "--headless",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,800",
]


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._url = session

    def open(self, url: str) -> None:
        self._post("url", url=url)

    def script(self, text: str, *arguments: Any) -> Any:
        """The value that the function body returns."""
        return self._post("execute/sync", script=text, args=list(arguments))

    def text(self, selector: str) -> str:
        """Of the first element; "" if there is none."""
        return str(self.script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        self._post(f"element/{self._element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._post(f"element/{self._element(selector)}/value", text=text)

    def accept(self) -> None:
        """The question that the page asks."""
        self._post("alert/accept")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._get("screenshot")))

    def resize(self, width: int, height: int) -> None:
        self._post("window/rect", width=width, height=height)

    def until(self, condition: Callable[[], T]) -> T:
        """The first true value of it."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, self.script("return document.body.innerText")
        return value

    def console(self) -> list[str]:
        """What went wrong in the page."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def _element(self, selector: str) -> str:
        return str(self._post("element", using="css selector", value=selector)[_ELEMENT])

    def _post(self, path: str, **body: Any) -> Any:
        return _value(requests.post(f"{self._url}/{path}", json=body, timeout=TIMEOUT))

    def _get(self, path: str) -> Any:
        return _value(requests.get(f"{self._url}/{path}", timeout=TIMEOUT))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A window that trusts any certificate, with nothing of before."""
    with tempfile.TemporaryDirectory() as directory, _driver(directory) as url:
        options = {"args": [*_OPTIONS, f"--user-data-dir={directory}"], "binary": "/usr/bin/chromium"}
        capabilities = {
            "acceptInsecureCerts": True,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "SEVERE"},
        }
        body = {"capabilities": {"alwaysMatch": capabilities}}
        session = _value(requests.post(f"{url}/session", json=body, timeout=TIMEOUT))["sessionId"]
        try:
            yield Browser(f"{url}/session/{session}")
        finally:
            requests.delete(f"{url}/session/{session}", timeout=TIMEOUT)


@contextlib.contextmanager
def _driver(directory: str) -> Iterator[str]:
    argv = ["chromedriver", "--port=0"]
    environment = {"HOME": directory, "PATH": "/usr/bin:/bin", "TMPDIR": directory}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            started = next(line for line in process.stdout if "started successfully on port" in line)
            yield f"http://127.0.0.1:{started.split()[-1].rstrip('.')}"
        finally:
            process.kill()


def _value(response: requests.Response) -> Any:
    value = response.json()["value"]
    assert response.ok, value
    return value
