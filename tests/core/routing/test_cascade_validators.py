"""The validators that need no training, and the application's own function among them."""

from __future__ import annotations

import copy
import pickle
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.dispatch import UserCheck
from frugal_chains.facts import RequestFacts, ToolCallFacts
from frugal_chains.routing.cascade import (
    CHECKS,
    AnswerFacts,
    Format,
    Logprobs,
    Validator,
    Verdict,
    arithmetic,
    empty,
    features,
    hedging,
    invented_numbers,
    refusal,
    schema,
    truncation,
    unused_numbers,
)
from tests.core.routing.requests import request
from tests.own_time import own_seconds

ASKED = request("Ann has 12 boxes of 30 pens and gives away 25%. How many pens are left?")
CALL = (ToolCallFacts(name="f", arguments="{}"),)


def answer(text: str = "", **more: Any) -> AnswerFacts:
    return AnswerFacts(text=text, **more)


AGAINST: list[tuple[Validator, AnswerFacts]] = [
    (empty, answer("  \n")),
    (refusal, answer("I'm sorry, but I can't help with that.")),
    (refusal, answer("As an AI language model, I cannot do this.")),
    (refusal, answer("Unfortunately, I am unable to provide that.")),
    (refusal, answer("I see. But that is against my guidelines.")),
    (refusal, answer("fine", refused=True)),
    (refusal, answer("", finish_reason="content_filter")),
    (schema, answer("x", schema_error="no field a")),
    (truncation, answer("all good", finish_reason="length")),
    (truncation, answer("all good", finish_reason="MAX_TOKENS")),
    (truncation, answer("She has 12 * 30 =")),
    (truncation, answer("She has 12 * 30 = <<12*3")),
    (truncation, answer("```python\nprint(1)")),
    (truncation, answer("and then the")),
    (truncation, answer("", tool_calls=CALL, finish_reason="length")),
    (hedging, answer("It is not possible to say.")),
    (hedging, answer("I think it is 12.")),
    (hedging, answer("This cannot be determined from what is given.")),
    (arithmetic, answer("12 * 30 = 350")),
    (unused_numbers, answer("12 * 30 = 360. #### 360")),
    (invented_numbers, answer("12 * 31 = 372")),
    (Format(r"####\s*\d+"), answer("it is 12")),
    (Format(r"yes|no", whole=True), answer("yes, surely")),
    (Logprobs(), answer("x", logprobs=(-3.0, -2.0))),
]
FOR: list[tuple[Validator, AnswerFacts]] = [
    (empty, answer(tool_calls=CALL)),
    (refusal, answer("The court said: I cannot help you. " * 50)),
    (refusal, answer("Sorry for the wait! It is 12.")),
    (refusal, answer("I'm sorry I cannot", tool_calls=CALL)),
    (refusal, answer("It is 270. " * 60 + "I'm sorry, but I can't help with the rest.")),
    (schema, answer("anything")),
    (truncation, answer("It is 270.")),
    (truncation, answer("270")),
    (truncation, answer("Kind regards")),
    (truncation, answer("", tool_calls=CALL, finish_reason="tool_calls")),
    (truncation, answer("Let me look that up:", tool_calls=CALL, finish_reason="tool_calls")),
    (hedging, answer("She gives away 90 pens, so 270 are left.")),
    (arithmetic, answer("12 * 30 = 360 and 360 * 25% = 90")),
    (unused_numbers, answer("12 * 30 = 360, 360 * 0.75 = 270")),
    (unused_numbers, answer("Plenty of pens.")),
    (invented_numbers, answer("12 * 30 = 360, 360 * 25/100 = 90, 360 - 90 = 270")),
    (Format(r"####\s*\d+"), answer("#### 270")),
    (Format(r"yes|no", whole=True), answer(" yes\n")),
    (Logprobs(), answer("x", logprobs=(-0.1, -0.2))),
    (Logprobs(), answer("x")),
    (Logprobs(), answer("x", logprobs=())),
    (Logprobs(), answer("x", logprobs=(float("nan"),))),
    (Logprobs(), answer("x", logprobs=(float("-inf"), *(0.0,) * 99))),  # one odd token
]


@pytest.mark.parametrize(("validator", "given"), AGAINST)
def test_what_speaks_against_an_answer(validator: Validator, given: AnswerFacts) -> None:
    verdict = validator(ASKED, given)
    assert verdict.code
    assert verdict.detail


@pytest.mark.parametrize(("validator", "given"), FOR)
def test_what_does_not(validator: Validator, given: AnswerFacts) -> None:
    assert validator(ASKED, given).ok


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many are 3/4 of 20 pens?", "20 / 4 = 5 and 20 - 5 = 15"),
        ("How many are a third of 21 pens?", "21 / 3 = 7"),
        ("A pen costs 40 cents. What do 3 of them cost?", "3 * 0.40 = 1.20"),
        ("What is left of 80 after 15%?", "80 * 0.85 = 68"),
    ],
)
def test_a_number_is_used_in_any_of_its_forms(question: str, said: str) -> None:
    for check in (unused_numbers, invented_numbers):
        assert check(request(question), answer(said)).ok


def test_a_schema_of_the_request_is_checked() -> None:
    asked = RequestFacts(output_schema='{"type": "object", "required": ["a"]}')
    assert not schema(asked, answer('{"b": 1}')).usable
    assert schema(asked, answer('{"a": 1}')).ok
    assert schema(asked, answer(tool_calls=CALL)).ok


def test_what_is_no_answer_at_all_is_not_usable() -> None:
    for validator, said in AGAINST[:8]:
        assert not validator(ASKED, said).usable
    assert arithmetic(ASKED, answer("1 + 1 = 3")).usable


def test_a_pattern_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(Exception, match="unterminated"):
        Format("(")


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_text_breaks_a_check_or_a_feature(question: str, text: str) -> None:
    asked, said = request(question), answer(text)
    for check in CHECKS:
        check(asked, said)
    assert all(value == value and abs(value) < 1e9 for value in features(asked, said).values())


ODD = [
    "",
    " ",
    "\x00",
    "\ud800",
    "\u0663 + \u0664 = \u0667",
    "²",
    "½ x ½ = ¼",
    "🙂" * 50,
    "1e309",
    "9" * 5000,
    "-.5",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text: str) -> None:
    for asked in (request(text), RequestFacts()):
        assert all(v == v for v in features(asked, answer(text)).values())
        for check in CHECKS:
            check(asked, answer(text))


@pytest.mark.parametrize("logprobs", [(float("nan"),) * 3, (float("-inf"),), (5.0,), ()])
def test_odd_log_probabilities(logprobs: tuple[float, ...]) -> None:
    values = features(ASKED, answer("x", logprobs=logprobs)).values()
    assert all(value == value and abs(value) <= 1e3 for value in values)


@pytest.mark.parametrize(
    "unit", ["12 * 30 = 360. ", "I think ", "a", "9", "the end\n", "((((", "= "]
)
def test_a_huge_answer_takes_linear_time(unit: str) -> None:
    def seconds(characters: int) -> float:
        given = answer(unit * (characters // len(unit)))
        checks = [*CHECKS, features]
        return own_seconds(lambda: [check(ASKED, given) for check in checks])

    small, large = seconds(10_000), seconds(3_000_000)
    assert large < 60 * small + 2.0  # reading stops growing at 100,000 characters


# -- the application's own function ------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "detail"),
    [
        (True, "", ""),
        (None, "", ""),
        (False, "user", "mine"),
        ("too short", "user", "too short"),
        (Verdict(code="x", detail="y"), "x", "y"),
        (7, "", "not validated by mine: it returned int, not a bool, a text or a Verdict"),
    ],
)
def test_what_a_function_may_say(said: Any, code: str, detail: str) -> None:
    verdict = UserCheck(lambda _request, _answer: said, name="mine")(ASKED, answer("x"))
    assert (verdict.code, verdict.detail) == (code, detail)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_a_function_that_raises_has_not_spoken(error: BaseException) -> None:
    def mine(_request: RequestFacts, _answer: AnswerFacts) -> bool:
        raise error

    verdict = UserCheck(mine)(ASKED, answer("x"))
    assert verdict.ok
    assert verdict.detail.startswith(f"not validated by mine: {type(error).__name__}")


def test_a_function_that_hangs_is_given_up_and_at_last_not_asked_any_more() -> None:
    release, calls = threading.Event(), []

    def mine(_request: RequestFacts, _answer: AnswerFacts) -> bool:
        calls.append(1)
        return release.wait(30)

    check = UserCheck(mine, timeout_s=0.02)
    try:
        for _ in range(4):
            assert "no answer within 0.02 s" in check(ASKED, answer("x")).detail
        assert "still hang" in check(ASKED, answer("x")).detail
        assert len(calls) == 4
    finally:
        release.set()


def _accepts(_request: RequestFacts, _answer: AnswerFacts) -> bool:
    return True


def test_a_check_can_be_copied_and_pickled() -> None:
    check = UserCheck(_accepts, name="mine", timeout_s=2.0)
    for again in (copy.deepcopy(check), pickle.loads(pickle.dumps(check))):
        assert (again.function, again.name, again.timeout_s) == (_accepts, "mine", 2.0)
        assert again(ASKED, answer("x")).ok


_RELEASED = threading.Event()


def _hangs(_request: RequestFacts, _answer: AnswerFacts) -> bool:
    return _RELEASED.wait(30)


def test_a_check_that_hangs_can_be_copied_and_pickled() -> None:
    check = UserCheck(_hangs, timeout_s=0.02)
    try:
        check(ASKED, answer("x"))
        for again in (copy.deepcopy(check), pickle.loads(pickle.dumps(check))):
            assert again.function is _hangs
    finally:
        _RELEASED.set()


_TENANT: ContextVar[str] = ContextVar("tenant", default="")


def test_a_function_finds_the_context_of_its_caller() -> None:
    token = _TENANT.set("acme")
    try:
        check = UserCheck(lambda _request, _answer: f"of {_TENANT.get()}")
        assert check(ASKED, answer("x")).detail == "of acme"
    finally:
        _TENANT.reset(token)


def test_a_timeout_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        UserCheck(_accepts, timeout_s=0)
