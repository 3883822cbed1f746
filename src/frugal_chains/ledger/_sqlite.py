"""The ledger in one SQLite file (write-ahead log), shared by threads and processes.

A commit in WAL mode is in the operating system's page cache when it returns, so it survives the
death of the process; `synchronous=NORMAL` gives up only the last moments before a power cut
(sqlite.org/pragma.html#pragma_synchronous, read 2026-11-21).
"""

from __future__ import annotations

import atexit
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from frugal_chains.errors import LedgerError, LedgerUnavailable
from frugal_chains.ledger import _open, _read
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._by_operation import SqlitePeriodBooks
from frugal_chains.ledger._effect import Effect, EffectTotals
from frugal_chains.ledger._effect_sums import effect_totals
from frugal_chains.ledger._effects import PAGE_ROWS, effects_page
from frugal_chains.ledger._file import FILE_ERRORS, LedgerFile, Refused
from frugal_chains.ledger._ids import moment
from frugal_chains.ledger._inbox import Inbox, left_behind
from frugal_chains.ledger._line import Arrival
from frugal_chains.ledger._meters import Meter, MeterState, Refusal
from frugal_chains.ledger._reserve import (
    Reservation,
    book_expired,
    register,
    release,
    reserve,
    states,
)
from frugal_chains.ledger._store import AttemptFilter, EffectFilter, Health, PeriodBooks
from frugal_chains.ledger._totals import Totals
from frugal_chains.ledger._writer import Writer
from frugal_chains.sqlite import LetGoAtForks, is_busy, is_damage, pause, retrying

logger = logging.getLogger("frugal_chains.ledger")
T = TypeVar("T")

OPEN_WAIT_S = 10.0
"""How long opening waits for others, who may be creating or migrating the same file."""
RESERVE_WAIT_S = 10.0
"""How long a budget waits for other writers: a call cannot be sent unchecked."""
READ_WAIT_S = 10.0
"""How long reading waits for a process that repairs the file after another one died."""
FOLD_S = 0.25
"""How long the rollups are brought up to date at once, where many rows have come."""
OPEN_FOLD_S = 1.0
"""How long opening brings rollups up to date that earlier processes have left behind."""
CLOSE_FOLD_S = 5.0
"""How long closing does: some half a million rows."""


class SqliteStore:
    """See `Store`. `path` None keeps everything in memory (for tests and short scripts).

    What is appended goes to the inbox, and from there into the file: soon, on the writer's thread,
    and before anything is read or reserved. One lock guards the connection. It is reentrant, and
    `_busy` says that its holder is at work: a finalizer may run in the middle of that work, in the
    same thread, and append (an abandoned stream that is collected).
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        self._path = path.absolute() if path else None  # the working directory may change
        self._read_only = read_only
        self._file = LedgerFile(self._path, read_only=read_only)
        self._complained = False
        self._refused: dict[str, Exception] = {}
        """Why attempts could not be written, for whoever waits for that: callers in memory."""
        self._start_afresh()
        self._file.connection(OPEN_WAIT_S)
        _stores.add(self)
        if not read_only:
            self._settle_in()

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._inbox = Inbox(self._path)
        self._writer = Writer(self)
        # A ledger that is forgotten, not closed, leaves what waits to the next that is opened.
        self._forgotten = weakref.finalize(self, self._inbox.let_go)
        self._forgotten.atexit = False

    def _settle_in(self) -> None:
        """Do what earlier processes left undone; finds out whether the file can be written."""
        try:
            self._must_write(self._tidy)
        except LedgerError:
            self._let_go()
            raise
        with self._alone():
            self._take_in_others()
            self._file.fold(within_s=OPEN_FOLD_S)

    def _tidy(self, db: sqlite3.Connection) -> None:
        _open.prune(db)
        book_expired(db, self._file.ids, now=moment(time.time_ns() // 1000))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else uses the connection meanwhile, not even a finalizer in this thread."""
        with self._lock:
            outer, self._busy = not self._busy, True
            try:
                yield
            finally:
                if outer:
                    self._busy = False

    # -- writing -------------------------------------------------------------------------------

    def append(self, attempt: Attempt, *, reservation_id: str | None = None) -> None:
        self._append(Entry(attempt, reservation_id))

    def append_effect(self, effect: Effect) -> None:
        self._append(effect)

    def _append(self, arrival: Arrival) -> None:
        if self._read_only:
            raise LedgerError(f"ledger {self._path} was opened to be read only")
        if self._path is None:
            self._append_in_memory(arrival)
            return
        self._inbox.put(arrival)
        if self._file.closed:
            self._inbox.let_go()  # for whoever opens the ledger next
        else:
            self._writer.wake()

    def _append_in_memory(self, arrival: Arrival) -> None:
        if self._file.closed:
            raise LedgerUnavailable("the in-memory ledger was closed")
        self._inbox.put(arrival)
        self.flush()
        refused = self._refused.pop(arrival.id, None)
        if refused is not None:
            raise refused

    def flush(self) -> bool:
        """Take what has arrived into the file. False when it cannot be written now."""
        with self._lock:
            if self._busy or self._file.closed:
                return self._file.closed
            with self._alone():
                return self._write_arrivals()

    def _write_arrivals(self) -> bool:
        """The caller is `_alone`. In memory a second look catches what a finalizer brought
        meanwhile; for a file that wakes the writer."""
        if self._inbox.set_down:
            self._take_in_others()
        while self._inbox.waiting:
            taken = self._inbox.take()
            try:
                refused = self._file.write(taken)
            except (*FILE_ERRORS, LedgerError) as error:
                self._inbox.put_back(taken)
                self._complain(error)
                return False
            except BaseException:  # an interrupt must leave them for the next writer
                self._inbox.put_back(taken)
                raise
            self._inbox.done()
            self._complained = False
            self._set_aside(refused)
            if self._path is not None:
                break
        self._file.fold_if_due(within_s=FOLD_S)
        return not self._inbox.set_down

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "ledger %s cannot be written (%s): attempts wait beside it", self._path, error
            )

    def _set_aside(self, refused: Sequence[Refused]) -> None:
        """What no ledger can hold is kept for a person to look at."""
        for arrival, error in refused:
            logger.error("%s cannot be written: %s", arrival, error)
            self._inbox.keep_damaged(arrival)
            if self._path is None:
                self._refused[arrival.id] = error

    def _flush_siblings(self) -> None:
        """Let what other openers of this file have in this process be seen: one may record for a
        handler while another reports."""
        for store in _living():
            if store is not self and store._path is not None and store._path == self._path:
                store.flush()

    def _take_in_others(self) -> bool:
        """Take in the attempts of processes that are gone; whether there were any."""
        found = False

        def take(arrivals: Sequence[Arrival]) -> bool:
            nonlocal found
            found = True
            refused = self._file.write(arrivals)
            self._file.fold_if_due(within_s=FOLD_S)
            return not refused

        try:
            self._inbox.take_in_others(take)
        except (*FILE_ERRORS, LedgerError, OSError) as error:
            self._complain(error)
        return found

    # -- budgets -------------------------------------------------------------------------------

    def register(self, meters: Sequence[Meter]) -> None:
        self._must_write(lambda db: register(db, meters))

    def reserve(self, wanted: Reservation, *, now: datetime) -> Refusal | tuple[MeterState, ...]:
        outcome = self._must_write(lambda db: reserve(db, self._file.ids, wanted, now=now))
        if isinstance(outcome, Refusal):
            with self._alone():
                settled = self._take_in_others()
            if settled:  # what a dead process held may fit now
                return self._must_write(lambda db: reserve(db, self._file.ids, wanted, now=now))
        return outcome

    def release(self, reservation_id: str) -> None:
        self._must_write(lambda db: release(db, reservation_id))

    def meter_states(
        self, meters: Sequence[tuple[Meter, str]], *, now: datetime
    ) -> list[MeterState]:
        return self._must_write(lambda db: states(db, self._file.ids, meters, now=now))

    def _must_write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one write transaction, or say why the ledger cannot be written."""
        self._flush_siblings()
        deadline_s = time.monotonic() + RESERVE_WAIT_S
        try:
            while True:
                with self._alone():
                    self._file.connection(RESERVE_WAIT_S)
                    self._write_arrivals()
                    try:
                        return self._file.transact(work, wait_s=0)
                    except sqlite3.OperationalError as error:
                        if not is_busy(error) or time.monotonic() >= deadline_s:
                            raise
                pause()  # without the lock: appends of other threads wait less than this
        except FILE_ERRORS as error:
            if is_damage(error):
                raise _open.corrupt(self._path, error) from error
            raise LedgerUnavailable(
                f"ledger {self._path or 'memory'} cannot be written: {error}. Free disk space, "
                "give this process write access, or end the program that holds the file."
            ) from error

    # -- reading -------------------------------------------------------------------------------

    def _reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot of the books, or say why they cannot be read."""
        self._flush_siblings()
        with self._alone():
            db = self._file.connection(READ_WAIT_S)
            if not self._read_only:
                self._write_arrivals()
                self._take_in_others()
            try:
                return retrying(lambda: _open.snapshot(db, work), wait_s=READ_WAIT_S)
            except sqlite3.OperationalError as error:
                raise LedgerUnavailable(f"{self._path} cannot be read: {error}") from error
            except (sqlite3.DatabaseError, ValueError) as error:  # or it makes no sense to us
                raise _open.corrupt(self._path, error) from error

    def attempts(self, which: AttemptFilter) -> Iterator[Attempt]:
        last = b""
        while True:
            page = self._reading(partial(_read.page, ids=self._file.ids, which=which, after=last))
            yield from page
            if len(page) < _read.PAGE_ROWS:
                return
            last = bytes.fromhex(page[-1].id)

    def totals(
        self, by: Sequence[str], *, since: datetime | None, until: datetime | None
    ) -> list[Totals]:
        return self.totals_together([by], since=since, until=until)[0]

    def totals_together(
        self, groupings: Sequence[Sequence[str]], *, since: datetime | None, until: datetime | None
    ) -> list[list[Totals]]:
        return self._reading(
            partial(
                _read.totals_together,
                ids=self._file.ids,
                groupings=groupings,
                since=since,
                until=until,
            )
        )

    def effects(self, which: EffectFilter) -> Iterator[Effect]:
        last = b""
        while True:
            page = self._reading(partial(effects_page, which=which, after=last))
            yield from page
            if len(page) < PAGE_ROWS:
                return
            last = bytes.fromhex(page[-1].id)

    def effect_totals(
        self, by: Sequence[str], *, since: datetime | None, until: datetime | None
    ) -> list[EffectTotals]:
        return self._reading(partial(effect_totals, by=by, since=since, until=until))

    def read_period(
        self, work: Callable[[PeriodBooks], T], *, since: datetime | None, until: datetime | None
    ) -> T:
        return self._reading(
            lambda db: work(SqlitePeriodBooks(db, self._file.ids, since=since, until=until))
        )

    def tag_names(self) -> list[str]:
        return self._reading(_read.tag_names)

    def estimated_notes(
        self, *, since: datetime | None, until: datetime | None, limit: int
    ) -> list[tuple[str, int]]:
        return self._reading(partial(_read.estimated_notes, since=since, until=until, limit=limit))

    def inbox_files(self) -> tuple[str, ...]:
        return tuple(map(str, left_behind(self._path))) if self._path else ()

    def read_note(self, name: str) -> str | None:
        query = "SELECT value FROM meta WHERE name = ?"
        found = self._reading(lambda db: db.execute(query, (name,)).fetchone())
        return found[0] if found else None

    def write_note(self, name: str, text: str) -> None:
        self._must_write(
            lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))
        )

    def note_once(self, name: str, text: str) -> str:
        return self._must_write(partial(_note_once, name=name, text=text))

    def health(self) -> Health:
        with self._alone():
            db = self._file.connection(READ_WAIT_S)
            if not self._read_only:
                self._write_arrivals()
            return _open.health(db, self._path)

    def close(self) -> None:
        self._writer.stop()
        with self._alone():
            if not self._file.closed and not self._read_only:
                self._write_arrivals()
                self._file.fold_if_due(within_s=CLOSE_FOLD_S, waits=True)
            self._file.closed = True
            self._let_go()
            held = self._inbox.held
        if held:
            raise LedgerUnavailable(
                f"{held} attempts could not be written to {self._path} nor beside it; "
                "free disk space before the process ends, they are held in memory only"
            )

    def _let_go(self) -> None:
        self._file.disconnect()
        self._inbox.let_go()

    # -- forks ---------------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()
        self._inbox.lock.acquire()
        if self._path is not None:
            self._let_go()

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:  # what waits is in files by now, or the parent's to write
            self._forgotten.detach()
            self._start_afresh()
        else:
            self._inbox.lock.release()
            self._lock.release()


def _note_once(db: sqlite3.Connection, *, name: str, text: str) -> str:
    """Inside one write transaction: of two processes one is first."""
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, text))
    return str(db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])


_stores: LetGoAtForks[SqliteStore] = LetGoAtForks()


def _living() -> list[SqliteStore]:
    """The open stores of this process that can be written."""
    return [store for store in _stores.living() if not store._read_only]


@atexit.register
def _flush_all() -> None:
    for store in _living():
        store.flush()
