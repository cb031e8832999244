"""Options of secrets: `--secret` in the words of Docker and podman, and who has those that are not given.

No value is ever on a command line, where every user of the host would read it.
"""

from __future__ import annotations

import argparse
import os
import posixpath
from typing import TYPE_CHECKING, Any

from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import files

if TYPE_CHECKING:
    from containerizer.request import ContainerRequest
    from isolators.secrets import SecretReference

_DIRECTORY = "/run/secrets"  # where Docker and podman have them
_ALIASES = {"source": "src", "dst": "target", "destination": "target"}
_KEYS = ("id", "type", "src", "env", "target", "mode", "uid", "gid", "key", "resolver")
_NUMBERS = {"mode": 8, "uid": 10, "gid": 10}
_HINT = "write [id=]NAME[,src=FILE|,env=VARIABLE][,type=mount|env][,target=…][,mode=OCTAL][,uid=N][,gid=N]"


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="[id=]NAME[,src=FILE|,env=VAR][,type=mount|env][,target=PATH|VAR][,mode=][,uid=][,gid=]",
        help="a file in memory, or a variable; from a file, a variable of yours, or else the resolver",
    )
    group.add_argument(
        "--secret-resolver", metavar="file|environment|command|NAME", help="who has secrets (nobody)"
    )
    group.add_argument(
        "--secrets-dir", metavar="DIR", help="of the resolver file (/etc/containerizer/secrets)"
    )
    group.add_argument("--secret-command", metavar="PROGRAM", help="of the resolver command")


def flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of IsolatorFlags: what was said."""
    named = ("secret_resolver", "secrets_dir", "secret_command")
    given = {name: getattr(arguments, name, None) for name in named}
    return {name: value for name, value in given.items() if value is not None}


def with_secrets(request: ContainerRequest, arguments: argparse.Namespace) -> ContainerRequest:
    """The request with those of the options. Raises InvalidRequest."""
    if not arguments.secret:
        return request
    config = request.config
    for text in arguments.secret:
        asked = _parsed(text)
        kind, value = asked.get("type", "mount"), _value(asked)
        if kind in ("mount", "file"):
            changes: dict[str, Any] = {"volumes": (*config.volumes, _volume(asked, value))}
        elif kind == "env":
            changes = _variable(asked, value, config)
        else:
            raise InvalidRequest(f"unknown type {kind!r} of the secret {asked['id']}", hint=_HINT)
        config = replace(config, **changes)
    return replace(request, config=config)


def _parsed(text: str) -> dict[str, str]:
    asked: dict[str, str] = {}
    for place, part in enumerate(text.split(",")):
        key, equals, value = part.partition("=")
        if place == 0 and not equals:
            key, equals, value = "id", "=", part
        key = _ALIASES.get(key, key)
        if not equals or not value or key not in _KEYS or key in asked:
            raise InvalidRequest(f"invalid part {part!r} of the secret {text.split(',')[0]}", hint=_HINT)
        asked[key] = value
    if "id" not in asked:
        raise InvalidRequest(f"the secret {text!r:.60} has no id", hint=_HINT)
    return asked


def _value(asked: dict[str, str]) -> bytes | SecretReference:
    from isolators import secrets  # for those who have some

    given = [key for key in ("src", "env", "resolver") if key in asked]
    if len(given) > 1 or ("key" in asked and given not in ([], ["resolver"])):
        raise InvalidRequest(f"the secret {asked['id']} has two sources", hint=_HINT)
    if "src" in asked:
        try:
            value = files.read(asked["src"], secrets.LARGEST + 1)
        except OSError as error:
            reason = (error.strerror or "").lower()
            message = f"cannot read the secret {asked['id']} from {asked['src']}: {reason}"
            raise InvalidRequest(message) from None
        secrets.check(value, f"the secret {asked['id']}")
        return value
    if "env" in asked:
        if asked["env"] not in os.environ:
            raise InvalidRequest(f"the secret {asked['id']} is in no variable {asked['env']}")
        return os.fsencode(os.environ[asked["env"]])
    return secrets.SecretReference(name=asked["id"], key=asked.get("key"), resolver=asked.get("resolver"))


def _volume(asked: dict[str, str], value: bytes | SecretReference) -> Any:
    from isolators import volumes
    from isolators.secrets import Secret, encoded

    what: dict[str, Any] = {"content": encoded(value)} if isinstance(value, bytes) else {"reference": value}
    what |= {key: _number(asked, key, base) for key, base in _NUMBERS.items() if key in asked}
    target = posixpath.normpath(posixpath.join(_DIRECTORY, asked.get("target", asked["id"])))
    secret = Secret(**what)
    return volumes.Volume(kind=volumes.SECRET, target=target, readonly=True, secret=secret)


def _variable(asked: dict[str, str], value: bytes | SecretReference, config: Any) -> dict[str, Any]:
    from isolators import secrets

    unfit = [key for key in _NUMBERS if key in asked]
    if unfit:
        raise InvalidRequest(f"the variable of the secret {asked['id']} has no {unfit[0]}", hint=_HINT)
    name = asked.get("target", asked["id"])
    if "=" in name or name in config.secret_environment or name in config.environment_secrets:
        raise InvalidRequest(f"the secret {asked['id']} cannot be the variable {name!r}", hint=_HINT)
    if isinstance(value, bytes):
        text = secrets.variable(value, name)
        return {"secret_environment": {**config.secret_environment, name: text}}
    return {"environment_secrets": {**config.environment_secrets, name: value}}


def _number(asked: dict[str, str], key: str, base: int) -> int:
    try:
        return int(asked[key], base)
    except ValueError:
        raise InvalidRequest(
            f"invalid {key} {asked[key]!r} of the secret {asked['id']}", hint=_HINT
        ) from None
