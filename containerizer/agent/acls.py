"""Who may do what: rules in a JSON or TOML file, of which the first that fits decides.

    permissive = false                      # what holds where no rule fits

    [[rules]]
    principals = ["ops"]                    # "*" is everybody, who nobody knows included
    calls = ["*"]

    [[rules]]
    principals = ["web-team"]
    calls = ["LAUNCH_*", "KILL_*", "WAIT_*"]
    containers = ["web-*"]                  # by their ids, with all that is in them; left out: all

    [[rules]]
    principals = ["*"]
    calls = ["GET_SECRETS"]
    allow = false

Calls are named as in the v1 API; the other endpoints are named as the calls that tell the same. The
patterns are a shell's. A rule that names containers fits no call that is about none; but lists of them
(GET_STATE, GET_CONTAINERS, LIST_CONTAINERS, LIST_PODS, EVENTS) are for whoever may see some of what is in
them, and tell of that. No `*` goes over the dot of an id: `*-web` is no container in somebody else's, which
whoever is in charge of that rules on.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from containerizer.agent.credentials import read_document
from launcher.data import Data
from launcher.errors import InvalidRequest

_KEYS = {"principals", "calls", "containers", "allow"}


class Rule(Data, kw_only=True):
    """Patterns; None fits everything."""

    principals: tuple[str, ...]
    calls: tuple[str, ...]
    containers: tuple[str, ...] | None = None
    allow: bool = True

    def fits(self, principal: str, call: str, container: str | None) -> bool:
        return (
            _any(self.principals, principal)
            and _any(self.calls, call)
            and (self.containers is None or any(_is_in(container, each) for each in self.containers))
        )


class Acls(Data, kw_only=True):
    """The whole file. By default everybody may do everything."""

    rules: tuple[Rule, ...] = ()
    permissive: bool = True

    @classmethod
    def load(cls, path: str) -> Acls:
        """Raises InvalidRequest naming the file and what is wrong in it."""
        value = read_document(path)
        try:
            _refuse_unknown(value, {"permissive", "rules"})
            rules = tuple(_rule(rule) for rule in value.get("rules", ()))
            permissive = _boolean(value.get("permissive", False))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest(f"invalid access rules in {path}: {error}") from error
        return cls(rules=rules, permissive=permissive)

    def permits(self, principal: str | None, call: str, container: str | None = None) -> bool:
        """Whether the principal may make the call, about this container if it is about one."""
        for rule in self.rules:
            if rule.fits(principal or "", call, container):
                return rule.allow
        return self.permissive

    def permits_some(self, principal: str | None, call: str) -> bool:
        """Whether there may be a container about which the principal may make the call."""
        for rule in self.rules:
            if _any(rule.principals, principal or "") and _any(rule.calls, call):
                if rule.allow:
                    return True
                if rule.containers is None:
                    return False
        return self.permissive


def _rule(value: dict[str, Any]) -> Rule:
    _refuse_unknown(value, _KEYS)
    containers = value.get("containers")
    return Rule(
        principals=_patterns(value["principals"]),
        calls=_patterns(value["calls"]),
        containers=None if containers is None else _patterns(containers),
        allow=_boolean(value.get("allow", True)),
    )


def _patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{value!r} is no list of patterns")
    return tuple(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _refuse_unknown(value: dict[str, Any], known: set[str]) -> None:
    for key in value:
        if key not in known:
            raise ValueError(f"unknown key {key!r}")


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _is_in(container: str | None, pattern: str) -> bool:
    """Whether the container, or one around it, is of this pattern, level by level."""
    if container is None:
        return False
    patterns, names = pattern.split("."), container.split(".")
    return len(names) >= len(patterns) and all(map(fnmatchcase, names, patterns))
