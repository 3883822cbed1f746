"""Series: every combination of labels once, so that a row is numbers and one small integer."""

from __future__ import annotations

import sqlite3

from frugal_chains.ledger._codec import Labels
from frugal_chains.ledger._schema import KIND_COLUMNS

_INSERT_KIND = (
    f"INSERT OR IGNORE INTO kinds ({', '.join(KIND_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(KIND_COLUMNS))})"
)
_FIND_KIND = f"SELECT id FROM kinds WHERE {' AND '.join(f'{c} = ?' for c in KIND_COLUMNS)}"
_KIND_LABELS = f"SELECT {', '.join(KIND_COLUMNS)}, '' FROM kinds"
_LABELS = (
    f"SELECT {', '.join(f'k.{c}' for c in KIND_COLUMNS)}, s.tags "
    "FROM series s JOIN kinds k ON k.id = s.kind"
)


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
        return self._look_up(db, series, self._labels, f"{_LABELS} WHERE s.id = ?")

    def labels_of_kind(self, db: sqlite3.Connection, kind: int) -> Labels:
        """The labels of every series of a kind, without tags."""
        return self._look_up(db, kind, self._kinds, f"{_KIND_LABELS} WHERE id = ?")

    def _look_up(
        self, db: sqlite3.Connection, number: int, known: dict[int, Labels], query: str
    ) -> Labels:
        found = known.get(number)
        if found is None:
            if len(known) >= self.MOST:
                self.forget()
            found = tuple(db.execute(query, (number,)).fetchone())
            known[number] = found
        return found


def _series_of(db: sqlite3.Connection, kind: tuple[str, ...], tags: str) -> int:
    """The id of a series, which it is given now if it is new."""
    db.execute(_INSERT_KIND, kind)
    kind_id = db.execute(_FIND_KIND, kind).fetchone()
    db.execute("INSERT OR IGNORE INTO series (kind, tags) VALUES (?, ?)", (*kind_id, tags))
    query = "SELECT id FROM series WHERE kind = ? AND tags = ?"
    return int(db.execute(query, (*kind_id, tags)).fetchone()[0])
