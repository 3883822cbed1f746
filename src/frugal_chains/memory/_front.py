"""`front_of`: what a request for a summary repeats, so that the cache is read."""

from __future__ import annotations

from collections.abc import Sequence

from frugal_chains.memory._bill import Sizes
from frugal_chains.memory._ends import end_behind, last_end
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups
from frugal_chains.memory._keep import Split
from frugal_chains.memory._request import BEYOND_TOKENS
from frugal_chains.memory._state import MemoryState
from frugal_chains.memory._terms import Front, MemoryTerms


def front_of(
    messages: Sequence[HeldMessage],
    cut: Split,
    groups: Groups,
    state: MemoryState,
    sizes: Sizes,
    terms: MemoryTerms,
) -> Front:
    """The cheapest beginning of the conversation that has all that is dropped.

    It ends where that ends. A cache that keeps only ends of requests may have nothing alive there:
    then it goes on up to where one has, which is read for less than the other is sent.

    Args:
        messages: With the sizes they are sent with.
        cut: What leaves.
        groups: Of the messages that no segment covers.
        state: With the segments.
        sizes: Of the last request.
        terms: Prices, and what the cache keeps.
    """

    def upto(end: int) -> int:
        shown = (messages[at].tokens for at in range(state.end, end) if at not in groups.broken)
        return front + sum(shown)

    front = sizes.head + sizes.segments + sizes.kept
    whole = upto(cut.end)
    if not terms.keeps_ends or not sizes.cached:
        return Front(terms.cache, whole, sizes.cached, cut.end)
    before, behind = last_end(sizes.ends, cut.end), end_behind(sizes.ends, cut.end)
    least = front if terms.reads_parts else 0
    cached = least if before is None or before < state.end else upto(before)
    choices = [Front(terms.cache, whole, cached, cut.end)]
    if behind is not None:
        tokens = upto(behind)
        choices.append(Front(terms.cache, tokens, tokens, behind, told_tokens=BEYOND_TOKENS))
    return min(choices, key=lambda each: each.nanos)
