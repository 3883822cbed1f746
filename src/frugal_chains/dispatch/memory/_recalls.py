"""What is recalled for the question that is being answered."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Final

from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.dispatch.memory._indexes import Messages, RecallIndexes
from frugal_chains.dispatch.memory._meanings import TIMEOUT_S, Meanings
from frugal_chains.dispatch.tools import TextVectors
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

logger = logging.getLogger("frugal_chains.dispatch")

_LEAST_TOKENS: Final = 64
"""Less has no room for an answer."""
_EMBEDDED_CHARS: Final = 2_000
"""Of a turn: about the 512 tokens that small embedders read."""


class Recalls:
    """Finds dropped messages that a question needs. Safe for threads.

    What is recalled is fresh input, so it has to be paid for by what the memory has saved so far:
    however often questions seem to need it, a conversation does not become dearer by it than
    without a memory. Where the model has no price nothing is known of that; where the user has set
    a water mark nobody has asked; where the whole history has no room in the window nothing else
    would do. There nothing is held back.

    Args:
        budget_tokens: Of what is recalled for one question, at most; 0: nothing is.
        weights: Tokens.
        paid: What was saved pays for it.
        limit_tokens: Of a whole request: beyond it there is no going on without a memory.
        embedder: Ranks what the words of a question have found; None: the words do.
        alike: Cosine from which on the embedder alone recalls; None: only words do.
    """

    def __init__(
        self,
        budget_tokens: int,
        weights: Weights,
        paid: bool,
        limit_tokens: int | None = None,
        *,
        embedder: TextVectors | None = None,
        alike: float | None = None,
    ) -> None:
        self._policy: RecallPolicy | None = None
        if budget_tokens:
            self._policy = RecallPolicy(budget_tokens=budget_tokens, alike=alike)
        self._meanings = Meanings(embedder, limit_s=TIMEOUT_S) if embedder is not None else None
        self._weights, self._paid, self._limit_tokens = weights, paid, limit_tokens
        self._indexes = RecallIndexes()

    def remembered(
        self,
        history: History,
        facts: ConversationFacts,
        state: MemoryState,
        *,
        fresh_nanos: float,
        asks: bool = True,
    ) -> MemoryState:
        """The state with what is recalled for the last question: the same as long as it is being
        answered, so that calls of tools find the same bytes in front of them.

        Args:
            history: The question included.
            facts: Of it.
            state: From the last turn.
            fresh_nanos: Of a token of input; 0: it has no price.
            asks: Whether the embedder may be asked.
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
        found = self._sought(history, state, question, self._policy, fresh_nanos, asks=asks)
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
        found = self._sought(history, state, question, self._policy, fresh_nanos)
        account = state.account
        if limit_tokens is not None and account.sent_tokens + found.tokens > limit_tokens:
            return state
        spent = account.spent_nanos + found.tokens * fresh_nanos
        return replace(state, recalled=found, account=replace(account, spent_nanos=spent))

    def _sought(
        self,
        history: History,
        state: MemoryState,
        question: int,
        policy: RecallPolicy,
        fresh_nanos: float,
        *,
        asks: bool = True,
    ) -> Recalled:
        """What is found; nothing where that fails, which is no reason to send everything."""
        try:
            return self._found(history, state, question, policy, fresh_nanos, asks=asks)
        except Exception as error:  # what it says may hold words of the conversation
            logger.warning("memory: nothing is recalled: %s", type(error).__name__)
            self._indexes.forget(history)  # one that was not finished is of no conversation
            return Recalled(question=history.keys[question], text="")

    def _found(
        self,
        history: History,
        state: MemoryState,
        question: int,
        policy: RecallPolicy,
        fresh_nanos: float,
        *,
        asks: bool = True,
    ) -> Recalled:
        model, provider = history.model, history.provider
        paid_tokens = self._paid_tokens(state, fresh_nanos)
        if paid_tokens < policy.budget_tokens:
            if paid_tokens < _LEAST_TOKENS:
                return Recalled(question=history.keys[question], text="")
            policy = replace(policy, budget_tokens=int(paid_tokens))
        kept = {at for segment in state.segments for at in segment.kept}
        with self._indexes.of(history) as indexed:
            index = indexed.up_to_date(history, question)
            there = kept | set(range(state.end, question))
            find = partial(
                recall,
                index,
                history.message(question).text,
                messages=Messages(history),
                kept=there,
                count=self._weights.count(model, provider),
                context=[segment.text for segment in state.segments],
                policy=policy,
            )
            plan = find()
            wanted = asks and (plan.text or policy.alike is not None)
            if self._meanings is not None and wanted:
                plan = find(cosines=self._cosines(self._meanings, index, history, question, there))
        tokens = self._weights.text_tokens(plan.text, model, provider) if plan.text else 0
        return Recalled(question=history.keys[question], text=plan.text, tokens=tokens)

    def _paid_tokens(self, state: MemoryState, fresh_nanos: float) -> float:
        """How much may be recalled for one question, by the bill so far."""
        account, limit = state.account, self._limit_tokens
        crowded = limit is not None and account.unmanaged_tokens > limit
        if not self._paid or fresh_nanos <= 0 or crowded:
            return math.inf
        return (account.unmanaged_nanos - account.spent_nanos) / fresh_nanos

    def _cosines(
        self,
        meanings: Meanings,
        index: RecallIndex,
        history: History,
        question: int,
        there: Collection[int],
    ) -> list[float] | None:
        """Of each turn of the index; only those are embedded that have left, in whole or part."""
        turns = [index.turn(number) for number in range(index.turns)]

        def text(number: int) -> str:
            return "\n".join(_words(history.message(at)) for at in turns[number])[:_EMBEDDED_CHARS]

        left = [any(at not in there for at in turn) for turn in turns]
        keys = [
            "\n".join([history.keys[at] for at in turn]) if gone else ""
            for turn, gone in zip(turns, left, strict=True)
        ]
        return meanings.cosines(history.message(question).text, keys, text)


def _words(message: MessageFacts) -> str:
    return "\n".join([message.text, *(call.arguments for call in message.tool_calls)])
