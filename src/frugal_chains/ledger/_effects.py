"""Effects in the ledger file: as a line of an inbox, and as rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from frugal_chains.ledger._codec import tags_text
from frugal_chains.ledger._effect import Effect, detail_text
from frugal_chains.ledger._effect_sums import add_to_days, has_effects, in_period, last_effect
from frugal_chains.ledger._ids import (
    microseconds,
    moment,
    pack_id,
    unpack_id,
    whole_text,
)
from frugal_chains.ledger._schema import EFFECT_COLUMNS
from frugal_chains.ledger._store import EffectFilter

PAGE_ROWS = 1000
_ROWS_AT_ONCE: Final = (64, 16, 4, 1)
"""As attempts: few statements, so that the file is locked for a short time."""
_OPERATION: Final = EFFECT_COLUMNS.index("operation_id")
_LEVER: Final = EFFECT_COLUMNS.index("lever")


# -- as a line of an inbox ---------------------------------------------------------------------

_encode = json.JSONEncoder(separators=(",", ":")).encode


def effect_line(effect: Effect) -> bytes:
    """One line of JSON, an object: ASCII, so without any zero byte."""
    values = dict(zip(EFFECT_COLUMNS, _row_of(effect), strict=True))
    values |= {"id": effect.id, "operation_id": unpack_id(values["operation_id"])}
    return _encode(values).encode() + b"\n"


def effect_of_line(line: bytes) -> Effect:
    """What `effect_line` wrote, without its end.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: anything else.
    """
    value = json.loads(line)
    return _effect_of({**value, "id": bytes.fromhex(value["id"])})


# -- as rows -----------------------------------------------------------------------------------


def book_effects(db: sqlite3.Connection, effects: Sequence[Effect]) -> None:
    """Write effects; one that is there already stays. Inside the caller's write transaction."""
    last = last_effect(db)
    values, seen = [], set()
    for effect in effects:
        row = _row_of(effect)
        group = row[_OPERATION], row[_LEVER]
        # Rows of one statement do not see each other: which comes first is told here.
        values.append((*row, group not in seen))
        if row[_OPERATION] is not None:
            seen.add(group)
    most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // (len(EFFECT_COLUMNS) + 1)
    for size in _ROWS_AT_ONCE:
        while len(values) >= size and size <= most:
            db.execute(_insert(size), list(chain.from_iterable(values[:size])))
            del values[:size]
    add_to_days(db, after=last)


@cache
def _insert(rows: int) -> str:
    width = len(EFFECT_COLUMNS) + 1
    places = []
    for first in range(1, rows * width + 1, width):
        numbers = ", ".join(f"?{number}" for number in range(first, first + width - 1))
        opens = (
            f"SELECT 1 FROM effects WHERE operation_id = ?{first + _OPERATION} "
            f"AND lever = ?{first + _LEVER}"
        )
        places.append(f"({numbers}, ?{first + width - 1} AND NOT EXISTS ({opens}))")
    return (
        f"INSERT INTO effects ({', '.join(EFFECT_COLUMNS)}, opens_operation) "
        f"VALUES {', '.join(places)} ON CONFLICT (id) DO NOTHING"
    )


def _row_of(effect: Effect) -> tuple[Any, ...]:
    """One value for each of `EFFECT_COLUMNS`."""
    return (
        bytes.fromhex(effect.id),
        pack_id(whole_text(effect.operation_id)),
        microseconds(effect.at),
        whole_text(effect.lever),
        effect.tokens_before,
        effect.tokens_after,
        int(effect.exact),
        whole_text(effect.provider),
        whole_text(effect.model),
        effect.net_nanos,
        effect.kind,
        detail_text(effect.detail) if effect.detail else "",
        whole_text(tags_text(effect.tags)),
    )


def _effect_of(value: Mapping[str, Any]) -> Effect:
    return Effect(
        id=value["id"].hex(),
        operation_id=unpack_id(value["operation_id"]),
        at=moment(value["at_us"]),
        lever=value["lever"],
        tokens_before=value["tokens_before"],
        tokens_after=value["tokens_after"],
        exact=bool(value["exact"]),
        provider=value["provider"],
        model=value["model"],
        net_nanos=value["net_nanos"],
        kind=value["kind"],
        detail=json.loads(value["detail"]) if value["detail"] else {},
        tags=json.loads(value["tags"]) if value["tags"] else {},
    )


# -- reading -----------------------------------------------------------------------------------


def effects_page(db: sqlite3.Connection, which: EffectFilter, *, after: bytes) -> list[Effect]:
    """The next effects, oldest first, that match."""
    if not has_effects(db):
        return []
    condition, values = in_period(
        None if which.since is None else microseconds(which.since),
        None if which.until is None else microseconds(which.until),
    )
    conditions, bound = ["id > ?", condition], [after, *values]  # type: tuple[list[str], list[Any]]
    for column, value in (("operation_id", which.operation_id), ("lever", which.lever)):
        if value is not None:
            conditions.append(f"{column} = ?")
            bound.append(pack_id(value) if column == "operation_id" else value)
    query = (
        f"SELECT {', '.join(EFFECT_COLUMNS)} FROM effects "
        f"WHERE {' AND '.join(conditions)} ORDER BY id LIMIT {PAGE_ROWS}"
    )
    rows = db.execute(query, bound).fetchall()
    return [_effect_of(dict(zip(EFFECT_COLUMNS, row, strict=True))) for row in rows]
