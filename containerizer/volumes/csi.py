"""Volumes of CSI in the words of `--mount type=csi,KEY=VALUE,…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from containerizer.volumes.words import truth
from isolators.csi import CsiVolume
from isolators.secrets import Secret, SecretReference
from isolators.volumes import CSI, Volume, normalised
from launcher.errors import InvalidRequest

# Key → the field, of the Volume or of the CsiVolume.
_TEXTS = {"volume-driver": "driver", "driver": "driver", "source": "source", "volume-subpath": "subpath"}
_MODES = {"access-mode": "access_mode", "fs-type": "fs_type"}
_MAPS = {"context": "volume_context", "volume-opt": "volume_context", "publish-context": "publish_context"}
_SECRETS = {"stage-secret": "stage_secrets", "publish-secret": "publish_secrets"}
_TRUTHS = ("ro", "rw", "block")
_KNOWN = (*_TEXTS, "target", *_TRUTHS, *_MODES, "mount-flag", *_MAPS, *_SECRETS)


def parse(text: str, pairs: Sequence[tuple[str, str | None]]) -> Volume:
    """`pairs`: what the text says, with the first names of keys. Raises InvalidRequest."""
    named: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    for key, value in pairs:
        if key == "target":
            named["target"] = normalised(value or "")
        elif key in _TEXTS:
            named[_TEXTS[key]] = value or ""
        elif key in _TRUTHS:
            is_so = truth(text, key, value)
            named |= {} if key == "block" else {"readonly": is_so == (key == "ro")}
            asked |= {"block": is_so} if key == "block" else {}
        elif key in _MODES:
            asked[_MODES[key]] = (value or "").upper() if key == "access-mode" else value or ""
        elif key == "mount-flag":
            asked["mount_flags"] = (*asked.get("mount_flags", ()), value or "")
        elif key in _MAPS or key in _SECRETS:
            _add(asked, text, key, value)
        elif key != "type":
            hint = f"its keys are {', '.join(_KNOWN)}"
            raise InvalidRequest(f"unknown key {key!r} of --mount {text!r}", hint=hint)
    for field in ("target", "source", "driver"):
        if not named.get(field):
            raise InvalidRequest(f"--mount {text!r} has no {field}", hint=f"add {field}=…")
    return Volume(kind=CSI, csi=CsiVolume(**asked), **named)


def _add(asked: dict[str, Any], text: str, key: str, value: str | None) -> None:
    name, equals, of = (value or "").partition("=")
    if not name or not equals:
        raise InvalidRequest(f"{key} of --mount {text!r} is no NAME=VALUE", hint=f"write {key}=NAME=VALUE")
    field = _MAPS.get(key) or _SECRETS[key]
    found: Mapping[str, Any] = asked.get(field, {})
    asked[field] = {**found, name: Secret(reference=SecretReference(name=of)) if key in _SECRETS else of}
