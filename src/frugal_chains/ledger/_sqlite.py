"""The ledger in one SQLite file (write-ahead log), shared by threads and processes.

A commit in WAL mode is in the operating system's page cache when it returns, so it survives the
death of the process; `synchronous=NORMAL` gives up only the last moments before a power cut
(sqlite.org/pragma.html#pragma_synchronous, read 2026-11-21).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import _open, _read
from frugal_chains.ledger._append import SeriesIds, add_to_meters, append_attempt
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._meters import Meter, MeterState, Refusal
from frugal_chains.ledger._reserve import Reservation, register, release, reserve, states
from frugal_chains.ledger._rollup import fold
from frugal_chains.ledger._spill import Spill, spill_files
from frugal_chains.ledger._store import AttemptFilter, Health
from frugal_chains.ledger._totals import Totals

logger = logging.getLogger("frugal_chains.ledger")
T = TypeVar("T")

APPEND_WAIT_S = 0.5
"""How long a finished call may wait for other writers before its row goes to the spill."""
RESERVE_WAIT_S = 10.0
"""How long a budget waits for other writers: a call cannot be sent unchecked."""
RETRY_AFTER_S = 1.0
"""After a failed write rows go straight to the spill for this long."""
FOLD_EVERY = 256
"""Rows between two updates of the daily rollup; at most this many per process are scanned."""


class _Pending:
    """An attempt on its way to the file, shared by the thread that brought it and the writer."""

    __slots__ = ("attempt", "done", "reservation_id")

    def __init__(self, attempt: Attempt, reservation_id: str | None) -> None:
        self.attempt = attempt
        self.reservation_id = reservation_id
        self.done = False


class SqliteStore:
    """See `Store`. `path` None keeps everything in memory (for tests and short scripts)."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._queue: deque[_Pending] = deque()
        self._connect()
        if not read_only:
            with self._lock, self._writing(APPEND_WAIT_S) as db:
                _open.prune(db)
            self._take_in_spill()
        _stores.add(self)

    def _connect(self) -> None:
        self._lock = threading.Lock()
        self._db = _open.connect(self._path, read_only=self._read_only)
        self._ids = SeriesIds()
        self._spill = Spill(self._path) if self._path else None
        self._since_fold = 0
        self._retry_at_s = 0.0

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connection and locks alone, and open our own."""
        self._queue.clear()
        if self._path is not None:
            _orphans.append(self._db)  # closing it here would drop the parent's file locks
        self._connect()

    # -- writing -------------------------------------------------------------------------------

    def append(self, attempt: Attempt, *, reservation_id: str | None = None) -> None:
        pending = _Pending(attempt, reservation_id)
        self._queue.append(pending)
        with self._lock:  # whoever gets in first writes for all who queued meanwhile
            if not pending.done:
                self._write_queue()

    def _write_queue(self) -> None:
        batch: list[_Pending] = []
        while self._queue:
            batch.append(self._queue.popleft())
        for pending in batch:
            pending.done = True
        if self._spill is not None and time.monotonic() < self._retry_at_s:
            self._spill.put([p.attempt for p in batch])
            return
        try:
            self._append_all(batch)
        except (sqlite3.Error, LedgerUnavailable) as error:
            self._ids.forget()
            self._set_aside([p.attempt for p in batch], error)
        else:
            if self._spill is not None and self._spill.waiting:
                self._drain()

    def _append_all(self, batch: Sequence[_Pending]) -> None:
        with self._writing(APPEND_WAIT_S) as db:
            for pending in batch:
                keys = release(db, pending.reservation_id) if pending.reservation_id else ()
                added = append_attempt(db, self._ids, pending.attempt)
                if added is not None:
                    add_to_meters(db, pending.attempt, added, claimed=keys)
            self._since_fold += len(batch)
            if self._since_fold >= FOLD_EVERY:
                fold(db)
                self._since_fold = 0

    def _set_aside(self, attempts: Sequence[Attempt], error: Exception) -> None:
        if self._spill is None:
            raise LedgerUnavailable(f"the in-memory ledger failed: {error}") from error
        self._retry_at_s = time.monotonic() + RETRY_AFTER_S
        logger.warning("ledger %s cannot be written (%s): rows wait beside it", self._path, error)
        self._spill.put(attempts)

    def _take_in_spill(self) -> None:
        with self._lock:
            if self._spill is not None:
                self._drain()

    def _drain(self) -> None:
        assert self._spill is not None
        try:
            self._spill.drain(
                lambda attempts: self._append_all([_Pending(a, a.id) for a in attempts])
            )
        except (sqlite3.Error, LedgerUnavailable, OSError) as error:
            self._ids.forget()
            logger.warning("the spill of %s cannot be taken in yet: %s", self._path, error)

    @contextmanager
    def _writing(self, wait_s: float) -> Iterator[sqlite3.Connection]:
        """One write transaction; the caller holds the lock."""
        db = self._db
        _open.begin(db, wait_s=wait_s)
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    # -- budgets -------------------------------------------------------------------------------

    def register(self, meters: Sequence[Meter]) -> None:
        self._must_write(lambda db: register(db, meters))

    def reserve(self, wanted: Reservation, *, now: datetime) -> Refusal | tuple[MeterState, ...]:
        return self._must_write(lambda db: reserve(db, self._ids, wanted, now=now))

    def release(self, reservation_id: str) -> None:
        self._must_write(lambda db: release(db, reservation_id))

    def meter_states(
        self, meters: Sequence[tuple[Meter, str]], *, now: datetime
    ) -> list[MeterState]:
        return self._must_write(lambda db: states(db, self._ids, meters, now=now))

    def _must_write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one write transaction, or say why the ledger cannot be written."""
        try:
            with self._lock, self._writing(RESERVE_WAIT_S) as db:
                return work(db)
        except sqlite3.Error as error:
            self._ids.forget()
            raise LedgerUnavailable(
                f"ledger {self._path or 'memory'} cannot be written: {error}. Free disk space, "
                "give this process write access, or end the program that holds the file."
            ) from error

    # -- reading -------------------------------------------------------------------------------

    def attempts(self, which: AttemptFilter) -> Iterator[Attempt]:
        last = b""
        while True:
            with self._lock:
                page = _read.page(self._db, self._ids, which, after=last)
            yield from page
            if len(page) < _read.PAGE_ROWS:
                return
            last = bytes.fromhex(page[-1].id)

    def totals(
        self, by: Sequence[str], *, since: datetime | None, until: datetime | None
    ) -> list[Totals]:
        with self._lock:
            return _read.totals(self._db, self._ids, by, since=since, until=until)

    def tag_names(self) -> list[str]:
        with self._lock:
            return _read.tag_names(self._db)

    def estimated_notes(
        self, *, since: datetime | None, until: datetime | None, limit: int
    ) -> list[tuple[str, int]]:
        with self._lock:
            return _read.estimated_notes(self._db, since=since, until=until, limit=limit)

    def spill_files(self) -> tuple[str, ...]:
        return tuple(map(str, spill_files(self._path))) if self._path else ()

    def read_note(self, name: str) -> str | None:
        with self._lock:
            found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def write_note(self, name: str, text: str) -> None:
        self._must_write(
            lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))
        )

    def health(self) -> Health:
        with self._lock:
            return _open.health(self._db, self._path)

    def close(self) -> None:
        with self._lock:
            _stores.discard(self)
            if self._spill is not None and self._spill.waiting and not self._read_only:
                self._drain()
            held = self._spill.held if self._spill else 0
            self._db.close()
        if held:
            raise LedgerUnavailable(
                f"{held} attempts could not be written to {self._path} nor beside it; "
                "free disk space before the process ends, they are held in memory only"
            )


_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_orphans: list[sqlite3.Connection] = []


def _reopen_in_child() -> None:
    for store in list(_stores):
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reopen_in_child)
