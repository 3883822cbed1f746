"""`History`: a conversation as an adapter hands it over; `Sizes`: what its messages weigh."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import ConversationFacts, HeldMessage, MemoryState
from frugal_chains.tokens import TokenCounter

_REMEMBERED: Final = 20_000
"""Messages of all conversations whose sizes are not counted again; about 200 bytes each."""
_REMEMBERED_HEADS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All messages of a conversation, the newest last; read when they are needed.

    The same key is the same message, word for word: `message_key` makes one.
    """

    keys: Sequence[str]
    """Of each message."""
    message: Callable[[int], MessageFacts]
    """The message at a position."""
    pinned: Collection[int] = ()
    """Positions of messages that never leave the context."""
    head: RequestFacts = field(default_factory=RequestFacts)
    """What stands in front of the messages: tools, and a system prompt that is none of them."""
    head_key: str = ""
    """Names the head; empty: it is made from it."""
    model: str = ""
    """Who will answer; empty: not known."""
    provider: str = ""


def message_key(facts: MessageFacts, id: str = "") -> str:
    """What tells a message from another one.

    Args:
        facts: Of the message.
        id: That the framework gave it, if any. A message that was edited may keep its id.
    """
    calls = [(call.id, call.name, call.arguments) for call in facts.tool_calls]
    said = repr((facts.role, facts.text, facts.tool_call_id, facts.name, calls, facts.images))
    digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{id}:{digest}" if id else digest


class Weights:
    """Tokens of messages and heads, each counted once. Safe for threads.

    Args:
        counter: Of tokens.
    """

    def __init__(self, counter: TokenCounter | None = None) -> None:
        self.counter = counter or TokenCounter()
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], HeldMessage] = OrderedDict()
        self._heads: OrderedDict[tuple[str, str], int] = OrderedDict()

    def conversation(self, history: History, *, tail_tokens: int = 0) -> ConversationFacts:
        """The facts of a conversation before a call.

        Args:
            history: The question included.
            tail_tokens: Of recalled text behind it.
        """
        held = [self.held(history, at) for at in range(len(history.keys))]
        for at in history.pinned:
            held[at] = replace(held[at], pinned=True)
        head = history.head_key or head_key(history.head)
        return ConversationFacts(
            messages=held,
            head_tokens=self._head_tokens(head, history),
            head=f"{_answers(history)}:{head}",
            tail_tokens=tail_tokens,
        )

    def held(self, history: History, at: int) -> HeldMessage:
        """The message at a position, with its size for the model of the history."""
        key = (history.model, history.keys[at])
        found = self._held.get(key)  # without the lock: one step for the interpreter
        if found is not None:
            return found
        facts = history.message(at)
        found = HeldMessage(
            role=facts.role,
            tokens=self.message_tokens(facts, history.model, history.provider),
            calls=tuple(call.id for call in facts.tool_calls),
            answers=facts.tool_call_id,
            key=history.keys[at],
        )
        with self._lock:
            self._held[key] = found
            if len(self._held) > _REMEMBERED:
                self._held.popitem(last=False)
        return found

    def message_tokens(self, facts: MessageFacts, model: str, provider: str) -> int:
        """Of one message in a request, without what every request has once."""
        with_it = self._request_tokens(RequestFacts(messages=(facts,)), model, provider)
        return max(0, with_it - self._request_tokens(RequestFacts(), model, provider))

    def text_tokens(self, text: str, model: str, provider: str) -> int:
        """Of a text as a message of the user's."""
        return self.message_tokens(MessageFacts(role="user", text=text), model, provider)

    def recounted(self, state: MemoryState, history: History) -> MemoryState:
        """The state with the sizes that its texts have for the model of the history, where it was
        last of another: tokenizers differ, and the window is the new one's."""
        model, provider = history.model, history.provider
        before = state.account.head.rpartition(":")[0]
        if before in ("", _answers(history)):
            return state

        def tokens(text: str) -> int:
            return self.text_tokens(text, model, provider) if text else 0

        recalled = state.recalled
        if recalled is not None:
            recalled = replace(recalled, tokens=tokens(recalled.text))
        segments = tuple(replace(one, tokens=tokens(one.text)) for one in state.segments)
        return replace(state, segments=segments, recalled=recalled)

    def exact(self, history: History) -> bool:
        """Whether texts are counted with the model's own tokenizer."""
        try:
            model, provider = history.model, history.provider
            return self.counter.count_text("", model=model, provider=provider or None).exact
        except Exception:
            return False

    def count(self, model: str, provider: str) -> Callable[[str], int]:
        """Of bare texts."""
        return self.counter.text_counter(model=model, provider=provider or None)

    def _head_tokens(self, key: str, history: History) -> int:
        named = (history.model, key)
        found = self._heads.get(named)
        if found is None:
            found = self._request_tokens(history.head, history.model, history.provider)
            with self._lock:
                self._heads[named] = found
                if len(self._heads) > _REMEMBERED_HEADS:
                    self._heads.popitem(last=False)
        return found

    def _request_tokens(self, facts: RequestFacts, model: str, provider: str) -> int:
        counted = self.counter.count_request(facts, model=model, provider=provider or None)
        return counted.tokens


def _answers(history: History) -> str:
    """In front of the name of a head, which another model's cache has not."""
    return f"{history.provider}:{history.model}"


def head_key(head: RequestFacts) -> str:
    """Names tools and system prompt: others have another name."""
    digest = hashlib.blake2b(repr(head).encode("utf-8", "surrogatepass"), digest_size=12)
    return digest.hexdigest()
