"""What missed the prompt caches, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from frugal_chains.prompt_cache import Cause

Block = Literal["", "tool", "system", "message", "setting", "model"]
NOTHING_KEPT: Final = frozenset({"below-minimum", "unmarked"})
"""Causes that no tokens are counted of: there was nothing to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMiss:
    """Requests that missed for one cause."""

    cause: Cause
    provider: str
    model: str
    """That was asked."""
    block: Block
    """What has changed; empty: nothing has."""
    first_index: int | None
    """Of the tool, the block of the system prompt, or the earliest message, from 0 on."""
    last_index: int | None
    """The same, or the last message."""
    name: str
    """Of the setting, or of the model that was asked before."""
    requests: int
    conversations: int
    since: datetime
    """The first of them; aware, UTC."""
    last: datetime
    missed_tokens: int
    """Written again or billed as fresh, of what the request before had left in the cache."""
    cost_nanos: int
    """What that cost, against reading it."""
    unpriced: int
    """Requests among them whose cost is not known."""
    theirs: tuple[tuple[str, int], ...]
    """Reasons that the provider gave, and how often, the most frequent first."""
    disagreed: int
    """How often the provider blamed another part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMisses:
    """What the fingerprints in a ledger tell of its prompt caches."""

    since: datetime | None
    until: datetime | None
    answers: int
    """Attempts that a provider has answered and that a cache can show in."""
    fingerprinted: int
    """Those with fingerprints."""
    judged: int
    """Those with a request before them in their conversation."""
    hits: int
    """Of these: all was read that could be."""
    parallel: int
    """Sent before the request beside it was answered: no provider reads from that."""
    misses: tuple[CacheMiss, ...]
    """The dearest first."""

    @property
    def missed_tokens(self) -> int:
        return sum(miss.missed_tokens for miss in self.misses)

    @property
    def cost_nanos(self) -> int:
        return sum(miss.cost_nanos for miss in self.misses)

    @property
    def requests(self) -> int:
        return sum(miss.requests for miss in self.misses)
