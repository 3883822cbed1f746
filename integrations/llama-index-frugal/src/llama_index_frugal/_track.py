"""`track_cost`: every model call made inside a block of code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger
from frugal_chains.tracking import (
    RunningTotal,
    Tracker,
    budgets_around,
    carry,
    fingerprints_around,
    shared_ledger,
    use_tracker,
)
from llama_index_frugal import _installed

# A call in a thread is found inside the one that waits for it, and keeps LlamaIndex's own tags.
carry(active_span_id, active_instrument_tags)


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
            query_engine.query(question)
        print(spent)

    Use it as it is in async code too. Blocks nest: a call belongs to the innermost one, and the
    budgets of those around it hold as well where they share a ledger; a budget with a `tag` looks
    at the call's own tags. What was begun inside and goes on after the block still belongs to it:
    a task, a stream, the answer of a streaming query engine, and a thread for as long as it runs:
    have a worker of your own run what others hand it under their context
    (`contextvars.copy_context().run`), as the pools of asyncio and anyio do. What a client retries
    by itself is one attempt, as LlamaIndex tells it.

    A generator that yields from inside a block is in it only where it is read in the context it
    began in: FastAPI gives that to its `async` dependencies alone.

    Args:
        ledger: Where to write; None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold inside the block. A call they have no room for raises
            `frugal_chains.BudgetExceeded` before it is sent.
        fingerprints: Keep keyed hashes of each request on its row, no text, for `frugal cache`;
            blocks inside that write to the same ledger do too.
        tags: Added to every attempt, beside those of LlamaIndex's `instrument_tags`.
    """
    ledger = ledger or shared_ledger()
    tracker = Tracker(
        ledger,
        budgets=(*budgets, *budgets_around(ledger)),
        tags=tags,
        fingerprints=fingerprints or fingerprints_around(ledger),
    )
    _installed.install_for(tracker)
    with use_tracker(tracker):
        yield tracker.total
