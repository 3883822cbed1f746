"""The attempts of a period that savings look at: one by one, or an operation at a time.

A question may go through every attempt there is, so each costs one step of SQLite and one short
tuple. What was tried again is found first and kept aside by SQLite, on disk where it must.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from frugal_chains.ledger._attempt import Purpose
from frugal_chains.ledger._codec import json_of
from frugal_chains.ledger._schema import LABEL_COLUMNS
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.ledger._store import Followed, FollowedLabels
from frugal_chains.usage import COUNT_FIELDS, Usage

_numbers: Final = itertools.count()
_FAILED: Final = ("error", "aborted")
_COLUMNS: Final = ", ".join(
    f"a.{name}" for name in ("operation_id", "id", "at_us", "parent_id", "decision", "nanos")
)
_COUNTS: Final = ", ".join(f"a.{name}" for name in COUNT_FIELDS)
_LABELS: Final = tuple(map(LABEL_COLUMNS.index, FollowedLabels._fields))
_OUTCOME: Final = LABEL_COLUMNS.index("outcome")
_SOURCE: Final = LABEL_COLUMNS.index("usage_source")
_Row = tuple[Any, ...]


def followed(
    db: sqlite3.Connection,
    ids: SeriesIds,
    *,
    purposes: Sequence[Purpose],
    period: str,
    values: Sequence[Any],
) -> Iterator[list[Followed]]:
    """See `PeriodBooks`; inside a transaction of the caller, which takes back what is kept aside.

    Args:
        period: The condition of the period for `attempts AS a`; `values` are its values.
    """
    failed = _series_of("status", _FAILED)
    # Told by labels alone: to look for a word in the text of each decision takes longer.
    flagged = f"({_series_of('purpose', purposes)} OR (a.decision IS NOT NULL AND {failed}))"
    flags = [*purposes, *_FAILED]
    tried = f"temp.tried_again_{next(_numbers)}"  # another may still be read
    db.execute(f"CREATE TABLE {tried} (operation_id BLOB PRIMARY KEY) WITHOUT ROWID")
    db.execute(
        f"INSERT OR IGNORE INTO {tried} SELECT a.operation_id FROM attempts a "
        f"WHERE {flagged} AND a.operation_id IS NOT NULL AND {period}",
        [*flags, *values],
    )
    read = _Reader(db, ids).read
    alone = (
        f"(a.decision IS NOT NULL OR {flagged}) AND NOT EXISTS "
        f"(SELECT 1 FROM {tried} t WHERE t.operation_id = a.operation_id)"
    )
    for row in db.execute(_query("attempts a", alone, period), [*flags, *values]):
        yield [read(row)]
    some = f"(a.decision IS NOT NULL OR {flagged} OR {failed})"
    both = f"{tried} t CROSS JOIN attempts a ON a.operation_id = t.operation_id"
    rows = db.execute(_query(both, some, period), [*flags, *_FAILED, *values])
    for _, group in groupby(rows, key=itemgetter(0)):
        yield [read(row) for row in group]


def _query(source: str, condition: str, period: str) -> str:
    return (
        f"SELECT {_COLUMNS}, s.kind, {_COUNTS} FROM {source} CROSS JOIN series s "
        f"ON s.id = a.series WHERE {condition} AND {period}"
    )


def _series_of(column: str, values: Sequence[str]) -> str:
    places = ", ".join("?" * len(values))
    return (
        "a.series IN (SELECT s.id FROM series s JOIN kinds k ON k.id = s.kind "
        f"WHERE k.{column} IN ({places}))"
    )


class _Reader:
    """Rows as what savings ask for. Labels are looked up by kind, of which there are few hundred
    however many values the tags have."""

    def __init__(self, db: sqlite3.Connection, ids: SeriesIds) -> None:
        self._db = db
        self._ids = ids
        self._kinds: dict[int, tuple[FollowedLabels, bool, str]] = {}

    def read(self, row: _Row) -> Followed:
        _, id_, at_us, parent_id, text, nanos, kind, *counts = row
        labels, priced, source = self._kinds.get(kind) or self._kind(kind)
        counts.append(source)
        # Both are tuples of what was checked when it was recorded: made as such, for every row.
        usage = tuple.__new__(Usage, counts)
        decision = None if text is None else json_of(text)
        return tuple.__new__(
            Followed,
            (id_, at_us, parent_id, decision, nanos if priced else None, usage, labels),
        )

    def _kind(self, kind: int) -> tuple[FollowedLabels, bool, str]:
        texts = self._ids.labels_of_kind(self._db, kind)
        labels = FollowedLabels._make(texts[at] for at in _LABELS)
        found = labels, texts[_OUTCOME] != "unpriced", texts[_SOURCE]
        self._kinds[kind] = found
        return found
