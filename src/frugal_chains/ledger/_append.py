"""Writing attempts: series, rows, late corrections, and the meters they are added to.

Every function here runs inside the caller's write transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import Labels, labels_of, row_of
from frugal_chains.ledger._ids import microseconds
from frugal_chains.ledger._meters import Meter, MeterFacts
from frugal_chains.ledger._rollup import refold_one
from frugal_chains.ledger._schema import ROW_COLUMNS, SERIES_COLUMNS

_INSERT_SERIES = (
    f"INSERT OR IGNORE INTO series ({', '.join(SERIES_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(SERIES_COLUMNS))})"
)
_FIND_SERIES = f"SELECT id FROM series WHERE {' AND '.join(f'{c} = ?' for c in SERIES_COLUMNS)}"
INSERT_ATTEMPT = (
    f"INSERT OR IGNORE INTO attempts ({', '.join(ROW_COLUMNS)}, opens_operation) "
    f"VALUES ({', '.join(f'?{i + 1}' for i in range(len(ROW_COLUMNS)))}, "
    "NOT EXISTS (SELECT 1 FROM attempts WHERE operation_id = ?2))"
)
_REPLACE_ATTEMPT = (
    f"UPDATE attempts SET {', '.join(f'{c} = ?{i + 1}' for i, c in enumerate(ROW_COLUMNS))} "
    "WHERE id = ?1"
)


class SeriesIds:
    """Label combinations to their ids, remembered: a running application has a few hundred."""

    def __init__(self) -> None:
        self._ids: dict[Labels, int] = {}
        self._labels: dict[int, Labels] = {}

    def id_of(self, db: sqlite3.Connection, labels: Labels) -> int:
        found = self._ids.get(labels)
        if found is None:
            db.execute(_INSERT_SERIES, labels)
            (found,) = db.execute(_FIND_SERIES, labels).fetchone()
            self._ids[labels] = found
        return found

    def forget(self) -> None:
        """Drop ids that a rolled-back transaction may have handed out."""
        self._ids.clear()
        self._labels.clear()

    def labels_of(self, db: sqlite3.Connection, series: int) -> Labels:
        if series not in self._labels:
            query = f"SELECT id, {', '.join(SERIES_COLUMNS)} FROM series"
            for number, *labels in db.execute(query):
                self._labels[number] = tuple(labels)
        return self._labels[series]


def append_attempt(db: sqlite3.Connection, ids: SeriesIds, attempt: Attempt) -> int | None:
    """Insert one attempt; the nano-USD it adds to the meters, or None when nothing changed.

    The same attempt twice is one row. An attempt once booked as `aborted` gives way to the true
    end when that arrives late; only the difference is then added to the meters.
    """
    row = row_of(attempt, ids.id_of(db, labels_of(attempt)))
    if db.execute(INSERT_ATTEMPT, row).rowcount:
        return attempt.price.nanos or 0
    if attempt.status == "aborted":
        return None
    found = db.execute(
        "SELECT a.nanos FROM attempts a JOIN series s ON s.id = a.series "
        "WHERE a.id = ? AND s.status = 'aborted'",
        row[:1],
    ).fetchone()
    if found is None:
        return None
    refold_one(db, row[0], sign=-1)
    db.execute(_REPLACE_ATTEMPT, row)
    refold_one(db, row[0], sign=1)
    return (attempt.price.nanos or 0) - int(found[0])


def registered_meters(db: sqlite3.Connection) -> tuple[Meter, ...]:
    """The meters that every attempt of this ledger is added to."""
    return tuple(
        Meter(window=window, tag=tag)
        for window, tag in db.execute("SELECT window, tag FROM meters")
    )


def add_to_meters(
    db: sqlite3.Connection, attempt: Attempt, nanos: int, *, claimed: Iterable[str] = ()
) -> None:
    """Add a cost to every sum it belongs to: those claimed before the call, and all shared ones."""
    if not nanos:
        return
    facts = MeterFacts(at=attempt.at, operation_id=attempt.operation_id, tags=attempt.tags)
    keys = dict.fromkeys(claimed)
    rolling: set[str] = set()
    for meter in registered_meters(db):
        key = meter.key(facts)
        keys[key] = None
        if meter.span_s is not None:
            rolling.add(key)
    for key in keys:
        changed = db.execute(
            "UPDATE meter_sums SET spent_nanos = spent_nanos + ? WHERE key = ?", (nanos, key)
        ).rowcount
        # A sum that no budget has asked for yet is counted from the books when one does.
        if changed and key in rolling:
            db.execute(
                "INSERT INTO meter_entries VALUES (?, ?, ?)", (key, microseconds(attempt.at), nanos)
            )
