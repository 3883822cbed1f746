"""`track_cost`: every model call made inside a block of code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger
from frugal_chains.tracking import RunningTotal, Tracker, shared_ledger, use_tracker
from llama_index_frugal import _installed


@contextmanager
def track_cost(
    ledger: Ledger | None = None, *, budgets: Sequence[Budget] = (), **tags: str
) -> Iterator[RunningTotal]:
    """Book every model call made inside the block, in its tasks and in the threads it starts.

        with track_cost(feature="search") as spent:
            query_engine.query(question)
        print(spent)

    Use it as it is in async code too. Blocks nest: a call belongs to the innermost one. What was
    begun inside and goes on after the block still belongs to it: a task, a stream, the answer of a
    streaming query engine. What a client retries by itself is one attempt, as LlamaIndex tells it.

    Args:
        ledger: Where to write; None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold inside the block. A call they have no room for raises
            `frugal_chains.BudgetExceeded` before it is sent.
        tags: Added to every attempt, beside those of LlamaIndex's `instrument_tags`.
    """
    tracker = Tracker(ledger or shared_ledger(), budgets=budgets, tags=tags)
    _installed.install_for(tracker)
    with use_tracker(tracker):
        yield tracker.total
