"""The cascade's flow: whom it asks, what it keeps, what it says about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.facts import RequestFacts, ToolCallFacts
from frugal_chains.routing import Candidate
from frugal_chains.routing.cascade import (
    CHECKS,
    OK,
    REACTIONS,
    AnswerFacts,
    BreakEven,
    CascadePlan,
    Finished,
    Outcome,
    Step,
    Verdict,
    error_kind,
    flow,
    judge,
    same_answer,
)
from tests.core.routing.requests import request

ASKED = request("How many apples are 3 x 4?")
GOOD = Outcome(answer=AnswerFacts(text="3 x 4 = 12"))
BAD = Outcome(answer=AnswerFacts(text="3 x 4 = 13"))
WORSE = Outcome(answer=AnswerFacts(text="I'm sorry, but I cannot help with that."))
EMPTY = Outcome(answer=AnswerFacts())
Ask = Callable[[Step], Outcome]


def failed(kind: str, detail: str = "") -> Outcome:
    return Outcome(error_kind=kind, detail=detail)


def model(
    name: str, tier: Any = "workhorse", provider: str = "", window: int | None = None
) -> Candidate:
    return Candidate(
        name=name, tier=tier, model=name, provider=provider, context_window_tokens=window
    )


def plan(**more: Any) -> CascadePlan:
    return CascadePlan(**{"answer": "big", "drafts": ("small",), "validators": CHECKS, **more})


def drive(plan: CascadePlan, ask: Ask, asked: RequestFacts = ASKED) -> Finished:
    steps = flow(plan, asked)
    step = next(steps)
    while True:
        try:
            step = steps.send(ask(step))
        except StopIteration as end:
            finished: Finished = end.value
            return finished


async def adrive(plan: CascadePlan, ask: Ask, asked: RequestFacts = ASKED) -> Finished:
    steps = flow(plan, asked)
    step = next(steps)
    while True:
        await asyncio.sleep(0)
        try:
            step = steps.send(ask(step))
        except StopIteration as end:
            finished: Finished = end.value
            return finished


def says(**by_name: Outcome | list[Outcome]) -> Ask:
    """Each candidate gives its outcomes in turn."""
    left = {name: list(o) if isinstance(o, list) else [o] for name, o in by_name.items()}
    return lambda step: left[step.candidate].pop(0)


def visits(finished: Finished) -> list[str]:
    return [f"{step.candidate}:{step.purpose}" for step in finished.steps]


# -- escalation --------------------------------------------------------------------------------


def test_a_draft_that_holds_is_kept_and_nobody_else_is_asked() -> None:
    end = drive(plan(), says(small=GOOD))
    assert (end.index, end.candidate, end.why) == (0, "small", "accepted")
    assert visits(end) == ["small:draft"]


def test_a_draft_that_does_not_hold_goes_up_and_says_why() -> None:
    end = drive(plan(), says(small=BAD, big=GOOD))
    assert visits(end) == ["small:draft", "big:answer"]
    assert (end.index, end.why) == (1, "answered")
    assert end.steps[1].why == "escalation: arithmetic"
    assert end.escalations[0].candidate == "small"
    assert "3 * 4 = 13, which is 12" in end.escalations[0].verdict.detail


def test_a_cascade_of_three_goes_up_one_by_one() -> None:
    chain = plan(drafts=("small", "middle"))
    end = drive(chain, says(small=BAD, middle=BAD, big=BAD))
    assert visits(end) == ["small:draft", "middle:draft", "big:answer"]
    assert end.candidate == "big"  # the last word counts, however it looks
    assert end.detail.startswith("arithmetic")


def test_without_drafts_it_is_a_fallback_chain() -> None:
    end = drive(plan(drafts=(), fallbacks=("other",)), says(big=failed("timeout"), other=BAD))
    assert visits(end) == ["big:answer", "other:answer"]
    assert (end.candidate, end.why) == ("other", "answered")
    assert end.steps[1].why == "fallback: timeout of big"
    assert end.notes == ("big failed: timeout",)


def test_the_last_step_is_left_for_the_answer() -> None:
    chain = plan(drafts=("a", "b", "c"), max_steps=2)
    assert visits(drive(chain, says(a=BAD, big=GOOD))) == ["a:draft", "big:answer"]
    assert visits(drive(plan(max_steps=1), says(big=GOOD))) == ["big:answer"]


# -- risk --------------------------------------------------------------------------------------


def test_a_risk_above_the_limit_escalates() -> None:
    def doubts(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(p_wrong=0.4, detail="a probability")

    end = drive(plan(validators=(doubts,), max_p_wrong=0.3), says(small=GOOD, big=GOOD))
    assert end.escalations[0].verdict.code == "risk"
    assert end.escalations[0].verdict.detail == "a probability: a risk of 0.40 is above 0.30"
    kept = drive(plan(validators=(doubts,), max_p_wrong=0.4), says(small=GOOD))
    assert kept.why == "accepted"


def test_an_expected_gain_counts_rather_than_the_probability() -> None:
    def hopeless(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(p_wrong=0.9, gain=0.05)

    assert drive(plan(validators=(hopeless,)), says(small=GOOD)).why == "accepted"


def unsure(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
    return Verdict(p_wrong=0.4)


CHEAP = BreakEven(worth_usd=0.1, input_usd=0.001, output_usd=0.002, usual_characters=40)
DEAR = BreakEven(worth_usd=0.1, input_usd=0.001, output_usd=0.2, usual_characters=40)


def test_break_even_asks_for_more_risk_where_escalating_costs_more() -> None:
    # $0.003 and, for a draft of a quarter of the usual length, $0.002; a right answer is worth $0.1
    assert CHEAP.risk(AnswerFacts(text="x" * 40)) == pytest.approx(0.03)
    assert CHEAP.risk(AnswerFacts(text="x" * 10)) == pytest.approx(0.02)
    up = drive(plan(validators=(unsure,), break_even={"big": CHEAP}), says(small=GOOD, big=GOOD))
    stays = drive(plan(validators=(unsure,), break_even={"big": DEAR}), says(small=GOOD))
    assert (up.candidate, stays.candidate) == ("big", "small")
    # GOOD has 10 characters: half the usual output, so $0.002.
    why = "big should win 0.40 right answers, and is worth its bill from 0.02 on"
    assert up.escalations[0].verdict.detail == why


def test_arguments_of_tool_calls_are_length_too() -> None:
    call = ToolCallFacts(name="f", arguments="x" * 10)
    assert CHEAP.risk(AnswerFacts(tool_calls=(call,))) == pytest.approx(0.02)


def test_each_draft_is_weighed_against_the_bill_of_who_is_asked_next() -> None:
    chain = plan(
        drafts=("small", "middle"),
        validators=(unsure,),
        break_even={"small": DEAR, "middle": CHEAP, "big": DEAR},
    )
    end = drive(chain, says(small=GOOD, middle=GOOD))
    assert visits(end) == ["small:draft", "middle:draft"]
    assert (end.index, end.why) == (1, "accepted")
    # With two steps the second is the answer's, so its bill counts for the first draft.
    short = drive(replace(chain, max_steps=2), says(small=GOOD))
    assert visits(short) == ["small:draft"]


def test_who_has_no_price_is_asked_by_the_limit() -> None:
    """A known bill of the other draft says nothing about the answer's."""
    chain = plan(validators=(unsure,), break_even={"small": DEAR}, max_p_wrong=0.3)
    assert drive(chain, says(small=GOOD, big=GOOD)).candidate == "big"
    assert drive(replace(chain, max_p_wrong=0.5), says(small=GOOD)).candidate == "small"


def test_the_stronger_models_mistakes_are_taken_off_a_probability_but_not_off_a_gain() -> None:
    """40 % wrong, and 39 % of the stronger answers: 1 point to win, at a bill worth 2 points."""
    errs = replace(CHEAP, stronger_p_wrong=0.39)
    kept = drive(plan(validators=(unsure,), break_even={"big": errs}), says(small=GOOD))
    assert kept.why == "accepted"

    def learned(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(p_wrong=0.4, gain=0.03)

    up = drive(plan(validators=(learned,), break_even={"big": errs}), says(small=GOOD, big=GOOD))
    assert up.candidate == "big"


@pytest.mark.parametrize("p_wrong", [float("nan"), None])
def test_a_probability_that_is_none_decides_nothing(p_wrong: float | None) -> None:
    def odd(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(p_wrong=p_wrong)

    assert drive(plan(validators=(odd,), max_p_wrong=0.0), says(small=GOOD)).why == "accepted"


# -- agreement ---------------------------------------------------------------------------------


def test_two_samples_that_agree_are_kept() -> None:
    again = Outcome(answer=AnswerFacts(text="There are 4 x 3 = 12 apples."))
    end = drive(plan(samples=2), says(small=[GOOD, again]))
    assert (end.index, end.why) == (0, "agreed")
    assert [step.sample for step in end.steps] == [0, 1]


def test_two_samples_that_differ_go_up() -> None:
    other = Outcome(answer=AnswerFacts(text="3 + 4 = 7"))
    end = drive(plan(samples=2), says(small=[GOOD, other], big=GOOD))
    assert visits(end) == ["small:draft", "small:draft", "big:answer"]
    assert end.escalations[0].verdict.code == "disagreed"


def test_a_draft_that_does_not_hold_is_not_asked_for_twice() -> None:
    assert len(drive(plan(samples=2), says(small=BAD, big=GOOD)).steps) == 2


def test_a_second_sample_that_fails_is_noted_and_the_first_kept() -> None:
    end = drive(plan(samples=2), says(small=[GOOD, failed("timeout")]))
    assert end.index == 0
    assert end.notes == ("not compared with a second answer of small: timeout",)


SAME = [
    ("so it is 12.\n#### 12", "3 * 4 = 12.0 apples", True),
    ("3 * 4 = 12", "3 + 4 = 7", False),
    ("The answer is: Paris.", "paris", True),
    ("Paris", "Rome", False),
    ("", "", False),
    ("In 1990 it was Paris", "In 1990 it was Rome", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_what_counts_as_the_same_answer(one: str, other: str, same: bool) -> None:
    assert same_answer(ASKED, AnswerFacts(text=one), AnswerFacts(text=other)) is same


def test_json_and_tool_calls_are_the_same_by_value() -> None:
    asked = RequestFacts(output_schema="{}")
    assert same_answer(asked, AnswerFacts(text='{"a":1,"b":2}'), AnswerFacts(text='{"b":2, "a":1}'))
    assert not same_answer(asked, AnswerFacts(text="no"), AnswerFacts(text="no"))

    def call(arguments: str) -> AnswerFacts:
        return AnswerFacts(tool_calls=(ToolCallFacts(name="f", arguments=arguments),))

    assert same_answer(ASKED, call('{"a": 1}'), call('{"a":1}'))
    assert not same_answer(ASKED, call('{"a": 1}'), call('{"a": 2}'))
    assert not same_answer(ASKED, call("{}"), AnswerFacts(text="f"))


# -- errors ------------------------------------------------------------------------------------

GOES_ON = [kind for kind, reaction in REACTIONS.items() if reaction.falls_back] + ["other", "new"]
STOPS = [kind for kind, reaction in REACTIONS.items() if not reaction.falls_back]


def test_what_is_the_callers_and_what_is_not() -> None:
    assert {"invalid_request", "budget", "cancelled", "closed", "interrupted"} <= set(STOPS)
    assert {"rate_limit", "timeout", "overloaded", "server", "conflict"} <= set(GOES_ON)
    assert {"auth", "connection", "not_found", "context_length"} <= set(GOES_ON)


@pytest.mark.parametrize("kind", GOES_ON)
def test_these_errors_are_answered_by_somebody_else(kind: str) -> None:
    end = drive(plan(drafts=(), fallbacks=("other",)), says(big=failed(kind), other=GOOD))
    assert end.candidate == "other"


@pytest.mark.parametrize("kind", STOPS)
def test_these_errors_are_the_callers(kind: str) -> None:
    end = drive(plan(drafts=(), fallbacks=("other",)), says(big=failed(kind)))
    assert (end.index, end.why, end.error_index) == (None, "no_answer", 0)


def test_a_refusal_of_a_router_further_in_is_nobody_elses_to_answer() -> None:
    end = drive(plan(fallbacks=("other",)), says(small=failed("refused")))
    assert (visits(end), end.index, end.error_index) == (["small:draft"], None, 0)


def test_a_draft_that_fails_goes_up() -> None:
    end = drive(plan(), says(small=failed("rate_limit"), big=GOOD))
    assert visits(end) == ["small:draft", "big:answer"]
    assert end.steps[1].why == "fallback: rate_limit of small"


def test_a_draft_that_fails_is_replaced_in_its_own_tier() -> None:
    known = {
        "small": model("small", "gatekeeper"),
        "twin": model("twin", "gatekeeper"),
        "big": model("big", "specialist"),
    }
    chain = plan(fallbacks=("twin",), known=known)
    end = drive(chain, says(small=failed("overloaded"), twin=GOOD))
    assert visits(end) == ["small:draft", "twin:draft"]


def test_a_failing_specialist_leaves_the_draft_and_says_so() -> None:
    end = drive(plan(), says(small=BAD, big=failed("server")))
    assert (end.index, end.candidate, end.why) == (0, "small", "kept_draft")
    assert "because big failed" in end.detail
    assert "arithmetic" in end.detail


def test_a_stopping_error_leaves_the_draft_too() -> None:
    assert drive(plan(), says(small=BAD, big=failed("budget"))).why == "kept_draft"


def test_the_best_draft_is_kept() -> None:
    chain = plan(drafts=("small", "middle"))
    end = drive(chain, says(small=BAD, middle=WORSE, big=failed("timeout")))
    assert end.candidate == "small"  # a refusal is worse than a wrong number


@pytest.mark.parametrize(
    ("small", "middle", "kept"),
    [("0.2", "0.6", "small"), ("0.6", "0.2", "middle"), ("0.4", "0.4", "middle")],
)
def test_of_the_drafts_the_less_doubtful_is_kept_and_of_equal_ones_the_later(
    small: str, middle: str, kept: str
) -> None:
    def doubts(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
        return Verdict(code="doubt", detail="x", p_wrong=float(answer.text))

    said = {
        n: Outcome(answer=AnswerFacts(text=t)) for n, t in (("small", small), ("middle", middle))
    }
    chain = plan(drafts=("small", "middle"), validators=(doubts,))
    assert drive(chain, says(**said, big=failed("timeout"))).candidate == kept


def test_an_answer_that_is_none_does_not_replace_a_draft() -> None:
    end = drive(plan(), says(small=BAD, big=EMPTY))
    assert (end.candidate, end.why) == ("small", "kept_draft")
    assert drive(plan(), says(small=WORSE, big=EMPTY)).candidate == "big"


def test_a_fallback_keeps_the_answer_and_is_never_overruled() -> None:
    chain = plan(fallbacks=("other", "third"))
    end = drive(chain, says(small=BAD, big=failed("timeout"), other=BAD))
    assert visits(end) == ["small:draft", "big:answer", "other:answer"]
    assert end.candidate == "other"


def test_a_weaker_fallback_does_not_replace_a_draft() -> None:
    known = {"small": model("small", "workhorse"), "weak": model("weak", "gatekeeper")}
    end = drive(plan(fallbacks=("weak",), known=known), says(small=BAD, big=failed("timeout")))
    assert end.candidate == "small"


def test_too_long_an_input_goes_to_a_larger_window_only() -> None:
    known = {
        "big": model("big", window=8_000),
        "same": model("same", window=8_000),
        "large": model("large", window=200_000),
    }
    chain = plan(drafts=(), fallbacks=("same", "large"), known=known)
    long = failed("invalid_request", "This model's maximum context length is 8192 tokens")
    assert visits(drive(chain, says(big=long, large=GOOD))) == ["big:answer", "large:answer"]


def test_a_key_that_is_missing_sends_to_another_provider_first() -> None:
    known = {
        "big": model("big", provider="openai"),
        "near": model("near", provider="openai"),
        "far": model("far", provider="anthropic"),
    }
    chain = plan(drafts=(), fallbacks=("near", "far"), known=known)
    end = drive(chain, says(big=failed("auth"), far=failed("timeout"), near=GOOD))
    assert visits(end) == ["big:answer", "far:answer", "near:answer"]


def test_nobody_answers_and_the_error_of_the_one_who_was_meant_to_is_raised() -> None:
    end = drive(plan(fallbacks=("other",)), lambda step: failed("timeout"))
    assert visits(end) == ["small:draft", "big:answer", "other:answer"]
    assert (end.index, end.error_index) == (None, 1)


CONTEXT = [
    ("This model's maximum context length is 128000 tokens", "context_length"),
    ("prompt is too long: 210000 tokens > 200000 maximum", "context_length"),
    ("The input token count (1200000) exceeds the maximum", "context_length"),
    ("temperature must be below 2", "invalid_request"),
]


@pytest.mark.parametrize(("detail", "kind"), CONTEXT)
def test_the_context_length_is_told_from_other_bad_requests(detail: str, kind: str) -> None:
    assert error_kind(failed("invalid_request", detail)) == kind


# -- validators in the flow --------------------------------------------------------------------


def test_a_validator_that_raises_is_noted_and_nothing_more() -> None:
    def broken(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        raise RuntimeError("oh")

    end = drive(plan(validators=(broken, *CHECKS)), says(small=GOOD))
    assert end.why == "accepted"
    assert end.notes == ("not validated by broken: RuntimeError",)


def test_all_verdicts_become_one() -> None:
    def says_wrong(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(code="a", detail="first", p_wrong=0.2)

    def says_worse(_request: RequestFacts, _answer: AnswerFacts) -> Verdict:
        return Verdict(code="b", detail="second", p_wrong=0.7, usable=False)

    verdict, notes = judge(ASKED, AnswerFacts(), (says_wrong, says_worse))
    assert verdict == Verdict(code="a", detail="first", p_wrong=0.7, usable=False)
    assert notes == ()
    assert judge(ASKED, AnswerFacts(), ()) == (OK, ())


@pytest.mark.parametrize(
    "wrong", [{"drafts": ("big",)}, {"drafts": ("a", "a")}, {"samples": 3}, {"max_steps": 0}]
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"once|samples|max_steps"):
        plan(**wrong)


# -- whatever comes back -----------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "e")
OUTCOMES = st.sampled_from([GOOD, BAD, WORSE, EMPTY, *map(failed, [*REACTIONS, "other"])])
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            model,
            st.just(name),
            st.sampled_from(["gatekeeper", "workhorse", "specialist"]),
            st.sampled_from(["", "openai", "anthropic"]),
            st.sampled_from([None, 1000, 9000]),
        )
        for name in NAMES
    },
)


@st.composite
def plans(draw: st.DrawFn) -> CascadePlan:
    names = draw(st.permutations(NAMES))
    drafts = draw(st.integers(0, 3))
    fallbacks = draw(st.lists(st.sampled_from(NAMES), max_size=5))
    return CascadePlan(
        answer=names[drafts],
        drafts=tuple(names[:drafts]),
        fallbacks=tuple(fallbacks),
        validators=CHECKS,
        samples=draw(st.sampled_from([1, 2])),
        max_steps=draw(st.integers(1, 8)),
        known=draw(KNOWN),
    )


@given(plans(), st.lists(OUTCOMES, min_size=8, max_size=8))
def test_what_the_flow_promises(chain: CascadePlan, outcomes: list[Outcome]) -> None:
    given_out: list[Outcome] = []

    def ask(_step: Step) -> Outcome:
        given_out.append(outcomes[len(given_out)])
        return given_out[-1]

    end = drive(chain, ask)
    steps = end.steps
    assert len(steps) == len(given_out) <= chain.max_steps
    asked = [(step.candidate, step.sample) for step in steps]
    assert len(set(asked)) == len(asked)  # nobody twice, but for an agreement
    fallen = [s.candidate for s, o in zip(steps, given_out, strict=True) if o.answer is None]
    for name in fallen:
        later = steps[[s.candidate for s in steps].index(name) + 1 :]
        assert not [s for s in later if s.candidate == name and s.sample == 0]
    answered = [o for o in given_out if o.answer is not None]
    assert (end.index is None) == (not answered)
    if end.index is None:
        assert end.error_index is not None
        assert given_out[end.error_index].answer is None
    else:
        assert given_out[end.index].answer is not None
        assert steps[end.index].candidate == end.candidate
    drafts = {*chain.drafts, *chain.fallbacks}
    assert all(s.candidate in drafts for s in steps if s.purpose == "draft")
    assert all(s.purpose == "answer" for s in steps if s.candidate == chain.answer)


@given(plans(), st.lists(OUTCOMES, min_size=8, max_size=8))
def test_both_drivers_visit_the_same_steps(chain: CascadePlan, outcomes: list[Outcome]) -> None:
    def asking() -> Ask:
        left = iter(outcomes)
        return lambda _step: next(left)

    assert drive(chain, asking()) == asyncio.run(adrive(chain, asking()))
