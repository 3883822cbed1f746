"""What a request's tools cost, and what they would have cost, by what should be in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.tools import (
    CacheFacts,
    Forecast,
    ToolIndex,
    ToolPlan,
    expected_nanos,
)
from frugal_chains.dispatch.tools._memory import Sent
from frugal_chains.pricing import TokenPrices

_THIS_CALL: Final = Forecast(calls=0, additions=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Of one request: what stands behind its tools, and what was sent before it."""

    after_tokens: int
    """Of its messages."""
    head: int
    """A mark of its instructions; 0: it has none."""
    head_tokens: int
    own: Sent | None
    """The request that it goes on from."""
    blocks: Sequence[Sent]
    """Of the same model, as long ago as its provider keeps them."""

    def warm(self) -> dict[str, int]:
        """For `CacheFacts.warm`: of this conversation all that was sent; of others the tools, and
        the instructions where they are the same."""
        warm = {each.block_key: each.block_tokens + self._shared(each) for each in self.blocks}
        if self.own is not None and self.own.block_key in warm:
            whole = self.own.block_tokens + self.own.after_tokens
            warm[self.own.block_key] = max(warm[self.own.block_key], whole)
        return warm

    def warm_if_left(self, index: ToolIndex, left_key: str, warm: Mapping[str, int]) -> int:
        """What would be in the cache if all conversations had left these tools as they are."""
        tokens = sum(index.tokens)
        alike = [tokens + self._shared(each) for each in self.blocks if each.left_key == left_key]
        if self.own is not None and self.own.block_key in warm:
            alike.append(tokens + self.own.after_tokens)
        return max([warm.get(left_key, 0), *alike])

    def comes_after(self, left_key: str) -> bool:
        """Whether another request with the same tools was sent before."""
        return any(each.left_key == left_key for each in self.blocks)

    def warm_if_shared(self, index: ToolIndex) -> dict[str, int]:
        """What would be warm of a new conversation if others had left all tools, in any words."""
        every = range(len(index.tools))
        return {
            index.block_key(every, slim=slim, find_tool=False): sum(tokens) + self.head_tokens
            for slim, tokens in ((False, index.tokens), (True, index.slim_tokens))
        }

    def _shared(self, sent: Sent) -> int:
        return sent.head_tokens if sent.head == self.head else 0


def call_bill(
    plan: ToolPlan,
    index: ToolIndex,
    around: Surroundings,
    *,
    left_key: str,
    prices: TokenPrices,
    cache: CacheFacts,
) -> tuple[float, float]:
    """Nanos for this call's input alone: as planned, and with all tools as they are."""

    def nanos(block_tokens: int, warm_tokens: int) -> float:
        return expected_nanos(
            block_tokens,
            around.after_tokens,
            warm_tokens=warm_tokens,
            prices=prices,
            cache=cache,
            forecast=_THIS_CALL,
        )

    return (
        nanos(plan.tokens, cache.warm.get(plan.block_key, 0)),
        nanos(sum(index.tokens), around.warm_if_left(index, left_key, cache.warm)),
    )
