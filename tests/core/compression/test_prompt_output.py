"""Caps on answers from how long answers were, and the line that asks for brevity."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import (
    CONCISENESS,
    OutputCap,
    PromptError,
    ask_for_brevity,
    output_cap,
)


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


# Sample sizes from which on the m-th largest is a bound, at 95 % confidence: Sommerville (1958),
# table 1, and for 90 % the B-basis ranks of CMH-17-1G, table 8.5.12.
@pytest.mark.parametrize(
    ("quantile", "sizes"),
    [
        (0.95, (59, 93, 124, 153, 181)),
        (0.99, (299, 473, 628, 773)),
        (0.90, (29, 46, 61, 76, 89, 103)),
    ],
)
def test_the_rank_is_that_of_the_tables(quantile: float, sizes: tuple[int, ...]) -> None:
    for place, n in enumerate(sizes, start=1):
        cap = output_cap(range(1, n + 1), quantile=quantile, headroom=1)
        assert cap is not None
        assert cap.max_tokens == cap.rank == n + 1 - place
        before = output_cap(range(1, n), quantile=quantile, headroom=1)
        assert before is None if place == 1 else before and before.rank == n - place + 1


@given(st.integers(1, 80), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_rank_is_the_least_that_keeps_its_word(n: int, quantile: float, sure: float) -> None:
    q = Fraction(quantile).limit_denominator(100)
    hits = [math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]
    wanted = Fraction(sure).limit_denominator(100)
    least = next((k for k in range(1, n + 1) if sum(hits[:k]) >= wanted), None)
    cap = output_cap([7] * n, quantile=quantile, confidence=sure)
    assert (cap.rank if cap else None) == least


def test_headroom_rounds_up_and_zero_is_no_cap() -> None:
    assert output_cap([101] * 59, quantile=0.95, headroom=1.1) == OutputCap(
        max_tokens=112, cut_share=pytest.approx(0.05), confidence=0.95, observed=59, rank=59
    )
    cap = output_cap([0] * 59, quantile=0.95)
    assert cap is not None
    assert cap.max_tokens == 1


def test_answers_that_were_cut_count_as_the_longest() -> None:
    observed = [10] * 92 + [50]
    cap = output_cap(observed, quantile=0.95, cut=1, headroom=1)
    assert cap is not None
    assert cap.max_tokens == 10
    assert output_cap(observed, quantile=0.95, cut=2) is None


def test_no_cap_above_the_models_own_nor_when_switched_off() -> None:
    assert output_cap([100] * 59, quantile=0.95, ceiling=100) is None
    assert output_cap([100] * 59, quantile=0.95, enabled=False) is None


@pytest.mark.parametrize(
    "wrong",
    [{"quantile": 1}, {"quantile": 0}, {"confidence": 1.2}, {"headroom": 0.9}, {"cut": 4}],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PromptError):
        output_cap([1, 2, 3], **wrong)  # type: ignore[arg-type]


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(PromptError, match="-1"):
        output_cap([5, -1])


# brevity


def test_the_line_is_added_where_it_pays() -> None:
    asked = ask_for_brevity(
        "You label mails.", "classify", count,
        expected_output_tokens=100, input_nanos=3000, output_nanos=15000, saved_share=0.2,
    )  # fmt: skip
    assert asked.prompt == "You label mails.\n\nReply with the label alone."
    assert asked.line_tokens == 6
    assert asked.net_nanos == pytest.approx(20 * 15000 - 6 * 3000)
    assert asked.break_even_share == pytest.approx(6 * 3000 / (100 * 15000))
    assert "+Reply with the label alone." in asked.diff()


@pytest.mark.parametrize(
    ("prompt", "options", "reason"),
    [
        ("You label mails.", {"expected_output_tokens": 2}, "loses"),
        ("Be concise.", {}, "already"),
        ("Answer in at most two sentences.", {}, "already"),
        ("You label mails.", {"enabled": False}, "off"),
    ],
)
def test_else_the_prompt_is_as_it_came(prompt: str, options: dict[str, float], reason: str) -> None:
    numbers = {"expected_output_tokens": 100, "input_nanos": 3000, "output_nanos": 15000}
    asked = ask_for_brevity(prompt, "classify", count, **(numbers | options))  # type: ignore[arg-type]
    assert (asked.reason, asked.prompt, asked.added, asked.diff()) == (reason, prompt, False, "")


@given(st.text(max_size=30), st.sampled_from(sorted(CONCISENESS)))
def test_what_was_sent_before_is_a_prefix_of_what_is_sent(prompt: str, kind: str) -> None:
    asked = ask_for_brevity(
        prompt, kind, count,  # type: ignore[arg-type]
        expected_output_tokens=500, input_nanos=1, output_nanos=5,
    )  # fmt: skip
    assert asked.prompt.startswith(prompt)
    again = ask_for_brevity(
        asked.prompt, kind, count,  # type: ignore[arg-type]
        expected_output_tokens=500, input_nanos=1, output_nanos=5,
    )  # fmt: skip
    assert again.prompt == asked.prompt


def test_output_that_costs_nothing_is_never_paid_for() -> None:
    asked = ask_for_brevity(
        "x", "chat", count, expected_output_tokens=9, input_nanos=1, output_nanos=0
    )
    assert (asked.reason, asked.break_even_share) == ("loses", None)
