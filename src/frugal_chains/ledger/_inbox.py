"""The inbox: where attempts and effects are safe before the ledger file has them.

Committing to SQLite takes several times as long as the bookkeeping of a call may. Copying a line
into a file that is mapped into memory takes less than a microsecond and survives the death of the
process just as well: the page belongs to the operating system. So an attempt, and an effect of a
lever, is first written here, one line each, and taken into the ledger file a moment later, many at
a time. While the ledger file cannot be written (locked, read-only, full disk) they wait here.

Every open ledger has an inbox file of its own, beside the ledger file, and holds a lock on it that
ends with the process at the latest. Whoever gets the lock of an inbox may take it in: that is how
the attempts of a killed process reach the books.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from frugal_chains.ledger._line import Arrival, arrival_of, line_of
from frugal_chains.ledger._page import Page, delete_file, is_ours

logger = logging.getLogger("frugal_chains.ledger")

ENDING = ".inbox"
DAMAGED = ".damaged"
FILE_BYTES = 1 << 18
"""Every inbox file is this large from the start, so that no later write to it finds the disk full
(where the file system overwrites in place). When one is full another one takes over."""
KEPT_IN_MEMORY = 20_000
"""While the ledger file cannot be written for long, more attempts than this wait on disk only."""


class Inbox:
    """The attempts on their way into one open ledger file.

    Safe for threads, and for finalizers: the collector may run one that reports an attempt in the
    middle of any line here, in the thread that holds the lock. Its attempt then waits in `_arrived`
    for a moment.
    """

    def __init__(self, ledger_path: Path | None) -> None:
        self._ledger_path = ledger_path
        self._folders = _folders(ledger_path) if ledger_path else ()
        self.lock = threading.RLock()
        self._busy = False
        self._arrived: deque[tuple[Arrival, bytes]] = deque()
        self._waiting: list[Arrival] = []
        self._unwritten: list[bytes] = []
        self._page: Page | None = None
        """The file that takes the next line."""
        self._full: list[Page] = []
        """Files that take no further lines, whose attempts are waiting."""
        self._spare: Page | None = None
        """An empty file, to be the next: two do for any load that the ledger can keep up with."""
        self._taken: tuple[list[Page], Page | None, int] = ([], None, 0)
        """The files of what is being written: whole ones, and the beginning of one more."""
        self.set_down = False
        """Whether files of ours were left to whoever takes them in: to us, if nobody else does."""

    @property
    def waiting(self) -> bool:
        return bool(self._waiting or self._arrived)

    @property
    def held(self) -> int:
        """Attempts that no folder takes and that live in memory only."""
        return len(self._unwritten)

    def put(self, arrival: Arrival) -> None:
        """Keep an attempt until it is taken and `done`. On return it survives this process;
        should no folder take it, it is held in memory and tried again with the next one."""
        line = line_of(arrival) if self._folders else b""
        with self.lock:
            self._arrived.append((arrival, line))
            if not self._busy:
                self._keep_arrived()

    def take(self) -> list[Arrival]:
        """Everything that waits, to be written now; `done` or `put_back` must follow."""
        with self._alone():
            taken, self._waiting = self._waiting, []
            self._taken = (self._full[:], self._page, self._page.end if self._page else 0)
            return taken

    def put_back(self, taken: Sequence[Arrival]) -> None:
        """What was taken could not be written yet."""
        with self._alone():
            self._waiting[:0] = taken

    def done(self) -> None:
        """What was taken is in the ledger file: forget it here."""
        with self._alone():
            if not self._waiting:
                self._unwritten.clear()
            whole, begun, end = self._taken
            for page in whole:
                if page not in self._full:  # set down meanwhile
                    continue
                self._full.remove(page)
                if self._spare is None and page.size == FILE_BYTES:
                    page.clear()
                    self._spare = page
                else:
                    page.delete()
            if self._page is not None and self._page is begun:
                if self._page.end == end:
                    self._page.clear()
                else:  # more has come since: this file can go when that is written too
                    self._full.append(self._page)
                    self._page = None

    def let_go(self) -> None:
        """Close the files, so that any process may take in what still waits in them."""
        self._let_go()
        while self._page is not None or self._full:  # a finalizer brought more meanwhile
            self._let_go()

    def _let_go(self) -> None:
        with self._alone():
            empty, self._spare = _there(self._spare), None
            if not self._waiting and not self._unwritten:
                empty += _there(self._page)
                self._page = None
            for page in empty:
                page.delete()
            self._close_files()

    def take_in_others(self, take: Callable[[Sequence[Arrival]], bool]) -> None:
        """Give `take` the attempts of processes that are gone; a file goes once it returned.

        `take` says whether it could use them all. Inboxes of living processes are left to them.
        """
        set_down, self.set_down = self.set_down, False
        try:
            for path in inbox_files(self._ledger_path) if self._ledger_path else ():
                if path.suffix == ENDING:
                    _take_in(path, take)
        except BaseException:
            self.set_down |= set_down
            raise

    def keep_damaged(self, arrival: Arrival) -> None:
        """Put an attempt that cannot be booked where a person will find it."""
        for folder in self._folders:
            try:
                self._new_name(folder).with_suffix(DAMAGED).write_bytes(line_of(arrival))
            except OSError:
                continue
            return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self.lock:
            outer, self._busy = not self._busy, True
            try:
                yield
            finally:
                if outer:
                    self._busy = False
                    self._keep_arrived()

    def _keep_arrived(self) -> None:
        """The caller holds the lock and nobody is busy."""
        arrived = self._arrived
        while arrived:
            self._busy = True
            try:
                arrival, line = arrived[0]
                self._waiting.append(arrival)
                page = self._page
                if page is None or self._unwritten or not page.write(line):
                    self._keep_elsewhere(line)
                if len(self._waiting) > KEPT_IN_MEMORY and not self._unwritten:
                    self._close_files()
                arrived.popleft()  # not before: an interrupt must not lose it
            finally:
                self._busy = False

    def _keep_elsewhere(self, line: bytes) -> None:
        """Write a line, and all others that are in memory only, to the next file, in the first
        folder that takes one. A ledger in memory has none."""
        if not self._folders:
            return
        self._unwritten.append(line)
        self._full += _there(self._page)
        self._page, self._spare = self._spare, None
        data = b"".join(self._unwritten)
        if self._page is not None and self._page.write(data):
            self._unwritten.clear()
            return
        self._full += _there(self._page)
        self._page = None
        for folder in self._folders:
            size = FILE_BYTES if len(data) < FILE_BYTES else len(data) + FILE_BYTES
            try:
                self._page = Page.create(self._new_name(folder), size)
            except OSError:
                continue
            self._page.write(data)
            self._unwritten.clear()
            return
        logger.error("%d attempts are in memory only: no folder takes them", len(self._unwritten))

    def _close_files(self) -> None:
        """Leave what waits to whoever takes in the files, unless some of it is nowhere else."""
        pages = [*self._full, *_there(self._page)]
        self._page, self._full = None, []
        if self._folders and not self._unwritten:
            self._waiting.clear()
        for page in pages:
            page.close()
            self.set_down = True

    def _new_name(self, folder: Path) -> Path:
        assert self._ledger_path is not None  # a ledger in memory has no folders
        return folder / f"{self._ledger_path.name}.{os.urandom(6).hex()}{ENDING}"


def _there(page: Page | None) -> list[Page]:
    return [] if page is None else [page]


def inbox_files(ledger_path: Path) -> tuple[Path, ...]:
    """Every inbox of a ledger, of whichever process. One that ends in `.damaged` needs a person."""
    endings = "|".join(map(re.escape, (ENDING, DAMAGED)))
    # Not just any beginning and ending: those of `books.db.old` begin like those of `books.db`.
    ours = re.compile(rf"{re.escape(ledger_path.name)}\.[^.]+({endings})")
    found = []
    for folder in _folders(ledger_path):
        with suppress(OSError):
            found += [folder / name for name in sorted(os.listdir(folder)) if ours.fullmatch(name)]
    return tuple(found)


def left_behind(ledger_path: Path) -> tuple[Path, ...]:
    """The inboxes with attempts that no living process will take in by itself."""
    return tuple(path for path in inbox_files(ledger_path) if _is_left_behind(path))


def _is_left_behind(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:  # not ours to lock, but there it is
        return True
    try:
        written = os.read(descriptor, 1) not in (b"", b"\0")
        return written and (path.suffix == DAMAGED or is_ours(descriptor))
    finally:
        os.close(descriptor)


def _folders(ledger_path: Path) -> tuple[Path, ...]:
    """Beside the ledger; and, for a full or read-only disk, the system's folder for such files."""
    digest = blake2b(os.fsencode(ledger_path.absolute()), digest_size=6).hexdigest()
    shared = Path(tempfile.gettempdir()) / f"frugal-inbox-{digest}"
    if sys.platform != "win32" and shared.exists() and shared.lstat().st_uid != os.getuid():
        return (ledger_path.parent,)  # another user's: neither to be read nor to be trusted
    return ledger_path.parent, shared


def _take_in(path: Path, take: Callable[[Sequence[Arrival]], bool]) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return  # taken in by another process, or another user's
    closed = False
    try:
        if not is_ours(descriptor):
            return
        arrivals, damaged = _read(descriptor, path)
        if not take(arrivals) or damaged:  # leave it for a person; nothing in it is deleted
            path.rename(path.with_suffix(DAMAGED))
        else:
            delete_file(path, descriptor)
            closed = True
    finally:
        if not closed:
            os.close(descriptor)


def _read(descriptor: int, path: Path) -> tuple[list[Arrival], bool]:
    """What waits in an inbox, and whether a line could not be read."""
    with open(descriptor, "rb", closefd=False) as file:
        written, _, _ = file.read().partition(b"\0")
    arrivals, damaged = [], False
    *lines, _ = written.split(b"\n")  # the last has no end: its writer died in the middle of it
    for line in lines:
        try:
            arrivals.append(arrival_of(line))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
            damaged = True
            logger.error("a line of %s is neither an attempt nor an effect", path.name)
    return arrivals, damaged
