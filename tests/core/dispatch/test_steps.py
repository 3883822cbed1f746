"""A decision as steps: what going up costs decides, where that is known.

Prices as in `tests/core/routing/requests.py`, in nano-USD for a token in and out: gpt-4o-mini 150
and 600, gpt-4.1 2,000 and 8,000, claude-opus-4-5 5,000 and 25,000. A request has 1,000 tokens, and
an answer of which nothing is known yet 256: $0.0003036, $0.004048 and $0.0114.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.dispatch import Router
from frugal_chains.dispatch.routing._steps import steps_of
from frugal_chains.errors import RequestRefused
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import (
    Bill,
    Candidate,
    Cascade,
    ConversationFacts,
    Keywords,
    RoutingPolicy,
    Rule,
    Trade,
    WarmPrefix,
    decide,
    expected_bill,
)
from frugal_chains.routing.cascade import AnswerFacts, Finished, Outcome, Verdict
from tests.core.routing.requests import CHEAP, MIDDLE, STRONG, THREE, Oracle, facts, request

PRICES = PriceBook()
USUAL = AnswerFacts(text="x" * 1024)
"""256 tokens of 4 characters."""


def at_risk(**known: float) -> Callable[[RequestFacts, AnswerFacts], Verdict]:
    return lambda _request, _answer: Verdict(**known)  # type: ignore[arg-type]


def asked(
    worth: str | None,
    *,
    candidates: Sequence[Candidate] = (CHEAP, STRONG),
    answer: AnswerFacts = USUAL,
    cascade: Any = None,
    gain: Any = None,
    rules: tuple[Rule, ...] = (),
    **more: Any,
) -> list[str]:
    """Who is asked in turn when each answers alike and a right answer is worth so many USD."""
    trade = Trade(min_gain=0.1) if worth is None else Trade(usd_per_answer=Decimal(worth))
    policy = RoutingPolicy(
        rules=rules, default_tier="gatekeeper", cascade=cascade, trade=trade, gain=gain
    )
    about = facts("hello", candidates=candidates, **more)
    decision = decide(about, policy, candidates, PRICES)
    known = {candidate.name: candidate for candidate in candidates}
    steps = steps_of(decision, cascade, known, about.request, trade=policy.trade)
    step, names = next(steps), []
    while True:
        names.append(step.candidate)
        try:
            step = steps.send(Outcome(answer=answer))
        except StopIteration:
            return names


def cascade(p_wrong: float = 0.5, **more: Any) -> Cascade:
    return Cascade(validators=(at_risk(p_wrong=p_wrong),), **more)


ALL_TO_DRAFTS = Rule(name="all", when=Keywords("hello"), to="gatekeeper")
KEPT, UP = ["gatekeeper"], ["gatekeeper", "specialist"]

# -- the bill in two parts -------------------------------------------------------------------------


def bill(candidate: Candidate, **more: Any) -> Bill:
    return expected_bill(candidate, facts("hello", **more), PRICES)


def test_a_bill_says_what_the_output_is_of_it() -> None:
    found = bill(STRONG)
    assert (found.input_nanos, found.output_nanos) == (1000 * 5000, 256 * 25_000)
    assert found.nanos == 11_400_000


def test_a_warm_prefix_makes_the_input_cheaper_and_not_the_output() -> None:
    known = ConversationFacts(warm={"gatekeeper": WarmPrefix(tokens=4000, age_s=1)})
    found = bill(CHEAP, input_tokens={"gatekeeper": 5000}, conversation=known)
    assert (found.input_nanos, found.output_nanos) == (1000 * 150 + 4000 * 75, 256 * 600)


def test_what_has_no_price_has_no_parts_and_what_is_free_has_none_to_pay() -> None:
    unknown = Candidate(name="gatekeeper", tier="gatekeeper", model="zeta-9000", provider="house")
    found = bill(unknown)
    assert (found.nanos, found.input_nanos, found.output_nanos) == (None, None, None)
    free = bill(replace(unknown, provider="ollama"))
    assert (free.nanos, free.input_nanos, free.output_nanos) == (0, 0, 0)
    uncounted = bill(CHEAP, input_tokens={})
    assert (uncounted.input_nanos, uncounted.output_nanos) == (None, None)


@pytest.fixture(scope="module")
def odd_prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    """Rates below a nano-USD, so that every total is rounded."""
    file = tmp_path_factory.mktemp("prices") / "prices.toml"
    file.write_text(
        '[[price]]\nprovider = "house"\nmodel = "zeta-9000"\n'
        "input = 0.0333\noutput = 0.7777\nrequest = 0.1\n",
        encoding="utf-8",
    )
    return PriceBook.load(file)


@given(tokens=st.integers(0, 300_000), output=st.integers(0, 50_000))
def test_the_parts_are_the_whole_to_the_nano(
    odd_prices: PriceBook, tokens: int, output: int
) -> None:
    zeta = Candidate(name="gatekeeper", tier="gatekeeper", model="zeta-9000", provider="house")
    about = facts("x", input_tokens={"gatekeeper": tokens}, output_tokens={"gatekeeper": output})
    found = expected_bill(zeta, about, odd_prices)
    assert found.nanos is not None
    assert found.input_nanos is not None
    assert found.output_nanos is not None
    assert found.input_nanos + found.output_nanos == found.nanos
    # A tenth of a dollar for 1,000 requests is a fee, paid however short the answer is.
    assert abs(found.output_nanos - Decimal("777.7") * output) <= 1
    assert abs(found.input_nanos - Decimal("33.3") * tokens - 100_000) <= 1


# -- the bill of going up --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worth", "characters", "names"),
    [
        # $0.0114 for half a right answer: it pays from $0.0228 for a whole one.
        ("0.0227", 1024, KEPT),
        ("0.0229", 1024, UP),
        # A draft of a quarter of 256 tokens: half of $0.0064 for the output, $0.0082 in all.
        ("0.0163", 256, KEPT),
        ("0.0165", 256, UP),
    ],
)
def test_a_draft_is_kept_where_going_up_costs_more_than_it_wins(
    worth: str, characters: int, names: list[str]
) -> None:
    answer = AnswerFacts(text="x" * characters)
    assert asked(worth, answer=answer, cascade=cascade()) == names


def test_what_the_model_usually_writes_is_its_bill_and_its_length() -> None:
    """64 tokens are 256 characters and $0.0066 with the input: it pays from $0.0132 on."""
    known: dict[str, Any] = {
        "cascade": cascade(),
        "answer": AnswerFacts(text="x" * 256),
        "output_tokens": {"specialist": 64},
    }
    assert asked("0.0131", **known) == KEPT
    assert asked("0.0133", **known) == UP


def test_what_the_draft_has_cost_is_spent_either_way() -> None:
    """A draft of $0.0114; an answer of $0.004048 pays from $0.0081 on for half a right one."""
    dear = replace(STRONG, name="gatekeeper", tier="gatekeeper")
    two = (dear, replace(MIDDLE, name="specialist", tier="specialist"))
    known: dict[str, Any] = {"candidates": two, "cascade": cascade(), "rules": (ALL_TO_DRAFTS,)}
    assert asked("0.0080", **known) == KEPT
    assert asked("0.0082", **known) == UP


def test_each_of_several_drafts_is_weighed_against_who_is_next() -> None:
    """$0.004048 pays from $0.0081 on for half a right answer, $0.0114 from $0.0228."""
    assert asked("0.0080", candidates=THREE, cascade=cascade()) == ["gatekeeper"]
    assert asked("0.0082", candidates=THREE, cascade=cascade()) == ["gatekeeper", "workhorse"]
    assert len(asked("0.0229", candidates=THREE, cascade=cascade())) == 3


def test_an_expected_gain_is_weighed_rather_than_a_probability() -> None:
    """A tenth of a right answer for $0.0114: from $0.114 on."""
    learned = Cascade(validators=(at_risk(p_wrong=0.9, gain=0.1),))
    assert asked("0.113", cascade=learned) == KEPT
    assert asked("0.115", cascade=learned) == UP


def test_what_the_stronger_model_gets_wrong_too_is_not_won() -> None:
    """Half wrong and three tenths of the stronger answers: a fifth for $0.0114, from $0.057 on."""
    oracle = Oracle(gatekeeper=0.7, specialist=0.7)
    assert asked("0.056", cascade=cascade(), gain=oracle) == KEPT
    assert asked("0.058", cascade=cascade(), gain=oracle) == UP


UNPRICED = (CHEAP, replace(STRONG, model="zeta-9000", provider="house"))


@pytest.mark.parametrize(
    ("worth", "candidates", "more"),
    [
        (None, (CHEAP, STRONG), {}),  # nobody has said what an answer is worth
        ("1000", UNPRICED, {}),  # nobody knows what it costs
        ("1000", (CHEAP, STRONG), {"by_bill": False}),
        ("0.000001", (CHEAP, STRONG), {"by_bill": False}),
    ],
)
def test_else_the_limit_decides(
    worth: str | None, candidates: Sequence[Candidate], more: dict[str, Any]
) -> None:
    known: dict[str, Any] = {"candidates": candidates}
    assert asked(worth, cascade=cascade(0.5, max_p_wrong=0.5, **more), **known) == KEPT
    assert asked(worth, cascade=cascade(0.5, max_p_wrong=0.4, **more), **known) == UP


@pytest.mark.parametrize(("worth", "names"), [("0.001", KEPT), ("1", UP)])
def test_a_router_weighs_by_the_trade_of_its_policy(worth: str, names: list[str]) -> None:
    trade = Trade(usd_per_answer=Decimal(worth))
    policy = RoutingPolicy(default_tier="gatekeeper", cascade=cascade(), trade=trade)
    steps = Router((CHEAP, STRONG), policy).plan(request("hello")).steps()
    found = [next(steps).candidate]
    with suppress(StopIteration):
        found.append(steps.send(Outcome(answer=USUAL)).candidate)
    assert found == names


# -- failures --------------------------------------------------------------------------------------


def test_a_refusal_of_a_router_further_in_is_not_escaped_by_another_model() -> None:
    route = Router(THREE).plan(request("x"))
    steps = route.steps()
    step = next(steps)
    assert step.candidate == "workhorse"
    with pytest.raises(StopIteration) as end:
        steps.send(route.failed(step, RequestRefused("Not with me.")))
    finished: Finished = end.value.value
    assert (finished.index, finished.error_index) == (None, 0)
