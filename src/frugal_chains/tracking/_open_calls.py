"""Calls that have started and not ended, shared by every tracker of one ledger.

Sharing is what makes one call one row, however many handlers report it.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from frugal_chains.ledger import Attempt, Ledger, MeterFacts, moment, new_id
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking._call import CallStart
from frugal_chains.tracking._learn import Lessons, load_calibration, save_calibration
from frugal_chains.tracking._lever import current_lever
from frugal_chains.tracking._operation import current_operation

if TYPE_CHECKING:
    from frugal_chains.tokens import TokenCount
    from frugal_chains.tracking._prints import Prints
    from frugal_chains.tracking._tracker import Tracker

REMEMBER_LOST: Final = 1024
"""Calls booked as aborted that are remembered in case their true end comes after all."""


class OpenCall:
    """One call between its start and its end."""

    __slots__ = (
        "at_us", "counted", "first_token_s", "id", "lever", "notes", "operation_id", "reserved",
        "run_id", "start", "started_s", "streamed", "tags", "trackers",
    )  # fmt: skip

    def __init__(self, start: CallStart, tracker: Tracker) -> None:
        self.at_us = at_us = time.time_ns() // 1000
        self.start = start
        self.started_s = time.perf_counter()
        self.id = new_id(at_us)
        self.trackers = [tracker]
        self.first_token_s: float | None = None
        self.counted: TokenCount | None = None
        self.reserved = False
        self.notes: tuple[str, ...] = ()
        self.streamed = start.streamed
        self.lever = current_lever()
        group = current_operation()
        root = start.root_id or start.key
        self.operation_id = group.id if group else root
        self.run_id = (group.run_id if group else "") or root
        self.tags: Mapping[str, str] = tracker.tags
        if group is not None and group.tags:
            self.tags = {**self.tags, **group.tags}
        if start.tags:
            self.tags = {**self.tags, **start.tags}

    def join(self, tracker: Tracker) -> None:
        """Another tracker reports the same call: it adds its tags where they are not set yet."""
        self.trackers.append(tracker)
        self.tags = {**tracker.tags, **self.tags}

    @property
    def facts(self) -> MeterFacts:
        return MeterFacts(
            at=moment(self.at_us),
            run_id=self.run_id,
            operation_id=self.operation_id,
            tags=self.tags,
        )


class OpenCalls:
    """The open calls of one ledger, by key; the last ones that were given up as lost; and what
    their ends have taught about token counts."""

    def __init__(self, ledger: Ledger) -> None:
        self.lock = threading.RLock()  # a collected stream may end in here
        self.open: dict[str, OpenCall] = {}
        self.lessons = Lessons(TokenCounter(load_calibration(ledger)))
        self.prints: Prints | None = None
        """Once a tracker has asked for fingerprints."""
        self._ledger = weakref.ref(ledger)
        self._lost: OrderedDict[str, tuple[OpenCall, Attempt]] = OrderedDict()

    def remember_lost(self, key: str, call: OpenCall, attempt: Attempt) -> None:
        with self.lock:
            self._lost[key] = call, attempt
            while len(self._lost) > REMEMBER_LOST:
                self._lost.popitem(last=False)

    def take_lost(self, key: str) -> tuple[OpenCall, Attempt] | None:
        if key not in self._lost:
            return None
        with self.lock:
            return self._lost.pop(key, None)

    @staticmethod
    def of(ledger: Ledger) -> OpenCalls:
        """The one set of open calls that belongs to `ledger`."""
        with _registry_lock:
            found = _registry.get(ledger)
            if found is None:
                found = _registry[ledger] = OpenCalls(ledger)
                ledger.close_first(found)
            return found

    def forget(self) -> None:
        """Drop every call: in a forked child they are its parent's to end."""
        self.lock = threading.RLock()
        self.open.clear()
        self._lost.clear()

    def close(self) -> None:
        """Give up the calls still open, and keep what was learned about token counts."""
        for key, call in list(self.open.items()):
            call.trackers[0].give_up(key, "lost")
        self._lost.clear()  # their trackers hold the ledger, which could never be collected
        ledger = self._ledger()
        if ledger is not None and self.lessons.learned:
            self.lessons.learned = False
            save_calibration(ledger, self.lessons.counter.calibration)


_registry: weakref.WeakKeyDictionary[Ledger, OpenCalls] = weakref.WeakKeyDictionary()
_registry_lock = threading.Lock()


def _forget_in_child() -> None:
    global _registry_lock  # another thread of the parent may have held it
    _registry_lock = threading.Lock()
    for calls in list(_registry.values()):
        calls.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


@atexit.register
def _close_all() -> None:
    for calls in list(_registry.values()):
        calls.close()
