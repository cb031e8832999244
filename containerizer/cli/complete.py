"""What may follow on a command line: asked by the shell's completion, which `completion` prints.

The words are those behind `containerizer`, the last one as far as it is typed. Each candidate is a line; a
last line of `:files` asks the shell for names of files. What goes wrong is silence: nobody sees an error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from containerizer.cli.main import COMMANDS, REMOTE, Parser
from launcher.data import Data

FILES = ":files"

_GLOBAL = ("--root", "--state", "--agent")  # with a value
_GLOBAL_FLAGS = ("--debug", "--version", "--help")
_OF_FILES = frozenset(("FILE", "DIR", "SOURCE", "TARGET", "SCRIPT", "PATH", "DIR[:DIR]", "PROGRAM"))


class Place(Data):
    """Where names are looked up."""

    root: str
    state: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.prefix_chars = "\0"  # none of the words is an option of ours
    parser.add_argument("words", nargs=argparse.REMAINDER)


def run(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    place = Place(arguments.root, arguments.state)
    for candidate in candidates(words or [""], place):
        print(candidate)
    return 0


def candidates(words: Sequence[str], place: Place) -> Iterator[str]:
    """Those that begin as the last word does, sorted as they are shown."""
    *before, typed = words
    before, place, remote = _globals(before, place)
    if before and before[-1] in _GLOBAL:
        yield FILES
        return
    if not before:
        names = [name for name, c in COMMANDS.items() if not c.hidden and (not remote or name in REMOTE)]
        options = [*_GLOBAL, *_GLOBAL_FLAGS] if typed.startswith("-") else []
        yield from (each for each in [*names, *options] if each.startswith(typed))
        return
    command = COMMANDS.get(before[0])
    if command is None or command.hidden:
        return
    module = importlib.import_module(f"containerizer.cli.{before[0]}")
    parser = Parser(prog=before[0], add_help=True)
    module.configure(parser)
    yield from _of_command(parser, before[1:], typed, place)


def _globals(words: Sequence[str], place: Place) -> tuple[list[str], Place, bool]:
    """(from the command on, where to look, whether an agent is asked)."""
    rest, root, state, remote = list(words), place.root, place.state, False
    while rest and rest[0].startswith("-"):
        name, equals, value = rest[0].partition("=")
        if name in _GLOBAL and not equals:
            if len(rest) == 1:
                break
            value = rest.pop(1)
        root = value if name == "--root" else root
        state = value if name == "--state" else state
        remote = remote or name == "--agent"
        rest.pop(0)
    return rest, Place(root, state), remote


def _of_command(
    parser: argparse.ArgumentParser, before: Sequence[str], typed: str, place: Place
) -> Iterator[str]:
    options = {name: action for action in parser._actions for name in action.option_strings}
    positionals = [action for action in parser._actions if not action.option_strings]
    given: list[str] = []
    waiting: argparse.Action | None = None  # an option whose value comes next
    for position, word in enumerate(before):
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and not _is_rest(positionals, given):
            action = options.get(word)
            waiting = action if action is not None and action.nargs != 0 else None
        else:
            sub = _subparser(positionals, given, word)
            if sub is not None:
                yield from _of_command(sub, before[position + 1 :], typed, place)
                return
            given.append(word)
    if waiting is not None:
        yield from _values(waiting, typed, place)
    elif typed.startswith("-") and not _is_rest(positionals, given):
        shown = (name for name, action in options.items() if action.help != argparse.SUPPRESS)
        yield from sorted(name for name in shown if name.startswith(typed) and len(name) > 2)
    else:
        action = _next(positionals, given)
        if action is not None:
            yield from _values(action, typed, place)


def _subparser(
    positionals: Sequence[argparse.Action], given: Sequence[str], word: str
) -> argparse.ArgumentParser | None:
    action = _next(positionals, given)
    if isinstance(action, argparse._SubParsersAction):
        found: argparse.ArgumentParser | None = action.choices.get(word)
        return found
    return None


def _next(positionals: Sequence[argparse.Action], given: Sequence[str]) -> argparse.Action | None:
    """The positional that the next word is for."""
    for number, action in enumerate(positionals):
        several = action.nargs in ("+", "*", argparse.REMAINDER)
        if several or number == len(given):
            return action
    return None


def _is_rest(positionals: Sequence[argparse.Action], given: Sequence[str]) -> bool:
    """Whether all words from here on are a command of the container's."""
    action = _next(positionals, given)
    return action is not None and action.nargs == argparse.REMAINDER


def _values(action: argparse.Action, typed: str, place: Place) -> Iterator[str]:
    if action.choices is not None:
        yield from (str(each) for each in action.choices if str(each).startswith(typed))
        return
    metavar = str(action.metavar or "")
    find = _KINDS.get(metavar)
    if find is not None:
        found: list[str] = []
        with contextlib.suppress(Exception):  # a completion has nobody to tell
            found = [each for each in find(place, typed) if each.startswith(typed)]
        yield from sorted(dict.fromkeys(found))
        if metavar in _OF_FILES:
            yield FILES
    elif metavar in _OF_FILES or action.nargs == argparse.REMAINDER:
        yield FILES


# By the metavar of what is asked for --------------------------------------------------------------


def _containers(place: Place, typed: str) -> Iterable[str]:
    from containerizer import record
    from containerizer.paths import Paths

    return [each.container_id for each in record.load_all(Paths.of(place.root, place.state))]


def _sides_of_a_copy(place: Place, typed: str) -> Iterable[str]:
    return [f"{name}:" for name in _containers(place, typed)]


def _images(place: Place, typed: str) -> Iterable[str]:
    from provisioner.provisioner import Provisioner

    kinds = ("host", "oci:", "oci-archive:", "docker-archive:", "appc:")
    references = [image.reference for image in Provisioner(place.root).images()]
    return [*references, *(each.removesuffix(":latest") for each in references), *kinds]


def _networks(place: Place, typed: str) -> Iterable[str]:
    from containerizer.paths import Paths
    from isolators.isolator import IsolatorFlags
    from isolators.network import config_list

    paths = Paths.of(place.root, place.state)
    found, _ = config_list.find_all((paths.networks, *IsolatorFlags().cni_config_dirs))
    return [network.name for network in found]


def _network_options(place: Place, typed: str) -> Iterable[str]:
    if typed.startswith("container:"):
        return [f"container:{name}" for name in _containers(place, "")]
    return [*_networks(place, typed), "bridge", "none", "host", "container:"]


def _capabilities(place: Place, typed: str) -> Iterable[str]:
    from launcher.kernel.capabilities import NAMES

    return ["ALL", *(name.removeprefix("CAP_") for name in NAMES)]


def _isolators(place: Place, typed: str) -> Iterable[str]:
    from isolators import catalog

    done, comma, _ = typed.rpartition(",")
    return [f"{done}{comma}{name}" for name in catalog.TABLE]


def _signals(place: Place, typed: str) -> Iterable[str]:
    import signal

    return [each.name for each in signal.Signals] + [each.name.removeprefix("SIG") for each in signal.Signals]


_KINDS: dict[str, Callable[[Place, str], Iterable[str]]] = {
    "CONTAINER": _containers,
    "SOURCE": _sides_of_a_copy,  # or files of the host
    "TARGET": _sides_of_a_copy,
    "IMAGE": _images,
    "TOOLS": _images,
    "none|host|container:NAME|NAME[,NAME]": _network_options,
    "CAP": _capabilities,
    "LIST": _isolators,
    "SIGNAL": _signals,
}
