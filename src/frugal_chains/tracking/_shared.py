"""The ledger that handlers use when they are given none: one per place and process."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from frugal_chains.errors import LedgerError
from frugal_chains.ledger import DEFAULT_URL, Ledger
from frugal_chains.tracking._ambient import current_tracker

logger = logging.getLogger("frugal_chains.tracking")

_ledgers: dict[str, Ledger] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock  # another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def shared_ledger() -> Ledger:
    """The current tracker's ledger; else the one at `$FRUGAL_LEDGER` or `frugal.db`, kept open.

    Two handlers without a ledger of their own thus write one set of books, and a call that both
    of them see is one row. Raises what `Ledger.open` raises.
    """
    tracker = current_tracker()
    if tracker is not None:
        return tracker.ledger
    url = os.environ.get("FRUGAL_LEDGER") or DEFAULT_URL
    with _lock:
        if url not in _ledgers:
            _ledgers[url] = Ledger.open(url)
        return _ledgers[url]


@atexit.register
def _close_all() -> None:
    for ledger in _ledgers.values():
        try:
            ledger.close()
        except LedgerError as error:
            logger.error("%s", error)
