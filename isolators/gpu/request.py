"""Which GPUs a request asks for, in the words of Docker's --gpus."""

from __future__ import annotations

from launcher.data import Data
from launcher.errors import InvalidRequest


class Gpus(Data, kw_only=True):
    """A number of them, or those that are named; all, if neither."""

    count: int | None = None
    devices: tuple[str, ...] = ()  # an index ("0", "0:1" for a MIG instance) or a UUID


def parse(text: str) -> Gpus:
    """From "all", "2", "device=0", '"device=0,GPU-…"'. Raises InvalidRequest.

    Docker takes a line of comma-separated values, in which one with a comma is quoted.
    """
    unquoted = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if unquoted in ("all", "count=all"):
        return Gpus()
    number = unquoted.removeprefix("count=")
    if number.isdecimal() and number.isascii() and int(number) > 0:
        return Gpus(count=int(number))
    name, _, names = unquoted.partition("=")
    devices = tuple(names.split(","))
    if name != "device" or not all(devices) or '"' in names:
        hint = "write all, a number from 1 on, or device=NAME[,NAME...] with indices or UUIDs"
        raise InvalidRequest(f"invalid GPUs {text!r}", hint=hint)
    return Gpus(devices=devices)
