"""Reservations: an amount held in each claimed sum from before a call until its row is written.

Every function here runs inside the caller's write transaction, which is what makes check and
reserve one step for threads, tasks and processes alike.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from frugal_chains.errors import wordless
from frugal_chains.ledger._append import Entry, book, settle
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json
from frugal_chains.ledger._ids import microseconds
from frugal_chains.ledger._meters import Claim, Meter, MeterState, Refusal
from frugal_chains.ledger._rollup import sums_by_labels
from frugal_chains.ledger._schema import LABEL_COLUMNS, SUM_COLUMNS
from frugal_chains.ledger._series import SeriesIds

_TAGS = LABEL_COLUMNS.index("tags")
logger = logging.getLogger("frugal_chains.ledger")

_NANOS = 2 + SUM_COLUMNS.index("nanos")
_HOLD = "UPDATE meter_sums SET reserved_nanos = reserved_nanos + ?, touched_us = ? WHERE key = ?"
_EVER_US = -1
"""`since_us` of a sum that leaves out nothing: before any attempt."""


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
        # A call that costs nothing makes no limit worse: the free model still answers.
        if claim.nanos and claim.limit_nanos is not None and total > claim.limit_nanos:
            return Refusal(claim=claim, state=state)
        before.append(state)
        amounts[claim.key] = max(amounts.get(claim.key, 0), claim.nanos)
    packed = bytes.fromhex(wanted.if_lost.id)
    for key, nanos in amounts.items():
        db.execute(_HOLD, (nanos, microseconds(now), key))
        db.execute("INSERT INTO claims VALUES (?, ?, ?)", (packed, key, nanos))
    stub = json.dumps(attempt_to_json(wanted.if_lost), separators=(",", ":"))
    expires_us = microseconds(wanted.expires_at)
    db.execute("INSERT INTO reservations VALUES (?, ?, ?)", (packed, expires_us, stub))
    return tuple(before)


def book_expired(db: sqlite3.Connection, ids: SeriesIds, *, now: datetime) -> None:
    """Book the calls whose lease has passed: their process died, or they were forgotten."""
    query = "SELECT id, if_lost FROM reservations WHERE expires_us < ? LIMIT 100"
    for packed, stub in db.execute(query, (microseconds(now),)).fetchall():
        try:
            entry = _entry(stub)
        except Exception as error:  # whatever it is, it must not block every other call
            logger.error(
                "a call whose lease has passed cannot be booked: %s", stub, exc_info=wordless(error)
            )
            settle(db, packed)
        else:
            book(db, ids, entry)


def _entry(stub: str) -> Entry:
    attempt = attempt_from_json(json.loads(stub))
    # JSON keeps lone surrogates, which SQLite refuses.
    return Entry(attempt, attempt.id).without_lone_surrogates()


def release(db: sqlite3.Connection, reservation_id: str) -> None:
    """Give back what is held for a call that was never sent. Unknown ids hold nothing."""
    settle(db, bytes.fromhex(reservation_id))


def states(
    db: sqlite3.Connection, ids: SeriesIds, meters: Sequence[tuple[Meter, str]], *, now: datetime
) -> list[MeterState]:
    """The sums behind (meter, key) pairs as they stand; reads the books for sums not kept yet."""
    book_expired(db, ids, now=now)
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
        "SELECT spent_nanos, reserved_nanos, since_us FROM meter_sums WHERE key = ?", (key,)
    ).fetchone()
    if found is None:
        spent, since_us = _count(db, ids, meter, key, now=now)
        insert = "INSERT INTO meter_sums VALUES (?, ?, 0, ?, ?)"
        db.execute(insert, (key, spent, since_us, microseconds(now)))
        return MeterState(key=key, spent_nanos=spent)
    spent, reserved, since_us = found
    if meter.span_s is not None:
        spent = _slide(db, ids, meter, key, spent, since_us, now=now)
    return MeterState(key=key, spent_nanos=spent, reserved_nanos=reserved)


def _count(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str, *, now: datetime
) -> tuple[int, int]:
    """A sum that is asked for the first time, and its `since_us`: what the ledger holds already."""
    if meter.by_call:
        return 0, _EVER_US
    start, end = meter.started_at(now), meter.ends_at(now)
    if start is None:
        return _spent(db, ids, meter, key, None, None), _EVER_US
    if end is None:  # rolling: after `start`, not from it on
        after_us = microseconds(start)
        return _spent(db, ids, meter, key, after_us + 1, None), after_us
    return _spent(db, ids, meter, key, microseconds(start), microseconds(end)), _EVER_US


def _slide(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str, spent: int, was_us: int,
    *, now: datetime,
) -> int:  # fmt: skip
    """Move a rolling sum to the window that ends now, by what lies between the two starts.

    Back as well as on: after the clock was set back, what had left the window is in it again.
    """
    start = meter.started_at(now)
    assert start is not None  # a rolling window always has one
    start_us = microseconds(start)
    if start_us == was_us:
        return spent
    first_us, last_us = sorted((start_us, was_us))
    between = _spent(db, ids, meter, key, first_us + 1, last_us + 1)
    spent += between if start_us < was_us else -between
    db.execute(
        "UPDATE meter_sums SET spent_nanos = ?, since_us = ? WHERE key = ?", (spent, start_us, key)
    )
    return spent


def _spent(
    db: sqlite3.Connection, ids: SeriesIds, meter: Meter, key: str,
    since_us: int | None, until_us: int | None,
) -> int:  # fmt: skip
    """What the books hold in `[since, until)` for the tag value that `key` names."""
    lines = sums_by_labels(db, ids, since_us=since_us, until_us=until_us, tagged=bool(meter.tag))
    return sum(sums[_NANOS] for _, labels, sums in lines if _tagged(labels, meter, key))


def _tagged(labels: tuple[str, ...], meter: Meter, key: str) -> bool:
    if not meter.tag:
        return True
    tags = json.loads(labels[_TAGS]) if labels[_TAGS] else {}
    # The name of the window comes last and never holds a bar; a tag value may.
    return key.rpartition("|")[0] == f"{meter.window}|{meter.tag}={tags.get(meter.tag, '')}"
