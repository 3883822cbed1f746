"""Conversations as a memory would have sent them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from frugal_chains.dispatch import Compactor, History, Turn, message_key
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import MemoryState
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._prompt import SEGMENT
from frugal_chains.replay._setup import Memory
from frugal_chains.tokens import TokenCounter

_CONVERSATIONS: Final = 4_096
"""That are remembered, the least recently used go first: such a one begins anew."""


class Memories:
    """Of one setup.

    Args:
        memory: How it is set.
        cache_ttl: Of the requests' markers: with them a compaction has a cache to lose; empty: they
            have none.
        counter: Of tokens.
        prices: Of models.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        cache_ttl: Literal["", "5m", "1h"],
        counter: TokenCounter,
        prices: PriceBook,
    ) -> None:
        self._now_s = 0.0
        self._compactor = Compactor(
            memory.policy,
            recall_tokens=memory.recall_tokens,
            cache_ttl=cache_ttl,
            counter=counter,
            prices=prices,
            clock=lambda: self._now_s,
        )
        self._states: OrderedDict[str, MemoryState] = OrderedDict()

    def sent(
        self, request: RequestFacts, *, conversation: str, model: str, provider: str, at_s: float
    ) -> RequestFacts:
        """The request as it would have been sent."""
        system = [each for each in request.messages if each.role == "system"]
        messages = [each for each in request.messages if each.role != "system"]
        history = History(
            keys=[message_key(each, str(at)) for at, each in enumerate(messages)],
            message=messages.__getitem__,
            head=replace(request, messages=tuple(system)),
            model=model,
            provider=provider,
        )
        self._now_s = at_s
        state = self._states.pop(conversation, MemoryState())
        turn = _turn(self._compactor, history, state)
        self._states[conversation] = turn.state
        if len(self._states) > _CONVERSATIONS:
            self._states.popitem(last=False)
        return replace(request, messages=(*system, *_shown(turn, messages)))


def _turn(compactor: Compactor, history: History, state: MemoryState) -> Turn:
    flow = compactor.turn(history, state)
    try:
        next(flow)
    except StopIteration as end:
        turn: Turn = end.value
        return turn
    raise AssertionError("sentences are picked without asking")


def _shown(turn: Turn, messages: Sequence[MessageFacts]) -> list[MessageFacts]:
    cut = dict(turn.shortened)
    found = []
    for one in turn.view:
        if one.segment is not None:
            found.append(MessageFacts(role="user", text=one.segment.text, name=SEGMENT))
        elif one.position is not None:
            message = messages[one.position]
            text = cut.get(one.position)
            found.append(message if text is None else replace(message, text=text))
            if one.position == turn.question and turn.recalled:
                found.append(MessageFacts(role="user", text=turn.recalled))
    return found
