"""`RoutedRequest`: one request on its way, from its decision to the answer that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from langchain_core.callbacks.base import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig

from frugal_chains import errors
from frugal_chains.dispatch import Course, Route
from frugal_chains.routing import Candidate
from frugal_chains.routing.cascade import Finished, Outcome, Step
from langchain_frugal.routing._answers import answer_facts, usage_of
from langchain_frugal.routing._asked import Asked
from langchain_frugal.routing._candidates import Member
from langchain_frugal.routing._gate import GateModel
from langchain_frugal.routing._kinds import Plain, Prepared
from langchain_frugal.routing._runs import child_config

PASSED_ON = (errors.BudgetExceeded, errors.RequestRefused)
"""Refusals of this library: no other model is asked in the place of the one that was refused."""


class RoutedRequest:
    """Sync and async drivers ask it for steps and tell it what came of them."""

    def __init__(
        self, route: Route, asked: Asked, kind: Plain, members: Mapping[str, Member]
    ) -> None:
        self.route, self.asked, self.kind = route, asked, kind
        self._members = members
        self._gate = GateModel.of(route.decision) if route.is_at_the_gate else None
        self._course = Course(route)
        self._passed: list[tuple[Step, str]] = []
        """All steps so far, and the kind of the error of each."""
        self.heard: BaseMessage | None = None
        """The last message that a model has answered with."""

    @property
    def is_at_the_gate(self) -> bool:
        """Whether no model is asked."""
        return self.route.is_at_the_gate

    # -- asking --------------------------------------------------------------------------------

    def first(self) -> Step:
        """Whom to ask first."""
        return self._course.first()

    def is_whole(self, step: Step) -> bool:
        """Whether its answer is waited for, rather than handed on in pieces."""
        return step.purpose == "draft" or self.is_at_the_gate

    def following(self, step: Step) -> AbstractContextManager[None]:
        """A block whose calls carry the decision into the books."""
        return self.route.following(step)

    def member(self, step: Step) -> Member:
        """The model of a step.

        Raises:
            Exception: the one that its function raised when it should have made it.
        """
        if self._gate is not None:
            name = self._gate.model
            stands_in = Candidate(name=name, tier="gatekeeper", model=name)
            return Member(candidate=stands_in, model=self._gate)
        member = self._members[step.candidate]
        if member.error is not None:
            raise member.error
        return member

    def prepared(self, step: Step) -> Prepared:
        return self.kind.prepare(self.member(step), self.asked, sample=step.sample)

    def streamed(self, step: Step) -> Prepared:
        return self.kind.streamed(self.member(step), self.asked)

    def config(
        self,
        step: Step,
        child: BaseCallbackManager,
        more: Sequence[BaseCallbackHandler] = (),
    ) -> RunnableConfig:
        held = step.purpose == "draft"
        return child_config(self.asked.config, child, self.mark(step), held=held, more=more)

    # -- what came of it -----------------------------------------------------------------------

    def answered(self, step: Step, value: Any) -> Step | None:
        """A step has brought something; the next one, or None: `kept` has the end."""
        return self._course.take(value, self._outcome(step, value))

    async def aanswered(self, step: Step, value: Any) -> Step | None:
        """As `answered`."""
        return await self._course.atake(value, self._outcome(step, value))

    def streamed_whole(self, step: Step, message: BaseMessage | None) -> Step | None:
        """A step has been handed on in pieces, to the end; as `answered`. No validator looks at it:
        drafts are whole."""
        return self._course.take(None, self._outcome_of(step, message))

    def _outcome(self, step: Step, value: Any) -> Outcome:
        message, schema_error = self.kind.message(value), self.kind.schema_error(value)
        return self._outcome_of(step, message, schema_error=schema_error)

    def _outcome_of(
        self, step: Step, message: BaseMessage | None, *, schema_error: str = ""
    ) -> Outcome:
        message = message if message is not None else AIMessage("")
        self._passed.append((step, ""))
        self.heard = message
        facts = answer_facts(message, schema_error=schema_error)
        return self.route.answered(step, facts, usage_of(message))

    def failed(self, step: Step, error: Exception) -> Step | None:
        """A step has raised; as `answered`. What nobody else is to be asked for is raised on."""
        if isinstance(error, PASSED_ON):
            raise error
        outcome = self.route.failed(step, error)
        self._passed.append((step, outcome.error_kind))
        return self._course.take(error, outcome)

    def broke(self, step: Step, error: Exception) -> None:
        """A stream broke off after it had begun: nobody can take over, but it is remembered."""
        self.route.failed(step, error)

    def kept(self) -> Any:
        """The value that is kept, as the caller gets it.

        Raises:
            Exception: nobody answered; the error that is the caller's.
        """
        value, finished = self._course.end()
        if finished.index is None:
            raise value
        mark = self.mark(finished.steps[finished.index], finished)
        return self.kind.result(self.kind.marked(value, mark))

    # -- what is said about it -----------------------------------------------------------------

    def mark(self, step: Step, finished: Finished | None = None) -> dict[str, Any]:
        """Who answers and why, for people and traces: plain JSON without any text of the user."""
        decision = self.route.decision
        mark: dict[str, Any] = {"candidate": step.candidate, "reason": decision.reason}
        if self._gate is not None:
            mark["candidate"] = self._gate.model
        else:
            mark["tier"] = self._members[step.candidate].candidate.tier
        if step.why not in ("", "chosen"):
            mark["why"] = step.why
        kept = finished.index if finished is not None else None
        others = [passed for n, passed in enumerate(self._passed) if n != kept]
        if others:
            mark["others"] = [_other(passed, kind, finished) for passed, kind in others]
        if step.purpose == "draft":
            mark["buffered"] = True
        if decision.warnings:
            mark["warnings"] = list(decision.warnings)
        return mark


def _other(step: Step, error_kind: str, finished: Finished | None) -> dict[str, str]:
    """A model that was asked as well, and why that was not the end."""
    escalations = finished.escalations if finished is not None else ()
    codes = [e.verdict.code for e in escalations if e.candidate == step.candidate]
    why = f"error: {error_kind}" if error_kind else next(iter(codes), "")
    return {"candidate": step.candidate, **({"why": why} if why else {})}
