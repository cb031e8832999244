"""Templates of --format, as docker and podman know them: `{{.id}} {{.termination.exit_status.code}}`.

Of Go's text/template there is what people write: fields with dots between, numbers for elements of a
list, `{{json .command}}`, \\t and \\n, and `table` before it all for columns with a header. A field that is
null, or in something that is, is written as nothing; one that is not there is an error that names those
that are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.data import Data
from launcher.errors import InvalidRequest

_ACTION = re.compile(r"{{\s*(?:(json)\s+)?\.([\w/.-]*)\s*}}")
_ESCAPES = {r"\t": "\t", r"\n": "\n"}
_TABLE = "table "


class Template(Data):
    """What to write of each row. `header` is what stands above, for a table."""

    pieces: tuple[str | Field, ...]
    header: bool = False

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises InvalidRequest for what is not understood."""
        header = text.startswith(_TABLE)
        text = text.removeprefix(_TABLE).strip() if header else text
        for written, meant in _ESCAPES.items():
            text = text.replace(written, meant)
        return cls(tuple(_pieces(text)), header)

    def lines(self, value: Any) -> Iterator[str]:
        """One for each row; a value that is no list is the only one."""
        if self.header:
            yield "".join(piece if isinstance(piece, str) else piece.title for piece in self.pieces)
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            yield "".join(piece if isinstance(piece, str) else piece.of(row) for piece in self.pieces)


class Field(Data):
    """One action: a path into the row, written as text or as JSON."""

    path: tuple[str, ...]
    as_json: bool = False

    @property
    def title(self) -> str:
        return self.path[-1].upper().replace("_", " ") if self.path else ""

    def of(self, row: Any) -> str:
        value = row
        for name in self.path:
            value = None if value is None else _step(value, name)
        if self.as_json or isinstance(value, (dict, list)):
            return json.dumps(value)
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)


def _pieces(text: str) -> Iterator[str | Field]:
    end = 0
    for found in _ACTION.finditer(text):
        yield _plain(text[end : found.start()])
        yield Field(tuple(found[2].split(".")) if found[2] else (), bool(found[1]))
        end = found.end()
    yield _plain(text[end:])


def _plain(text: str) -> str:
    if "{{" not in text and "}}" not in text:
        return text
    hint = "write fields as {{.id}} or {{json .command}}; --json shows all of them"
    raise InvalidRequest(f"the template has what is not understood: {text.strip()!r}", hint=hint)


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        near = {key.lower(): key for key in value}.get(name.lower())  # Docker's are in capitals
        if near is not None:
            return value[near]
        raise _unknown(name, sorted(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        if name.isdecimal():
            return value[int(name)] if int(name) < len(value) else None
        raise _unknown(name, ["0", "1", "…"])
    raise _unknown(name, [])


def _unknown(name: str, known: Sequence[str]) -> InvalidRequest:
    hint = f"there are {', '.join(known)}" if known else "what is before it has no fields"
    return InvalidRequest(f"no field {name!r}", hint=hint)
