"""Resolvers have the secrets that requests refer to. The operator chooses one, a request may name another.

    file         a file of the directory `secrets_dir`; with a key, the file KEY of its directory NAME
    environment  the variable CONTAINERIZER_SECRET_<NAME>, or CONTAINERIZER_SECRET_<NAME>_<KEY>, of ours
    command      what the program `secret_command` writes when it is given NAME, and KEY if there is one

Those of other distributions are found by their entry points in the group `containerizer.secret_resolvers`:
a class like `Resolver`, whose name there is the resolver's. None but those that the operator has installed
is ever asked, and a request names no path, variable or program of the host freely.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable

from isolators import secrets
from isolators.flags import IsolatorFlags
from isolators.secrets import Secret, SecretReference
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files
from launcher.kernel.safe_path import open_beneath

ENTRY_POINTS = "containerizer.secret_resolvers"
VARIABLES = "CONTAINERIZER_SECRET_"
TIMEOUT = 30.0  # seconds that a command may take

_WORD = re.compile("[A-Za-z0-9_]+")


class SecretUnavailable(ContainerizerError):
    """A resolver could not tell a secret; the message has its name, and nothing of its value."""


class Resolver:
    """The base of resolvers. Made once for each secret."""

    def __init__(self, flags: IsolatorFlags) -> None:
        self.flags = flags

    def resolve(self, name: str, key: str | None) -> bytes:
        """The value. Raises SecretUnavailable; of any other error only its kind is told."""
        raise NotImplementedError


class FileResolver(Resolver):
    """Links are followed, but not out of the directory: what Kubernetes and Vault keep has some."""

    def resolve(self, name: str, key: str | None) -> bytes:
        path = name if key is None else f"{name}/{key}"
        try:
            root = os.open(self.flags.secrets_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                found = open_beneath(root, path, os.O_PATH)
            finally:
                os.close(root)
            try:
                if not stat.S_ISREG(os.fstat(found).st_mode):
                    raise SecretUnavailable(f"it is no file of {self.flags.secrets_dir}")
                return files.read(f"/proc/self/fd/{found}", secrets.LARGEST + 1)
            finally:
                os.close(found)
        except OSError as error:
            message = f"{os.path.join(self.flags.secrets_dir, path)}: {(error.strerror or '').lower()}"
            raise SecretUnavailable(message) from None


class EnvironmentResolver(Resolver):
    def resolve(self, name: str, key: str | None) -> bytes:
        words = [word for word in (name, key) if word is not None]
        if not all(map(_WORD.fullmatch, words)):
            raise SecretUnavailable("use letters, digits and '_' for variables")
        variable = VARIABLES + "_".join(words)
        if variable not in os.environ:
            raise SecretUnavailable(f"there is no variable {variable}")
        return os.fsencode(os.environ[variable])


class CommandResolver(Resolver):
    def resolve(self, name: str, key: str | None) -> bytes:
        from isolators import program  # others' programs, for those who have some

        command = self.flags.secret_command
        if not command:
            raise SecretUnavailable("no program is chosen: --secret-command")
        argv = [command, name, *([] if key is None else [key])]
        try:
            ran = program.run(command, argv, program.environment(), b"", TIMEOUT, secrets.LARGEST + 1)
        except OSError as error:
            raise SecretUnavailable(f"cannot execute {command}: {(error.strerror or '').lower()}") from None
        if ran.status is None:
            raise SecretUnavailable(f"{command} has not answered in {TIMEOUT:g} seconds")
        if ran.status:
            raise SecretUnavailable(f"{command} {program.how_it_ended(ran.status)}")
        return ran.output


_BUILT_IN: dict[str, Callable[[IsolatorFlags], Resolver]] = {
    "file": FileResolver,
    "environment": EnvironmentResolver,
    "command": CommandResolver,
}


def resolve(reference: SecretReference, flags: IsolatorFlags) -> bytes:
    """The secret's value. Raises InvalidRequest for one of no known resolver, SecretUnavailable."""
    name = reference.resolver or flags.secret_resolver
    if name is None:
        hint = "the operator chooses who has secrets: --secret-resolver file|environment|command|NAME"
        raise InvalidRequest(f"no resolver has the secret {reference}", hint=hint)
    make = _BUILT_IN.get(name) or _third_party(name)
    try:
        value = make(flags).resolve(reference.name, reference.key)
    except ContainerizerError as error:
        raise SecretUnavailable(f"resolver {name} has no secret {reference}: {error.message}") from None
    except Exception as error:
        kind = type(error).__name__
        raise SecretUnavailable(f"resolver {name} failed for the secret {reference}: {kind}") from None
    if not isinstance(value, bytes):
        raise SecretUnavailable(f"resolver {name} has returned no bytes for the secret {reference}")
    secrets.check(value, f"the secret {reference}")
    return value


def value_of(secret: Secret, flags: IsolatorFlags) -> bytes:
    """The value of a secret that is given or referred to. Raises as `resolve` does."""
    if secret.reference is not None:
        return resolve(secret.reference, flags)
    return base64.b64decode(secret.content or "")


def _third_party(name: str) -> Callable[[IsolatorFlags], Resolver]:
    from importlib import metadata  # 15 ms, and most know only the built-in ones

    found = metadata.entry_points(group=ENTRY_POINTS)
    for entry_point in found:
        if entry_point.name == name:
            made: Callable[[IsolatorFlags], Resolver] = entry_point.load()
            return made
    hint = f"there are {', '.join([*_BUILT_IN, *sorted(found.names)])}"
    raise InvalidRequest(f"unknown resolver of secrets {name!r}", hint=hint)
