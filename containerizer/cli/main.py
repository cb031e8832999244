"""The `containerizer` command: global options, then one command, whose file alone is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from containerizer.cli.signals import Interrupted
from containerizer.cli.table import told
from containerizer.paths import default_root, default_state
from launcher.data import Data
from launcher.errors import EXIT_CONTAINERIZER_FAILED, ContainerizerError, InvalidRequest


class Command(Data):
    """A row of the command table; its module is containerizer.cli.<name>."""

    summary: str
    needs_root: bool = True
    hidden: bool = False  # for the project's own processes


COMMANDS = {
    "run": Command("run a command in a new container"),
    "exec": Command("run a further command in a running container"),
    "debug": Command("look into a running container, with tools that it has or with an image of tools"),
    "ps": Command("list containers", needs_root=False),
    "attach": Command("see what a container's task writes, and type for it", needs_root=False),
    "logs": Command("show what a container's task has written", needs_root=False),
    "top": Command("show the processes of a container", needs_root=False),
    "stats": Command("show what containers consume", needs_root=False),
    "events": Command("show what happens to containers, as it happens", needs_root=False),
    "inspect": Command("show all that is known of containers, images, networks or volumes", needs_root=False),
    "diff": Command("list the files that a container has changed", needs_root=False),
    "port": Command("show which ports of the host lead to a container", needs_root=False),
    "update": Command("change the limits of running containers", needs_root=False),
    "cp": Command("copy files into containers and out of them", needs_root=False),
    "kill": Command("send a signal to containers", needs_root=False),
    "stop": Command("ask containers to stop, and kill those that do not", needs_root=False),
    "pod": Command("run pods from Kubernetes' manifests, list and remove them"),
    "network": Command("make, list and remove networks, and show who is in them"),
    "volume": Command("make, list and remove volumes, and show who has them"),
    "healthcheck": Command("try once whether what runs in a container works"),
    "wait": Command("wait until containers have ended, and print their exit codes", needs_root=False),
    "pause": Command("stop all processes of containers", needs_root=False),
    "unpause": Command("let the processes of paused containers go on", needs_root=False),
    "rm": Command("remove containers that have ended, or end them first", needs_root=False),
    "pull": Command("pull images from their registries"),
    "login": Command("try credentials at a registry, and store them for pulls", needs_root=False),
    "logout": Command("forget the credentials for a registry", needs_root=False),
    "images": Command("list the images in the store"),
    "prune": Command("remove what nobody uses: ended containers, images, networks"),
    "rmi": Command("remove images from the store"),
    "load": Command("load the images of an archive"),
    "import": Command("make an image of the files in a tar archive"),
    "save": Command("write images to an archive"),
    "commit": Command("make an image of what a container has written"),
    "plan": Command("show what a run would do, and which isolator asks for it"),
    "agent": Command("serve containers by HTTP to programs and other machines"),
    "credential": Command("hash a secret for the agent's file of credentials", needs_root=False),
    "isolators": Command(
        "list the isolators, what each needs, and whether this host has it", needs_root=False
    ),
    "doctor": Command("say what this host lacks, and the command that mends it", needs_root=False),
    "completion": Command("print what makes a shell complete this command", needs_root=False),
    "complete": Command("tell a shell what may follow", needs_root=False, hidden=True),
    "reap": Command("clean up after a container whose launcher is gone", needs_root=False, hidden=True),
}


# Those that also have a file in containerizer.client.commands.
REMOTE = frozenset(
    (
        *("ps", "logs", "exec", "debug", "attach", "wait", "kill", "stop", "rm", "run", "pause", "unpause"),
        *("images", "pull", "rmi", "top", "cp", "update", "pod", "events", "inspect", "volume"),
    )
)


# Those that are the same in whatever namespaces.
_NOT_OF_CONTAINERS = frozenset(("login", "logout", "credential", "doctor", "completion"))


# By the option whose directory it is: the commands that find nothing where it is missing.
_LOOKING = {
    "state": frozenset(
        (
            *(
                "ps",
                "logs",
                "exec",
                "debug",
                "attach",
                "wait",
                "kill",
                "stop",
                "rm",
                "pause",
                "unpause",
                "top",
            ),
            *("stats", "events", "inspect", "diff", "port", "update", "cp", "healthcheck"),
        )
    ),
    "root": frozenset(("images", "rmi", "save")),
}


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that keeps our line breaks. Told its width, it does without shutil: 5 ms of each start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=_columns())


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are ours: one line, exit code 125."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=Help, allow_abbrev=False, **options)

    def format_help(self) -> str:
        from containerizer.cli import examples  # of those who ask for help

        own, *rest = self.prog.split()[1:] or [""]
        shown = "" if rest else examples.shown(own)
        return super().format_help() + (f"\n{shown}" if shown else "")

    def error(self, message: str) -> NoReturn:
        hint = f"see `{self.prog} --help`"
        if message.startswith("the following arguments are required"):
            message = message.removesuffix(", COMMAND")  # argparse takes the rest of a line for required
        words = message.removeprefix("unrecognized arguments: ").split()
        if words and message.startswith("unrecognized arguments: "):
            import difflib

            from containerizer.cli import elsewhere

            options, word = list(self._option_string_actions), words[0].partition("=")[0]
            near = difflib.get_close_matches(word, options, n=1)
            hint = f"did you mean {near[0]}? {hint}" if near else hint
            hint = elsewhere.OPTIONS.get(word, hint) if self.prog.endswith(" run") else hint
        raise InvalidRequest(message, hint=hint)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. Every error becomes one line on stderr."""
    arguments = argparse.Namespace(debug=False)
    _open_standard_descriptors()
    try:
        try:
            _parse_globals(sys.argv[1:] if argv is None else argv, arguments)
            return _run_command(arguments)
        finally:
            sys.stdout.flush()  # here, where it is known what to do when that fails
    except ContainerizerError as error:
        return _fail(error, error.exit_code, debug=arguments.debug)
    except KeyboardInterrupt:
        return 130
    except Interrupted as error:
        print(f"containerizer: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader has gone, as `| head` does. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_CONTAINERIZER_FAILED
    except OSError as error:
        return _fail(error, EXIT_CONTAINERIZER_FAILED, debug=arguments.debug)


def _parse_globals(argv: Sequence[str], arguments: argparse.Namespace) -> None:
    commands = "\n".join(f"  {name:11} {c.summary}" for name, c in COMMANDS.items() if not c.hidden)
    parser = Parser(
        prog="containerizer",
        description="Run tasks in containers, without a daemon.",
        epilog=f"commands:\n{commands}\n\n`containerizer COMMAND --help` tells more.",
    )
    parser.add_argument(
        "--root", default=default_root(), metavar="DIR", help="images and sandboxes (%(default)s)"
    )
    parser.add_argument("--state", default=default_state(), metavar="DIR", help="state (%(default)s)")
    parser.add_argument("--agent", metavar="URL", help="do it there: unix:///PATH or https://HOST:PORT")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="see below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.parse_args(argv, arguments)
    arguments.root, arguments.state = map(os.path.abspath, (arguments.root, arguments.state))
    if arguments.command is None and not arguments.version:
        parser.print_help()


def _run_command(arguments: argparse.Namespace) -> int:
    if arguments.version:
        return _print_version()
    if arguments.command is None:
        return 0
    command = COMMANDS.get(arguments.command)
    if command is None:
        raise _unknown_command(arguments.command)
    module = importlib.import_module(f"{_package(arguments)}.{arguments.command}")
    prog = f"containerizer {arguments.command}"
    parser = Parser(prog=prog, description=module.__doc__, usage=getattr(module, "USAGE", None))
    module.configure(parser)
    parser.parse_args(arguments.rest, arguments)
    if not arguments.agent:
        _tell_of_missing_directories(arguments)
    needs_root = command.needs_root and getattr(arguments, "launcher", None) != "posix"
    if not (arguments.agent or arguments.command in _NOT_OF_CONTAINERS or os.geteuid() == 0):
        _become_root_of_ones_own(arguments.state, required=needs_root)
    code: int = module.run(arguments)
    return code


def _tell_of_missing_directories(arguments: argparse.Namespace) -> None:
    """One that was asked for and is not there has nothing in it: perhaps it is misspelt."""
    usual = {"state": default_state(), "root": default_root()}
    for option, commands in _LOOKING.items():
        asked = getattr(arguments, option)
        if arguments.command in commands and asked != usual[option] and not os.path.isdir(asked):
            print(f"containerizer: there is no directory {told(asked)} (--{option})", file=sys.stderr)


def _become_root_of_ones_own(state: str, *, required: bool) -> None:
    """What needs no privileges joins the namespaces that are there, to see what is in them."""
    from containerizer import rootless

    if required:
        rootless.enter(state)
    else:
        rootless.join(state)


def _package(arguments: argparse.Namespace) -> str:
    """Where the command's module is."""
    if not arguments.agent:
        return "containerizer.cli"
    if arguments.command not in REMOTE:
        hint = f"with --agent there are {', '.join(sorted(REMOTE))}"
        raise InvalidRequest(f"`containerizer {arguments.command}` works on this host only", hint=hint)
    return "containerizer.client.commands"


def _columns() -> int:
    """The terminal's width, or 100 where there is none."""
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def _unknown_command(name: str) -> InvalidRequest:
    import difflib

    from containerizer.cli import elsewhere

    if name in elsewhere.COMMANDS:
        return InvalidRequest(f"unknown command {name!r}", hint=elsewhere.COMMANDS[name])
    shown = [each for each, command in COMMANDS.items() if not command.hidden]
    near = difflib.get_close_matches(name, shown, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]!r}?" if near else "`containerizer --help` lists the commands"
    return InvalidRequest(f"unknown command {name!r}", hint=hint)


def _print_version() -> int:
    from importlib import metadata

    print(f"containerizer {metadata.version('containerizer')}")
    return 0


def _fail(error: Exception, code: int, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    text = _sentence(error) if isinstance(error, OSError) else str(error)
    notes = getattr(error, "__notes__", [])
    print(f"containerizer: {told('; '.join([text, *notes]))}", file=sys.stderr)
    return code


def _sentence(error: OSError) -> str:
    """A system call's failure that no one had more to say of."""
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def _open_standard_descriptors() -> None:
    """Put /dev/null where the caller has closed one: a file that we open must not be taken for it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - Python has none if it was closed
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
