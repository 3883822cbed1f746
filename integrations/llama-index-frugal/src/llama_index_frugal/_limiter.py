"""`BudgetRateLimiter`: budgets that belong to one LLM or embedding."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger
from frugal_chains.tracking import Tracker, current_tracker, shared_ledger
from llama_index_frugal import _installed
from llama_index_frugal._gate import Gate


class BudgetRateLimiter(Gate):
    """Refuses the calls of the LLMs and embeddings it is given to when a budget has no room.

        llm = OpenAI("gpt-4.1-mini")
        llm.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd(5, per="day")])

    It books those calls too, inside `track_cost` and out of it: what is not counted cannot be
    limited. One limiter may serve any number of LLMs, threads and tasks. Where the budgets should
    hold for a block of code and not for an LLM, `track_cost(budgets=...)` is enough.

    On a wrapper (`as_structured_llm`, a `CustomLLM` with an LLM inside) it holds the calls that are
    made inside. A wrapper without a price passes as long as the LLM inside can be seen: in one of
    its fields, or in a field of a plain object there. What hides it elsewhere, such as a closure,
    is refused as a model without a price is; a `[[free]]` entry in `prices.toml` lets it pass.

    LlamaIndex asks limiters where a method of an LLM begins. It does not ask for what a method of
    your own sends that only `llm_chat_callback` decorates and no span surrounds: such calls are
    booked, and their rows say that no budget was held. And a tool of an agent that is refused does
    not end the run: the agent catches what its tools raise and tells the model
    (`BaseWorkflowAgent._call_tool`). Give the agent's own LLM the limiter too, or open the block
    around the run, and its next step is refused.

    Args:
        budgets: Limits on the calls of these LLMs, together.
        ledger: Where to write; None: inside `track_cost` the block's, else the one at
            `$FRUGAL_LEDGER`.
        inner: A rate limiter to wait for first, such as LlamaIndex's `TokenBucketRateLimiter`.

    Raises:
        BudgetExceeded: into the call, before it is sent, when a budget has no room.
        LedgerError: into the call, when the ledger cannot be opened.
    """

    def __init__(
        self, *, budgets: Sequence[Budget], ledger: Ledger | None = None, inner: Any = None
    ) -> None:
        super().__init__(inner)
        self.budgets = tuple(budgets)
        self._own = Tracker(ledger, budgets=self.budgets) if ledger is not None else None
        self._by_ledger: weakref.WeakKeyDictionary[Ledger, Tracker] = weakref.WeakKeyDictionary()
        _installed.install_for(self)

    def tracker_for(self, current: Tracker | None) -> Tracker:
        """The tracker to report a call to that is made under the tracker `current`."""
        if self._own is not None:
            return self._own
        ledger = current.ledger if current is not None else shared_ledger()
        found = self._by_ledger.get(ledger)
        if found is None:
            found = self._by_ledger[ledger] = Tracker(ledger, budgets=self.budgets)
        return found

    def _ask(self) -> None:
        # Handlers may not raise, so a ledger that cannot be opened lets no call pass from here.
        self.tracker_for(current_tracker())
        super()._ask()

    def __deepcopy__(self, memo: dict[int, Any]) -> BudgetRateLimiter:
        """A copied LLM spends from the same budgets."""
        return self
