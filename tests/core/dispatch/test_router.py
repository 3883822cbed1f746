"""A policy at work: what a router remembers, learns, and survives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from frugal_chains import Budget, BudgetExceeded, Ledger
from frugal_chains.dispatch import Route, Router
from frugal_chains.errors import LedgerUnavailable, RoutingPolicyError
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts
from frugal_chains.routing import Candidate, Cascade, Keywords, RoutingPolicy, Rule, Signal
from frugal_chains.routing.cascade import AnswerFacts, Finished, Outcome, Verdict
from frugal_chains.tracking import CallEnd, CallStart, Tracker
from frugal_chains.usage import Usage, UsageReading
from tests.core.routing.requests import THREE, Oracle, request

HI = AnswerFacts(text="hi", finish_reason="stop")


@pytest.fixture
def router() -> Router:
    return Router(THREE)


def status_error(status: int, **headers: str) -> Exception:
    asked = httpx.Request("POST", "http://x")
    answer = httpx.Response(status, request=asked, headers=headers)
    return httpx.HTTPStatusError("no", request=asked, response=answer)


def drive(route: Route, *outcomes: Any) -> tuple[list[str], Finished]:
    """Who was asked, and how it ended; each outcome is an answer or an error."""
    steps, asked, left = route.steps(), [], list(outcomes)
    step = next(steps)
    while True:
        asked.append(step.candidate)
        result = left.pop(0)
        outcome: Outcome = (
            route.failed(step, result)
            if isinstance(result, Exception)
            else route.answered(step, result)
        )
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            return asked, end.value


def test_a_policy_that_cannot_decide_is_told_when_the_router_is_built() -> None:
    with pytest.raises(RoutingPolicyError, match="hero"):
        Router(THREE, RoutingPolicy(rules=(Rule(name="x", when=Keywords("a"), to="hero"),)))


def test_candidates_are_ordered_from_the_weakest() -> None:
    assert [c.tier for c in Router(THREE[::-1]).candidates] == [c.tier for c in THREE]


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503, 401, 404])
def test_a_provider_that_fails_is_replaced_along_the_tiers(router: Router, status: int) -> None:
    asked, finished = drive(router.plan(request("x")), status_error(status), HI)
    assert asked == ["workhorse", "specialist"]
    assert (finished.index, finished.candidate) == (1, "specialist")


def test_a_bad_request_is_nobody_elses(router: Router) -> None:
    asked, finished = drive(router.plan(request("x")), status_error(400))
    assert asked == ["workhorse"]
    assert (finished.index, finished.error_index) == (None, 0)


def test_a_budget_that_says_stop_is_not_escaped_by_another_model(router: Router) -> None:
    refusal = BudgetExceeded(scope="day", spent_usd=Decimal(1), limit_usd=Decimal(1))
    asked, finished = drive(router.plan(request("x")), refusal)
    assert (asked, finished.index) == (["workhorse"], None)


def test_a_model_that_keeps_failing_is_left_alone(router: Router) -> None:
    for _ in range(3):
        drive(router.plan(request("x")), status_error(500), HI)
    decision = router.plan(request("x")).decision
    assert decision.candidate == "specialist"
    assert "3 failures in a row" in decision.weighed[1].excluded


def test_a_wait_that_the_provider_asks_for_is_kept(router: Router) -> None:
    drive(router.plan(request("x")), status_error(429, **{"retry-after": "60"}), HI)
    assert router.plan(request("x")).decision.candidate == "specialist"


def test_a_bad_request_does_not_open_a_circuit(router: Router) -> None:
    for _ in range(5):
        drive(router.plan(request("x")), status_error(400))
    assert router.plan(request("x")).decision.candidate == "workhorse"


# -- what it remembers -------------------------------------------------------------------------

LONG = "word " * 20_000
USED = Usage(input_tokens=20_008, output_tokens=100)


def test_a_conversation_stays_where_its_cache_is(router: Router) -> None:
    """20,000 tokens cost $0.04 with gpt-4.1, and $0.0125 warm with Opus."""
    route = router.plan(request(LONG), asked="specialist")
    route.answered(next(route.steps()), HI, USED)
    again = request(LONG, "hi", "and now?")
    assert router.plan(again).decision.candidate == "specialist"
    assert router.plan(request("other " + LONG, "hi", "and now?")).decision.candidate == "workhorse"
    named = router.plan(again, conversation="another").decision
    assert named.candidate == "workhorse"


def loop(*call_ids: str) -> RequestFacts:
    calls = tuple(ToolCallFacts(name="f", arguments="{}", id=id_) for id_ in call_ids)
    results = tuple(MessageFacts(role="tool", text="1", tool_call_id=id_) for id_ in call_ids)
    messages = (
        MessageFacts(role="user", text="x"),
        MessageFacts(role="assistant", tool_calls=calls),
        *results,
    )
    return RequestFacts(messages=messages)


def test_a_loop_of_tool_calls_stays_with_who_began_it(router: Router) -> None:
    route = router.plan(request("x"), asked="gatekeeper")
    call = ToolCallFacts(name="f", arguments="{}", id="call_1")
    route.answered(next(route.steps()), AnswerFacts(tool_calls=(call,)), Usage(output_tokens=5))
    # Another conversation of the same beginning answers in between.
    other = router.plan(request("x"))
    other.answered(next(other.steps()), HI)
    decision = router.plan(loop("call_1")).decision
    assert (decision.candidate, decision.reason) == ("gatekeeper", "bound")
    assert router.plan(request("x", "hi", "y")).decision.candidate == "workhorse"


def test_lengths_of_answers_are_learned(router: Router) -> None:
    for _ in range(8):
        route = router.plan(request("x"))
        route.answered(next(route.steps()), HI, Usage(input_tokens=8, output_tokens=2000))
    weighed = {w.name: w.bill.output_tokens for w in router.plan(request("x")).decision.weighed}
    assert weighed["workhorse"] == pytest.approx(2000, rel=0.1)
    assert weighed["gatekeeper"] == 256


def test_lengths_of_answers_are_learned_from_a_ledger(router: Router) -> None:
    with Ledger.open("memory://") as ledger:
        tracker = Tracker(ledger)
        for index in range(9):
            start = CallStart(
                key=str(index), framework="t", provider="openai", model="gpt-4.1",
                request=lambda: request("x"),
            )  # fmt: skip
            tracker.begin(start)
            status: Any = "ok" if index else "error"
            reading = UsageReading(usage=Usage(input_tokens=1, output_tokens=40 if index else 9999))
            tracker.end(str(index), CallEnd(status=status, reading=reading))
        router.learn_output(ledger.attempts())
    weighed = {w.name: w.bill.output_tokens for w in router.plan(request("x")).decision.weighed}
    assert weighed["workhorse"] == pytest.approx(40, rel=0.1)


# -- what it survives --------------------------------------------------------------------------


class Broken(Oracle):
    def predict(self, *args: Any) -> Any:
        raise ZeroDivisionError("classifier")


class Hanging(Oracle):
    def predict(self, *args: Any) -> Any:
        time.sleep(30)


class BrokenSignal(Signal):
    def why(self, seen: Any) -> str:
        raise ZeroDivisionError("signal")


BROKEN_RULE = Rule(name="x", when=Keywords("x") & BrokenSignal(), to="specialist")


@pytest.mark.parametrize(
    "policy",
    [
        RoutingPolicy(gain=Broken(workhorse=1)),
        RoutingPolicy(gain=Hanging(workhorse=1)),
        RoutingPolicy(rules=(BROKEN_RULE,)),
    ],
)
def test_a_router_that_fails_or_hangs_asks_the_default_tier(
    policy: RoutingPolicy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._router._FOREIGN_S", 0.2)
    router = Router(THREE, policy)
    with caplog.at_level(logging.WARNING, "frugal_chains.dispatch"):
        decision = router.plan(request("x")).decision
    assert (decision.candidate, decision.reason) == ("workhorse", "fail_open")
    assert "the router failed" in decision.warnings[0]
    assert "the default tier answers" in caplog.text


def test_our_own_decisions_need_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
    rules = (Rule(name="x", when=Keywords("x") | ~Keywords("y"), to="specialist"),)
    assert (
        Router(THREE, RoutingPolicy(rules=rules)).plan(request("x")).decision.tier == "specialist"
    )


def test_threads_may_share_a_router(router: Router) -> None:
    def work(number: int) -> None:
        for turn in range(50):
            route = router.plan(request(f"{number} {turn}"))
            route.answered(next(route.steps()), HI, Usage(input_tokens=8, output_tokens=8))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert router.plan(request("x")).decision.weighed[1].bill.output_tokens == 8


# -- the ledger --------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as ledger:
        yield ledger


def book(tracker: Tracker, key: str, purpose: Any = "answer") -> None:
    start = CallStart(
        key=key, framework="t", provider="openai", model="gpt-4.1", purpose=purpose,
        request=lambda: request("x"),
    )  # fmt: skip
    tracker.begin(start)
    usage = Usage(input_tokens=1000, output_tokens=10)
    tracker.end(key, CallEnd(reading=UsageReading(usage=usage)))


def test_the_decision_is_on_the_row_of_the_call_that_follows_it(ledger: Ledger) -> None:
    tracker, route = Tracker(ledger), Router(THREE).plan(request("secret words"))
    step = next(route.steps())
    with route.following(step):
        book(tracker, "a")
    with route.following(replace(step, purpose="draft", why="cascade")):
        book(tracker, "b")
        book(tracker, "c", purpose="summary")
    book(tracker, "d")
    rows = {row.run_id: row for row in ledger.attempts()}
    plain = dict(rows["a"].decision or {})["routing"]
    assert (plain["candidate"], plain["tier"], plain["reason"]) == (
        "workhorse",
        "workhorse",
        "default",
    )
    assert plain["expected_nanos"]["workhorse"] > 0
    assert "secret" not in str(rows["a"].decision)
    assert [rows[key].purpose for key in "abcd"] == ["answer", "draft", "summary", "answer"]
    assert dict(rows["b"].decision or {})["routing"]["step"] == {
        "candidate": "workhorse",
        "why": "cascade",
    }
    assert rows["d"].decision is None


def test_a_budget_that_is_used_up_leads_to_a_cheaper_model(ledger: Ledger) -> None:
    budget = Budget.usd("0.003", per="day", on_exceeded="downgrade")
    tracker = Tracker(ledger, budgets=[budget])
    router = Router(THREE)
    plan = router.plan(request("x"), trackers=[tracker])
    assert plan.decision.candidate == "workhorse"
    book(tracker, "a")  # $0.00208 of it
    decision = router.plan(request("x"), trackers=[tracker]).decision
    assert (decision.candidate, decision.reason) == ("gatekeeper", "only")
    book(tracker, "b")
    decision = router.plan(request("x"), trackers=[tracker]).decision
    assert (decision.candidate, decision.reason) == ("gatekeeper", "budget")


def test_budgets_that_cannot_be_read_do_not_stop_a_decision(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> Any:
        raise LedgerUnavailable("locked")

    tracker = Tracker(ledger, budgets=[Budget.usd(1, per="day", on_exceeded="downgrade")])
    monkeypatch.setattr(tracker, "pressure", gone)
    assert Router(THREE).plan(request("x"), trackers=[tracker]).decision.candidate == "workhorse"


def test_budgets_that_stop_calls_are_not_read_for_a_decision(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read before the call itself."""

    def read(*args: Any) -> Any:
        raise AssertionError("read")

    tracker = Tracker(ledger, budgets=[Budget.usd(1, per="day"), Budget.usd(1, per="month")])
    monkeypatch.setattr(tracker, "pressure", read)
    router = Router(THREE)
    assert not router.may_wait([tracker])
    assert router.plan(request("x"), trackers=[tracker]).decision.warnings == ()


def test_unknown_models_are_routed_and_said_to_have_no_price() -> None:
    house = Candidate(name="house", tier="workhorse", model="zeta-9000", provider="house")
    decision = Router([house]).plan(request("x")).decision
    assert decision.candidate == "house"
    assert "has no price" in decision.warnings[0]


def test_the_tightest_of_the_budgets_that_ask_for_less_is_heard(ledger: Ledger) -> None:
    wide = Budget.usd(1, per="month", on_exceeded="downgrade")
    tight = Budget.usd("0.003", per="day", on_exceeded="downgrade")
    warns = Budget.usd("0.003", per="day", on_exceeded="warn")
    router = Router(THREE)
    for budgets, chosen in (([wide, tight], "gatekeeper"), ([wide, warns], "workhorse")):
        tracker = Tracker(ledger, budgets=budgets)
        book(tracker, chosen)  # $0.00208
        assert router.plan(request("x"), trackers=[tracker]).decision.candidate == chosen


def test_what_is_reserved_for_calls_under_way_is_not_left(ledger: Ledger) -> None:
    budget = Budget.usd("0.01", per="day", on_exceeded="downgrade")
    tracker, router = Tracker(ledger, budgets=[budget]), Router(THREE)
    assert router.plan(request("x"), trackers=[tracker]).decision.candidate == "workhorse"
    start = CallStart(
        key="a", framework="t", provider="openai", model="gpt-4.1", output_cap_tokens=1200,
        request=lambda: request("x"),
    )  # fmt: skip
    tracker.begin(start)  # as much as $0.0096, at $8 a million
    assert router.plan(request("x"), trackers=[tracker]).decision.candidate == "gatekeeper"


def test_the_policy_holds_where_budgets_cannot_be_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> Any:
        raise LedgerUnavailable("locked")

    tracker = Tracker(ledger, budgets=[Budget.usd(1, per="day", on_exceeded="downgrade")])
    monkeypatch.setattr(tracker, "pressure", gone)
    policy = RoutingPolicy(rules=(Rule(name="r", when=Keywords("x"), to="specialist"),))
    decision = Router(THREE, policy).plan(request("x"), trackers=[tracker]).decision
    assert (decision.candidate, decision.reason) == ("specialist", "rule:r")


# -- conversations -----------------------------------------------------------------------------


def spoken(system: str, *texts: str) -> RequestFacts:
    head = MessageFacts(role="system", text=system)
    return RequestFacts(messages=(head, *request(*texts).messages))


def test_a_conversation_is_known_by_how_it_began_and_for_whom(router: Router) -> None:
    route = router.plan(spoken("be kind", LONG), asked="specialist", tags={"user": "a"})
    route.answered(next(route.steps()), HI, USED)
    again = ("hi", "and now?")
    for system, user, chosen in (
        ("be kind", "a", "specialist"),
        ("be short", "a", "workhorse"),
        ("be kind", "b", "workhorse"),
    ):
        plan = router.plan(spoken(system, LONG, *again), tags={"user": user})
        assert plan.decision.candidate == chosen


def test_the_answer_is_part_of_what_is_warm(router: Router) -> None:
    route = router.plan(request(LONG), asked="specialist")
    route.answered(next(route.steps()), HI, USED)
    later = router.plan(request(LONG, "hi", "word " * 500)).decision.weighed[2]
    assert later.bill.warm_tokens == 20_108


def test_an_answer_that_tells_no_usage_leaves_the_conversation_warm(router: Router) -> None:
    route = router.plan(request(LONG), asked="specialist")
    sent = route.decision.weighed[2].bill.input_tokens
    route.answered(next(route.steps()), HI, None)
    later = router.plan(request(LONG, "hi", "word " * 500)).decision.weighed[2]
    assert later.bill.warm_tokens == sent > 15_000


def test_what_is_remembered_is_bounded(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._memory._CONVERSATIONS", 2)
    monkeypatch.setattr("frugal_chains.dispatch.routing._memory._TOOL_CALLS", 2)
    for number in range(3):
        route = router.plan(request(f"{number} {LONG}"), asked="specialist")
        call = ToolCallFacts(name="f", arguments="{}", id=f"call_{number}")
        route.answered(next(route.steps()), AnswerFacts(tool_calls=(call,)), USED)
    kept = [router.plan(request(f"{n} {LONG}", "hi", "so?")).decision.candidate for n in range(3)]
    assert kept == ["workhorse", "specialist", "specialist"]
    bound = [router.plan(loop(f"call_{n}")).decision.reason for n in range(3)]
    assert bound == ["default", "bound", "bound"]


def test_a_loop_without_ids_stays_with_who_answered_last(router: Router) -> None:
    """Some providers name no ids for their tool calls."""
    route = router.plan(request("x"), asked="gatekeeper")
    call = ToolCallFacts(name="f", arguments="{}")
    route.answered(next(route.steps()), AnswerFacts(tool_calls=(call,)), Usage(output_tokens=5))
    decision = router.plan(loop("")).decision
    assert (decision.candidate, decision.reason) == ("gatekeeper", "bound")


def test_failures_count_in_a_row(router: Router) -> None:
    for error in (True, True, False, True, True):
        drive(router.plan(request("x")), *([status_error(500), HI] if error else [HI]))
    assert router.plan(request("x")).decision.candidate == "workhorse"


# -- what the policy says reaches the steps ----------------------------------------------------


def doubtful(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
    return Verdict(p_wrong=0.4)


@pytest.mark.parametrize(
    ("cascade", "asked"),
    [
        (Cascade(validators=(doubtful,)), ["gatekeeper"]),
        (
            Cascade(validators=(doubtful,), max_p_wrong=0.3),
            ["gatekeeper", "workhorse", "specialist"],
        ),
        (Cascade(validators=(), samples=2), ["gatekeeper", "gatekeeper"]),
        (
            Cascade(validators=(doubtful,), max_p_wrong=0.3, max_steps=2),
            ["gatekeeper", "specialist"],
        ),
        (Cascade(), ["gatekeeper"]),
    ],
)
def test_a_cascade_is_carried_out_as_the_policy_says(cascade: Cascade, asked: list[str]) -> None:
    router = Router(THREE, RoutingPolicy(default_tier="gatekeeper", cascade=cascade))
    assert drive(router.plan(request("x")), HI, HI, HI)[0] == asked


@pytest.mark.parametrize("said", ["", "I'm sorry, but I can't help with that.", "and then the"])
def test_without_a_word_about_validators_the_standard_ones_look(said: str) -> None:
    router = Router(THREE, RoutingPolicy(default_tier="gatekeeper", cascade=Cascade()))
    asked, finished = drive(router.plan(request("x")), AnswerFacts(text=said), HI)
    assert (asked, finished.candidate) == (["gatekeeper", "workhorse"], "workhorse")
    schema = router.plan(request("x", output_schema='{"type": "object"}'))
    assert drive(schema, HI, AnswerFacts(text="{}"))[0] == ["gatekeeper", "workhorse"]


@pytest.mark.parametrize("cascade", [None, Cascade(validators=())])
def test_too_long_an_input_goes_to_who_has_a_larger_window(cascade: Cascade | None) -> None:
    """The count was short of what the provider counts."""
    windows = dict(zip(THREE, (50_000, 50_000, 200_000), strict=True))
    models = [replace(c, context_window_tokens=window) for c, window in windows.items()]
    router = Router(models, RoutingPolicy(default_tier="gatekeeper", cascade=cascade))
    asked = httpx.Request("POST", "http://x")
    answer = httpx.Response(400, request=asked)
    long = httpx.HTTPStatusError("maximum context length is 8192", request=asked, response=answer)
    assert drive(router.plan(request("x")), long, HI)[0] == ["gatekeeper", "specialist"]


# -- time --------------------------------------------------------------------------------------


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


class AtTimes(Signal):
    """Remembers when it was asked."""

    def __init__(self) -> None:
        self.offsets: list[Any] = []

    def why(self, seen: Any) -> str:
        self.offsets.append(seen.facts.at.utcoffset())
        return ""


@pytest.mark.usefixtures("in_tokyo")
def test_the_time_of_day_is_that_of_the_machine() -> None:
    signal = AtTimes()
    policy = RoutingPolicy(rules=(Rule(name="r", when=signal, to="specialist"),))
    Router(THREE, policy).plan(request("x"))
    assert signal.offsets == [timedelta(hours=9)]


def test_a_decision_that_hangs_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._router._FOREIGN_S", 0.05)
    Router(THREE, RoutingPolicy(gain=Hanging(workhorse=1))).plan(request("x"))
    deciding = [t for t in threading.enumerate() if t.name == "frugal-decide"]
    assert deciding
    assert all(thread.daemon for thread in deciding)
