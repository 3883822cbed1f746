"""The three outcomes of pricing: `Priced`, `Free`, `Unpriced`. Unknown is never zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from frugal_chains.money import usd_from_nanos

CostPart = Literal["input", "cache_read", "cache_write", "output", "fees"]


class Priced(NamedTuple):
    """A cost, with its parts and where the price came from. Made for every call, hence a tuple.

    The parts sum to `nanos` exactly: the total is rounded once (half to even), the parts follow it.
    """

    nanos: int
    input_nanos: int = 0
    """Uncached input. Audio and image input are in here at their own rates."""
    cache_read_nanos: int = 0
    cache_write_nanos: int = 0
    output_nanos: int = 0
    fee_nanos: int = 0
    """Server-side tools billed per request (web search, code execution, file search)."""
    price_id: str = ""
    """The price snapshot: source and version, e.g. `genai-prices 0.2.3`, `genai-prices 0.2.3
    corrected gpt-4o-audio`, or `prices.toml 3f2a91c0`."""

    @property
    def cost_usd(self) -> Decimal:
        return usd_from_nanos(self.nanos)


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """Known to cost nothing: a local model, or an answer from a response cache."""

    price_id: str = ""

    @property
    def nanos(self) -> int:
        return 0

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """No price is known, and why. `cost_usd` is None: a missing price is not a low one."""

    reason: str

    @property
    def nanos(self) -> None:
        return None

    @property
    def cost_usd(self) -> None:
        return None


Price = Priced | Free | Unpriced
