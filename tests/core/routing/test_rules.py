"""Signals, how they compose, and rules that can be told to be wrong before any request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from frugal_chains.routing import (
    ALWAYS,
    AnyOf,
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
from frugal_chains.routing._similar import overlap
from frugal_chains.routing._text import canonical
from tests.core.routing.requests import THREE, facts, request


def why(signal: Signal, about: Any = "hello", **more: Any) -> str:
    return signal.why(Seen(facts(about, **more)))


DOMAINS = Domains.of(
    {
        "law": ["Is this contract void?", "May my landlord keep the deposit?"],
        "cooking": ["How long do I boil an egg?", "Which flour makes good bread?"],
    }
)
MEANT = Domains(DOMAINS.centres, {"law": (1.0, 0.0), "cooking": (0.0, 1.0)})
BOTH = "which contract is void, and how long do I boil"
HELPED = RequestFacts(
    messages=(
        MessageFacts(role="system", text="You are a lawyer. Python code helps."),
        MessageFacts(role="user", text="boil an egg"),
    )
)


def test_examples_are_embedded_in_the_form_that_questions_are() -> None:
    seen: list[str] = []

    def embedder(texts: Sequence[str]) -> list[list[float]]:
        seen.extend(texts)
        return [[1.0, 0.0] for _ in texts]

    SimilarTo.embedded(["Hello,  could you please reset  my Password? Thanks!"], embedder,
                       at_least=0.5)  # fmt: skip
    Domains.of({"law": ["Who is liable?"], "food": ["Please, how do I boil an egg?"]}, embedder)
    assert seen == ["reset my password?", "who is liable?", "how do i boil an egg?"]


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
        (SimilarTo(("what is the weather", "reset a password"), 0.6), "reset a password", {}, True),
        (
            SimilarTo(("a", "b"), 0.9, ((0.0, 1.0), (1.0, 0.0))),
            "x",
            {"embedding": (1.0, 0.0)},
            True,
        ),
        (InDomain("law", DOMAINS), "my landlord's contract", {}, True),
        (InDomain("law", DOMAINS), HELPED, {}, False),
        (InDomain("law", DOMAINS), BOTH, {}, False),  # less than half of it
        (InDomain("law", DOMAINS, 0.05), BOTH, {}, True),
        (InDomain("law", MEANT), "boil an egg", {"embedding": (1.0, 0.1)}, True),
        (InDomain("law", MEANT), "boil an egg", {}, False),  # by its letters, without embedding
        (InDomain("cooking", MEANT), "boil an egg", {}, True),
        (InputTokens(at_least=1000, at_most=1000), "x", {}, True),
        (InputTokens(at_least=1001), "x", {}, False),
        (InputTokens(at_most=999), "x", {}, False),
        (InputTokens(at_least=5), "x", {"input_tokens": {"a": 1, "b": 5}}, True),
        (Depth(at_least=2), request("a", "b", "c"), {}, True),
        (Depth(at_least=2), "a", {}, False),
        (Depth(at_most=2), request("a", "b", "c"), {}, True),  # the assistant's turns are none
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
    ("word", "having", "lacking"),
    [
        ("C++", ["write C++ now", "C++.", "is it c++, or what?", "(C++)"],
         ["vitamin C", "C", "C+", "C#", "objective-c++", "c++17", "c++-like"]),
        ("C#", ["in C#?", "C#, please"], ["C", "the key of C", "C++", "c#minor"]),
        ("C", ["vitamin C.", "C, then D", "b/c"], ["C++", "C#", "C++ thanks", "node.c", "c-3"]),
        (".NET", ["use .NET here", ".net", ".NET.", "with (.net)"],
         ["a net", "asp.net", "the net.", "internet"]),
        ("net", ["a net.", "net income", "ends. Net: 3"], [".NET", "use .net here", "asp.net"]),
        ("node.js", ["in Node.js!", "node.js"], ["a node", "js", "node js", "the node. js"]),
        ("node", ["a node. js"], ["node.js"]),
        ("R&D", ["our R&D team"], ["r d", "R", "R&Den"]),
        ("TCP/IP", ["over tcp/ip."], ["tcp ip", "tcp"]),
        ("C++ code", ["my C++ code", "c++, code"], ["c code", "C++ decode"]),
        ("opening hours", ["opening,\n hours", "(opening hours)"],
         ["opening the hours", "opening-hours", "reopening hours"]),
        ("well-known", ["a well-known one"], ["well known", "so-well-known"]),
        ("why?", ["why not", "why?"], ["whys"]),
        ("???", ["what???"], ["what??"]),
        ("50%", ["50% off"], ["50", "150%"]),
    ],
)  # fmt: skip
def test_a_keyword_is_found_as_it_is_written(
    word: str, having: list[str], lacking: list[str]
) -> None:
    assert [text for text in having if not why(Keywords(word), text)] == []
    assert [text for text in lacking if why(Keywords(word), text)] == []


@given(st.text(alphabet="ab.+#-' ?", max_size=12), st.text(alphabet="ab.+#-' ?", max_size=12))
def test_any_keyword_can_be_looked_for(word: str, text: str) -> None:
    assert why(Keywords(word), text) in ("", f"the question has {canonical(word)!r}")
    if word.strip():
        assert why(Keywords(word), word)


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
        ([rule("x", A & (Keywords() | Keywords()))], "can never hold: it has no keywords"),
        ([rule("x", AnyOf(()))], "can never hold: it has no alternatives"),
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


def test_a_rule_to_a_tier_that_has_no_model_is_told() -> None:
    (problem,) = problems_of([rule("x", A, "specialist")], THREE[:2])
    assert problem == "rule 'x' sends to 'specialist', which has no model"


def test_the_opposite_of_an_opposite_is_the_signal_itself() -> None:
    assert ~~Tagged("plan") == Tagged("plan")
    rules = [rule("x", Tagged("plan")), rule("y", ~~Tagged("plan"))]
    assert "'y' is never asked" in problems_of(rules, THREE)[0]


def test_a_domain_stands_out_more_than_its_letters_do() -> None:
    """All questions share much of their letters; the domain is still told with certainty."""
    asked = Seen(facts("is my contract void, or how?")).trigrams
    likeness = {name: overlap(asked, centre) for name, centre in DOMAINS.centres.items()}
    plain = likeness["law"] / sum(likeness.values())
    assert plain < 0.9 < 0.999 < DOMAINS.shares(asked, None)["law"]


def test_the_question_is_the_last_thing_the_user_has_said() -> None:
    said = (
        MessageFacts(role="user", text="fix my python"),
        MessageFacts(role="assistant", text="which one?"),
        MessageFacts(role="user", text="  ", images=1),
    )
    assert why(Keywords("python"), RequestFacts(messages=said))
