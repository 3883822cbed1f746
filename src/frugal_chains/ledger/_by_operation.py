"""The books of a period, all of one moment: sums, what levers touched, and operations as a whole.

What belongs together is joined by SQLite, which sorts and looks up outside of this process' memory
where it must. So memory does not grow with the ledger, but with its longest operation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from frugal_chains.ledger._attempt import Purpose
from frugal_chains.ledger._effect import EffectTotals
from frugal_chains.ledger._effect_sums import effect_totals, has_effects, in_period
from frugal_chains.ledger._followed import followed
from frugal_chains.ledger._ids import microseconds
from frugal_chains.ledger._read import totals_together
from frugal_chains.ledger._schema import KIND_COLUMNS
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.ledger._store import Coverage, Followed
from frugal_chains.ledger._totals import Totals


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
        edges = (
            None if since is None else microseconds(since),
            None if until is None else microseconds(until),
        )
        self._period, self._values = in_period(*edges)
        self._period_of_a, _ = in_period(*edges, of="a.")
        self._rows = f"FROM attempts WHERE {self._period}"

    def totals(self, by: Sequence[str]) -> list[Totals]:
        return self.totals_together([by])[0]

    def totals_together(self, groupings: Sequence[Sequence[str]]) -> list[list[Totals]]:
        return totals_together(self._db, self._ids, groupings, since=self._since, until=self._until)

    def effect_totals(self, by: Sequence[str]) -> list[EffectTotals]:
        return effect_totals(self._db, by, since=self._since, until=self._until)

    def coverage(self) -> Coverage:
        """What no lever has touched is counted: where levers are at work that is the smaller part,
        and nothing has to be brought into the order of operations."""
        # Answered by an index, and by the sums that are kept.
        named = self._one(f"SELECT COUNT(DISTINCT operation_id) {self._rows}", self._values)[0]
        alone = self._one(f"SELECT COUNT(*) {self._rows} AND operation_id IS NULL", self._values)[0]
        operations, nanos = named + alone, sum(line.nanos for line in self.totals([]))
        untouched_operations, untouched_nanos = self._untouched() or (operations, nanos)
        return Coverage(
            operations=operations,
            covered_operations=operations - untouched_operations,
            covered_nanos=nanos - untouched_nanos,
            loose_effects=self._loose_effects(),
        )

    def _untouched(self) -> tuple[int, int] | None:
        """Operations without an effect or a decision, and what they cost; None: all of them."""
        named = f"operation_id IS NOT NULL AND {self._period}"
        touched = []
        if has_effects(self._db):
            effects = f"SELECT operation_id FROM effects WHERE {named}"
            touched += [effects] * self._one(f"SELECT EXISTS ({effects})", self._values)[0]
        if self.has_decisions():
            touched.append(
                f"SELECT operation_id FROM attempts WHERE decision IS NOT NULL AND {named}"
            )
        if not touched:
            return None
        others = f"operation_id NOT IN ({' UNION ALL '.join(touched)})"
        some, alone, nanos = self._one(
            "SELECT COUNT(DISTINCT operation_id), COALESCE(SUM(operation_id IS NULL), 0), "
            f"COALESCE(SUM(nanos), 0) {self._rows} AND decision IS NULL "
            f"AND (operation_id IS NULL OR {others})",
            [*self._values] * (1 + len(touched)),
        )
        return some + alone, nanos

    def has_decisions(self) -> bool:
        decided = f"SELECT 1 FROM attempts WHERE decision IS NOT NULL AND {self._period}"
        return bool(self._one(f"SELECT EXISTS ({decided})", self._values)[0])

    def decided_labels(self, *paths: str) -> Iterator[tuple[str, dict[str, str]]]:
        value = ", ".join("json_extract(a.decision, ?)" for _ in paths)
        query = (
            f"SELECT DISTINCT COALESCE({value}, NULL), s.kind FROM attempts a CROSS JOIN series s "
            f"ON s.id = a.series WHERE json_valid(a.decision) AND {self._period_of_a} ORDER BY 2"
        )
        for found, kind in self._db.execute(query, [*paths, *self._values]).fetchall():
            if isinstance(found, str):
                labels = self._ids.labels_of_kind(self._db, kind)
                yield found, dict(zip(KIND_COLUMNS, labels, strict=False))

    def followed(self, *, purposes: Sequence[Purpose]) -> Iterator[list[Followed]]:
        return followed(
            self._db,
            self._ids,
            purposes=purposes,
            period=self._period_of_a,
            values=self._values,
        )

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
