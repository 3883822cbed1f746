"""Reservations: an amount held in each claimed sum from before a call until its row is written.

Every function here runs inside the caller's write transaction, which is what makes check and
reserve one step for threads, tasks and processes alike.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from frugal_chains.ledger._append import SeriesIds, add_to_meters, append_attempt
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json
from frugal_chains.ledger._ids import first_id, microseconds
from frugal_chains.ledger._meters import Claim, Meter, MeterState, Refusal
from frugal_chains.ledger._rollup import sums_by_series
from frugal_chains.ledger._schema import SERIES_COLUMNS, SUM_COLUMNS

_TAGS = SERIES_COLUMNS.index("tags")
_NANOS = 2 + SUM_COLUMNS.index("nanos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What one call asks of the meters, and what to book should its end never come."""

    claims: tuple[Claim, ...]
    expires_at: datetime
    if_lost: Attempt
    """Booked as it stands when the lease expires. Its id is the reservation's id."""


def reserve(
    db: sqlite3.Connection, ids: SeriesIds, wanted: Reservation, *, now: datetime
) -> Refusal | tuple[MeterState, ...]:
    """Hold every claim and return the sums before; or hold none: the first that does not fit."""
    book_expired(db, ids, now=now)
    amounts: dict[str, int] = {}
    before: list[MeterState] = []
    for claim in wanted.claims:
        state = _current(db, ids, claim.meter, claim.key, now=now)
        total = state.spent_nanos + state.reserved_nanos + claim.nanos
        if claim.limit_nanos is not None and total > claim.limit_nanos:
            return Refusal(claim=claim, state=state)
        before.append(state)
        amounts[claim.key] = max(amounts.get(claim.key, 0), claim.nanos)
    packed = bytes.fromhex(wanted.if_lost.id)
    for key, nanos in amounts.items():
        db.execute(
            "UPDATE meter_sums SET reserved_nanos = reserved_nanos + ?, touched_us = ? WHERE key = ?",
            (nanos, microseconds(now), key),
        )
        db.execute("INSERT INTO claims VALUES (?, ?, ?)", (packed, key, nanos))
    stub = json.dumps(attempt_to_json(wanted.if_lost), separators=(",", ":"))
    expires_us = microseconds(wanted.expires_at)
    db.execute("INSERT INTO reservations VALUES (?, ?, ?)", (packed, expires_us, stub))
    return tuple(before)


def release(db: sqlite3.Connection, reservation_id: str) -> list[str]:
    """Give back what a reservation holds; the keys it held. Unknown ids hold nothing."""
    packed = bytes.fromhex(reservation_id)
    held = db.execute("SELECT key, nanos FROM claims WHERE reservation = ?", (packed,)).fetchall()
    for key, nanos in held:
        db.execute(
            "UPDATE meter_sums SET reserved_nanos = reserved_nanos - ? WHERE key = ?", (nanos, key)
        )
    db.execute("DELETE FROM claims WHERE reservation = ?", (packed,))
    db.execute("DELETE FROM reservations WHERE id = ?", (packed,))
    return [key for key, _ in held]


def book_expired(db: sqlite3.Connection, ids: SeriesIds, *, now: datetime) -> None:
    """Book the calls whose lease has passed: their process died, or they were forgotten."""
    query = "SELECT if_lost FROM reservations WHERE expires_us < ? LIMIT 100"
    for (stub,) in db.execute(query, (microseconds(now),)).fetchall():
        lost = attempt_from_json(json.loads(stub))
        keys = release(db, lost.id)
        added = append_attempt(db, ids, lost)
        if added is not None:
            add_to_meters(db, lost, added, claimed=keys)


def states(
    db: sqlite3.Connection, ids: SeriesIds, meters: Sequence[tuple[Meter, str]], *, now: datetime
) -> list[MeterState]:
    """The sums behind (meter, key) pairs as they stand; reads the books for sums not kept yet."""
    return [_current(db, ids, meter, key, now=now) for meter, key in meters]


def register(db: sqlite3.Connection, meters: Iterable[Meter]) -> None:
    """From now on add every attempt to these meters. Windows of single calls need no register."""
    db.executemany(
        "INSERT OR IGNORE INTO meters VALUES (?, ?)",
        [(meter.window, meter.tag) for meter in meters if not meter.by_call],
    )


def _current(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str, *, now: datetime
) -> MeterState:
    found = db.execute(
        "SELECT spent_nanos, reserved_nanos FROM meter_sums WHERE key = ?", (key,)
    ).fetchone()
    if found is None:
        spent = 0 if meter.by_call else _spent_in_books(db, ids, meter, key, now=now)
        db.execute("INSERT INTO meter_sums VALUES (?, ?, 0, ?)", (key, spent, microseconds(now)))
        return MeterState(key=key, spent_nanos=spent)
    spent, reserved = found
    if meter.span_s is not None:
        spent -= _forget_old_entries(db, meter, key, now=now)
    return MeterState(key=key, spent_nanos=spent, reserved_nanos=reserved)


def _forget_old_entries(db: sqlite3.Connection, meter: Meter, key: str, *, now: datetime) -> int:
    start = meter.started_at(now)
    assert start is not None  # a rolling window always has one
    old = (key, microseconds(start))
    query = "SELECT COALESCE(SUM(nanos), 0) FROM meter_entries WHERE key = ? AND at_us <= ?"
    gone = int(db.execute(query, old).fetchone()[0])
    if gone:
        db.execute("DELETE FROM meter_entries WHERE key = ? AND at_us <= ?", old)
        db.execute("UPDATE meter_sums SET spent_nanos = spent_nanos - ? WHERE key = ?", (gone, key))
    return gone


def _spent_in_books(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str, *, now: datetime
) -> int:
    """What the ledger already holds for a sum that is asked for the first time."""
    start, end = meter.started_at(now), meter.ends_at(now)
    since_us = None if start is None else microseconds(start)
    until_us = None if end is None else microseconds(end)
    if meter.span_s is not None:
        return _copy_entries(db, ids, meter, key, since_us or 0)
    return sum(
        sums[_NANOS]
        for _, series, sums in sums_by_series(db, since_us=since_us, until_us=until_us)
        if _tagged(ids.labels_of(db, series), meter, key)
    )


def _copy_entries(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str, since_us: int
) -> int:
    rows = db.execute(
        "SELECT series, at_us, nanos FROM attempts WHERE id >= ? AND at_us > ? AND nanos > 0",
        (first_id(since_us), since_us),
    ).fetchall()
    spent = 0
    for series, at_us, nanos in rows:
        if _tagged(ids.labels_of(db, series), meter, key):
            db.execute("INSERT INTO meter_entries VALUES (?, ?, ?)", (key, at_us, nanos))
            spent += nanos
    return spent


def _tagged(labels: tuple[str, ...], meter: Meter, key: str) -> bool:
    """Whether a series belongs to the tag value that `key` names."""
    if not meter.tag:
        return True
    tags = json.loads(labels[_TAGS]) if labels[_TAGS] else {}
    return key.startswith(f"{meter.window}|{meter.tag}={tags.get(meter.tag, '')}|")
