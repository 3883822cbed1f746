"""`Compactor`: a memory at work, for both frameworks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory._bills import Summarizer, memory_terms
from frugal_chains.dispatch.memory._effects import compaction_event, report_idle, report_turn
from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.dispatch.memory._outcomes import Decided, Outcomes
from frugal_chains.dispatch.memory._recalls import Recalls
from frugal_chains.dispatch.memory._summaries import Summaries
from frugal_chains.dispatch.memory._turn import Compaction, Flow, Turn
from frugal_chains.dispatch.tools import TextVectors
from frugal_chains.errors import wordless
from frugal_chains.memory import (
    CompactionPolicy,
    Decision,
    Lengths,
    MemoryState,
    MemoryTerms,
    RentEqualsBuy,
    Shown,
    decide,
    decide_idle,
    still_true,
    tail_nanos,
)
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import cache_rule
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, shared_prices

logger = logging.getLogger("frugal_chains.dispatch")

_RECALLED_SHARE: Final = 0.25
"""Of the window, for recalled text, at most."""
BEFORE_EXPIRY_S: Final = 30.0
"""So long before the cache expires an idle conversation is looked at: a summary takes seconds."""


class Compactor:
    """Decides before each call what is sent of a conversation. Safe for threads.

    It holds no conversations: the framework has the messages, and whoever calls keeps the
    `MemoryState` between two turns. `turn` is a generator that yields the summaries a model is to
    be asked for; drivers with and without `await` only ask:

        flow = compactor.turn(history, state)
        request = next(flow)
        while True:
            try:
                request = flow.send(ask(request))      # or `await ask(request)`
            except StopIteration as end:
                turn = end.value
                break

    A failure of any kind leaves the conversation as it is: no summary is the reason for no answer.

    Args:
        policy: When to compact, and what stays.
        summarizer: Who is asked for summaries; None: sentences are picked, no model is asked.
        recall_tokens: Of dropped messages that are shown again behind a question that needs them,
            at most; 0: none are.
        embedder: Ranks what the words of a question have found; None: the words do. A turn waits
            two seconds for it at most, and does without if it fails. What it costs is not in the
            account.
        alike: Cosine of a question and an earlier turn from which on the embedder recalls what the
            words alone would not; None: it only ranks. It depends on the embedder.
        cache_ttl: Of the cache markers of these requests, if the application or the adapter sets
            any; empty: as the head of the history says, and if that says nothing only providers
            that cache by themselves are taken to cache.
        archive: Where messages are put before they leave the view, in the user's own words. None:
            they stay in the framework's history alone.
        lengths: Calls of past conversations: what would not be paid back is not done.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        on_compaction: Told of every compaction.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        policy: CompactionPolicy | None = None,
        *,
        summarizer: Summarizer | None = None,
        recall_tokens: int = 0,
        embedder: TextVectors | None = None,
        alike: float | None = None,
        cache_ttl: Literal["", "5m", "1h"] = "",
        archive: Archive | None = None,
        lengths: Lengths | None = None,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        on_compaction: Callable[[Compaction], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy or CompactionPolicy()
        self.summarizer, self.cache_ttl = summarizer, cache_ttl
        self._lengths = lengths or Lengths()
        self._weights = Weights(counter)
        paid = isinstance(self.policy.trigger, RentEqualsBuy)
        tokens = _recall_tokens(recall_tokens, self.policy)
        self._recalls = Recalls(
            tokens, self._weights, paid, self.policy.limit_tokens, embedder=embedder, alike=alike
        )
        self.may_wait = embedder is not None
        """A turn may wait for an embedder: its steps are none for an event loop."""
        summaries = Summaries(self._weights, archive)
        self._outcomes = Outcomes(self._weights, summaries, self._recalls, self.policy.limit_tokens)
        self._prices, self._clock = prices, clock
        self._on_compaction = on_compaction

    def turn(
        self,
        history: History,
        state: MemoryState,
        *,
        conversation: str = "",
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Flow:
        """What to send before a call, after whatever summary that needs.

        Args:
            history: All messages, the new ones included.
            state: From the turn before; of a new conversation an empty one.
            conversation: Its name, for the event.
            operation_id: Of the calls it belongs to.
            trackers: Of handlers that an adapter finds on the call, for the effect.
        """
        try:
            case = self._case(history, state)
            turn, handle = yield from self._outcomes.carried_out(case)
            event = compaction_event(
                case.decision, turn, conversation=conversation, handle=handle, priced=case.priced
            )
        except Exception as error:
            logger.warning(
                "memory: nothing is decided, the history is sent whole", exc_info=wordless(error)
            )
            return whole(history, state)
        turn = replace(turn, event=event)
        report_turn(
            state, turn, history, priced=case.priced, exact=self._weights.exact(history),
            recall_nanos=_recall_nanos(case, turn),
            operation_id=operation_id, trackers=trackers,
        )  # fmt: skip
        self._tell(event)
        return turn

    def shown(self, history: History, state: MemoryState) -> Turn:
        """What is sent without deciding anew: of a request that is made again, and of one beside
        another that is deciding.

        No model is asked, nothing is counted as a call, and the state stays as it is. Where the
        window has no room for that, sentences are picked, for this one request.
        """
        try:
            case = self._case(history, state, asks=False)
            if case.decision.reason != "limit":
                return self._outcomes.turn(case, case.state, "off")
            turn, _ = self._outcomes.picked_for_now(case, "limit")
            return replace(turn, state=case.state)
        except Exception as error:
            logger.warning(
                "memory: nothing is decided, the history is sent whole", exc_info=wordless(error)
            )
            return whole(history, state)

    def preview(self, history: History, state: MemoryState) -> Decision:
        """What `turn` would decide now. No model is asked and no embedder, nothing is written or
        changed."""
        return self._case(history, state, asks=False).decision

    def idle_at_s(self, history: History, state: MemoryState) -> float | None:
        """When `idle` should be called, if nobody asks before: seconds since the epoch; None: it
        would do nothing."""
        at_s = state.account.at_s
        if at_s is None or self.summarizer is None:
            return None
        terms, _ = self._terms(history, at_s)
        return at_s + max(0.0, terms.ttl_s - BEFORE_EXPIRY_S)

    def idle(
        self, history: History, state: MemoryState, *, conversation: str = "",
        return_share: float = 0.5,
    ) -> Flow:  # fmt: skip
        """Compact a conversation in which nobody asks, if that makes the next question cheaper.

        Args:
            history: As it stands, without a new question.
            state: From the last turn.
            conversation: Its name, for the event.
            return_share: How often people come back after so long, 0 to 1.
        """
        try:
            now_s = self._clock()
            terms, priced = self._terms(history, now_s)
            facts = self._weights.conversation(history)
            state = self._weights.recounted(still_true(state, facts.messages), history)
            decision = decide_idle(
                facts, state, terms, self.policy, now_s=now_s, return_share=return_share
            )
            case = Decided(history, facts, state, terms, decision, priced)
            turn, handle = yield from self._outcomes.carried_out(case)
            event = compaction_event(
                decision, turn, conversation=conversation, handle=handle, priced=priced
            )
        except Exception as error:
            logger.warning("memory: an idle conversation stays as it is", exc_info=wordless(error))
            return whole(history, state)
        turn = replace(turn, event=event)
        report_idle(state, turn, history, priced=priced, exact=self._weights.exact(history))
        self._tell(event)
        return turn

    # -- parts ---------------------------------------------------------------------------------

    def _case(self, history: History, state: MemoryState, *, asks: bool = True) -> Decided:
        now_s = self._clock()
        facts = self._weights.conversation(history)
        state = self._weights.recounted(still_true(state, facts.messages), history)
        terms, priced = self._terms(history, now_s)
        asked = state.recalled.question if state.recalled is not None else None
        fresh_nanos = terms.cache.prices.fresh if priced else 0.0
        state = self._recalls.remembered(history, facts, state, fresh_nanos=fresh_nanos, asks=asks)
        if state.recalled is not None:
            facts = replace(
                facts,
                tail_tokens=state.recalled.tokens,
                tail_is_new=state.recalled.question != asked,
            )
        expected = self._lengths.expected_more(state.account.calls + 1)
        decision = decide(facts, state, terms, self.policy, now_s=now_s, expected_calls=expected)
        return Decided(history, facts, state, terms, decision, priced)

    def _terms(self, history: History, at_s: float) -> tuple[MemoryTerms, bool]:
        automatic = cache_rule(history.provider, history.model).automatic
        ttl = self.cache_ttl or history.head.cache_ttl
        return memory_terms(
            self._prices or shared_prices(),
            model=history.model,
            provider=history.provider,
            summarizer=self.summarizer,
            ttl=ttl,
            caches=automatic or bool(ttl),
            at_s=at_s,
        )

    def _tell(self, event: Compaction | None) -> None:
        if event is None:
            return
        logger.debug("memory: compacted %s", event)
        if self._on_compaction is not None:
            try:
                self._on_compaction(event)
            except Exception as error:
                logger.warning("on_compaction failed", exc_info=wordless(error))


def whole(history: History, state: MemoryState) -> Turn:
    """The history as it is: what is sent when nothing can be decided, or nothing may be done."""
    shown = tuple(Shown(position=at) for at in range(len(history.keys)))
    return Turn(view=shown, state=state, reason="off")


def _recall_nanos(case: Decided, turn: Turn) -> float:
    """What recalled text costs in this call."""
    recalled = turn.state.recalled
    if recalled is None or recalled == case.state.recalled or case.facts.tail_tokens:
        return tail_nanos(case.facts, case.terms)
    return recalled.tokens * case.terms.cache.prices.fresh


def _recall_tokens(asked: int, policy: CompactionPolicy) -> int:
    """What is recalled is no reason for the window to be too small."""
    if policy.limit_tokens is None:
        return asked
    return min(asked, int(policy.limit_tokens * _RECALLED_SHARE))
