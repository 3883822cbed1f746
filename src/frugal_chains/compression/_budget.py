"""How many tokens of context a request gets: fewer where tokens are dear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from frugal_chains.errors import CompressionError
from frugal_chains.money import nanos_from_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextBudget:
    """A budget that depends on the model that will answer.

    Raises:
        CompressionError: a number of tokens below 1, or an amount of money that is none.
    """

    tokens: int
    """Where nothing else applies, and never more than this."""
    by_tier: Mapping[str, int] = field(default_factory=dict)
    """Of a routing policy's tiers, such as `{"specialist": 800}`: a dear model gets what it needs
    and no more."""
    limit_usd: Decimal | None = None
    """What the context of one request may cost as fresh input."""
    least_tokens: int = 200
    """What `limit_usd` leaves at least: context that says nothing is money for nothing."""

    def __post_init__(self) -> None:
        numbers = {"tokens": self.tokens, "least_tokens": self.least_tokens, **self.by_tier}
        for name, tokens in numbers.items():
            if tokens < 1:
                raise CompressionError(f"{name} is {tokens}; give a budget of 1 token or more")
        if self.limit_usd is not None and not self.limit_usd > 0:
            raise CompressionError(f"limit_usd is {self.limit_usd}; it has to be above 0")


def budget_tokens(budget: ContextBudget, *, tier: str = "", input_nanos: int | None = None) -> int:
    """The budget of one request, in tokens.

    Args:
        budget: The policy.
        tier: Of the model that will answer; empty: not known.
        input_nanos: Price of 1,000 fresh input tokens of that model in nano-USD; None: not known,
            and then `limit_usd` says nothing.
    """
    tokens = min(budget.tokens, budget.by_tier.get(tier, budget.tokens))
    if budget.limit_usd is None or not input_nanos:
        return tokens
    afforded = nanos_from_usd(budget.limit_usd) * 1000 // input_nanos
    return min(tokens, max(budget.least_tokens, afforded))
