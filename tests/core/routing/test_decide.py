"""Who answers, and why: constraints, budgets, rules, gain, and the expected bill."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import RoutingPolicyError
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import (
    RANK,
    TIERS,
    Candidate,
    CannedAnswer,
    Cascade,
    ConversationFacts,
    Domains,
    Guardrail,
    InDomain,
    InputTokens,
    Keywords,
    RoutingDecision,
    RoutingPolicy,
    Rule,
    SimilarTo,
    Trade,
    WarmPrefix,
    decide,
    fail_open,
)
from tests.core.routing.requests import CHEAP, MIDDLE, STRONG, THREE, Oracle, facts, request

PRICES = PriceBook()


def decided(
    about: Any = "hello",
    /,
    policy: RoutingPolicy | None = None,
    candidates: tuple[Candidate, ...] = THREE,
    **more: Any,
) -> RoutingDecision:
    seen = facts(about, candidates=candidates, **more)
    return decide(seen, policy or RoutingPolicy(), candidates, PRICES)


def who(*args: Any, **more: Any) -> tuple[str, str]:
    """The candidate and the reason."""
    decision = decided(*args, **more)
    return decision.candidate, decision.reason


# -- the order of what decides -----------------------------------------------------------------

EVERYTHING = RoutingPolicy(
    rules=(Rule(name="code", when=Keywords("code"), to="specialist"),),
    gain=Oracle(gatekeeper=0.9, workhorse=0.9, specialist=0.9),
)
CALL = ToolCallFacts(name="f", arguments="{}", id="a")
OWNED = ConversationFacts(bound_to="workhorse")
LOOP = RequestFacts(
    messages=(
        MessageFacts(role="user", text="code"),
        MessageFacts(
            role="assistant", tool_calls=(ToolCallFacts(name="f", arguments="{}", id="a"),)
        ),
        MessageFacts(role="tool", text="1", tool_call_id="a"),
    )
)


@pytest.mark.parametrize(
    ("asked", "more", "expected"),
    [
        ("hello", {}, ("gatekeeper", "gain")),
        ("code", {}, ("specialist", "rule:code")),
        ("code", {"left_nanos": 0}, ("gatekeeper", "budget")),
        (LOOP, {}, ("specialist", "rule:code")),
        (LOOP, {"conversation": OWNED}, ("workhorse", "bound")),
        (
            LOOP,
            {"conversation": OWNED, "left_nanos": 0},
            ("workhorse", "bound"),
        ),
        (
            "code",
            {"conversation": OWNED},
            ("specialist", "rule:code"),
        ),
        ("code", {"asked": "workhorse"}, ("workhorse", "asked")),
        (LOOP, {"conversation": OWNED, "asked": "gatekeeper"}, ("gatekeeper", "asked")),
    ],
)
def test_what_decides_comes_in_this_order(
    asked: Any, more: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert who(asked, EVERYTHING, **more) == expected


def test_without_anything_else_the_default_tier_answers() -> None:
    assert who() == ("workhorse", "default")
    assert who(policy=RoutingPolicy(default_tier="specialist")) == ("specialist", "default")


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [((CHEAP,), "gatekeeper"), ((CHEAP, STRONG), "specialist"), ((STRONG,), "specialist")],
)
def test_a_missing_default_tier_is_the_next_stronger_one(
    candidates: tuple[Candidate, ...], expected: str
) -> None:
    assert who(candidates=candidates)[0] == expected


def test_a_name_that_cannot_be_had_is_said_and_the_policy_decides() -> None:
    decision = decided(asked="gpt-9", policy=EVERYTHING)
    assert (decision.candidate, decision.reason) == ("gatekeeper", "gain")
    assert decision.warnings == ("'gpt-9' was asked for and cannot answer this request",)


# -- hard constraints --------------------------------------------------------------------------

IMAGE = RequestFacts(messages=(MessageFacts(role="user", text="what is it?", images=1),))
SOUND = RequestFacts(messages=(MessageFacts(role="user", audio=1),))
TOOLS = request("hi", tools=(ToolFacts(name="f"),))
STRUCTURE = request("hi", output_schema='{"type": "object"}')


@pytest.mark.parametrize(
    ("known", "asked", "more", "why"),
    [
        ({"context_window_tokens": 999}, "hi", {}, "1,000 tokens do not fit its window of 999"),
        (
            {"context_window_tokens": 1000}, "hi", {"output_cap_tokens": 1},
            "1,000 tokens and 1 of output do not fit its window of 1,000",
        ),
        (
            {"max_output_tokens": 99}, "hi", {"output_cap_tokens": 100},
            "the request allows 100 tokens of output, it gives 99",
        ),
        ({"modalities": frozenset({"text"})}, IMAGE, {}, "it does not take images"),
        ({"modalities": frozenset({"text", "image"})}, SOUND, {}, "it does not take audio"),
        ({"tools": False}, TOOLS, {}, "it cannot call tools"),
        ({"tools": False}, LOOP, {}, "it cannot call tools"),
        ({"structured_output": False}, STRUCTURE, {}, "it cannot hold an answer to a schema"),
        ({}, "hi", {"unavailable": {"workhorse": "circuit open"}}, "circuit open"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_answer_is_left_out_and_said_why(
    known: dict[str, Any], asked: Any, more: dict[str, Any], why: str
) -> None:
    decision = decided(asked, candidates=(CHEAP, replace(MIDDLE, **known), STRONG), **more)
    assert decision.candidate == "specialist"
    assert {w.name: w.excluded for w in decision.weighed} == {
        "gatekeeper": "", "workhorse": why, "specialist": "",
    }  # fmt: skip
    assert why in decision.explain()


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ({"context_window_tokens": 1000}, "hi"),
        ({"modalities": frozenset({"text", "image"})}, IMAGE),
        ({"tools": True}, TOOLS),
        ({"structured_output": None}, STRUCTURE),
    ],
)
def test_a_model_that_just_can_or_is_not_known_not_to_is_kept(
    known: dict[str, Any], asked: Any
) -> None:
    assert (
        decided(asked, candidates=(CHEAP, replace(MIDDLE, **known), STRONG)).candidate
        == "workhorse"
    )


def test_a_region_takes_only_models_that_name_it() -> None:
    here = replace(STRONG, regions=frozenset({"eu", "us"}))
    decision = decided(policy=RoutingPolicy(region="eu"), candidates=(CHEAP, MIDDLE, here))
    assert decision.candidate == "specialist"
    assert decision.weighed[0].excluded == "it names no region, not eu"


def test_a_model_that_takes_too_long_is_left_out() -> None:
    slow = replace(MIDDLE, latency_s=3.5)
    decision = decided(policy=RoutingPolicy(max_latency_s=3), candidates=(CHEAP, slow, STRONG))
    assert decision.candidate == "specialist"
    assert decision.weighed[1].excluded == "it takes 3.5 s, the policy allows 3 s"


def test_a_request_that_fits_nobody_goes_to_the_default_tier_with_a_warning() -> None:
    small = tuple(replace(c, context_window_tokens=10) for c in THREE)
    decision = decided(candidates=small)
    assert (decision.candidate, decision.reason) == ("workhorse", "unfit")
    assert "1,000 tokens do not fit its window of 10" in decision.warnings[0]


def test_where_all_circuits_are_open_one_that_could_answer_is_asked_all_the_same() -> None:
    small = replace(MIDDLE, context_window_tokens=10)
    down = {c.name: "circuit open" for c in THREE}
    decision = decided(candidates=(CHEAP, small, STRONG), unavailable=down)
    assert (decision.candidate, decision.reason) == ("specialist", "unfit")


# -- budgets -----------------------------------------------------------------------------------


def test_what_is_left_of_a_budget_leaves_out_the_models_it_does_not_pay_for() -> None:
    # 1,000 tokens in and 256 out: $0.0003036, $0.004048 and $0.0114.
    policy = RoutingPolicy(gain=Oracle(gatekeeper=0.1, workhorse=0.5, specialist=0.9))
    assert who(policy=policy, left_nanos=11_400_000) == ("specialist", "gain")
    assert who(policy=policy, left_nanos=11_399_999) == ("workhorse", "gain")
    assert who(policy=policy, left_nanos=4_047_999) == ("gatekeeper", "only")
    decision = decided(policy=policy, left_nanos=1)
    assert decision.candidate == "gatekeeper", "the least that can be had: it is no stop"
    assert decision.fallbacks == (), "nor does a failure lead to what nobody can pay"


def test_a_free_model_answers_under_a_used_up_budget() -> None:
    local = Candidate(name="home", tier="workhorse", model="llama3", provider="ollama")
    assert who(candidates=(CHEAP, local), left_nanos=0) == ("home", "budget")


# -- gain and the bill -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quality", "min_gain", "expected"),
    [
        ((0.5, 0.6, 0.7), 0.11, "gatekeeper"),
        ((0.5, 0.6, 0.7), 0.09, "specialist"),
        ((0.5, 0.62, 0.7), 0.1, "workhorse"),
        ((0.7, 0.6, 0.9), 0.1, "gatekeeper"),  # exactly as much as two steps ask: not more
        ((0.7, 0.6, 0.95), 0.1, "specialist"),
        ((0.9, 0.9, 0.9), 0.0, "gatekeeper"),
    ],
)
def test_a_stronger_model_has_to_add_what_the_trade_asks(
    quality: tuple[float, ...], min_gain: float, expected: str
) -> None:
    oracle = Oracle(**dict(zip(TIERS, quality, strict=True)))
    policy = RoutingPolicy(gain=oracle, trade=Trade(min_gain=min_gain))
    assert who(policy=policy) == (expected, "gain")


@pytest.mark.parametrize(
    ("worth", "expected"), [("0.01", "gatekeeper"), ("0.05", "workhorse"), ("1", "specialist")]
)
def test_worth_of_an_answer_is_weighed_against_the_bill(worth: str, expected: str) -> None:
    # Bills as above. Worth 5 cents: .5 * 5 - .03, .6 * 5 - .40, .7 * 5 - 1.14 cents: the second.
    oracle = Oracle(gatekeeper=0.5, workhorse=0.6, specialist=0.7)
    policy = RoutingPolicy(gain=oracle, trade=Trade(usd_per_answer=Decimal(worth)))
    assert who(policy=policy) == (expected, "gain")


def test_without_a_workhorse_the_specialist_is_one_step_up() -> None:
    policy = RoutingPolicy(gain=Oracle(gatekeeper=0.5, specialist=0.65), trade=Trade(min_gain=0.1))
    assert who(policy=policy, candidates=(CHEAP, STRONG)) == ("specialist", "gain")
    assert who(policy=policy, candidates=THREE) == ("gatekeeper", "gain")


def test_quality_may_be_known_by_model_or_tier_or_from_the_user() -> None:
    policy = RoutingPolicy(gain=Oracle(**{"gpt-4o-mini": 0.2, "specialist": 0.9}))
    decision = decided(policy=policy, candidates=(CHEAP, replace(MIDDLE, quality=0.6), STRONG))
    assert [w.quality for w in decision.weighed] == [0.2, 0.6, 0.9]


def test_the_warm_prefix_of_a_conversation_keeps_a_stronger_model() -> None:
    """Opus reads 100,000 tokens from its cache for $0.05; gpt-4.1 would read them for $0.20."""
    tokens = {c.name: 100_000 for c in THREE}
    warm = {"specialist": WarmPrefix(tokens=99_000, age_s=60)}
    stays = ConversationFacts(warm=warm)
    assert who(input_tokens=tokens)[0] == "workhorse"
    assert who(input_tokens=tokens, conversation=stays)[0] == "specialist"
    cold = ConversationFacts(warm={"specialist": WarmPrefix(tokens=99_000, age_s=301)})
    assert who(input_tokens=tokens, conversation=cold)[0] == "workhorse"
    # Not with a gain model that sees the same quality in a cheaper one.
    policy = RoutingPolicy(gain=Oracle(gatekeeper=0.9, workhorse=0.9, specialist=0.9))
    assert who(policy=policy, input_tokens=tokens, conversation=stays)[0] == "gatekeeper"


def test_an_unpriced_model_is_never_the_cheapest() -> None:
    unknown = Candidate(name="house", tier="workhorse", model="zeta-9000", provider="house")
    decision = decided(candidates=(unknown, MIDDLE))
    assert decision.candidate == "workhorse"
    assert "no price" in decision.explain()
    alone = decided(candidates=(unknown,))
    assert alone.candidate == "house"
    assert alone.warnings[0].startswith("house has no price: ")


# -- what comes after --------------------------------------------------------------------------


def test_a_failure_goes_to_the_same_tier_then_up_then_down() -> None:
    twin = replace(MIDDLE, name="twin", model="gpt-4o")
    policy = RoutingPolicy(rules=(Rule(name="all", when=Keywords("hello"), to="workhorse"),))
    decision = decided(policy=policy, candidates=(CHEAP, twin, MIDDLE, STRONG))
    assert decision.candidate == "workhorse"
    assert decision.fallbacks == ("twin", "specialist", "gatekeeper")


def test_a_cascade_goes_up_by_the_cheapest_of_each_tier() -> None:
    dear = replace(STRONG, name="dear", model="claude-opus-4-1")
    policy = RoutingPolicy(cascade=Cascade(validators=()), default_tier="gatekeeper")
    decision = decided(policy=policy, candidates=(*THREE, dear))
    assert (decision.candidate, decision.escalation) == ("gatekeeper", ("workhorse", "specialist"))
    with_tools = decided(TOOLS, policy, (*THREE, dear))
    assert with_tools.escalation == (), "tool calls are no drafts: they would run twice"
    asked = decided(policy=policy, asked="gatekeeper")
    assert asked.escalation == ()


def test_a_router_that_failed_asks_the_default_tier() -> None:
    decision = fail_open(ZeroDivisionError("x"), RoutingPolicy(), THREE)
    assert (decision.candidate, decision.reason) == ("workhorse", "fail_open")
    assert decision.fallbacks == ("specialist",)
    assert decision.warnings == ("the router failed: ZeroDivisionError",)


# -- the gate ----------------------------------------------------------------------------------

GATE = RoutingPolicy(
    guardrails=(Guardrail(name="secrets", when=Keywords("password"), message="Not here."),),
    canned_answers=(
        CannedAnswer(
            name="hours", when=SimilarTo(("What are your opening hours?",), 0.8), answer="9 to 5"
        ),
    ),
)


@pytest.mark.parametrize(
    ("asked", "more", "expected"),
    [
        ("my password is x", {}, ("refuse", "gate:secrets", "Not here.")),
        ("my password is x", {"asked": "specialist"}, ("refuse", "gate:secrets", "Not here.")),
        ("Please, what are your  OPENING hours? Thanks!", {}, ("answer", "gate:hours", "9 to 5")),
        ("what are your opening hours?", {"asked": "specialist"}, ("call", "asked", "")),
        (request("hi", "hello", "what are your opening hours?"), {}, ("call", "default", "")),
        (
            request("what are your opening hours?", tools=(ToolFacts(name="f"),)),
            {},
            ("call", "default", ""),
        ),
        ("what are your prices?", {}, ("call", "default", "")),
        (
            request("what are your opening hours?", output_schema="{}"),
            {},
            ("call", "default", ""),
        ),
        (
            RequestFacts(
                messages=(MessageFacts(role="user", text="what are your opening hours?", images=1),)
            ),
            {},
            ("call", "default", ""),
        ),
    ],
)
def test_the_gate(asked: Any, more: dict[str, Any], expected: tuple[str, str, str]) -> None:
    decision = decided(asked, GATE, **more)
    assert (decision.action, decision.reason, decision.text) == expected


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (RequestFacts(), "it has no messages"),
        (request(" \n"), "all its messages are empty"),
        (
            RequestFacts(messages=(MessageFacts(role="tool", text="1", tool_call_id="a"),)),
            "it has a result for the tool call 'a', which is not in it",
        ),
    ],
)
def test_malformed_requests_are_refused_before_they_are_billed(
    asked: RequestFacts, what: str
) -> None:
    decision = decided(asked)
    assert (decision.action, decision.reason) == ("refuse", "gate:malformed")
    assert decision.text == f"This request cannot be answered: {what}."


def test_media_without_text_are_no_empty_request() -> None:
    assert decided(SOUND).action == decided(IMAGE).action == "call"


# -- properties --------------------------------------------------------------------------------

QUALITY = st.floats(0, 1, allow_nan=False)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[tuple[Candidate, ...], RoutingPolicy, dict[str, Any]]:
    models = st.sampled_from(["gpt-4o-mini", "gpt-4.1", "claude-opus-4-5", "zeta-9000"])
    candidates = tuple(
        Candidate(
            name=f"m{index}",
            tier=draw(st.sampled_from(TIERS)),
            model=draw(models),
            context_window_tokens=draw(st.sampled_from([None, 500, 5000])),
            quality=draw(st.none() | QUALITY),
        )
        for index in range(draw(st.integers(1, 5)))
    )
    trade = draw(
        st.builds(Trade, min_gain=QUALITY)
        | st.builds(lambda usd: Trade(usd_per_answer=usd), st.decimals("0.001", "1", places=3))
    )
    gain = draw(
        st.none()
        | st.builds(lambda q: Oracle(**q), st.dictionaries(st.sampled_from(TIERS), QUALITY))
    )
    policy = RoutingPolicy(
        gain=gain,
        trade=trade,
        default_tier=draw(st.sampled_from(TIERS)),
        rules=(Rule(name="long", when=InputTokens(at_least=800), to=candidates[0].name),),
    )
    more = {
        "input_tokens": {c.name: draw(st.integers(1, 2000)) for c in candidates},
        "left_nanos": draw(st.none() | st.integers(-1, 10**8)),
        "unavailable": {c.name: "down" for c in candidates if draw(st.booleans())},
    }
    return candidates, policy, more


@given(scenes())
def test_every_decision_names_a_model_that_can_answer_if_any_can(scene: Any) -> None:
    candidates, policy, more = scene
    decision = decided("hello", policy, candidates, **more)
    assert decision == decided("hello", policy, candidates, **more), (
        "the same facts, the same decision"
    )
    able = {w.name for w in decision.weighed if not w.excluded}
    assert decision.candidate in able or not able
    assert decision.candidate not in decision.fallbacks
    assert len(set(decision.fallbacks)) == len(decision.fallbacks)
    assert set(decision.fallbacks) <= (able or {c.name for c in candidates})
    assert decision.to_json()["candidate"] == decision.candidate


@given(
    st.lists(QUALITY, min_size=3, max_size=3),
    st.lists(QUALITY, min_size=2, max_size=2, unique=True),
)
def test_asking_for_more_gain_never_leads_to_a_stronger_model(
    quality: list[float], asked: list[float]
) -> None:
    oracle = Oracle(**dict(zip(TIERS, quality, strict=True)))
    easy, hard = (
        decided(policy=RoutingPolicy(gain=oracle, trade=Trade(min_gain=gain)))
        for gain in sorted(asked)
    )
    assert RANK[hard.tier or "specialist"] <= RANK[easy.tier or "gatekeeper"]


# -- policies that cannot decide ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "candidates", "says"),
    [
        (RoutingPolicy(), (), "there are no models: give at least one tier one"),
        (RoutingPolicy(default_tier="hero"), THREE, "default_tier is 'hero'; there are gatekeeper"),  # type: ignore[arg-type]
        (RoutingPolicy(), (CHEAP, CHEAP), "several models are called 'gatekeeper'"),
        (
            RoutingPolicy(), (replace(CHEAP, tier="hero"),),  # type: ignore[arg-type]
            "'gatekeeper' is in the tier 'hero'",
        ),
        (RoutingPolicy(gain=Oracle(gpt=0.5)), THREE, "the gain model knows gpt, none of"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_decide_says_so_when_it_is_built(
    policy: RoutingPolicy, candidates: tuple[Candidate, ...], says: str
) -> None:
    with pytest.raises(RoutingPolicyError, match="this policy cannot route: ") as refused:
        policy.check(candidates)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [{}, {"min_gain": 0.1, "usd_per_answer": Decimal(1)}, {"usd_per_answer": Decimal(0)}],
)
def test_a_trade_is_one_thing(options: dict[str, Any]) -> None:
    with pytest.raises(RoutingPolicyError):
        Trade(**options)


# -- what a person reads and a ledger keeps ----------------------------------------------------


def test_a_decision_can_be_read_and_is_kept_without_any_text_of_the_user() -> None:
    """Bills of 3,000 tokens in and 256 out; gpt-4.1 reads 2,000 of them at a quarter."""
    decision = decided(
        "my secret code",
        RoutingPolicy(
            gain=Oracle(gatekeeper=0.5, workhorse=0.75, specialist=0.8),
            rules=(Rule(name="r", when=Keywords("secret"), to="workhorse"),),
            cascade=Cascade(validators=()),
        ),
        asked="gpt-9",
        input_tokens={c.name: 3000 for c in THREE},
        unavailable={"gatekeeper": "circuit open"},
        conversation=ConversationFacts(warm={"workhorse": WarmPrefix(tokens=2000, age_s=5)}),
    )
    assert decision.explain() == (
        "workhorse (workhorse) answers: rule 'r': the question has 'secret'.\n"
        "    gatekeeper (gatekeeper, gpt-4o-mini); quality 0.50; about $0.000604 for 3,000 tokens "
        "in and 256 out; left out: circuit open\n"
        "  * workhorse (workhorse, gpt-4.1); quality 0.75; about $0.005048 for 3,000 tokens in, "
        "2,000 of them cached and 256 out\n"
        "    specialist (specialist, claude-opus-4-5); quality 0.80; about $0.021400 for 3,000 "
        "tokens in and 256 out\n"
        "If the answer does not hold: specialist.\n"
        "If its provider fails: specialist.\n"
        "Warning: 'gpt-9' was asked for and cannot answer this request"
    )
    assert decision.to_json() == {
        "action": "call",
        "reason": "rule:r",
        "candidate": "workhorse",
        "tier": "workhorse",
        "escalation": ["specialist"],
        "expected_nanos": {"gatekeeper": 603_600, "workhorse": 5_048_000, "specialist": 21_400_000},
        "dearest": ["anthropic", "claude-opus-4-5"],
        "quality": {"gatekeeper": 0.5, "workhorse": 0.75, "specialist": 0.8},
        "excluded": {"gatekeeper": "circuit open"},
        "warnings": ["'gpt-9' was asked for and cannot answer this request"],
    }


def test_who_is_the_dearest_is_said_in_few_bytes() -> None:
    """Of those that could answer; of equals the first by name, in any order of candidates."""
    kept = decided().to_json()
    assert kept["dearest"] == ["anthropic", "claude-opus-4-5"]
    bare = {name: value for name, value in kept.items() if name != "dearest"}
    assert len(json.dumps(kept)) - len(json.dumps(bare)) == 45
    left = decided(unavailable={"specialist": "circuit open"})
    assert left.to_json()["dearest"] == ["openai", "gpt-4.1"]
    twin = replace(STRONG, name="another", model="claude-opus-4-5-20251101")
    for models in ((CHEAP, STRONG, twin), (twin, STRONG, CHEAP)):
        bills = decided(candidates=models).to_json()
        assert bills["expected_nanos"]["another"] == bills["expected_nanos"]["specialist"]
        assert bills["dearest"] == ["anthropic", "claude-opus-4-5-20251101"]


def test_without_a_choice_or_a_price_nobody_is_the_dearest() -> None:
    assert "dearest" not in decided(candidates=(STRONG,)).to_json()
    unknown = replace(CHEAP, name="own", model="nobody-knows", provider="in-house")
    others = decided(candidates=(unknown, replace(unknown, name="own 2"))).to_json()
    assert "dearest" not in others
    assert decided(candidates=(unknown, STRONG)).to_json()["dearest"] == [
        "anthropic", "claude-opus-4-5"
    ]  # fmt: skip


def test_who_is_left_out_for_a_budget_is_said() -> None:
    decision = decided(left_nanos=4_100_000)
    why = "its bill would pass what is left of a budget"
    assert [w.excluded for w in decision.weighed] == ["", "", why]


# -- several models of a tier, tiers that cannot answer ----------------------------------------

HELLO = Keywords("hello")


def test_a_rule_to_a_tier_takes_its_cheapest_model_and_may_cascade() -> None:
    cheap, dear = replace(CHEAP, name="cheap"), replace(CHEAP, name="dear", model="gpt-4o")
    for models in ((cheap, dear, STRONG), (dear, cheap, STRONG)):
        policy = RoutingPolicy(
            rules=(Rule(name="r", when=HELLO, to="gatekeeper"),), cascade=Cascade(validators=())
        )
        decision = decided(policy=policy, candidates=models)
        assert (decision.candidate, decision.escalation) == ("cheap", ("specialist",))
        named = replace(policy, rules=(Rule(name="r", when=HELLO, to="dear"),))
        decision = decided(policy=named, candidates=models)
        assert (decision.candidate, decision.escalation) == ("dear", ()), "that model was meant"


def test_a_rule_whose_tier_cannot_answer_goes_up_and_says_so() -> None:
    blind = replace(CHEAP, modalities=frozenset({"text"}))
    policy = RoutingPolicy(
        rules=(Rule(name="r", when=~HELLO, to="gatekeeper"),),
        gain=Oracle(gatekeeper=0.1, workhorse=0.1, specialist=0.9),
    )
    decision = decided(IMAGE, policy, (blind, MIDDLE, STRONG))
    assert (decision.candidate, decision.reason) == ("workhorse", "rule:r")
    assert "no model of gatekeeper can answer this request" in decision.detail


def test_where_no_model_is_strong_enough_the_strongest_there_is_answers() -> None:
    policy = RoutingPolicy(default_tier="specialist")
    assert who(policy=policy, candidates=(CHEAP, MIDDLE)) == ("workhorse", "default")


def test_a_stronger_model_that_is_no_dearer_answers() -> None:
    """Of 100,000 tokens gpt-4.1 reads 99,000 for $0.0495; gpt-4o at $2.50 would cost $0.25."""
    weak = replace(CHEAP, model="gpt-4o")
    policy = RoutingPolicy(gain=Oracle(gatekeeper=0.9, workhorse=0.9))
    known: dict[str, Any] = {
        "policy": policy,
        "candidates": (weak, MIDDLE),
        "input_tokens": {"gatekeeper": 100_000, "workhorse": 100_000},
    }
    warm = ConversationFacts(warm={"workhorse": WarmPrefix(tokens=99_000, age_s=5)})
    assert who(**known, conversation=warm) == ("workhorse", "gain")
    worse = replace(policy, gain=Oracle(gatekeeper=0.9, workhorse=0.89))
    assert who(**{**known, "policy": worse}, conversation=warm) == ("gatekeeper", "gain")


def test_what_an_answer_is_worth_needs_every_bill() -> None:
    """Who has no price is neither the cheapest nor too dear: then quality alone decides."""
    unknown = Candidate(name="house", tier="specialist", model="zeta-9000", provider="house")
    oracle = Oracle(gatekeeper=0.5, house=0.9)
    policy = RoutingPolicy(gain=oracle, trade=Trade(usd_per_answer=Decimal("0.01")))
    assert who(policy=policy, candidates=(CHEAP, unknown)) == ("house", "gain")
    worse = replace(policy, gain=Oracle(gatekeeper=0.5, house=0.4))
    assert who(policy=worse, candidates=(CHEAP, unknown)) == ("gatekeeper", "gain")


# -- embeddings --------------------------------------------------------------------------------

BY_MEANING = SimilarTo(("x",), 0.9, ((1.0, 0.0),))
BY_DOMAIN = InDomain("law", Domains({}, {"law": (1.0, 0.0)}))


class Embedded(Oracle):
    needs_embedding = True


@pytest.mark.parametrize(
    ("policy", "needs"),
    [
        (RoutingPolicy(rules=(Rule(name="r", when=HELLO, to="workhorse"),)), False),
        (RoutingPolicy(rules=(Rule(name="r", when=BY_MEANING, to="workhorse"),)), True),
        (RoutingPolicy(rules=(Rule(name="r", when=BY_DOMAIN, to="workhorse"),)), True),
        (RoutingPolicy(rules=(Rule(name="r", when=~BY_MEANING & HELLO, to="workhorse"),)), True),
        (RoutingPolicy(rules=(Rule(name="r", when=HELLO | BY_DOMAIN, to="workhorse"),)), True),
        (RoutingPolicy(guardrails=(Guardrail(name="g", when=BY_MEANING, message="no"),)), True),
        (RoutingPolicy(canned_answers=(CannedAnswer(name="c", when=BY_DOMAIN, answer="x"),)), True),
        (RoutingPolicy(gain=Oracle(workhorse=0.5)), False),
        (RoutingPolicy(gain=Embedded(workhorse=0.5)), True),
    ],
)
def test_a_policy_knows_whether_it_looks_at_embeddings(policy: RoutingPolicy, needs: bool) -> None:
    assert policy.needs_embedding is needs


def test_a_tool_call_says_something() -> None:
    """Nothing but an agent's call and its empty result: it may go on from there."""
    call = MessageFacts(role="assistant", tool_calls=(CALL,))
    result = MessageFacts(role="tool", tool_call_id="a")
    assert decided(RequestFacts(messages=(call, result))).action == "call"
