"""A route under way: the same steps with `await` and without, and validators off the loop."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from frugal_chains.dispatch import Course, Route, Router
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts
from frugal_chains.routing import (
    CannedAnswer,
    Cascade,
    Guardrail,
    Keywords,
    RoutingPolicy,
    Trade,
)
from frugal_chains.routing.cascade import AnswerFacts, Outcome, Step, Verdict
from tests.core.routing.requests import THREE, Oracle, request

Take = Callable[[Course, Any, Outcome], Awaitable[Step | None]]


async def _take(course: Course, value: Any, outcome: Outcome) -> Step | None:
    return course.take(value, outcome)


async def _atake(course: Course, value: Any, outcome: Outcome) -> Step | None:
    return await course.atake(value, outcome)


both_ways = pytest.mark.parametrize("take", [_take, _atake], ids=["sync", "async"])

BAD, GOOD = AnswerFacts(text="bad"), AnswerFacts(text="good")
THREADS: list[threading.Thread] = []


def _good(_: RequestFacts, answer: AnswerFacts) -> Verdict:
    THREADS.append(threading.current_thread())
    return Verdict() if answer.text == "good" else Verdict(code="bad")


CASCADE = RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(_good,)))


def route(policy: RoutingPolicy, text: str = "x") -> Route:
    return Router(THREE, policy).plan(request(text))


async def drive(way: Route, take: Take, *answers: AnswerFacts | Exception) -> tuple[list[str], Any]:
    """Who was asked, and what was kept: the numbers of the answers stand for them."""
    course, asked, left = Course(way), [], list(enumerate(answers))
    step: Step | None = course.first()
    while step is not None:
        asked.append(step.candidate)
        number, answer = left.pop(0)
        outcome = (
            way.failed(step, answer)
            if isinstance(answer, Exception)
            else way.answered(step, answer)
        )
        step = await take(course, number, outcome)
    return asked, course.end()


@both_ways
async def test_the_value_of_the_step_that_is_kept_comes_out(take: Take) -> None:
    asked, (value, finished) = await drive(route(CASCADE), take, BAD, GOOD)
    assert (asked, value, finished.index) == (["gatekeeper", "workhorse"], 1, 1)
    asked, (value, finished) = await drive(route(CASCADE), take, GOOD)
    assert (asked, value, finished.index) == (["gatekeeper"], 0, 0)
    # The stronger models fail: the draft is kept.
    gone = ConnectionError("gone")
    asked, (value, finished) = await drive(route(CASCADE), take, BAD, gone, gone)
    assert (asked[0], value, finished.why) == ("gatekeeper", 0, "kept_draft")


@both_ways
async def test_where_nobody_answers_it_is_the_error_of_who_was_meant_to(take: Take) -> None:
    gone = [ConnectionError(name) for name in "abc"]
    asked, (value, finished) = await drive(route(RoutingPolicy()), take, *gone)
    assert asked[0] == "workhorse"
    assert (value, finished.index) == (0, None)


async def test_validators_do_not_hold_the_event_loop() -> None:
    THREADS.clear()
    await drive(route(CASCADE), _atake, GOOD)
    await drive(route(CASCADE), _take, GOOD)
    assert [thread is threading.main_thread() for thread in THREADS] == [False, True]


async def test_where_nothing_is_validated_no_thread_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def thread(*_: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr("frugal_chains.dispatch.routing._course.asyncio.to_thread", thread)
    asked, (value, _) = await drive(route(RoutingPolicy()), _atake, GOOD)
    assert (asked, value) == (["workhorse"], 0)
    gone = [ConnectionError(name) for name in "abc"]
    asked, _ = await drive(route(CASCADE), _atake, *gone)  # nor for errors
    assert asked[0] == "gatekeeper"


def test_what_was_kept_is_let_go_at_the_end() -> None:
    """An error holds its traceback, that the frames, and these the course: a ring of rubbish."""
    way, error = route(RoutingPolicy()), ConnectionError("gone")
    course = Course(way)
    step: Step | None = course.first()
    while step is not None:
        step = course.take(error, way.failed(step, error))
    kept, _ = course.end()
    assert kept is error
    assert not any(error in held for held in vars(course).values() if isinstance(held, list))


GATE = RoutingPolicy(
    guardrails=(Guardrail(name="secrets", when=Keywords("password"), message="No."),),
    canned_answers=(CannedAnswer(name="hours", when=Keywords("hours"), answer="9 to 5"),),
)


@both_ways
@pytest.mark.parametrize("text", ["the password", "the hours"])
async def test_at_the_gate_there_is_one_step_and_nothing_is_learned(text: str, take: Take) -> None:
    router = Router(THREE, GATE)
    first = router.plan(request("x"), conversation="c", asked="specialist")
    first.answered(next(first.steps()), GOOD)
    gated = router.plan(request(text), conversation="c")
    assert (first.is_at_the_gate, gated.is_at_the_gate) == (False, True)
    asked, (value, finished) = await drive(gated, take, AnswerFacts(text="9 to 5"))
    assert (asked, value, finished.index, finished.candidate) == ([""], 0, 0, "")
    # Who has answered last is still known: it goes on with calls that nobody else has made.
    call = ToolCallFacts(name="f", arguments="{}", id="of somebody")
    messages = (
        MessageFacts(role="user", text="x"),
        MessageFacts(role="assistant", tool_calls=(call,)),
        MessageFacts(role="tool", text="1", tool_call_id="of somebody"),
    )
    decision = router.plan(RequestFacts(messages=messages), conversation="c").decision
    assert (decision.candidate, decision.reason) == ("specialist", "bound")


@both_ways
async def test_a_draft_is_judged_by_what_the_policy_says_an_answer_is_worth(take: Take) -> None:
    """At $1 a right answer a risk of one in ten is worth an answer for cents; at $0.001 it is not.

    1,000 answers of 8 tokens in and 256 out cost $2.06 with gpt-4.1, the workhorse.
    """

    def risky(_: RequestFacts, answer: AnswerFacts) -> Verdict:
        return Verdict(p_wrong=0.1)

    policy = RoutingPolicy(
        gain=Oracle(gatekeeper=0.9, workhorse=1.0, specialist=1.0),
        default_tier="gatekeeper",
        cascade=Cascade(validators=(risky,), max_p_wrong=0.5, by_bill=True),
    )
    asked = {}
    for worth in ("1", "0.001"):
        valued = replace(policy, trade=Trade(usd_per_answer=Decimal(worth)))
        way = route(valued)
        way = replace(
            way, decision=replace(way.decision, candidate="gatekeeper", escalation=("workhorse",))
        )
        asked[worth], _ = await drive(way, take, BAD, GOOD)
    assert asked == {"1": ["gatekeeper", "workhorse"], "0.001": ["gatekeeper"]}
