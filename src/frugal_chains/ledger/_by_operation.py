"""The books of a period, all of one moment: sums, what levers touched, and operations as a whole.

What belongs together is joined by SQLite, which sorts and looks up outside of this process' memory
where it must. So memory does not grow with the ledger, but with its longest operation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from frugal_chains.ledger._attempt import Attempt, Purpose
from frugal_chains.ledger._codec import attempt_from_row
from frugal_chains.ledger._effect import EffectTotals
from frugal_chains.ledger._effect_sums import effect_totals, has_effects, in_period
from frugal_chains.ledger._ids import microseconds
from frugal_chains.ledger._read import totals
from frugal_chains.ledger._schema import KIND_COLUMNS, LABEL_COLUMNS, ROW_COLUMNS
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.ledger._store import Coverage
from frugal_chains.ledger._totals import Totals

_COLUMNS: Final = ", ".join(ROW_COLUMNS)
_OPERATION: Final = ROW_COLUMNS.index("operation_id")
_FAILED: Final = ("error", "aborted")


class SqlitePeriodBooks:
    """See `PeriodBooks`; inside a transaction of the caller."""

    def __init__(
        self,
        db: sqlite3.Connection,
        ids: SeriesIds,
        *,
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        self._db, self._ids, self._since, self._until = db, ids, since, until
        self._period, self._values = in_period(
            None if since is None else microseconds(since),
            None if until is None else microseconds(until),
        )

    def totals(self, by: Sequence[str]) -> list[Totals]:
        return totals(self._db, self._ids, by, since=self._since, until=self._until)

    def effect_totals(self, by: Sequence[str]) -> list[EffectTotals]:
        return effect_totals(self._db, by, since=self._since, until=self._until)

    def coverage(self) -> Coverage:
        touched = "MAX(decision IS NOT NULL)"
        bound = [*self._values]
        if has_effects(self._db):
            touched += (
                " OR EXISTS (SELECT 1 FROM effects "
                f"WHERE effects.operation_id = a.operation_id AND {self._period})"
            )
            bound += self._values
        each = (
            f"SELECT COALESCE(operation_id, id) AS one, SUM(nanos) AS nanos, {touched} AS touched "
            f"FROM attempts AS a WHERE {self._period} AND operation_id IS {{}} NULL GROUP BY {{}}"
        )
        sums = [
            self._one(
                "SELECT COUNT(*), COALESCE(SUM(touched), 0), "
                f"COALESCE(SUM(nanos * touched), 0) FROM ({each.format(*which)})",
                bound,
            )
            for which in (("NOT", "operation_id"), ("", "id"))
        ]
        operations, covered, nanos = (sum(column) for column in zip(*sums, strict=True))
        return Coverage(
            operations=operations,
            covered_operations=covered,
            covered_nanos=nanos,
            loose_effects=self._loose_effects(),
        )

    def has_decisions(self) -> bool:
        decided = f"SELECT 1 FROM attempts WHERE decision IS NOT NULL AND {self._period}"
        return bool(self._one(f"SELECT EXISTS ({decided})", self._values)[0])

    def decided_labels(self, *paths: str) -> Iterator[tuple[str, dict[str, str]]]:
        value = ", ".join("json_extract(decision, ?)" for _ in paths)
        query = (
            f"SELECT DISTINCT COALESCE({value}, NULL), series FROM attempts "
            f"WHERE json_valid(decision) AND {self._period} ORDER BY 2"
        )
        for found, series in self._db.execute(query, [*paths, *self._values]).fetchall():
            if isinstance(found, str):
                labels = self._ids.labels_of(self._db, series)
                yield found, dict(zip(LABEL_COLUMNS, labels, strict=True))

    def followed(
        self, *, purposes: Sequence[Purpose], marks: Sequence[str]
    ) -> Iterator[list[Attempt]]:
        flagged, flags = self._flagged(purposes, marks)
        together = (
            f"SELECT operation_id FROM attempts WHERE {flagged} AND operation_id IS NOT NULL "
            f"AND {self._period}"
        )
        alone = (
            f"(decision IS NOT NULL OR {flagged}) AND "
            f"(operation_id IS NULL OR operation_id NOT IN ({together}))"
        )
        for row in self._rows(alone, [*flags, *flags, *self._values]):
            yield [self._attempt(row)]
        failed = self._series("status", _FAILED)
        some = f"operation_id IN ({together}) AND (decision IS NOT NULL OR {flagged} OR {failed})"
        bound = [*flags, *self._values, *flags, *_FAILED]
        rows = self._rows(some, bound, order=" ORDER BY operation_id, id")
        for _, group in groupby(rows, key=itemgetter(_OPERATION)):
            yield [self._attempt(row) for row in group]

    def _flagged(self, purposes: Sequence[Purpose], marks: Sequence[str]) -> tuple[str, list[str]]:
        conditions = [self._series("purpose", purposes)]
        conditions += ["COALESCE(instr(decision, ?), 0)" for _ in marks]
        return f"({' OR '.join(conditions)})", [*purposes, *marks]

    def _series(self, column: str, values: Iterable[str]) -> str:
        assert column in KIND_COLUMNS
        places = ", ".join("?" for _ in values)
        return (
            "series IN (SELECT s.id FROM series s JOIN kinds k ON k.id = s.kind "
            f"WHERE k.{column} IN ({places}))"
        )

    def _rows(
        self, condition: str, values: Sequence[Any], *, order: str = ""
    ) -> Iterator[tuple[Any, ...]]:
        query = f"SELECT {_COLUMNS} FROM attempts WHERE {condition} AND {self._period}{order}"
        return self._db.execute(query, [*values, *self._values])

    def _attempt(self, row: tuple[Any, ...]) -> Attempt:
        return attempt_from_row(row, self._ids.labels_of(self._db, row[-1]))

    def _loose_effects(self) -> int:
        if not has_effects(self._db):
            return 0
        (loose,) = self._one(
            "SELECT COUNT(*) FROM effects AS e WHERE (operation_id IS NULL OR NOT EXISTS ("
            "SELECT 1 FROM attempts WHERE attempts.operation_id = e.operation_id "
            f"AND {self._period})) AND {self._period}",
            [*self._values, *self._values],
        )
        return loose

    def _one(self, query: str, values: Sequence[Any]) -> tuple[int, ...]:
        row: tuple[int, ...] = self._db.execute(query, values).fetchone()
        return row
