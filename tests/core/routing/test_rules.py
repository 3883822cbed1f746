"""Signals, how they compose, and rules that can be told to be wrong before any request."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from frugal_chains.routing import (
    ALWAYS,
    Depth,
    Domains,
    Hours,
    InDomain,
    InputTokens,
    Keywords,
    Pattern,
    Rule,
    Signal,
    SimilarTo,
    Tagged,
    Tolerance,
    UsesTools,
    WantsStructure,
)
from frugal_chains.routing._rules import first_that_holds, in_order, problems_of
from frugal_chains.routing._seen import Seen
from tests.core.routing.requests import THREE, facts, request


def why(signal: Signal, about: Any = "hello", **more: Any) -> str:
    return signal.why(Seen(facts(about, **more)))


DOMAINS = Domains.of(
    {
        "law": ["Is this contract void?", "May my landlord keep the deposit?"],
        "cooking": ["How long do I boil an egg?", "Which flour makes good bread?"],
    }
)
HELPED = RequestFacts(
    messages=(
        MessageFacts(role="system", text="You are a lawyer. Python code helps."),
        MessageFacts(role="user", text="boil an egg"),
    )
)


@pytest.mark.parametrize(
    ("signal", "about", "more", "holds"),
    [
        (Keywords("Python"), "fix my python", {}, True),
        (Keywords("python"), "pythons are snakes", {}, False),
        (Keywords("stack trace"), "a Stack\n  TRACE here", {}, True),
        (Keywords("C++"), "write c++ now", {}, True),
        (Keywords("python"), HELPED, {}, False),  # the system prompt is every request's
        (Pattern(r"\b\d{3}-\d{2}\b"), "my id is 123-45", {}, True),
        (Pattern("abc"), "ABC", {}, True),
        (Pattern("(?-i:abc)"), "ABC", {}, False),
        (SimilarTo(("How do I reset my password?",), 0.6), "how do i RESET a password", {}, True),
        (SimilarTo(("How do I reset my password?",), 0.6), "what is the weather", {}, False),
        (SimilarTo(("x",), 0.9, ((1.0, 0.0),)), "y", {"embedding": (2.0, 0.1)}, True),
        (SimilarTo(("x",), 0.9, ((1.0, 0.0),)), "x", {"embedding": (0.0, 1.0)}, False),
        (SimilarTo(("x",), 0.9, ((1.0, 0.0),)), "x", {}, False),  # the embedder gave nothing
        (InDomain("law", DOMAINS), "my landlord's contract", {}, True),
        (InDomain("law", DOMAINS), HELPED, {}, False),
        (InputTokens(at_least=1000, at_most=1000), "x", {}, True),
        (InputTokens(at_least=1001), "x", {}, False),
        (InputTokens(at_most=999), "x", {}, False),
        (InputTokens(at_least=5), "x", {"input_tokens": {"a": 1, "b": 5}}, True),
        (Depth(at_least=2), request("a", "b", "c"), {}, True),
        (Depth(at_least=2), "a", {}, False),
        (WantsStructure(), request("a", output_schema="{}"), {}, True),
        (WantsStructure(), "a", {}, False),
        (UsesTools(), request("a", tools=(ToolFacts(name="f"),)), {}, True),
        (UsesTools(("g",)), request("a", tools=(ToolFacts(name="f"),)), {}, False),
        (UsesTools(), "a", {}, False),
        (Tolerance("low"), "a", {"error_tolerance": "low"}, True),
        (Tolerance("low"), "a", {}, False),
        (Tagged("plan", "free"), "a", {"tags": {"plan": "free"}}, True),
        (Tagged("plan"), "a", {"tags": {"plan": ""}}, True),
        (Tagged("plan", "free"), "a", {"tags": {"plan": "pro"}}, False),
        (Tagged("plan"), "a", {}, False),
        (ALWAYS, "a", {}, True),
        (Keywords("a") & Keywords("b"), "a b", {}, True),
        (Keywords("a") & Keywords("b"), "a", {}, False),
        (Keywords("a") | Keywords("b"), "b", {}, True),
        (~Keywords("a"), "b", {}, True),
        (~~Keywords("a"), "a", {}, True),
        (Keywords("a") & ~(Keywords("b") | Keywords("c")), "a c", {}, False),
    ],
)
def test_signals(signal: Signal, about: Any, more: dict[str, Any], holds: bool) -> None:
    assert bool(why(signal, about, **more)) is holds


@pytest.mark.parametrize(
    ("start", "end", "now", "holds"),
    [
        (time(9), time(17), time(9), True),
        (time(9), time(17), time(17), False),
        (time(22), time(6), time(23), True),
        (time(22), time(6), time(5, 59), True),
        (time(22), time(6), time(6), False),
        (time(9), time(9), time(9), False),
    ],
)
def test_hours_may_go_past_midnight(start: time, end: time, now: time, holds: bool) -> None:
    at = datetime.combine(datetime(2026, 11, 20), now, tzinfo=timezone(timedelta(hours=5)))
    assert bool(why(Hours(start, end), at=at)) is holds
    assert at.astimezone(UTC).time() != now, "the clock's own zone counts"


def test_a_reason_can_be_read() -> None:
    both = Keywords("outage") & Tagged("plan", "pro")
    expected = "the question has 'outage' and tagged plan=pro"
    assert why(both, "an outage!", tags={"plan": "pro"}) == expected


def test_shares_of_domains_add_up() -> None:
    shares = DOMAINS.shares(Seen(facts("boil my contract")).trigrams, None)
    assert sum(shares.values()) == pytest.approx(1)
    embedded = Domains.of({"a": ["x"], "b": ["y"]}, lambda texts: [[1.0, 0.0]] * len(texts))
    assert embedded.shares({}, (1.0, 0.0)) == {"a": 0.5, "b": 0.5}
    assert DOMAINS.shares({}, None) == {}


@given(st.text(max_size=200), st.sampled_from([" ", "\n\n", "\t  "]))
def test_signals_do_not_see_case_and_spacing(text: str, gap: str) -> None:
    signals = (Keywords("python", "stack trace"), SimilarTo(("How do I reset my password?",), 0.3))
    ascii_only = "".join(c for c in text if c.isascii()) + " fix my python password reset"
    spread = gap.join(ascii_only.upper().split())
    for signal in signals:
        assert why(signal, ascii_only) == why(signal, spread)


# -- rules -------------------------------------------------------------------------------------


def rule(name: str, when: Signal, to: str = "workhorse", priority: int = 0) -> Rule:
    return Rule(name=name, when=when, to=to, priority=priority)


def test_the_highest_priority_is_asked_first_and_among_equals_the_first() -> None:
    rules = in_order(
        [rule("a", ALWAYS), rule("b", ALWAYS, priority=2), rule("c", ALWAYS, priority=2)]
    )
    assert [r.name for r in rules] == ["b", "c", "a"]
    found = first_that_holds(rules, Seen(facts("x")))
    assert found is not None
    assert found[0].name == "b"


A, B = Keywords("a"), Keywords("b")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([rule("x", A), rule("x", B)], "2 rules are called 'x'"),
        ([rule("x", A, "hero")], "sends to 'hero'; there are gatekeeper, workhorse, specialist"),
        ([rule("x", A & ~A)], "can never hold: it asks for a signal and for its opposite"),
        ([rule("x", Keywords())], "can never hold: it has no keywords"),
        ([rule("x", Keywords(" "))], "can never hold: it has no keywords"),
        ([rule("x", ~ALWAYS)], "can never hold: it is the opposite of always"),
        ([rule("x", InputTokens(at_least=9, at_most=8))], "at least 9 and at most 8"),
        ([rule("x", Depth(at_least=9) & Depth(at_most=8))], "Depth at least 9 and at most 8"),
        ([rule("x", SimilarTo((), 0.5))], "0 examples"),
        ([rule("x", SimilarTo(("a",), 1.5))], "a cosine of at least 1.5"),
        ([rule("x", Keywords() | (A & ~A))], "can never hold: it has no keywords; it asks"),
        ([rule("x", A), rule("y", A & B)], "rule 'y' is never asked: 'x' comes first"),
        ([rule("x", A & B), rule("y", A, priority=1)], "rule 'x' is never asked: 'y' comes first"),
        ([rule("x", ALWAYS), rule("y", B)], "rule 'y' is never asked"),
        ([rule("x", A | B), rule("y", B)], "rule 'y' is never asked"),
        ([rule("x", A | B), rule("y", B | A)], "rule 'y' is never asked"),
        ([rule("x", Keywords("a", "b")), rule("y", B)], "rule 'y' is never asked"),
        ([rule("x", Depth(at_least=2)), rule("y", Depth(at_least=3))], "rule 'y' is never asked"),
        ([rule("x", SimilarTo(("a", "b"), 0.5)), rule("y", SimilarTo(("a",), 0.6))], "never asked"),
    ],
)
def test_rules_that_are_wrong_are_told(rules: list[Rule], says: str) -> None:
    problems = problems_of(rules, THREE)
    assert len(problems) == 1
    assert says in problems[0]


@pytest.mark.parametrize(
    "rules",
    [
        [rule("x", A & B), rule("y", A)],
        [rule("x", A), rule("y", A, priority=1), rule("z", B)][1:],
        [rule("x", B), rule("y", Keywords("a", "b"))],
        [rule("x", Depth(at_least=3)), rule("y", Depth(at_least=2))],
        [rule("x", Depth(at_least=2, at_most=4)), rule("y", Depth(at_least=3))],
        [rule("x", SimilarTo(("a",), 0.6)), rule("y", SimilarTo(("a",), 0.5))],
        [rule("x", A & ~B), rule("y", A & B)],
        [rule("x", A, "specialist")],
    ],
)
def test_rules_that_are_right_are_let_be(rules: list[Rule]) -> None:
    assert problems_of(rules, THREE) == []
