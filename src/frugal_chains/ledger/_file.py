"""The SQLite file of a ledger: one connection, opened when needed, and its write transactions."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from frugal_chains.errors import LedgerError, LedgerUnavailable
from frugal_chains.ledger import _open
from frugal_chains.ledger._append import Entry, book_all
from frugal_chains.ledger._effect import Effect
from frugal_chains.ledger._effects import book_effects
from frugal_chains.ledger._line import Arrival
from frugal_chains.ledger._rollup import fold
from frugal_chains.ledger._series import SeriesIds
from frugal_chains.sqlite import is_busy, transacted

logger = logging.getLogger("frugal_chains.ledger")
T = TypeVar("T")
Refused = tuple[Arrival, Exception]
"""An attempt or effect that no ledger can hold, and why."""

FLUSH_WAIT_S = 0.5
"""How long writing what has arrived waits for other writers, before it is tried again later."""
FOLD_EVERY = 256
"""Rows between two updates of the rollups; at most this many per process are scanned."""
FOLD_AT_ONCE = 4096
"""Rows in one transaction of an update: some 40 ms, in which no other process can write."""
FILE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a file that is locked, full, damaged or gone raises."""


class LedgerFile:
    """Not for several threads at once: its store takes turns. `path` None is memory."""

    def __init__(self, path: Path | None, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._db: sqlite3.Connection | None = None
        self.ids = SeriesIds()
        self.since_fold = 0
        """Rows that may not be in the rollups yet."""
        self.closed = False

    def connection(self, wait_s: float) -> sqlite3.Connection:
        """The connection; opening it may wait for others who create or migrate the file.

        Raises:
            LedgerUnavailable: the ledger was closed, or the file cannot be opened.
            LedgerCorrupt, LedgerTooNew: the file cannot be used as it is.
        """
        if self._db is None:
            if self.closed:
                raise LedgerUnavailable(f"ledger {self._path or 'memory'} was closed")
            self._db = _open.connect(self._path, read_only=self._read_only, wait_s=wait_s)
        return self._db

    def disconnect(self) -> None:
        """Close the connection; the next use opens it again, unless the ledger was closed."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def transact(self, work: Callable[[sqlite3.Connection], T], *, wait_s: float) -> T:
        """`work` in one write transaction."""
        db = self.connection(wait_s)
        try:
            return transacted(db, work, wait_s=wait_s)
        except BaseException:
            self.ids.forget()
            raise

    def write(self, batch: Sequence[Arrival]) -> list[Refused]:
        """Write attempts and effects in one transaction; those that no ledger can hold, and why.

        Raises `sqlite3.Error` or `LedgerError` when the file cannot be written.
        """
        try:
            self.transact(lambda db: self._book(db, batch), wait_s=FLUSH_WAIT_S)
        except LedgerError:
            raise
        except Exception as error:
            if _open.blames_the_file(error):
                raise
            if len(batch) > 1:  # one that cannot be written does not stop the others
                return [refused for arrival in batch for refused in self.write([arrival])]
            (arrival,) = batch
            if isinstance(error, UnicodeEncodeError) and isinstance(arrival, Entry):
                whole = arrival.without_lone_surrogates()
                if whole != arrival:
                    return self.write([whole])
            return [(arrival, error)]
        self.since_fold += len(batch)
        return []

    def _book(self, db: sqlite3.Connection, batch: Sequence[Arrival]) -> None:
        entries = [arrival for arrival in batch if not isinstance(arrival, Effect)]
        if entries:
            book_all(db, self.ids, entries)
        if len(entries) < len(batch):
            book_effects(db, [arrival for arrival in batch if isinstance(arrival, Effect)])

    def fold_if_due(self, *, within_s: float, waits: bool = False) -> None:
        """`fold`, if so many rows have come since."""
        if self.since_fold >= FOLD_EVERY:
            self.fold(within_s=within_s, waits=waits)

    def fold(self, *, within_s: float, waits: bool = False) -> None:
        """Bring the rollups up to date, apart from the rows: they stay whatever happens here.

        A few thousand rows with each transaction, so that other processes get their turns. What is
        left after `within_s`, or while another one writes, is due again.

        Args:
            waits: Whether to wait a moment for another one that writes.
        """
        wait_s, until_s = FLUSH_WAIT_S if waits else 0.0, time.monotonic() + within_s
        try:
            self.since_fold = self.transact(_fold, wait_s=wait_s)
            while self.since_fold >= FOLD_EVERY and time.monotonic() < until_s:
                self.since_fold = self.transact(_fold, wait_s=wait_s)
        except (*FILE_ERRORS, LedgerError) as error:
            if not is_busy(error):
                self.since_fold = 0  # said once for many rows
                logger.warning("the rollup of %s cannot be updated: %s", self._path, error)


def _fold(db: sqlite3.Connection) -> int:
    return fold(db, at_least=FOLD_EVERY, at_most=FOLD_AT_ONCE)
