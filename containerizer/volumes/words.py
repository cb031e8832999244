"""Volumes in the words of Docker and podman: `-v SOURCE:TARGET:OPTIONS` and `--mount KEY=VALUE,…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from containerizer.tmpfs import Tmpfs
from containerizer.tmpfs import parse as parse_tmpfs
from isolators.volume_store import check_name
from isolators.volumes import (
    BIND,
    CSI,
    IMAGE,
    NAMED,
    PROPAGATIONS,
    RECURSIVE,
    SANDBOX,
    Volume,
    normalised,
)
from launcher.errors import InvalidRequest

_SELINUX = "/sys/fs/selinux/enforce"
_HINT = "write [SOURCE:]TARGET[:OPTION,…]; SOURCE is a path, which begins with / or ., or a volume's name"
_LABELLED = "leave out z and Z: files keep the labels that they have; or turn SELinux off"

# Options of -v → what they ask for. What says nothing here is for other systems.
_SHORT: Mapping[str, Mapping[str, Any]] = {
    "ro": {"readonly": True},
    "rw": {},
    "rro": {"readonly": True, "recursive": "readonly"},
    "U": {"chown": True},
    "nocopy": {"nocopy": True},
    "copy": {},
    "bind": {"recursive": "disabled"},
    "rbind": {},
    "suid": {},
    "nosuid": {"flags": ("nosuid",)},
    "dev": {"flags": ("dev",)},
    "nodev": {},
    "exec": {},
    "noexec": {"flags": ("noexec",)},
    "idmap": {"idmap": ""},
    "consistent": {},
    "cached": {},
    "delegated": {},
    **{word: {"propagation": word} for word in PROPAGATIONS},
}


def anonymous_name() -> str:
    """Of a volume that nobody has named."""
    return os.urandom(32).hex()


def parse_volume(text: str, driver: str = "") -> Volume:
    """What `-v` says. `driver`: of what has a name. Raises InvalidRequest."""
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidRequest(f"invalid volume {text!r}", hint=_HINT)
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    asked = _options(text, parts[2].split(",") if len(parts) == 3 else ())
    if source.startswith(("/", ".", "~")):
        _refuse_nocopy(text, asked)
        path = os.path.abspath(os.path.expanduser(source))
        return Volume(kind=BIND, source=path, target=normalised(target), create=True, **asked)
    return _named(source, target, driver, asked)


def _refuse_nocopy(text: str, asked: Mapping[str, Any]) -> None:
    if "nocopy" in asked:
        raise InvalidRequest(f"nocopy of {text!r} is for volumes with a name", hint="leave it out")


def _named(source: str, target: str, driver: str, asked: Mapping[str, Any]) -> Volume:
    return Volume(
        kind=NAMED,
        source=check_name(source) if source else anonymous_name(),
        anonymous=not source,
        target=normalised(target),
        driver=driver,
        **asked,
    )


def _options(text: str, words: Sequence[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for word in words:
        if word in ("z", "Z"):
            check_label()
            continue
        if word.startswith("idmap="):
            found: Mapping[str, Any] = {"idmap": word.removeprefix("idmap=")}
        elif word in _SHORT:
            found = _SHORT[word]
        else:
            hint = f"use some of {', '.join(_SHORT)}, z or Z"
            raise InvalidRequest(f"unknown option {word!r} of the volume {text!r}", hint=hint)
        flags = (*asked.get("flags", ()), *found.get("flags", ()))
        asked |= found
        if flags:
            asked["flags"] = tuple(dict.fromkeys(flags))
    if {"ro", "rro"} & set(words) and "rw" in words:
        raise InvalidRequest(f"the volume {text!r} is both ro and rw", hint="say one of them")
    return asked


def check_label() -> None:
    """`z` and `Z` ask for labels of SELinux: as in Docker, nothing where it is off. Raises InvalidRequest."""
    if os.path.exists(_SELINUX):
        raise InvalidRequest("volumes are not relabelled for SELinux", hint=_LABELLED)


# --mount ------------------------------------------------------------------------------------------------

_KINDS = {"bind": BIND, "volume": NAMED, "image": IMAGE, "sandbox": SANDBOX, "csi": CSI}
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "readonly": "ro",
    "propagation": "bind-propagation",
    "relabel": "z",
    "chown": "U",
    "subpath": "volume-subpath",
    "image-subpath": "volume-subpath",
}
_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "ro": {"readonly": True},
    "rro": {"readonly": True, "recursive": "readonly"},
    "volume-nocopy": {"nocopy": True},
    "bind-nonrecursive": {"recursive": "disabled"},
    "bind-create-src": {"create": True},
    "U": {"chown": True},
    "parent": {"of_parent": True},
}
# Key → the kinds that it is for; those of _ALL are for every one.
_ALL = ("type", "source", "target", "ro", "rw", "consistency", "U", "z", "idmap")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "bind-propagation": (BIND,),
    "bind-recursive": (BIND,),
    "bind-nonrecursive": (BIND,),
    "bind-create-src": (BIND,),
    "rro": (BIND,),
    "volume-driver": (NAMED,),
    "volume-opt": (NAMED,),
    "volume-label": (NAMED,),
    "volume-nocopy": (NAMED,),
    "volume-subpath": (BIND, NAMED, IMAGE, SANDBOX),
    "parent": (SANDBOX,),
    "pull": (IMAGE,),
}
_REPEATED = {"volume-opt": "options", "volume-label": "labels"}
_TMPFS = ("tmpfs-size", "tmpfs-mode", "tmpfs-options")


def parse_mount(text: str) -> Volume | Tmpfs:
    """What `--mount` says. Raises InvalidRequest."""
    import csv  # a value with a comma is quoted

    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise InvalidRequest(f"invalid --mount {text!r}: {error}", hint='quote: "volume-opt=o=a,b"') from None
    pairs = [_pair(part) for part in row]
    kind = dict(pairs).get("type") or "volume"
    if kind == "tmpfs":
        return _tmpfs(text, pairs)
    if kind not in _KINDS:
        hint = f"use type={', '.join(_KINDS)} or tmpfs"
        raise InvalidRequest(f"unknown type {kind!r} of --mount {text!r}", hint=hint)
    if _KINDS[kind] == CSI:
        from containerizer.volumes import csi  # for those who have some

        return csi.parse(text, pairs)
    return _volume(text, _KINDS[kind], pairs)


def _pair(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    key = key.strip()
    return _ALIASES.get(key, key), value if equals else None


def _volume(text: str, kind: str, pairs: Sequence[tuple[str, str | None]]) -> Volume:
    asked: dict[str, Any] = {}
    source = target = ""
    for key, value in pairs:
        if key not in _ALL and kind not in _KEYS.get(key, ()):
            known = [*_ALL[1:], *(name for name, kinds in _KEYS.items() if kind in kinds)]
            hint = f"its keys are {', '.join(known)}"
            raise InvalidRequest(f"unknown key {key!r} of --mount {text!r}", hint=hint)
        if key == "source":
            source = value or ""
        elif key == "target":
            target = value or ""
        elif key != "type":
            _ask(asked, text, key, value)
    if not target:
        raise InvalidRequest(f"--mount {text!r} has no target", hint="add target=PATH")
    if kind == NAMED:
        return _named(source, target, asked.pop("driver", ""), asked)
    if not source:
        raise InvalidRequest(f"--mount {text!r} has no source", hint="add source=…")
    if kind == BIND and not source.startswith("/"):
        source = os.path.abspath(os.path.expanduser(source))
    if kind == IMAGE:
        asked = {"readonly": True, **asked}
    return Volume(kind=kind, source=source, target=normalised(target), **asked)


def _ask(asked: dict[str, Any], text: str, key: str, value: str | None) -> None:
    """One key of a volume's."""
    if key in _REPEATED:
        name, _, of = (value or "").partition("=")
        if not name:
            raise InvalidRequest(
                f"{key} of --mount {text!r} is no NAME=VALUE", hint=f"write {key}=NAME=VALUE"
            )
        field = _REPEATED[key]
        asked[field] = (*asked.get(field, ()), (name, of))
    elif key in _FLAGS:
        asked |= _FLAGS[key] if truth(text, key, value) else {"readonly": False} if key == "ro" else {}
    elif key == "rw":
        asked["readonly"] = not truth(text, key, value)
    elif key == "z":
        check_label()
    elif key == "idmap":
        asked["idmap"] = value or ""
    elif key != "consistency":
        field, known = _WORDS[key]
        if known and value not in known:
            hint = f"use one of {', '.join(known)}"
            raise InvalidRequest(f"{key}={value} of --mount {text!r}", hint=hint)
        asked[field] = value or ""


_WORDS: Mapping[str, tuple[str, Sequence[str]]] = {
    "bind-propagation": ("propagation", PROPAGATIONS),
    "bind-recursive": ("recursive", RECURSIVE),
    "volume-driver": ("driver", ()),
    "volume-subpath": ("subpath", ()),
    "pull": ("pull", ("always", "missing", "never")),
}


def truth(text: str, key: str, value: str | None) -> bool:
    if value in (None, "", "true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise InvalidRequest(f"{key}={value} of --mount {text!r}", hint="write true or false")


def _tmpfs(text: str, pairs: Sequence[tuple[str, str | None]]) -> Tmpfs:
    target, options = "", list[str]()
    for key, value in pairs:
        if key == "target":
            target = value or ""
        elif key in _TMPFS and value:
            options.append(value if key == "tmpfs-options" else f"{key.removeprefix('tmpfs-')}={value}")
        elif key in ("ro", "rw"):
            options += ["ro"] if truth(text, key, value) is (key == "ro") else []
        elif key not in ("type", "consistency"):
            hint = f"its keys are target, ro, {', '.join(_TMPFS)}"
            raise InvalidRequest(f"unknown key {key!r} of --mount {text!r}", hint=hint)
    if not target:
        raise InvalidRequest(f"--mount {text!r} has no target", hint="add target=PATH")
    return parse_tmpfs(f"{target}:{','.join(options)}")


def told_apart(asked: Sequence[Volume | Tmpfs | str]) -> tuple[tuple[Volume, ...], tuple[Tmpfs, ...]]:
    """Volumes, and filesystems in memory, of what `-v` or `--mount` may say too. Raises InvalidRequest."""
    parsed = [_parsed(each) if isinstance(each, str) else each for each in asked]
    volumes = tuple(each for each in parsed if isinstance(each, Volume))
    return volumes, tuple(each for each in parsed if isinstance(each, Tmpfs))


def _parsed(text: str) -> Volume | Tmpfs:
    """A mount's first key is never a path or a name with a colon."""
    parse: Callable[[str], Volume | Tmpfs] = parse_volume
    if "=" in text.partition(",")[0] and not text.startswith(("/", ".", "~")):
        parse = parse_mount
    return parse(text)
