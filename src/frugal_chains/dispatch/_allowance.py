"""`Allowance`: a budget of context, and the tokenizer it is counted with."""

from __future__ import annotations

import logging

from frugal_chains.compression import ContextBudget, budget_tokens
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import shared_prices
from frugal_chains.usage import Usage

logger = logging.getLogger("frugal_chains.dispatch")


class Allowance:
    """How many tokens one request gets, by who will answer it.

    Raises:
        CompressionError: a budget below 1 token.
    """

    def __init__(
        self,
        budget: int | ContextBudget | None,
        model: str,
        provider: str,
        counter: TokenCounter | None,
        prices: PriceBook | None,
    ) -> None:
        self.budget = ContextBudget(tokens=budget) if isinstance(budget, int) else budget
        self.model, self.provider = model, provider
        self._counter, self._prices = counter or TokenCounter(), prices
        self.count = self._counter.text_counter(model=model, provider=provider or None)
        """Tokens of a text by the model's tokenizer."""

    @property
    def exact(self) -> bool:
        """Whether the tokens are the model's own; not those of a counter that fails."""
        try:
            counted = self._counter.count_text("", model=self.model, provider=self.provider or None)
        except Exception:
            return False
        return counted.exact

    def tokens(self, tier: str = "") -> int | None:
        """The budget for a model of this tier; None: there is none."""
        if self.budget is None:
            return None
        nanos = self.input_nanos(1_000) if self.budget.limit_usd is not None else None
        return budget_tokens(self.budget, tier=tier, input_nanos=nanos)

    def input_nanos(self, tokens: int) -> int | None:
        """Price of so many tokens of fresh input; None where that is not known, or cannot be told.
        Of a model that costs nothing it is 0."""
        usage = Usage(input_tokens=tokens, source="estimated")
        try:
            prices = self._prices or shared_prices()
            price = prices.price(usage, model=self.model, provider=self.provider or None)
        except Exception as error:
            logger.warning("tokens of context have no price", exc_info=wordless(error))
            return None
        return price.nanos
