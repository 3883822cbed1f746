"""Tables of TOML, key by key, with everything that is wrong in them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from frugal_chains.replay.sheet._checks import Check, Wrong, shown
from frugal_chains.replay.sheet._keys import Rows, Spec, Table

BROKEN: Final = object()
"""Stands for a value that was refused: what rests on it is not complained about a second time."""
WHERE: Final = "<where>"
"""The key under which a table that was read says where it stood, as a `Where`."""
Where: TypeAlias = tuple[str, ...]
"""The tables around a key, outermost first: `("scenario 1 (routed)", "shape")`."""
_MAX_NAME = 40


class Reader:
    """Reads tables, and gathers complaints: a sheet is refused once, with all of them."""

    def __init__(self) -> None:
        self._problems: dict[str, None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """In the order they were found, each once."""
        return tuple(self._problems)

    def complain(self, where: Where, complaint: str) -> None:
        self._problems[f"{', '.join(where)}: {complaint}" if where else complaint] = None

    def table(self, raw: Any, spec: Table, where: Where = ()) -> dict[str, Any]:
        """The values that could be read, `BROKEN` for the others."""
        found: dict[str, Any] = {WHERE: where}
        for key, value in raw.items():
            known = spec.keys.get(key)
            if known is None:
                self.complain(where, _unknown(key, spec.keys))
            else:
                found[key] = self._value(value, known, key, where)
        for key in spec.required:
            if key not in raw:
                self.complain(where, f"{key} is missing; expected {_expected(spec.keys[key], key)}")
                found[key] = BROKEN
        return found

    def _value(self, value: Any, spec: Spec, key: str, where: Where) -> Any:
        match spec:
            case Check():
                return self._checked(value, spec, key, where)
            case Table():
                if isinstance(value, dict):
                    return self.table(value, spec, (*where, key))
            case Rows():
                if isinstance(value, list) and value and all(isinstance(r, dict) for r in value):
                    return [
                        self.table(row, spec.row, (*where, _row_name(key, i, row, spec.named)))
                        for i, row in enumerate(value, start=1)
                    ]
        self.complain(where, f"{key}: expected {_expected(spec, key)}, got {shown(value)}")
        return BROKEN

    def _checked(self, value: Any, check: Check, key: str, where: Where) -> Any:
        try:
            return check.read(value, ", ".join((*where, key)))
        except Wrong as wrong:
            expected = str(wrong) or check.expected
            self.complain(where, f"{key}: expected {expected}, got {shown(value)}")
            return BROKEN


def nearest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """A way out for a name that is none of those known."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {shown(close[0])}?" if close else f"known: {', '.join(known)}"


def _unknown(key: str, known: Mapping[str, Spec]) -> str:
    return f"unknown key {shown(key)}; {nearest(key, known)}"


def _expected(spec: Spec, key: str) -> str:
    match spec:
        case Check():
            return spec.expected
        case Table():
            return f"a table, written [{key}]"
    return f"at least one table, written [[{key}]]"


def _row_name(key: str, number: int, row: Mapping[str, Any], named: str) -> str:
    name = row.get(named)
    if not isinstance(name, str) or not name:
        return f"{key} {number}"
    short = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."
    plain = "".join(c if c.isprintable() else "?" for c in short)
    return f"{key} {number} ({plain})"
