"""The current tracker: how code that was handed nothing finds the books."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from frugal_chains.tracking._threads import block

if TYPE_CHECKING:
    from frugal_chains.budgets import Budget
    from frugal_chains.ledger import Ledger
    from frugal_chains.tracking._tracker import Tracker

_open_blocks: ContextVar[tuple[Tracker, ...]] = ContextVar("frugal_trackers", default=())
"""The trackers of the blocks around this code, innermost last."""


def current_tracker() -> Tracker | None:
    """The tracker of the innermost open block around this code, if any."""
    trackers = _open_blocks.get()
    return trackers[-1] if trackers else None


@contextmanager
def use_tracker(tracker: Tracker) -> Iterator[None]:
    """Make `tracker` current for the code in the block, and for the threads it starts.

    A thread stays in the block it was started in, also when that ends before it does. Where it
    runs work under a context of its own (`contextvars.copy_context().run`), that context decides.

    A generator that yields from inside the block should be read in one context: read on in another
    one it is not in the block any more, and the first one stays in it when it ends elsewhere.
    """
    with block(_open_blocks, (*_open_blocks.get(), tracker)):
        yield


def fingerprints_around(ledger: Ledger) -> bool:
    """Whether a block around this code keeps fingerprints of what is written to `ledger`."""
    return any(t.fingerprints for t in _open_blocks.get() if t.ledger is ledger)


def budgets_around(ledger: Ledger) -> tuple[Budget, ...]:
    """The budgets of the blocks around this code that write to `ledger`.

    A block opened in here is to hold them too, or a call could leave a budget by opening a block.
    """
    return tuple(
        dict.fromkeys(
            budget
            for tracker in reversed(_open_blocks.get())
            if tracker.ledger is ledger
            for budget in tracker.guard.budgets
        )
    )
