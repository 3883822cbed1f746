"""Reading the books: attempts page by page, and totals by any label, day, hour or tag."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Any

from frugal_chains.errors import LedgerError
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import Labels, attempt_from_row, json_of
from frugal_chains.ledger._ids import first_id, microseconds, moment, pack_id
from frugal_chains.ledger._rollup import sums_by_labels
from frugal_chains.ledger._schema import (
    DAY_US,
    HOUR_US,
    KIND_COLUMNS,
    LABEL_COLUMNS,
    PRINTS_SINCE_VERSION,
    ROW_COLUMNS,
    SUM_COLUMNS,
)
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.ledger._store import AttemptFilter
from frugal_chains.ledger._totals import Totals
from frugal_chains.usage import COUNT_FIELDS, Usage

PAGE_ROWS = 1000
LABEL_DIMENSIONS = KIND_COLUMNS
TIME_DIMENSIONS: Mapping[str, tuple[int, str]] = {
    "day": (DAY_US, "%Y-%m-%d"),
    "hour": (HOUR_US, "%Y-%m-%dT%H"),
}
_ID_COLUMNS = ("id", "operation_id", "run_id", "parent_id")
_SOURCE = LABEL_COLUMNS.index("usage_source")
_OUTCOME = LABEL_COLUMNS.index("outcome")
_TAGS = LABEL_COLUMNS.index("tags")
_HAS_TAG = (
    "series IN (SELECT s.id FROM series s, json_each(NULLIF(s.tags, '')) j "
    "WHERE j.key = ? AND j.value = ?)"
)


def page(
    db: sqlite3.Connection, ids: SeriesIds, which: AttemptFilter, *, after: bytes
) -> list[Attempt]:
    """The next attempts, oldest first, that match."""
    conditions, values = ["id > ?"], [after]  # type: tuple[list[str], list[Any]]
    for column, value in which.equal.items():
        conditions.append(_condition(column))
        values.append(pack_id(value) if column in _ID_COLUMNS else value)
    for tag, value in which.tags.items():
        conditions.append(_HAS_TAG)
        values += [tag, value]
    if which.since is not None:
        since_us = microseconds(which.since)
        conditions.append("id >= ? AND at_us >= ?")
        values += [first_id(since_us), since_us]
    if which.until is not None:
        until_us = microseconds(which.until)
        conditions.append("id < ? AND at_us < ?")
        values += [first_id(until_us + 1000), until_us]
    columns = ", ".join((*ROW_COLUMNS, _prints(db)))
    query = (
        f"SELECT {columns} FROM attempts WHERE {' AND '.join(conditions)} "
        f"ORDER BY id LIMIT {PAGE_ROWS}"
    )
    rows = db.execute(query, values).fetchall()
    labels = ids.labels_of_all(db, [row[-2] for row in rows])
    return [
        attempt_from_row(
            row[:-1],
            labels[row[-2]],
            None if row[-1] is None else json_of(row[-1]),
        )
        for row in rows
    ]


def _prints(db: sqlite3.Connection) -> str:
    """The column of fingerprints. An older file that was opened to be read only has none."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if int(version) < PRINTS_SINCE_VERSION:
        return "NULL"
    return "(SELECT p.prints FROM prints p WHERE p.id = attempts.id)"


def _condition(name: str) -> str:
    if name in LABEL_DIMENSIONS:
        return (
            f"series IN (SELECT s.id FROM series s JOIN kinds k ON k.id = s.kind WHERE {name} = ?)"
        )
    if name in (*_ID_COLUMNS, "thread_id"):
        return f"{name} = ?"
    raise LedgerError(f"attempts have no {name!r} to filter by; {_ways()}")


def totals(
    db: sqlite3.Connection,
    ids: SeriesIds,
    by: Sequence[str],
    *,
    since: datetime | None,
    until: datetime | None,
) -> list[Totals]:
    """One `Totals` for each combination of `by`, dearest first."""
    return totals_together(db, ids, [by], since=since, until=until)[0]


def totals_together(
    db: sqlite3.Connection,
    ids: SeriesIds,
    groupings: Sequence[Sequence[str]],
    *,
    since: datetime | None,
    until: datetime | None,
) -> list[list[Totals]]:
    """`totals` by each of the groupings; those that read the same sums read them once."""
    asked = [_Grouping(db, by) for by in groupings]
    for (bucket_us, tagged), those in _passes(asked).items():
        for bucket, labels, sums in sums_by_labels(
            db,
            ids,
            since_us=None if since is None else microseconds(since),
            until_us=None if until is None else microseconds(until),
            bucket_us=bucket_us,
            tagged=tagged,
        ):
            for each in those:
                each.add(bucket, labels, sums)
    return [each.lines() for each in asked]


def _passes(asked: Iterable[_Grouping]) -> dict[tuple[int | None, bool], list[_Grouping]]:
    """By the unit of time that is read, and whether tags are."""
    found: dict[tuple[int | None, bool], list[_Grouping]] = {}
    for each in asked:
        found.setdefault((each.bucket_us, each.tagged), []).append(each)
    # Without tags a period has few lines by day: who asks for none of them adds those up.
    if (DAY_US, False) in found:
        found[DAY_US, False] += found.pop((None, False), [])
    return found


class _Grouping:
    """Sums by some dimensions."""

    def __init__(self, db: sqlite3.Connection, by: Sequence[str]) -> None:
        self.bucket_us, self._written = _clock(by)
        self.tagged = not {*by} <= {*KIND_COLUMNS, *TIME_DIMENSIONS}
        self._by, self._pick = by, [_dimension(db, name) for name in by]
        self._times: dict[int, str] = {}
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, bucket: int, labels: Labels, sums: Sequence[int]) -> None:
        time = self._time(bucket) if self.bucket_us else ""
        key = tuple([time if read is None else read(labels) for read in self._pick])
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.add(labels, sums)

    def _time(self, bucket: int) -> str:
        if bucket not in self._times:
            self._times[bucket] = moment(bucket * (self.bucket_us or 0)).strftime(self._written)
        return self._times[bucket]

    def lines(self) -> list[Totals]:
        found = (
            group.totals(dict(zip(self._by, key, strict=True)))
            for key, group in self._groups.items()
        )
        # A rollup line can be empty: its only attempts were replaced by their true ends.
        return sorted((line for line in found if line.attempts), key=_order(self._by))


def tag_names(db: sqlite3.Connection) -> list[str]:
    """The tags that any attempt carries, in order."""
    query = "SELECT DISTINCT j.key FROM series, json_each(NULLIF(series.tags, '')) j ORDER BY 1"
    return [str(key) for (key,) in db.execute(query)]


def estimated_notes(
    db: sqlite3.Connection, *, since: datetime | None, until: datetime | None, limit: int
) -> list[tuple[str, int]]:
    """The most frequent notes on attempts whose usage is not wholly the provider's word."""
    conditions, values = ["k.usage_source != 'provider' AND a.note IS NOT NULL"], []
    if since is not None:
        conditions.append("a.id >= ? AND a.at_us >= ?")
        values += [first_id(microseconds(since)), microseconds(since)]
    if until is not None:
        conditions.append("a.at_us < ?")
        values.append(microseconds(until))
    query = (
        "SELECT a.note, COUNT(*) FROM attempts a JOIN series s ON s.id = a.series "
        f"JOIN kinds k ON k.id = s.kind WHERE {' AND '.join(conditions)} "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit:d}"
    )
    return db.execute(query, values).fetchall()


def _clock(by: Sequence[str]) -> tuple[int | None, str]:
    """The finest time bucket asked for, and how it is written."""
    wanted = [TIME_DIMENSIONS[name] for name in by if name in TIME_DIMENSIONS]
    if len(wanted) > 1:
        raise LedgerError("totals by day and by hour at once: an hour already names its day")
    return wanted[0] if wanted else (None, "")


def _dimension(db: sqlite3.Connection, name: str) -> Callable[[Labels], str] | None:
    """How a dimension is read off the labels; None for time."""
    if name in TIME_DIMENSIONS:
        return None
    if name in LABEL_DIMENSIONS:
        index = LABEL_COLUMNS.index(name)
        return lambda labels: labels[index]
    tag = name.removeprefix("tag:")
    if tag == name and (known := tag_names(db)) and name not in known:
        raise LedgerError(
            f"totals by {name!r}: no such dimension, and no attempt has such a tag "
            f"(tags seen: {', '.join(known)}); {_ways()}"
        )
    return lambda labels: str(_tags(labels).get(tag, ""))


def _ways() -> str:
    return f"use one of {', '.join((*TIME_DIMENSIONS, *LABEL_DIMENSIONS))}, or tag:<name>"


def _tags(labels: Labels) -> Mapping[str, str]:
    return json_of(labels[_TAGS]) if labels[_TAGS] else {}


class _Group:
    """Sums of the series that share a key."""

    def __init__(self) -> None:
        self._sums: list[int] = [0] * (2 + len(SUM_COLUMNS))
        self._unpriced = 0
        self._sources: Counter[str] = Counter()

    def add(self, labels: Labels, sums: Sequence[int]) -> None:
        self._sums = list(map(add, self._sums, sums))
        if labels[_OUTCOME] == "unpriced":
            self._unpriced += sums[0]
        self._sources[labels[_SOURCE]] += sums[0]

    def totals(self, key: Mapping[str, str]) -> Totals:
        counts = dict(zip(SUM_COLUMNS, self._sums[2:], strict=True))
        sources: list[Any] = [source for source, count in self._sources.items() if count]
        return Totals(
            key=key,
            attempts=self._sums[0],
            operations=self._sums[1],
            usage=Usage(
                **{name: counts[name] for name in COUNT_FIELDS},
                source=sources[0] if len(sources) == 1 else "mixed",
            ),
            nanos=counts["nanos"],
            unpriced=self._unpriced,
            estimated=sum(n for source, n in self._sources.items() if source != "provider"),
        )


def _order(by: Sequence[str]) -> Callable[[Totals], tuple[Any, ...]]:
    """Time in its own order first, then the dearest, then the most used."""
    times = [name for name in by if name in TIME_DIMENSIONS]

    def order(line: Totals) -> tuple[Any, ...]:
        when = tuple(line.key[name] for name in times)
        return (*when, -line.nanos, -line.attempts, tuple(line.key.values()))

    return order
