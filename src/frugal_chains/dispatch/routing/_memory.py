"""What a router remembers between calls: conversations, tool calls, lengths, circuits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from frugal_chains.facts import RequestFacts
from frugal_chains.routing import (
    Breaker,
    ConversationFacts,
    OutputForecasts,
    WarmPrefix,
    in_tool_loop,
)
from frugal_chains.usage import Usage

T = TypeVar("T")

_CONVERSATIONS: Final = 10_000
_TOOL_CALLS: Final = 20_000
"""The oldest are forgotten beyond these: a forgotten conversation is routed as a new one."""


@dataclass(slots=True)
class _Conversation:
    last: str = ""
    warm: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By candidate: tokens its provider has seen of it, and when."""


class Memory:
    """Safe for threads. Times are seconds of the clock the router was given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()
        self._tool_calls: OrderedDict[str, str] = OrderedDict()
        self._breakers: dict[str, Breaker] = {}
        self._forecasts = OutputForecasts()

    def conversation(self, key: str, request: RequestFacts, now_s: float) -> ConversationFacts:
        """What is known of a conversation."""
        with self._lock:
            known = self._conversations.get(key) or _Conversation()
            return ConversationFacts(
                bound_to=self._owner(request) or known.last if in_tool_loop(request) else "",
                warm={
                    name: WarmPrefix(tokens=tokens, age_s=now_s - at_s)
                    for name, (tokens, at_s) in known.warm.items()
                },
            )

    def _owner(self, request: RequestFacts) -> str:
        """Who made the tool calls that the last messages answer."""
        for message in reversed(request.messages):
            ids = [message.tool_call_id, *(call.id for call in message.tool_calls)]
            for id_ in filter(None, ids):
                if id_ in self._tool_calls:
                    return self._tool_calls[id_]
            if message.role == "user":
                break
        return ""

    def expected_output(self) -> dict[str, int]:
        with self._lock:
            return self._forecasts.expected()

    def open_circuits(self, now_s: float) -> dict[str, str]:
        """Candidates that are left alone now, and why."""
        with self._lock:
            return {
                name: f"{state.failures} failures in a row: it is tried again "
                f"in {state.open_until_s - now_s:.0f} s"
                for name, state in self._breakers.items()
                if state.is_open(now_s)
            }

    def answered(
        self,
        key: str,
        candidate: str,
        usage: Usage,
        tool_calls: Iterable[str],
        now_s: float,
        *,
        counted_tokens: int = 0,
    ) -> None:
        """A candidate has answered in a conversation.

        Streams of some providers tell no usage: then what was counted of the request is what its
        provider has seen.
        """
        with self._lock:
            if candidate in self._breakers:
                self._breakers[candidate] = self._breakers[candidate].succeeded()
            if usage.output_tokens:
                self._forecasts.observe(candidate, usage.output_tokens)
            known = _latest(self._conversations, key, _Conversation(), _CONVERSATIONS)
            known.last = candidate
            told = usage.input_tokens + usage.output_tokens
            known.warm[candidate] = (told or counted_tokens, now_s)
            for id_ in filter(None, tool_calls):
                self._tool_calls.pop(id_, None)
                _latest(self._tool_calls, id_, candidate, _TOOL_CALLS)

    def failed(self, candidate: str, now_s: float, retry_after_s: float | None) -> None:
        """A candidate failed for a reason of its own."""
        with self._lock:
            state = self._breakers.get(candidate, Breaker())
            self._breakers[candidate] = state.failed(now_s, retry_after_s=retry_after_s)

    def learn_output(self, answers: Iterable[tuple[str, int]]) -> None:
        """Lengths of earlier answers, by candidate."""
        with self._lock:
            for candidate, tokens in answers:
                self._forecasts.observe(candidate, tokens)


def _latest(kept: OrderedDict[str, T], key: str, new: T, most: int) -> T:
    """The entry of a key, which is then the newest; the oldest goes when there are too many."""
    value = kept.setdefault(key, new)
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return value


def conversation_key(request: RequestFacts, tags: Mapping[str, str]) -> str:
    """A name for a conversation that has none: how it began, and for whom.

    The beginning is what later turns repeat, and what a provider's cache goes by. In memory only.
    """
    first = next((m.text for m in request.messages if m.role == "user"), "")
    system = next((m.text for m in request.messages if m.role == "system"), "")
    return str(hash((system, first, *sorted(tags.items()))))
