"""One routed request under way: what its synchronous and its asynchronous driver share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from frugal_chains.dispatch import Course, Route
from frugal_chains.errors import FrugalError
from frugal_chains.providers import provider_id
from frugal_chains.routing.cascade import AnswerFacts, Finished, Outcome, Step
from frugal_chains.tracking import classify_error
from llama_index_frugal.routing._answers import answer_facts, usage_in, with_note
from llama_index_frugal.routing._asks import Ask
from llama_index_frugal.routing._canned import NoModel
from llama_index_frugal.routing._history import Authors, as_taken
from llama_index_frugal.routing._models import Model


class Run:
    """Whom to ask next, and what has come back so far.

    Args:
        route: The decision.
        ask: The request.
        models: By candidate.
        authors: Who has thought what.
        limiter: The router's own rate limiter; it is asked before each call of a model.
    """

    def __init__(
        self,
        route: Route,
        ask: Ask,
        models: Mapping[str, Model],
        *,
        authors: Authors,
        limiter: Any = None,
    ) -> None:
        self.decision = route.decision
        self._route = route
        self._ask = ask
        self._models = models
        self._authors = authors
        self.limiter = None if route.is_at_the_gate else limiter
        self._course = Course(route)

    @property
    def may_escalate(self) -> bool:
        """Whether an answer is looked at before it is given out."""
        return bool(self.decision.escalation)

    def first(self) -> Step:
        return self._course.first()

    def making(self, step: Step) -> AbstractContextManager[None]:
        """Around the call of a step. Calls that are made inside carry the decision."""
        return self._route.following(step)

    def put(self, prefix: str, step: Step) -> Any:
        """Ask the step's candidate, in the form that the prefix says."""
        if self._route.is_at_the_gate:
            return self._put_at_the_gate(prefix)
        llm = self._models[step.candidate].llm
        return self._ask.put(
            prefix,
            llm,
            lambda messages: as_taken(messages, llm, step.candidate, self._authors),
            again=step.sample > 0,
        )

    def answered(self, step: Step, result: Any, *, streamed: bool = False) -> Step | None:
        """Take an answer; the next step, or None: `result` has the end."""
        return self._course.take(result, self._outcome(step, result, streamed=streamed))

    async def aanswered(self, step: Step, result: Any) -> Step | None:
        """As `answered`."""
        return await self._course.atake(result, self._outcome(step, result, streamed=False))

    def failed(self, step: Step, error: Exception) -> Step | None:
        """Take an error; the next step, or None: `result` raises the one that counts.

        Raises:
            FrugalError: a budget or a guardrail has spoken, and nobody else is asked.
        """
        if isinstance(error, FrugalError):
            raise error
        if self._ask.method == "structured_predict" and _is_misfit(error):
            outcome = self._route.answered(step, AnswerFacts(schema_error=str(error)))
        else:
            outcome = self._route.failed(step, error)
        return self._course.take(error, outcome)

    def broke(self, step: Step, error: Exception) -> None:
        """A stream broke off after it had begun: nobody can take over, but it is remembered."""
        self._route.failed(step, error)

    def result(self, *, buffered: bool = False) -> Any:
        """What is kept in the end, with the decision on it.

        Raises:
            Exception: nobody answered; the error of the model that was meant to.
        """
        kept, finished = self._course.end()
        if isinstance(kept, Exception):  # also of an answer that does not fit its schema
            raise kept
        return with_note(kept, self._note(finished, buffered=buffered))

    def failure(self) -> Exception:
        """What `result` raises, where nobody has answered."""
        error, _ = self._course.end()
        return error if isinstance(error, Exception) else AssertionError("somebody has answered")

    def marked(self, step: Step, chunk: Any) -> Any:
        """A chunk of a stream, with the decision on it."""
        return with_note(chunk, self._note_of(step.candidate, step.why))

    # -- parts ---------------------------------------------------------------------------------

    def _put_at_the_gate(self, prefix: str) -> Any:
        decision = self.decision
        speaker = NoModel(
            name=decision.reason.partition(":")[2],
            text=decision.text,
            refuses=decision.action == "refuse",
        )
        method = "complete" if self._ask.method == "complete" else "chat"
        return getattr(speaker, prefix + method)(self._ask.shown)

    def _outcome(self, step: Step, result: Any, *, streamed: bool) -> Outcome:
        facts = answer_facts(result)
        if self._route.is_at_the_gate:
            return self._route.answered(step, facts)
        if (message := getattr(result, "message", None)) is not None:
            self._authors.remember(message, step.candidate)
        provider = provider_id(self._models[step.candidate].llm.class_name())
        return self._route.answered(
            step, facts, usage_in(result, provider=provider, streamed=streamed)
        )

    def _note(self, finished: Finished, *, buffered: bool) -> dict[str, Any]:
        note = self._note_of(finished.candidate, finished.why)
        if finished.escalations:
            note["escalations"] = [
                {"candidate": e.candidate, "code": e.verdict.code, "detail": e.verdict.detail}
                for e in finished.escalations
            ]
        if finished.notes:
            note["notes"] = list(finished.notes)
        if buffered:
            note["buffered"] = True
        return note

    def _note_of(self, candidate: str, why: str) -> dict[str, Any]:
        decision = self.decision
        note: dict[str, Any] = {
            "action": decision.action,
            "reason": decision.reason,
            "detail": decision.detail,
        }
        if candidate:
            who = self._models[candidate].candidate
            note |= {"candidate": candidate, "tier": who.tier, "model": who.model}
        if candidate != decision.candidate:
            note["chosen"] = decision.candidate
        if why:
            note["why"] = why
        if decision.warnings:
            note["warnings"] = list(decision.warnings)
        return note


def _is_misfit(error: Exception) -> bool:
    """Whether an answer came that does not fit the schema: LlamaIndex raises `ValueError` (of
    pydantic too), `TypeError` or `AssertionError` for it, as it does for nothing that providers
    say."""
    kinds = (ValueError, TypeError, AssertionError)
    return isinstance(error, kinds) and classify_error(error).kind == "other"
