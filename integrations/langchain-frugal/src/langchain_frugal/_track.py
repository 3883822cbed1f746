"""`track_cost`: the same handler, for every run inside a block of code."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from langchain_core.tracers.context import register_configure_hook

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger
from frugal_chains.tracking import (
    RunningTotal,
    Tracker,
    budgets_around,
    current_tracker,
    fingerprints_around,
    shared_ledger,
    use_tracker,
)
from langchain_frugal._handler import CostCallbackHandler


@contextmanager
def track_cost(
    ledger: Ledger | None = None,
    *,
    budgets: Sequence[Budget] = (),
    fingerprints: bool = False,
    **tags: str,
) -> Iterator[RunningTotal]:
    """Book every model call made inside the block, in its tasks and in the threads it starts.

        with track_cost(feature="search") as spent:
            chain.invoke(question)
        print(spent)

    Blocks nest: a call belongs to the innermost one, and the budgets of those around it hold as
    well where they share a ledger; a budget with a `tag` looks at the call's own tags. A stream
    begun inside and read after the block still belongs to it, and so does a thread begun inside,
    for as long as it runs: have a worker of your own run what others hand it under their context
    (`contextvars.copy_context().run`), as the pools of asyncio, anyio and LangChain do.

    A generator that yields from inside a block is in it only where it is read in the context it
    began in: FastAPI gives that to its `async` dependencies alone.

    Args:
        ledger: Where to write; None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold inside the block.
        fingerprints: Keep keyed hashes of each request on its row, no text, for `frugal cache`;
            blocks inside that write to the same ledger do too.
        tags: Added to every attempt.
    """
    ledger = ledger or shared_ledger()
    handler = CostCallbackHandler(
        ledger,
        budgets=(*budgets, *budgets_around(ledger)),
        tags=tags,
        fingerprints=fingerprints or fingerprints_around(ledger),
    )
    with use_handler(handler):
        yield handler.total


@contextmanager
def use_handler(handler: CostCallbackHandler) -> Iterator[None]:
    """Give `handler` to every run in the block."""
    _handlers[handler.tracker] = handler
    with use_tracker(handler.tracker):
        yield


class _CurrentHandler:
    """Stands where LangChain expects a context variable: gives the handler of the current block."""

    def get(self) -> CostCallbackHandler | None:
        tracker = current_tracker()
        if tracker is None:
            return None
        handler = _handlers.get(tracker)
        if handler is None:  # opened by the other adapter's block
            handler = _handlers[tracker] = CostCallbackHandler.of(tracker)
        return handler


# Handlers hold their tracker, so it is the handler that must be held weakly here.
_handlers: weakref.WeakValueDictionary[Tracker, CostCallbackHandler] = weakref.WeakValueDictionary()

# Once per process: LangChain keeps every hook for ever, and asks each of them at every run.
register_configure_hook(_CurrentHandler(), inheritable=True)  # type: ignore[arg-type]  # only get() is used
