"""What is recalled for the question that is being answered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, overload

from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.facts import MessageFacts
from frugal_chains.memory import (
    ConversationFacts,
    MemoryState,
    Recalled,
    RecallIndex,
    RecallPolicy,
    last_question,
    recall,
)

_LEAST_TOKENS: Final = 64
"""Less has no room for an answer."""
_REMEMBERED: Final = 64
"""Conversations whose words are indexed; about 100 kB for 1,000 messages each."""


class Recalls:
    """Finds dropped messages that a question needs. Safe for threads.

    Recalled text is paid for by what the memory has saved so far: however often questions seem to
    need it, a conversation does not become dearer by it than without a memory.

    Args:
        budget_tokens: Of what is recalled for one question, at most; 0: nothing is.
        weights: Tokens.
    """

    def __init__(self, budget_tokens: int, weights: Weights) -> None:
        self._policy = RecallPolicy(budget_tokens=budget_tokens) if budget_tokens else None
        self._weights = weights
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _Indexed] = OrderedDict()

    def remembered(
        self,
        history: History,
        facts: ConversationFacts,
        state: MemoryState,
        *,
        fresh_nanos: float,
    ) -> MemoryState:
        """The state with what is recalled for the last question: the same as long as it is being
        answered, so that calls of tools find the same bytes in front of them.

        Args:
            history: The question included.
            facts: Of it.
            state: From the last turn.
            fresh_nanos: Of a token of input.
        """
        question = last_question(facts.messages)
        before = state.recalled
        key = history.keys[question] if question is not None else ""
        if before is not None and key == before.question:
            return state
        if before is not None and before.text:
            # What stands behind the last question was sent behind recalled text, which is gone.
            sent = min(state.account.sent_tokens, before.stable_tokens)
            state = replace(state, account=replace(state.account, sent_tokens=sent))
        if self._policy is None or question is None or not state.segments:
            return replace(state, recalled=None)
        found = self._found(history, state, question, self._policy, fresh_nanos)
        return replace(state, recalled=found)

    def with_dropped(
        self,
        history: History,
        facts: ConversationFacts,
        state: MemoryState,
        *,
        fresh_nanos: float,
        limit_tokens: int | None,
    ) -> MemoryState:
        """The state right after a compaction: what has left just now may be what the question is
        about. What was recalled for it before stays as it is.

        Args:
            history: The question included.
            facts: Of it.
            state: With the new segment.
            fresh_nanos: Of a token of input.
            limit_tokens: Of a whole request.
        """
        question, before = last_question(facts.messages), state.recalled
        if self._policy is None or question is None or question != len(history.keys) - 1:
            return state
        if before is not None and before.text:
            return state
        found = self._found(history, state, question, self._policy, fresh_nanos)
        account = state.account
        if limit_tokens is not None and account.sent_tokens + found.tokens > limit_tokens:
            return state
        spent = account.spent_nanos + found.tokens * fresh_nanos
        return replace(state, recalled=found, account=replace(account, spent_nanos=spent))

    def _found(
        self,
        history: History,
        state: MemoryState,
        question: int,
        policy: RecallPolicy,
        fresh_nanos: float,
    ) -> Recalled:
        model, provider = history.model, history.provider
        saved_nanos = state.account.unmanaged_nanos - state.account.spent_nanos
        if fresh_nanos * policy.budget_tokens > saved_nanos:
            paid_tokens = int(saved_nanos / fresh_nanos)
            if paid_tokens < _LEAST_TOKENS:
                return Recalled(question=history.keys[question], text="")
            policy = replace(policy, budget_tokens=paid_tokens)
        kept = {at for segment in state.segments for at in segment.kept}
        with self._entry(history) as indexed:
            index = indexed.up_to_date(history, question)
            plan = recall(
                index,
                history.message(question).text,
                messages=_Messages(history),
                kept=kept | set(range(state.end, question)),
                count=self._weights.count(model, provider),
                context=[segment.text for segment in state.segments],
                policy=policy,
            )
        tokens = self._weights.text_tokens(plan.text, model, provider) if plan.text else 0
        return Recalled(question=history.keys[question], text=plan.text, tokens=tokens)

    def _entry(self, history: History) -> _Indexed:
        """By the first message: conversations that begin alike take turns with one index."""
        with self._lock:
            found = self._indexes.setdefault(history.keys[0], _Indexed())
            self._indexes.move_to_end(history.keys[0])
            if len(self._indexes) > _REMEMBERED:
                self._indexes.popitem(last=False)
            return found


@dataclass(slots=True)
class _Indexed:
    """An index, and what it is of."""

    index: RecallIndex = field(default_factory=RecallIndex)
    keys: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> _Indexed:
        self.lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def up_to_date(self, history: History, end: int) -> RecallIndex:
        """The index of all messages before `end`; only new ones are read."""
        same = 0
        for mine, theirs in zip(self.keys, history.keys[:end], strict=False):
            if mine != theirs:
                break
            same += 1
        if same < len(self.keys):
            self.index.truncate(same)
            del self.keys[same:]
        self.index.add(history.message(at) for at in range(same, end))
        self.keys += history.keys[same:end]
        return self.index


class _Messages(Sequence[MessageFacts]):
    """The messages of a history, each read when it is asked for."""

    def __init__(self, history: History) -> None:
        self._history = history

    def __len__(self) -> int:
        return len(self._history.keys)

    @overload
    def __getitem__(self, at: int) -> MessageFacts: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[MessageFacts]: ...
    def __getitem__(self, at: int | slice) -> MessageFacts | Sequence[MessageFacts]:
        if isinstance(at, slice):
            return [self._history.message(one) for one in range(*at.indices(len(self)))]
        return self._history.message(range(len(self))[at])
