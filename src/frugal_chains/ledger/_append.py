"""Writing attempts: rows, late corrections, and the meters they settle and are added to.

Every function here runs inside the caller's write transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import labels_of, prints_text, row_of
from frugal_chains.ledger._ids import whole_text
from frugal_chains.ledger._meters import Meter, MeterFacts
from frugal_chains.ledger._rollup import refold_one
from frugal_chains.ledger._schema import ROW_COLUMNS, SUM_COLUMNS
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.pricing import Free, Price, Priced, Unpriced

_ROWS_AT_ONCE: Final = (64, 16, 4, 1)
"""How many rows go into one statement, the largest that fits first."""
_REPLACE_ATTEMPT = (
    f"UPDATE attempts SET {', '.join(f'{c} = ?{i + 1}' for i, c in enumerate(ROW_COLUMNS))} "
    "WHERE id = ?1"
)

LARGEST: Final = 10**15
"""No attempt uses as many tokens or costs as many nano-USD (a million dollars). A few junk numbers
beyond would overflow SQLite's sums over all attempts, which are of 64 bits."""
LEASE_EXPIRED: Final = "lease_expired"
"""`error_kind` of a call that was booked because its reservation ran out."""
_OPERATION: Final = ROW_COLUMNS.index("operation_id")
_FIRST_SUM: Final = ROW_COLUMNS.index(SUM_COLUMNS[0])


class Entry(NamedTuple):
    """An attempt on its way into the ledger file, and what was held for it."""

    attempt: Attempt
    reservation_id: str | None = None

    @property
    def id(self) -> str:
        return self.attempt.id

    def values(self) -> tuple[Any, ...]:
        """One value for each of `ROW_COLUMNS` but the last.

        Raises:
            OverflowError: a count or a cost that no attempt can have, and no sum may hold.
        """
        values = row_of(self.attempt)
        if max(values[_FIRST_SUM:]) > LARGEST:
            raise OverflowError(f"{max(values[_FIRST_SUM:])} is more than {LARGEST}")
        return values

    def without_lone_surrogates(self) -> Entry:
        """The same with texts that SQLite can keep."""
        attempt = self.attempt
        whole: dict[str, Any] = {
            name: whole_text(text)
            for name, text in attempt._asdict().items()
            if isinstance(text, str)
        }
        whole["tags"] = {whole_text(str(k)): whole_text(str(v)) for k, v in attempt.tags.items()}
        whole["price"] = _whole_price(attempt.price)
        return self._replace(attempt=attempt._replace(**whole))


def _whole_price(price: Price) -> Price:
    match price:
        case Priced():
            return price._replace(price_id=whole_text(price.price_id))
        case Free():
            return Free(price_id=whole_text(price.price_id))
        case Unpriced():
            return Unpriced(reason=whole_text(price.reason))


def book(db: sqlite3.Connection, ids: SeriesIds, entry: Entry) -> None:
    """Write one attempt, settle what was held for it, and add its cost to the meters.

    The same attempt twice is one row. An attempt once booked as `aborted` gives way to the true
    end when that arrives late, and one whose lease had expired to any end that was seen; only the
    difference is then added to the meters.
    """
    attempt = entry.attempt
    row = (*entry.values(), ids.id_of(db, labels_of(attempt)))
    inserted = bool(db.execute(_insert(1), (*row, True)).rowcount)
    before = None if inserted else _given_up(db, row[0])
    replaced = before is not None and (
        attempt.status != "aborted" or before.error_kind == LEASE_EXPIRED != attempt.error_kind
    )
    if replaced:
        _replace(db, row)
    _keep_prints(db, [entry])
    keys: Sequence[str] = ()
    if entry.reservation_id is not None or replaced:
        held = bytes.fromhex(entry.reservation_id or attempt.id)
        keys = settle(db, held, may_return=(inserted or replaced) and attempt.status == "aborted")
    added = (attempt.price.nanos or 0) - (before.nanos if before else 0)
    if added and (inserted or replaced):
        add_to_meters(db, attempt, added, claimed=keys)


def book_all(db: sqlite3.Connection, ids: SeriesIds, entries: Sequence[Entry]) -> None:
    """Write many attempts. Those that are new, hold nothing and concern no meter go in at once."""
    if not registered_meters(db) and not any(entry.reservation_id for entry in entries):
        rows = [(*entry.values(), ids.id_of(db, labels_of(entry.attempt))) for entry in entries]
        if _insert_all(db, rows) == len(rows):
            _keep_prints(db, entries)
            return
    for entry in entries:
        book(db, ids, entry)


def _keep_prints(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write the fingerprints of those that have any; of one attempt they are always the same."""
    for entry in entries:
        if entry.attempt.prints is not None:
            row = bytes.fromhex(entry.attempt.id), prints_text(entry.attempt.prints)
            db.execute("INSERT OR REPLACE INTO prints VALUES (?, ?)", row)


def _insert_all(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert the rows that are new; how many were.

    Many rows with each statement: a statement gives up the interpreter's lock, and beside a busy
    thread waits 5 ms to get it back, all the while with the file locked for other processes.
    """
    before = db.total_changes
    values = list(_with_first(rows))
    most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // (len(ROW_COLUMNS) + 1)
    for size in _ROWS_AT_ONCE:
        while len(values) >= size and size <= most:
            db.execute(_insert(size), list(chain.from_iterable(values[:size])))
            del values[:size]
    return db.total_changes - before


def _with_first(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Each row, and whether it is the first of its operation among them: rows of one statement do
    not see each other."""
    seen = set()
    for row in rows:
        operation_id = row[_OPERATION]
        yield *row, operation_id not in seen
        if operation_id is not None:
            seen.add(operation_id)


@cache
def _insert(rows: int) -> str:
    """The statement that inserts so many rows; the last value of each is `_with_first`'s."""
    width = len(ROW_COLUMNS) + 1
    places = []
    for first in range(1, rows * width + 1, width):
        numbers = ", ".join(f"?{number}" for number in range(first, first + width - 1))
        opens = f"SELECT 1 FROM attempts WHERE operation_id = ?{first + _OPERATION}"
        places.append(f"({numbers}, ?{first + width - 1} AND NOT EXISTS ({opens}))")
    return (
        f"INSERT INTO attempts ({', '.join(ROW_COLUMNS)}, opens_operation) "
        f"VALUES {', '.join(places)} ON CONFLICT (id) DO NOTHING"
    )


class _GivenUp(NamedTuple):
    """What stands on the books for a call that was given up."""

    nanos: int
    error_kind: str


def _given_up(db: sqlite3.Connection, attempt_id: bytes) -> _GivenUp | None:
    """How an attempt was booked when it was given up; None when it was not."""
    found = db.execute(
        "SELECT a.nanos, k.error_kind FROM attempts a JOIN series s ON s.id = a.series "
        "JOIN kinds k ON k.id = s.kind WHERE a.id = ? AND k.status = 'aborted'",
        (attempt_id,),
    ).fetchone()
    return None if found is None else _GivenUp(*found)


def _replace(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    refold_one(db, row[0], sign=-1)
    db.execute(_REPLACE_ATTEMPT, row)
    refold_one(db, row[0], sign=1)


def settle(db: sqlite3.Connection, attempt_id: bytes, *, may_return: bool = False) -> list[str]:
    """Give back what is held for an attempt; the keys it was held in. Unknown ids hold nothing.

    With `may_return` the keys are remembered, to be corrected should the true end come late.
    """
    held = db.execute(
        "SELECT key, nanos FROM claims WHERE reservation = ?", (attempt_id,)
    ).fetchall()
    for key, nanos in held:
        db.execute(
            "UPDATE meter_sums SET reserved_nanos = reserved_nanos - ? WHERE key = ?", (nanos, key)
        )
    if held and may_return:
        db.execute("UPDATE claims SET nanos = 0 WHERE reservation = ?", (attempt_id,))
    elif held:
        db.execute("DELETE FROM claims WHERE reservation = ?", (attempt_id,))
    db.execute("DELETE FROM reservations WHERE id = ?", (attempt_id,))
    return [key for key, _ in held]


def registered_meters(db: sqlite3.Connection) -> list[Meter]:
    """The meters that every attempt of this ledger is added to."""
    return [Meter(window=w, tag=tag) for w, tag in db.execute("SELECT window, tag FROM meters")]


def add_to_meters(
    db: sqlite3.Connection, attempt: Attempt, nanos: int, *, claimed: Iterable[str] = ()
) -> None:
    """Add a cost to every sum it belongs to: those claimed before the call, and all shared ones.

    A sum that no budget has asked for yet is counted from the books when one does; a rolling sum
    that has moved past this attempt has no place for it any more.
    """
    keys = dict.fromkeys(claimed)
    if meters := registered_meters(db):
        facts = MeterFacts(at=attempt.at, operation_id=attempt.operation_id, tags=attempt.tags)
        keys |= dict.fromkeys(meter.key(facts) for meter in meters)
    for key in keys:
        db.execute(
            "UPDATE meter_sums SET spent_nanos = spent_nanos + ? WHERE key = ? AND since_us < ?",
            (nanos, key, attempt.at_us),
        )
