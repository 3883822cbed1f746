"""Seeing attempts as they are booked, without a part in booking them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from frugal_chains.errors import wordless
from frugal_chains.ledger import Attempt, Ledger, Store

logger = logging.getLogger("frugal_chains.export")

Sees = Callable[[Attempt], None]


class _SeenStore:
    """A ledger's store that shows each attempt to `sees` once it is safe."""

    def __init__(self, store: Store, sees: Sees) -> None:
        self._store = store
        self.sees: Sees | None = sees
        self._complained = False

    def append(self, attempt: Attempt, *, reservation_id: str | None = None) -> None:
        self._store.append(attempt, reservation_id=reservation_id)
        if self.sees is None:
            return
        try:
            self.sees(attempt)
        except Exception as error:
            if not self._complained:
                self._complained = True
                logger.error("an attempt could not be exported", exc_info=wordless(error))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def observe(ledger: Ledger, sees: Sees) -> Callable[[], None]:
    """Show `sees` every attempt that is recorded in `ledger` from now on, by this process and this
    `Ledger`; what it raises is logged. Returns a function that ends it.

    The late true end of a call that was given up is shown as an attempt of the same id. Calls that
    the ledger itself books when their reservation expires are not shown.
    """
    seen = _SeenStore(ledger.store, sees)
    ledger.store = cast(Store, seen)

    def end() -> None:
        seen.sees = None
        if ledger.store is cast(Store, seen):  # else another has been put around it since
            ledger.store = seen._store

    return end
