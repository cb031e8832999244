"""The agent's page, as a person meets it in a browser, and as another site's page would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from containerizer.agent.credentials import hash_secret
from tests.agent.process import AgentProcess, started
from tests.agent.test_server import free_port
from tests.end_to_end.conftest import Cli
from tests.support.authority import Authority
from tests.support.browser import Browser, browser

pytestmark = pytest.mark.requires("root", "overlay", "openssl")

SECRET = "let-me-in"
READS = "ATTACH_CONTAINER_OUTPUT"


class Page:
    """An agent with its page, and the address of it."""

    def __init__(self, agent: AgentProcess, cli: Cli, port: int) -> None:
        self.agent = agent
        self.cli = cli
        self.port = port

    def url(self, path: str = "", principal: str = "ops") -> str:
        return f"https://{principal}:{SECRET}@127.0.0.1:{self.port}/{path}"

    def get(self, path: str, **headers: str) -> requests.Response:
        url, auth = f"https://127.0.0.1:{self.port}/{path}", ("ops", SECRET)
        return requests.get(url, auth=auth, headers=headers, verify=False, allow_redirects=False, timeout=60)

    def run(self, name: str, *command: str, options: tuple[str, ...] = ()) -> None:
        done = self.cli("run", "-d", "--name", name, *options, "host", *command)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    cli = Cli(tmp_path / "root", tmp_path / "state")
    server = Authority.make(tmp_path / "ca").issue("agent")
    entries = [{"principal": name, "secret": hash_secret(SECRET)} for name in ("ops", "guest")]
    (tmp_path / "credentials").write_text(json.dumps({"credentials": entries}))
    reads = json.dumps(["GET_STATE", "GET_CONTAINERS", READS])
    rules = f'rules = [{{principals = ["ops"], calls = ["*"]}}, {{principals = ["guest"], calls = {reads}}}]'
    (tmp_path / "acls").write_text(rules)
    port = free_port()
    flags = [
        f"--listen=unix:{cli.state}/agent.sock,tcp:127.0.0.1:{port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--http-credentials={tmp_path}/credentials",
        f"--acls={tmp_path}/acls",
        "--ui=true",
    ]
    with started(cli.root, cli.state, *flags) as agent:
        yield Page(agent, cli, port)
        for container in reversed(cli.containers()):
            cli("rm", "-f", str(container["id"]))
        agent.stop()


@pytest.mark.requires("chromium")
def test_a_person_looks_types_and_kills(page: Page) -> None:
    page.run("web", "sh", "-c", "echo it says hello; while :; do :; done", options=("-m", "64m"))
    page.run("web.db", "sleep", "1000")
    page.cli("run", "--name", "over", "host", "sh", "-c", "exit 3")
    with browser() as shown:
        shown.open(page.url("ui"))
        shown.until(lambda: "web" in shown.text("#tree") and "db" in shown.text("#tree"))
        assert "over" not in shown.text("#tree")
        shown.click("#ended")
        shown.until(lambda: "exited with 3" in shown.text("#tree"))
        _watch_a_plot_move(shown)
        shown.click("[data-tab=logs]")
        shown.until(lambda: "it says hello" in shown.text("#logs"))
        shown.click("[data-tab=limits]")
        shown.until(lambda: "64.0 MiB" in shown.text("#limits"))
        _type(shown)
        page.run("late", "sleep", "1000")
        shown.until(lambda: "late" in shown.text("#tree"))
        _kill(shown, "late")
        assert [each["termination"] for each in page.cli.containers() if each["id"] == "late"] != [None]
        assert shown.console() == []


def choose(shown: Browser, name: str) -> None:
    shown.click(f"[data-id='{name}'] button")
    shown.until(lambda: shown.text("#name") == name)


def _watch_a_plot_move(shown: Browser) -> None:
    choose(shown, "web")
    points = "return Number(document.querySelector('[data-of=cpu] canvas')?.dataset.points ?? 0)"
    first = shown.until(lambda: shown.script(points))
    shown.until(lambda: shown.script(points) > first)
    drawn = """
        const canvas = document.querySelector('[data-of=cpu] canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data.some((value) => value);
    """
    assert shown.script(drawn)
    assert "%" in shown.text("[data-of=cpu] span") and "of 64.0 MiB" in shown.text("[data-of=memory] span")


def _type(shown: Browser) -> None:
    shown.click("[data-tab=terminal]")
    shown.click("#terminal [type=submit]")
    screen = "#screen .xterm-rows"
    shown.until(lambda: "#" in shown.text(screen))
    shown.type("#screen textarea", "echo six times seven is $((6 * 7)); stty size\n")
    shown.until(lambda: "six times seven is 42" in shown.text(screen))
    rows = shown.script("return document.querySelector('#screen .xterm-rows').childElementCount")
    shown.until(lambda: f"\n{rows} " in shown.text(screen))
    shown.type("#screen textarea", "exit 7\n")
    shown.until(lambda: "ended with 7" in shown.text(screen))


def _kill(shown: Browser, name: str) -> None:
    choose(shown, name)
    kill = "return [...document.querySelectorAll('#actions button')].findIndex((b) => b.innerText == 'Kill')"
    number = shown.until(lambda: shown.script(kill) + 1)
    shown.click(f"#actions button:nth-child({number})")
    shown.accept()
    shown.until(lambda: "SIGKILL" in shown.text("#state"))


@pytest.mark.requires("chromium")
def test_on_a_phone_and_for_who_may_only_look(page: Page) -> None:
    page.run("web", "sh", "-c", "echo typed for; cat", options=("-i",))
    with browser() as shown:
        shown.resize(400, 800)
        shown.open(page.url("ui/", "guest"))
        shown.until(lambda: "web" in shown.text("#tree"))
        choose(shown, "web")
        assert not shown.script("return document.querySelector('nav').offsetParent"), "one thing at a time"
        assert shown.script("return document.documentElement.scrollWidth <= innerWidth"), (
            "nothing to the side"
        )
        shown.click("[data-tab=terminal]")
        shown.click("#terminal [type=button]")
        shown.until(lambda: "typed for" in shown.text("#screen .xterm-rows"))
        shown.click("#terminal [type=submit]")  # a command is more than looking
        shown.until(
            lambda: shown.script("return document.querySelector('#screen').dataset.connected") == "false"
        )
        shown.click("#theme")
        assert shown.script("return document.documentElement.dataset.theme") in ("light", "dark")
        shown.click("#back")
        shown.until(lambda: shown.script("return document.querySelector('nav').offsetParent !== null"))


QUIET = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
OTHERS: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
]


@QUIET
def test_the_page_is_all_its_own_and_other_sites_are_refused(page: Page) -> None:
    answer = page.get("ui/")
    assert answer.status_code == 200 and "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text and "https://" not in answer.text
    again = page.get("ui/", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")
    assert page.get("ui/static/main.mjs").headers["Content-Type"].startswith("text/javascript")
    assert page.get("ui/static/vendor/xterm.mjs").status_code == 200
    for name in ("../routes.py", "vendor/LICENSE.xterm", "..%2froutes.py", "nothing.mjs"):
        assert page.get(f"ui/static/{name}").status_code in (400, 404), name
    for headers in OTHERS:
        assert page.get("state", **headers).status_code == 403, headers
        assert page.get("ui/", **headers).status_code == 403, headers
        assert page.get("ui/attach?container=web", **UPGRADE, **headers).status_code == 403, headers
    assert page.get("state", **{"Sec-Fetch-Site": "same-origin"}).status_code == 200


BAD = [
    ("ui/exec?container=web", "no command given"),
    ("ui/exec?container=web&command='", "cannot be split"),
    ("ui/exec?container=../x&command=sh", "name"),
    ("ui/attach", "name"),
]


@QUIET
def test_bad_requests(page: Page) -> None:
    for path, said in BAD:
        answer = page.get(path)
        assert answer.status_code == 400 and said in answer.text, path


def test_there_is_none_unless_asked_for(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "root", tmp_path / "state")
    with started(cli.root, cli.state) as agent:
        assert agent.request("GET", "/ui/")[0] == 404
        agent.stop()
