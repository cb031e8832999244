"""The reference pages and the manual pages, made from the code: `make reference`, `make man`.

docs/reference/*.md are checked in, and a test says when they are older than the code. Manual pages are
made where they are asked for (man-pages(7), groff_man(7)).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from containerizer.agent import flags
from containerizer.agent.metrics import Metrics
from containerizer.api.proto.agent_pb2 import Call
from containerizer.cli.examples import EXAMPLES
from containerizer.cli.main import COMMANDS, REMOTE, Parser
from containerizer.event import KINDS
from isolators import catalog
from isolators.resources import Usage

HERE = Path(__file__).parent / "reference"
_NOTE = "<!-- made from the code by `make reference` -->\n"


class Option(NamedTuple):
    """As it is written, and what it means."""

    written: str
    meaning: str


class Page(NamedTuple):
    """Of one command, or of one below it: `network create`."""

    name: str
    description: str
    usage: str
    groups: Mapping[str, list[Option]]


def pages() -> Iterator[Page]:
    """Of all commands, in the order of `containerizer --help`."""
    for name, command in COMMANDS.items():
        if command.hidden:
            continue
        module = importlib.import_module(f"containerizer.cli.{name}")
        parser = Parser(
            prog=f"containerizer {name}", description=module.__doc__, usage=getattr(module, "USAGE", None)
        )
        module.configure(parser)
        yield from _pages(parser, name)


def _pages(parser: argparse.ArgumentParser, name: str) -> Iterator[Page]:
    groups: dict[str, list[Option]] = {}
    below = []
    for group in parser._action_groups:
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                below += list(action.choices.items())
            elif action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
                title = group.title if group.title not in ("options", "positional arguments") else ""
                groups.setdefault(title or "", []).append(_option(parser, action))
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    yield Page(name, (parser.description or "").strip(), usage, groups)
    for each, sub in below:
        yield from _pages(sub, f"{name} {each}")


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    value = action.metavar if isinstance(action.metavar, str) else None
    if value is None and action.nargs != 0:
        value = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    names = ", ".join(action.option_strings)
    written = " ".join(filter(None, (names, value)))
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return Option(written, text)


# The reference -----------------------------------------------------------------------------------


def commands_page() -> str:
    lines = [_NOTE, "# Commands\n", "Global options go before the command: `containerizer --state DIR ps`.\n"]
    for page in pages():
        level = "##" if " " not in page.name else "###"
        remote = "\n\nAlso with `--agent URL`." if page.name in REMOTE else ""
        lines.append(f"{level} {page.name}\n\n{_prose(page.description)}{remote}\n\n    {page.usage}\n")
        for title, options in page.groups.items():
            lines += [f"*{title}*\n"] if title else []
            lines += [f"- `{each.written}` {_escaped(each.meaning)}" for each in options] + [""]
        examples = EXAMPLES.get(page.name, ())
        if examples:
            lines += [
                "```sh",
                *(f"containerizer {line}   # {meaning}" for line, meaning in examples),
                "```\n",
            ]
    return "\n".join(lines)


def flags_page() -> str:
    rows = []
    for name, flag in flags.TABLE.items():
        default = f"`{flag.default}`" if flag.default else ""
        rows.append(f"| `--{name.replace('_', '-')}` | {_cell(flag.meaning)} | {default} |")
    text = (
        "Each may be given on the command line, in the environment (`CONTAINERIZER_WORK_DIR`), or in the TOML"
        "\nfile of `--config` (`work_dir = …`); the first of these wins.\n"
    )
    return "\n".join(
        [
            _NOTE,
            "# Flags of the agent\n",
            text,
            "| flag | meaning | default |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def isolators_page() -> str:
    lines = [
        _NOTE,
        "# Isolators\n",
        "| isolator | what it does | limits | by default |",
        "| --- | --- | --- | --- |",
    ]
    for each in catalog.describe(catalog.TABLE):
        page = f"../isolators/{each.name.replace('/', '-')}.md"
        name = f"[`{each.name}`]({page})" if (HERE / page).resolve().exists() else f"`{each.name}`"
        given = "where the kernel has it" if each.name == catalog.DEFAULT_IF_THERE else ""
        given = "yes" if each.name in catalog.DEFAULT else given
        lines.append(f"| {name} | {_cell(each.summary)} | {', '.join(sorted(each.enforces))} | {given} |")
    return "\n".join([*lines, ""])


def api_page() -> str:
    lines = [
        _NOTE,
        "# Calls of the agent's API\n",
        "POST /api/v1; those from 1000 up are ours. The messages are in `containerizer/api/proto/`.\n",
    ]
    lines += ["| number | call | request |", "| --- | --- | --- |"]
    for value in Call.DESCRIPTOR.enum_types_by_name["Type"].values:
        field = Call.DESCRIPTOR.fields_by_name.get(value.name.lower())
        message = (
            f"`{field.name}`: {field.message_type.name}" if field is not None and field.message_type else ""
        )
        if value.number:
            lines.append(f"| {value.number} | `{value.name}` | {message} |")
    lines += ["", "## Events\n", "| kind | details |", "| --- | --- |"]
    lines += [f"| `{kind}` | {_cell(details)} |" for kind, details in KINDS.items()]
    return "\n".join([*lines, ""])


def metrics_page() -> str:
    lines = [
        _NOTE,
        "# Metrics of the agent\n",
        "`GET /metrics`, in Prometheus' text format; `docs/grafana-dashboard.json` is a dashboard of them."
        "\nThose of a container bear its id as the label `container`.\n",
        "| metric | type | what it is |",
        "| --- | --- | --- |",
    ]
    meanings: dict[str, str] = {}
    for line in asyncio.run(Metrics(_Nothing()).text()).decode().splitlines():  # type: ignore[arg-type]
        sign, keyword, name, *rest = [*line.split(" ", 3), "", ""]
        if keyword == "HELP":
            meanings[name] = rest[0]
        elif (sign, keyword) == ("#", "TYPE") and not name.endswith("_created"):
            lines.append(f"| `{name}` | {rest[0]} | {_cell(meanings[name])} |")
    return "\n".join([*lines, ""])


class _Nothing:
    """As much of an engine as metrics need that tell of nothing yet."""

    events = SimpleNamespace(observe=lambda count: None)
    keeper = SimpleNamespace(running=0, failures=())

    async def usages(self) -> dict[str, Usage]:
        return {}


PAGES = {
    "commands.md": commands_page,
    "agent-flags.md": flags_page,
    "isolators.md": isolators_page,
    "api.md": api_page,
    "metrics.md": metrics_page,
}


def _prose(text: str) -> str:
    """A description: what is indented in it stays as it is."""
    return text


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


# Manual pages ------------------------------------------------------------------------------------


def manual(page: Page) -> str:
    """One page, in roff."""
    dashed = f"containerizer-{page.name.replace(' ', '-')}"
    summary, _, rest = page.description.partition("\n")
    lines = [
        f'.TH "{dashed.upper()}" 1 "" containerizer "User Commands"',
        ".SH NAME",
        f"{_roff(dashed)} \\- {_roff(summary.rstrip('.:'))}",
        ".SH SYNOPSIS",
        ".nf",
        _roff(page.usage),
        ".fi",
    ]
    if rest.strip():
        lines += [".SH DESCRIPTION", ".nf", _roff(rest.strip()), ".fi"]
    for title, options in page.groups.items():
        lines.append(f".SH {(title or 'options').upper()}")
        for option in options:
            lines += [".TP", f"\\fB{_roff(option.written)}\\fR", _roff(option.meaning)]
    examples = EXAMPLES.get(page.name, ())
    if examples:
        lines.append(".SH EXAMPLES")
        for line, meaning in examples:
            lines += [".TP", f"\\fBcontainerizer {_roff(line)}\\fR", _roff(meaning)]
    return "\n".join([*lines, ".SH SEE ALSO", "containerizer(1)", ""])


def overview() -> str:
    """containerizer(1)."""
    lines = [
        '.TH CONTAINERIZER 1 "" containerizer "User Commands"',
        ".SH NAME",
        "containerizer \\- run tasks in containers, without a daemon",
        ".SH SYNOPSIS",
        "containerizer [\\-\\-root DIR] [\\-\\-state DIR] [\\-\\-agent URL] COMMAND",
        ".SH COMMANDS",
    ]
    for name, command in COMMANDS.items():
        if not command.hidden:
            lines += [".TP", f"\\fBcontainerizer\\-{name}\\fR(1)", _roff(command.summary)]
    lines += [
        ".SH EXIT STATUS",
        "The task's own; 128 + N when signal N killed it; 125 when the containerizer failed;",
    ]
    return "\n".join([*lines, "126 when the command cannot be executed; 127 when it is not found.", ""])


def _roff(text: str) -> str:
    """A backslash, a dash, and what would be a request at the beginning of a line: groff(7)."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def main() -> None:
    if len(sys.argv) > 1:
        directory = Path(sys.argv[1])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "containerizer.1").write_text(overview())
        for page in pages():
            (directory / f"containerizer-{page.name.replace(' ', '-')}.1").write_text(manual(page))
        return
    HERE.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (HERE / name).write_text(make())


if __name__ == "__main__":
    main()
