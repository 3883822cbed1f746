"""`Router`: a policy at work. Both adapters ask it who answers and tell it what happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from frugal_chains.dispatch._patience import Patience
from frugal_chains.dispatch.routing._memory import Memory, conversation_key
from frugal_chains.dispatch.routing._question import Embedded
from frugal_chains.dispatch.routing._steps import steps_of
from frugal_chains.errors import LedgerError, wordless
from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import (
    RANK,
    Candidate,
    RoutingDecision,
    RoutingFacts,
    RoutingPolicy,
    canonical,
    decide,
    fail_open,
    question_of,
)
from frugal_chains.routing.cascade import AnswerFacts, Finished, Flow, Outcome, Step
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, classify_error, decided, shared_prices
from frugal_chains.usage import Usage

logger = logging.getLogger("frugal_chains.dispatch")

T = TypeVar("T")
ErrorTolerance = Literal["low", "normal", "high"]

_FOREIGN_S: Final = 2.0
"""How long code that is not ours may take for its part of a decision: a classifier that calls a
model of its own, say. Then the default tier answers."""
_NOTHING: Final = Embedded()
_OF_THE_MODEL: Final = frozenset(
    {"rate_limit", "timeout", "overloaded", "server", "connection", "auth", "not_found"}
)
"""Errors that say something about a model or its provider, not about the request."""


class Router:
    """Decides for one set of models. Safe for threads and tasks.

    Args:
        candidates: The models.
        policy: What may be asked of which; None: the workhorse answers everything.
        prices: None: list prices behind the user's `prices.toml`.
        counter: Counts the input for the expected bills.

    Raises:
        RoutingPolicyError: the policy cannot decide between these models.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        policy: RoutingPolicy | None = None,
        *,
        prices: PriceBook | None = None,
        counter: TokenCounter | None = None,
    ) -> None:
        self.policy = policy or RoutingPolicy()
        self.policy.check(candidates)
        self.candidates = tuple(sorted(candidates, key=lambda c: RANK[c.tier]))
        self.prices = prices or shared_prices()
        self.counter = counter or TokenCounter()
        self._memory = Memory()
        self._looks_at_embeddings = self.policy.needs_embedding
        is_ours = _is_ours(self.policy)
        self._patience = None if is_ours else Patience("frugal-decide", _FOREIGN_S)

    def may_wait(self, trackers: Sequence[Tracker] = ()) -> bool:
        """Whether a decision may take seconds: code of the user takes part in it, or a ledger is
        read for these trackers' budgets. In an event loop, ask in a thread."""
        return self._patience is not None or any(map(_may_ask_for_less, trackers))

    def embedded_text(self, request: RequestFacts) -> str:
        """What to embed for a decision on this request; empty: nothing looks at an embedding.

        One text for the whole policy: the question in its canonical form, as the examples of
        signals are embedded too, so that no politeness moves a vector; and without what the gain
        model knows that many requests share (`GainModel.distinct`). The model has learned from such
        texts; and a head that all requests share would bring each of them as near to the examples
        of a signal, which have no head, as any other.
        """
        question = question_of(request)
        plain = canonical(question)
        if not self._looks_at_embeddings or not plain:
            return ""
        distinct = getattr(self.policy.gain, "distinct", None)
        if distinct is None:
            return plain
        try:
            return self._patiently(lambda: str(distinct(question))) or plain
        except Exception as error:
            logger.warning(
                "the gain model failed; the whole question is embedded", exc_info=wordless(error)
            )
            return plain

    def plan(
        self,
        request: RequestFacts,
        *,
        conversation: str = "",
        tags: Mapping[str, str] | None = None,
        asked: str = "",
        output_cap_tokens: int | None = None,
        error_tolerance: ErrorTolerance = "normal",
        embedded: Embedded = _NOTHING,
        trackers: Sequence[Tracker] = (),
        unavailable: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
    ) -> Route:
        """Who answers a request, and everything needed to carry that out.

        Never raises because deciding failed: then the default tier answers.

        Args:
            request: What is asked.
            conversation: An id of it; empty: told from how it begins.
            tags: Those of the request, for rules.
            asked: A tier or a model that this request wants.
            output_cap_tokens: The request's own cap.
            error_tolerance: For rules.
            embedded: What `QuestionEmbedder` has found for this request.
            trackers: Whose budgets may ask for a cheaper model.
            unavailable: Candidates that the adapter knows cannot be called, and why.
            warnings: Of the adapter, to be kept with the decision.
        """
        tags = tags or {}
        key = conversation or conversation_key(request, tags)
        now_s = time.monotonic()
        try:
            facts = RoutingFacts(
                request=request,
                at=datetime.now().astimezone(),
                input_tokens=self._input_tokens(request),
                output_tokens=self._memory.expected_output(),
                output_cap_tokens=output_cap_tokens,
                tags=tags,
                conversation=self._memory.conversation(key, request, now_s),
                asked=asked,
                unavailable={**self._memory.open_circuits(now_s), **(unavailable or {})},
                error_tolerance=error_tolerance,
                left_nanos=_left_nanos(trackers, tags),
                embedding=embedded.vector,
            )
            decision = self._decide(facts)
        except Exception as error:
            logger.warning("the router failed; the default tier answers", exc_info=wordless(error))
            decision = fail_open(error, self.policy, self.candidates)
        decision = replace(
            decision,
            deciding_nanos=embedded.nanos,
            warnings=(*warnings, *embedded.warnings, *decision.warnings),
        )
        return Route(decision, request, key, self)

    def learn_output(self, attempts: Iterable[Attempt]) -> None:
        """Learn how long answers get from a ledger's attempts."""
        names = {c.model: c.name for c in self.candidates}
        self._memory.learn_output(
            (names[model], attempt.usage.output_tokens)
            for attempt in attempts
            if attempt.status == "ok" and (model := attempt.model_asked or attempt.model) in names
        )

    def _decide(self, facts: RoutingFacts) -> RoutingDecision:
        return self._patiently(lambda: decide(facts, self.policy, self.candidates, self.prices))

    def _patiently(self, work: Callable[[], T]) -> T:
        return work() if self._patience is None else self._patience.wait_for(work)

    def _input_tokens(self, request: RequestFacts) -> dict[str, int]:
        count = self.counter.count_request
        return {
            c.name: count(request, model=c.model, provider=c.provider or None).tokens
            for c in self.candidates
        }


@dataclass(slots=True)
class Route:
    """One request on its way: the decision, and what becomes of it."""

    decision: RoutingDecision
    request: RequestFacts
    _conversation: str
    _router: Router

    def steps(self) -> Flow:
        """Whom to ask, one after the other; send the outcome of each. At the gate it is one who is
        no model, and nobody after it."""
        if self.is_at_the_gate:
            return _at_the_gate()
        policy = self._router.policy
        known = {candidate.name: candidate for candidate in self._router.candidates}
        return steps_of(self.decision, policy.cascade, known, self.request, trade=policy.trade)

    @property
    def is_at_the_gate(self) -> bool:
        """Whether no model is asked: the request is refused, or its answer is known."""
        return self.decision.action != "call"

    def following(self, step: Step) -> AbstractContextManager[None]:
        """A block whose calls carry the decision, and are drafts where the step is one."""
        plain: dict[str, Any] = self.decision.to_json()
        if step.candidate != self.decision.candidate or step.why != "chosen":
            plain["step"] = {"candidate": step.candidate, "why": step.why}
        return decided({"routing": plain}, purpose=step.purpose)

    def answered(self, step: Step, answer: AnswerFacts, usage: Usage | None = None) -> Outcome:
        """The outcome of a step that was answered; what it teaches is kept."""
        if not self.is_at_the_gate:
            weighed = {each.name: each.bill.input_tokens for each in self.decision.weighed}
            self._router._memory.answered(
                self._conversation,
                step.candidate,
                usage or Usage(),
                [call.id for call in answer.tool_calls],
                time.monotonic(),
                counted_tokens=weighed.get(step.candidate, 0),
            )
        return Outcome(answer=answer)

    def failed(self, step: Step, error: Exception) -> Outcome:
        """The outcome of a step that failed; a model that keeps failing is left alone."""
        kind = classify_error(error).kind
        if kind in _OF_THE_MODEL:
            wait_s = retry_after_s(error)
            self._router._memory.failed(step.candidate, time.monotonic(), wait_s)
        return Outcome(error_kind=kind, detail=f"{type(error).__name__}: {error}"[:_DETAIL_CHARS])


_DETAIL_CHARS: Final = 500


def _at_the_gate() -> Flow:
    step = Step(candidate="", purpose="answer", why="chosen")
    yield step
    return Finished(index=0, candidate="", why="", steps=(step,))


def retry_after_s(error: BaseException) -> float | None:
    """How long a provider asks to wait (`Retry-After`, in seconds), where it says so."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        return None if headers is None else max(0.0, float(headers.get("retry-after")))
    except (TypeError, ValueError, AttributeError):
        return None


def _left_nanos(trackers: Sequence[Tracker], tags: Mapping[str, str]) -> int | None:
    """What is left of all budgets that ask for a cheaper model rather than for a stop."""
    left = []
    for tracker in trackers:
        if not _may_ask_for_less(tracker):
            continue
        try:
            states = tracker.pressure(tags)
        except LedgerError as error:
            logger.warning("budgets could not be read for a decision", exc_info=wordless(error))
            continue
        left += [
            s.budget.limit_nanos - s.spent_nanos - s.reserved_nanos
            for s in states
            if s.budget.on_exceeded == "downgrade"
        ]
    return min(left, default=None)


def _may_ask_for_less(tracker: Tracker) -> bool:
    return any(budget.on_exceeded == "downgrade" for budget in tracker.guard.budgets)


def _is_ours(policy: RoutingPolicy) -> bool:
    """Whether nothing in a decision is the user's own code."""
    parts: list[Any] = [policy.gain] if policy.gain is not None else []
    for signal in policy.signals:
        parts += signal.parts()
    return all(type(part).__module__.startswith("frugal_chains.") for part in parts)
