"""The process that unpacks layers, one after the other, as its pipes say; see layer.workers.

    stdin    a job as a line of JSON, and as many bytes of its blob as it says; again, until it ends
    stdout   for each job lines of JSON: {"spent": [bytes, entries]} of the limits so far, now and then; and
             at the end what became of it

After a job that failed the process ends: what is left of the blob is then nobody's to read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from provisioner.errors import DigestMismatch
from provisioner.layer.apply import Job, apply
from provisioner.layer.limits import Budget, LimitExceeded, Limits
from provisioner.layer.stream import CHUNK, MalformedContent

_IN, _OUT = 0, 1


class _Blob:
    """So many bytes of stdin."""

    def __init__(self, first: bytes, size: int) -> None:
        self._first = first  # what was read together with the job
        self._left = size - len(first)

    def read(self, size: int, /) -> bytes:
        chunk, self._first = self._first, b""
        if not chunk and self._left:
            chunk = os.read(_IN, min(size, self._left))
            if not chunk:
                raise SystemExit  # the parent gave up, or is gone
            self._left -= len(chunk)
        return chunk

    def drain(self) -> None:
        while self.read(CHUNK):
            pass


def main() -> None:
    """Until stdin ends."""
    os.umask(0)  # so that open(2) gives a file its mode
    while line := _line():
        job, _, rest = line.partition(b"\n")
        outcome = _perform(json.loads(job), rest)
        os.write(_OUT, json.dumps(outcome).encode() + b"\n")
        if "error" in outcome:
            return


def _line() -> bytes:
    """The next job, maybe with the beginning of its blob."""
    content = b""
    while b"\n" not in content:
        more = os.read(_IN, CHUNK)
        if not more:
            return b""
        content += more
    return content


def _perform(message: Mapping[str, Any], first: bytes) -> dict[str, Any]:
    size = message["size"]
    budget = Budget(Limits(**message["limits"])).for_layer(size, _tell)
    try:
        blob = _Blob(first, size)
        unpacked = apply(Job(**message["job"]), blob, budget)
        blob.drain()
    except LimitExceeded as error:
        return {"error": "limit", "message": str(error)}
    except MalformedContent as error:
        return {"error": "malformed", "message": str(error)}
    except DigestMismatch as error:
        return {"error": "digest", "message": error.message}
    except OSError as error:
        return {"error": "os", "errno": error.errno, "message": error.strerror, "file": _name(error.filename)}
    except MemoryError:
        return {"error": "os", "errno": 12, "message": "out of memory", "file": None}
    return {
        "size": unpacked.size,
        "implicit": [os.fsdecode(path) for path in unpacked.implicit],
        "whiteouts": [os.fsdecode(path) for path in unpacked.whiteouts],
        "skipped": list(unpacked.skipped),
        "spent": [budget.bytes, budget.entries],
    }


def _tell(size: int, entries: int) -> None:
    os.write(_OUT, json.dumps({"spent": [size, entries]}).encode() + b"\n")


def _name(name: object) -> str | None:
    return os.fsdecode(name) if isinstance(name, str | bytes) else None
