"""`Course`: a route under way, for drivers with and without `await`."""

from __future__ import annotations

import asyncio
from typing import Any

from frugal_chains.dispatch.routing._router import Route
from frugal_chains.routing.cascade import Finished, Outcome, Step


class Course:
    """Whom to ask next, and what has come back so far.

    step = course.first()
    while step is not None:
        value = ask(step)                            # or `await`
        step = course.take(value, outcome_of(value))  # or `await course.atake`
    course.end()
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self._flow = route.steps()
        self._values: list[Any] = []
        """Of each step so far: what came back, or the error."""
        self._finished: Finished | None = None

    def first(self) -> Step:
        return next(self._flow)

    def take(self, value: Any, outcome: Outcome) -> Step | None:
        """What a step has brought, a value or an error; the next step, or None: it is over."""
        self._values.append(value)
        try:
            return self._flow.send(outcome)
        except StopIteration as end:
            self._finished = end.value
            return None

    async def atake(self, value: Any, outcome: Outcome) -> Step | None:
        """As `take`. Validators may be the user's own code, which must not hold the loop."""
        if outcome.answer is None or not self.route.decision.escalation:
            return self.take(value, outcome)
        return await asyncio.to_thread(self.take, value, outcome)

    def end(self) -> tuple[Any, Finished]:
        """The value that is kept; or the error of who was meant to answer, where nobody has."""
        finished = self._finished
        assert finished is not None, "somebody is still to be asked"
        index = finished.index if finished.index is not None else finished.error_index or 0
        kept = self._values[index]
        self._values.clear()  # an error that leads to itself is collected late
        return kept, finished
