"""Forks: no ledger file is open while this process forks.

SQLite's locks do not survive a fork, in the parent nor in the child: the child's connections would
believe in locks that only the parent holds, and rows would go to a log that the parent has deleted
(sqlite.org/howtocorrupt.html, section 2.6, read 2026-11-21). So every store closes its file before,
and each side opens it again when it next needs it.
"""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import Protocol


class LetsGo(Protocol):
    """Something that must not be open across a fork."""

    def before_fork(self) -> None:
        """Finish what is under way, let nobody in and close the file."""

    def after_fork(self, *, in_child: bool) -> None:
        """Let others in again."""


def living_stores() -> list[LetsGo]:
    """Every store that lets go at forks."""
    with _lock:
        return list(_stores)


def let_go_at_fork(store: LetsGo) -> None:
    """Call `store` before and after every fork of this process, as long as it lives."""
    with _lock:
        _stores.add(store)


_stores: weakref.WeakSet[LetsGo] = weakref.WeakSet()
_lock = threading.RLock()  # while one thread looks at all of them another may open one
_forking: list[LetsGo] = []


def _before() -> None:
    _lock.acquire()  # until after the fork: the child must not inherit it held by another thread
    _forking[:] = _stores
    for store in _forking:
        store.before_fork()


def _after(*, in_child: bool) -> None:
    for store in _forking:
        store.after_fork(in_child=in_child)
    _forking.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=partial(_after, in_child=False),
        after_in_child=partial(_after, in_child=True),
    )
