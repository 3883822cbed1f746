"""What a decision comes to: the summary that is asked for, and the turn."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.dispatch.memory._recalls import Recalls
from frugal_chains.dispatch.memory._shorten import shortened_texts
from frugal_chains.dispatch.memory._summaries import Summaries
from frugal_chains.dispatch.memory._turn import SummaryRequest, Turn
from frugal_chains.errors import wordless
from frugal_chains.memory import (
    Account,
    CompactionPlan,
    ConversationFacts,
    Decision,
    MemoryState,
    MemoryTerms,
    Reason,
    last_question,
    view,
    with_segment,
)

logger = logging.getLogger("frugal_chains.dispatch")

LONGEST_WAIT_CALLS: Final = 32
"""After a failed summary so many calls pass before a model is asked again, at most: 2, 4, 8..."""


class Decided(NamedTuple):
    """A decision with what it was made from."""

    history: History
    facts: ConversationFacts
    state: MemoryState
    """Before it."""
    terms: MemoryTerms
    decision: Decision
    priced: bool

    @property
    def fresh_nanos(self) -> float:
        """Of a token of input; 0: it has no price."""
        return self.terms.cache.prices.fresh if self.priced else 0.0


class Outcomes:
    """Carries decisions out.

    Args:
        weights: Tokens.
        summaries: Texts of segments.
        recalls: What is shown again.
        limit_tokens: Of a whole request.
    """

    def __init__(
        self, weights: Weights, summaries: Summaries, recalls: Recalls, limit_tokens: int | None
    ) -> None:
        self._weights, self._summaries, self._recalls = weights, summaries, recalls
        self._limit_tokens = limit_tokens

    def carried_out(
        self, case: Decided
    ) -> Generator[SummaryRequest, str | BaseException, tuple[Turn, str]]:
        """The turn, and the archive's handle for what has left the view."""
        decision, state = case.decision, case.decision.state
        plan = decision.plan
        if plan is None:
            return self.turn(case, state, decision.reason), ""
        forced = decision.reason == "limit"
        ask = plan.way.kind != "digest"
        waits = ask and state.account.calls < state.waits_until_call
        if waits and not forced:
            return self.turn(case, state, "waits"), ""
        picked = not ask or waits
        try:
            made = yield from self._summaries.text(
                case.history, decision, case.state, ask=not picked
            )
            if made is None and forced:  # without room there is no answer at all
                picked, state = True, _after_failure(state)
                made = yield from self._summaries.text(
                    case.history, decision, case.state, ask=False
                )
        except Exception as error:
            logger.warning(
                "memory: a compaction failed, nothing has changed", exc_info=wordless(error)
            )
            made = None
        if made is None and forced:
            turn, sent = self.picked_for_now(case, "failed")
            return replace(turn, state=_after_failure(replace(state, account=sent))), ""
        if made is None:
            return self.turn(case, _after_failure(state), "failed"), ""
        text, handle = made
        tokens = self._weights.text_tokens(text, case.history.model, case.history.provider)
        after = with_segment(decision, text, tokens)
        if not picked:  # whoever was asked has answered
            after = replace(after, failures=0, waits_until_call=0)
        elif ask:
            waits_until = state.waits_until_call
            after = replace(after, failures=state.failures, waits_until_call=waits_until)
            plan = replace(plan, way=replace(plan.way, kind="digest"))
        after = self._recalls.with_dropped(
            case.history,
            case.facts,
            after,
            fresh_nanos=case.fresh_nanos,
            limit_tokens=self._limit_tokens,
        )
        return self.turn(case, after, decision.reason, plan), handle

    def picked_for_now(
        self, case: Decided, reason: Literal["limit", "failed"]
    ) -> tuple[Turn, Account]:
        """What fits the window, for this one request, and the account after it. Nothing leaves for
        good, so the archive is not asked; the cache has nothing of the next request."""
        decision, history = case.decision, case.history
        picked = self._summaries.text(history, decision, case.state, ask=False, keeps=False)
        text, _ = _unasked(picked)
        tokens = self._weights.text_tokens(text, history.model, history.provider)
        after = with_segment(decision, text, tokens)
        return self.turn(case, after, reason), replace(after.account, sent_tokens=0, ends=())

    def turn(
        self,
        case: Decided,
        state: MemoryState,
        reason: Reason | Literal["waits", "failed", "off"],
        plan: CompactionPlan | None = None,
    ) -> Turn:
        history, question = case.history, last_question(case.facts.messages)
        state, recalled = _up_to(question, state, case.facts), state.recalled
        shown = tuple(view(state, len(history.keys), case.decision.broken))
        sent = frozenset(one.position for one in shown if one.position is not None)
        return Turn(
            view=shown,
            recalled=recalled.text if recalled is not None else "",
            question=question,
            state=state,
            reason=reason,
            plan=plan,
            shortened=shortened_texts(self._weights, history, state, sent),
        )


def _unasked(
    made: Generator[SummaryRequest, str | BaseException, tuple[str, str] | None],
) -> tuple[str, str]:
    """What a generator comes to that asks nobody."""
    try:
        next(made)
    except StopIteration as end:
        found: tuple[str, str] | None = end.value
        if found is not None:
            return found
    raise AssertionError("sentences are picked without asking")


def _up_to(question: int | None, state: MemoryState, facts: ConversationFacts) -> MemoryState:
    """The state that knows how much of this request will be sent again with the next question:
    what stands in front of the recalled text."""
    recalled = state.recalled
    if recalled is None or not recalled.text or question is None:
        return state
    behind = sum(message.tokens for message in facts.messages[question + 1 :])
    stable = max(0, state.account.sent_tokens - behind)
    return replace(state, recalled=replace(recalled, stable_tokens=stable))


def _after_failure(state: MemoryState) -> MemoryState:
    failures = state.failures + 1
    wait = min(2**failures, LONGEST_WAIT_CALLS)
    return replace(state, failures=failures, waits_until_call=state.account.calls + wait)
