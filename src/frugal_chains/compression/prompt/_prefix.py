"""Whether a change in a cached prefix pays: the arithmetic behind leaving anything out.

A provider's prompt cache bills what a request shares with an earlier one, from the first byte on,
at a fraction of the price. So taking tokens out of the middle does two things: those tokens are not
billed any more, and everything behind them has lost its cache and is billed in full once more; on
every call, where the choice changes from call to call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from frugal_chains.compression.prompt._checks import not_negative
from frugal_chains.errors import PromptError
from frugal_chains.pricing import CacheTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixUse:
    """How a prefix is used, as far as the caller knows: what a choice is weighed against."""

    terms: CacheTerms
    """What input costs; `CacheTerms.of(prices, None)` without a cache."""
    calls: int
    """Expected with the same choice while the cache lives, this one counted."""
    warm_tokens: int
    """Of the request with nothing left out, from its first token on, in the cache now. A system
    prompt that all conversations share is warm when a conversation begins."""
    front_tokens: int = 0
    """In front of what is chosen from, say tool definitions."""
    behind_tokens: int = 0
    """Behind it and cached with it: the conversation so far."""
    every_call: bool = False
    """The choice is made anew on every call, not once for a conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixChange:
    """The bill with the prefix left as it is, and with the change, over the same calls."""

    removed_tokens: int
    calls: int
    leave_nanos: float
    change_nanos: float
    break_even_calls: int | None
    """From so many calls on the change pays; None: never, however many there are."""

    @property
    def net_nanos(self) -> float:
        """What the change saves; negative: what it costs."""
        return self.leave_nanos - self.change_nanos

    @property
    def pays(self) -> bool:
        return self.net_nanos > 0


def weigh_prefix_change(
    *,
    before_tokens: int,
    removed_tokens: int,
    behind_tokens: int,
    terms: CacheTerms,
    calls: int,
    warm_tokens: int,
    warm_changed_tokens: int = 0,
    every_call: bool = False,
) -> PrefixChange:
    """The bill of leaving tokens in a prefix against that of taking them out.

    Args:
        before_tokens: In front of the first token that is removed: their cache is not touched.
        removed_tokens: All that is taken out.
        behind_tokens: All that stays and stands behind the first removed token, up to the end of
            what is cached: the rest of the system prompt, and the conversation so far.
        terms: What input costs, and from how many tokens on a prefix is kept.
        calls: Expected with this prefix while the cache lives, this one counted; at least 1.
        warm_tokens: Of the prefix as it is now, from its first token on, held by the cache.
        warm_changed_tokens: Of the changed prefix, held by the cache already, say by another
            conversation; what lies in front of the change is taken as warm as `warm_tokens` says.
        every_call: The choice is made anew on every call, so what lies behind it is never found.

    What the conversation grows by in further calls is the same on both sides and left out; with
    `every_call` that flatters the change.

    Raises:
        PromptError: A number is negative, or `calls` is less than 1.
    """
    not_negative(
        before_tokens=before_tokens,
        removed_tokens=removed_tokens,
        behind_tokens=behind_tokens,
        warm_tokens=warm_tokens,
        warm_changed_tokens=warm_changed_tokens,
    )
    if calls < 1:
        raise PromptError(f"calls is {calls}; this call counts, so expected 1 or more")
    total = before_tokens + removed_tokens + behind_tokens
    rest = before_tokens + behind_tokens
    warm = max(min(warm_tokens, before_tokens), warm_changed_tokens)
    leave, change = terms.call_nanos(total, warm_tokens), terms.call_nanos(rest, warm)
    further_leave = terms.call_nanos(total, total)
    further_change = terms.call_nanos(rest, before_tokens if every_call else rest)
    return PrefixChange(
        removed_tokens=removed_tokens,
        calls=calls,
        leave_nanos=leave + (calls - 1) * further_leave,
        change_nanos=change + (calls - 1) * further_change,
        break_even_calls=_break_even(leave - change, further_leave - further_change),
    )


def _break_even(first: float, further: float) -> int | None:
    """The fewest calls at which the savings are above zero: `first + (n - 1) * further > 0`."""
    if first > 0:
        return 1
    return math.floor(-first / further) + 2 if further > 0 else None
