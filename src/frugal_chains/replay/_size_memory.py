"""`SizeMemory`: what a memory would have sent of a conversation, by the sizes of its messages.

What it decides rests on sizes alone, and a digest has at most as many tokens as its policy says:
the decisions are the live ones, and what they save is rather more. What would be recalled is left
out: it depends on words.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, Literal

from frugal_chains.dispatch import memory_terms
from frugal_chains.memory import (
    CompactionPolicy,
    ConversationFacts,
    HeldMessage,
    MemoryState,
    decide,
    still_true,
    view,
    with_segment,
)
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import cache_rule
from frugal_chains.replay._outline import HEAD, Piece

_CONVERSATIONS: Final = 4_096
"""That are remembered, the least recently used go first: such a one begins anew."""
_PIECES: Final = 50_000
"""Of which the facts are not made again: each request has most of the one before."""


class SizeMemory:
    """Conversations as a memory that asks no model would have sent them.

    Args:
        policy: The user's.
        prices: Of models.
    """

    def __init__(self, policy: CompactionPolicy, prices: PriceBook) -> None:
        self._policy, self._prices = policy, prices
        self._states: OrderedDict[tuple[str, ...], MemoryState] = OrderedDict()

    def sent(
        self,
        pieces: Sequence[Piece],
        *,
        conversation: str,
        model: str,
        provider: str,
        ttl: Literal["", "5m", "1h"],
        at_s: float,
    ) -> tuple[Piece, ...]:
        """What would have been sent of a request.

        Args:
            pieces: Of the request.
            conversation: What it continues.
            model, provider: Who answers.
            ttl: Of the requests' cache markers; empty: they have none.
            at_s: When it was sent, seconds since the epoch.
        """
        front = [piece for piece in pieces if piece.kind in HEAD]
        behind = [piece for piece in pieces if piece.kind not in HEAD]
        facts = ConversationFacts(
            messages=[_held(piece) for piece in behind],
            head_tokens=sum(piece.tokens for piece in front),
            head=f"{provider}:{model}:{hash(tuple(piece.key for piece in front))}",
        )
        terms, _ = memory_terms(
            self._prices,
            model=model,
            provider=provider,
            summarizer=None,
            ttl=ttl,
            caches=cache_rule(provider, model).automatic or bool(ttl),
            at_s=at_s,
        )
        key = (conversation, facts.head)
        state = still_true(self._states.pop(key, MemoryState()), facts.messages)
        decision = decide(facts, state, terms, self._policy, now_s=at_s)
        plan = decision.plan
        after = decision.state if plan is None else with_segment(decision, "", plan.segment_tokens)
        self._states[key] = after
        if len(self._states) > _CONVERSATIONS:
            self._states.popitem(last=False)
        return (*front, *_shown(after, behind, decision.broken))


def _shown(state: MemoryState, behind: Sequence[Piece], broken: frozenset[int]) -> list[Piece]:
    cut = dict(state.shortened)
    found = []
    for one in view(state, len(behind), broken):
        if one.segment is not None:
            key = hash(("segment", one.segment.id, one.segment.digest))
            found.append(Piece(key, "user", one.segment.tokens, segment=True))
        elif one.position is not None:
            piece = behind[one.position]
            tokens = cut.get(str(piece.key))
            found.append(piece if tokens is None else replace(piece, tokens=tokens))
    return found


@lru_cache(_PIECES)
def _held(piece: Piece) -> HeldMessage:
    calls = piece.kind == "assistant" and piece.call
    return HeldMessage(
        role="tool"
        if piece.kind == "tool"
        else "assistant"
        if piece.kind == "assistant"
        else "user",
        tokens=piece.tokens,
        calls=(str(piece.call),) if calls else (),
        answers=str(piece.call) if piece.kind == "tool" else "",
        key=str(piece.key),
    )
