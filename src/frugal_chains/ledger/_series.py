"""Series: every combination of labels once, so that a row is numbers and one small integer."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from frugal_chains.ledger._codec import Labels
from frugal_chains.ledger._schema import KIND_COLUMNS

_INSERT_KIND = (
    f"INSERT OR IGNORE INTO kinds ({', '.join(KIND_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(KIND_COLUMNS))})"
)
_FIND_KIND = f"SELECT id FROM kinds WHERE {' AND '.join(f'{c} = ?' for c in KIND_COLUMNS)}"
_KIND_LABELS = f"SELECT {', '.join(KIND_COLUMNS)}, '' FROM kinds"
_AT_ONCE = 500
"""Series asked for with one statement; SQLite takes 999 values or more."""


class SeriesIds:
    """Label combinations to their ids, remembered: a running application has a few hundred."""

    MOST = 20_000
    """Forgotten beyond this many: tags that differ for every call must not fill the memory."""

    def __init__(self) -> None:
        self._ids: dict[Labels, int] = {}
        self._labels: dict[int, Labels] = {}
        self._kinds: dict[int, Labels] = {}

    def id_of(self, db: sqlite3.Connection, labels: Labels) -> int:
        found = self._ids.get(labels)
        if found is None:
            found = _series_of(db, labels[:-1], labels[-1])
            if len(self._ids) >= self.MOST:
                self.forget()
            self._ids[labels] = found
        return found

    def forget(self) -> None:
        """Drop ids that a rolled-back transaction may have handed out."""
        self._ids.clear()
        self._labels.clear()
        self._kinds.clear()

    def labels_of(self, db: sqlite3.Connection, series: int) -> Labels:
        found = self._labels.get(series)
        return self.labels_of_all(db, [series])[series] if found is None else found

    def labels_of_all(self, db: sqlite3.Connection, series: Collection[int]) -> dict[int, Labels]:
        """The labels of many series. There may be as many as calls, where a tag differs for each:
        one statement for every one would take longer than to read the calls."""
        known = self._labels
        found = {number: known[number] for number in {*series} if number in known}
        missing = [number for number in {*series} if number not in found]
        for first in range(0, len(missing), _AT_ONCE):
            some = missing[first : first + _AT_ONCE]
            query = f"SELECT id, kind, tags FROM series WHERE id IN ({','.join('?' * len(some))})"
            for number, kind, tags in db.execute(query, some):
                if len(known) >= self.MOST:
                    known.clear()
                found[number] = known[number] = self.tagged(db, kind, tags)
        return found

    def tagged(self, db: sqlite3.Connection, kind: int, tags: str) -> Labels:
        """The labels of the series of a kind that has these tags."""
        return (*self.labels_of_kind(db, kind)[:-1], tags)

    def labels_of_kind(self, db: sqlite3.Connection, kind: int) -> Labels:
        """The labels of every series of a kind, without tags."""
        found = self._kinds.get(kind)
        if found is None:
            found = tuple(db.execute(f"{_KIND_LABELS} WHERE id = ?", (kind,)).fetchone())
            if len(self._kinds) >= self.MOST:
                self._kinds.clear()
            self._kinds[kind] = found
        return found


def _series_of(db: sqlite3.Connection, kind: tuple[str, ...], tags: str) -> int:
    """The id of a series, which it is given now if it is new."""
    db.execute(_INSERT_KIND, kind)
    kind_id = db.execute(_FIND_KIND, kind).fetchone()
    db.execute("INSERT OR IGNORE INTO series (kind, tags) VALUES (?, ?)", (*kind_id, tags))
    query = "SELECT id FROM series WHERE kind = ? AND tags = ?"
    return int(db.execute(query, (*kind_id, tags)).fetchone()[0])
