"""What the pages say of other pages, of files and of commands: that it is there."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from containerizer.cli import main
from containerizer.cli.main import COMMANDS, Parser
from launcher.errors import InvalidRequest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern)
)
TOP = ("containerizer", "launcher", "isolators", "provisioner", "tests", "benchmarks", "docs")

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(rf"`((?:{'|'.join(TOP)})/[\w./*{{}},-]+)`")
_SHELL = ("sh", "console", "")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {each.replace(" ", "-") for each in words}


def test_links_lead_somewhere() -> None:
    assert [
        f"{page}: {link}" for page in PAGES for link in _LINK.findall(text_of(page)) if is_broken(page, link)
    ] == []


def is_broken(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    if "://" in path:
        return False
    target = (ROOT / page).parent / path if path else ROOT / page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_files_that_are_named_are_there() -> None:
    """But in the changelog, which tells of what was."""
    named = [
        (page, path) for page in PAGES if page != "CHANGELOG.md" for path in _PATH.findall(text_of(page))
    ]
    assert [each for each in named if not any(ROOT.glob(one_of(each[1]).rstrip("/")))] == []


def one_of(path: str) -> str:
    """The first of {these,those}."""
    return re.sub(r"\{([\w.]+)[^}]*\}", r"\1", path)


def test_the_readme_leads_to_every_page() -> None:
    """By links, over other pages too. The pages of isolators go by their names."""
    reached, waiting = (
        set[str](),
        ["README.md", *(page for page in PAGES if page.startswith("docs/isolators/"))],
    )
    while waiting:
        page = waiting.pop()
        if page not in reached and page in PAGES:
            reached.add(page)
            here = (ROOT / page).parent
            linked = [(here / link.partition("#")[0]).resolve() for link in _LINK.findall(text_of(page))]
            linked = [each / "README.md" if each.is_dir() else each for each in linked]
            waiting += [each.relative_to(ROOT).as_posix() for each in linked if each.is_relative_to(ROOT)]
    assert [page for page in PAGES if page not in reached] == []


def command_lines(page: str) -> Iterator[list[str]]:
    """The words behind `containerizer`, of every example of a shell."""
    text = re.sub(r"\\\n\s*", "", text_of(page))
    for kind, block in _FENCED.findall(text):
        if kind in _SHELL:
            yield from _commands(re.sub(r"<<END\n.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL))
    rest = _FENCED.sub("", text)
    yield from _commands("\n".join(re.findall(r"^    (.*)$", rest, re.MULTILINE)))


def _commands(lines: str) -> Iterator[list[str]]:
    for line in lines.splitlines():
        line = re.split(r"\s#", line)[0]  # what a person is told
        for found in re.finditer(r"(?:^ *(?:\$ )?|[|&;(] *|^ *\w+=\S+ )containerizer ", line):
            yield _until_an_operator(line[found.end() :])


def _until_an_operator(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    with contextlib.suppress(ValueError):  # it goes on in the next line
        for word in lexer:
            if set(word) <= set("|&;()<>"):
                if word[0] in "<>" and words and words[-1].isdigit():
                    words.pop()  # the number of what is redirected
                break
            words.append(word)
    return words


def test_commands_take_what_the_pages_give_them() -> None:
    found = [(page, words) for page in PAGES if "/reference/" not in page for words in command_lines(page)]
    assert len(found) > 80
    wrong = {f"{page}: {shlex.join(words)}": why for page, words in found if (why := refused(words))}
    assert wrong == {}


def test_commands_that_sentences_name() -> None:
    named = [
        (page, word) for page in PAGES for word in re.findall(r"`containerizer ([a-z]\w+)", text_of(page))
    ]
    assert [each for each in named if each[1] not in COMMANDS] == []


def refused(words: list[str]) -> str:
    """What the command line says of these options; "" if they are fine."""
    arguments = argparse.Namespace()
    if "--help" in words:
        return ""
    try:
        main._parse_globals(words, arguments)
        if arguments.command is None or arguments.command not in COMMANDS:
            return "" if arguments.version or not words else "no such command"
        package = "containerizer.client.commands" if arguments.agent else "containerizer.cli"
        module = importlib.import_module(f"{package}.{arguments.command}")
        parser = Parser(prog=arguments.command, usage=getattr(module, "USAGE", None))
        module.configure(parser)
        parser.parse_args(arguments.rest, arguments)
    except InvalidRequest as error:
        return "" if "…" in arguments.rest and "are required" in str(error) else str(error)
    return ""
