"""Arithmetic that answers state: what is read, what is true, what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.routing.cascade import final_number, identities, without_marks
from tests.own_time import own_seconds

TRUE = [
    "3 x 60 = 180 meters",
    "So she pays 3 boxes * $4/box = $12 in total.",
    "20% of 50 = 10",
    "2/5 of 80 = 32",
    "2/5 x 80 = 32",
    "$1,200 + $300 = $1,500",
    "1 200 + 300 = 1 500",
    "100% - 45% = 55%",
    "100 - 30% = 70",
    "(12 / 20) x 100 = 60%",
    "2 + 3 = 5 * 4 = 20",
    "10 / 3 = 3.33",
    "2/3 ≈ 0.667",
    r"\( 3 \times 4 = 12 \)",
    r"\frac{9}{3} + 1 = 4",
    "5 \\* 6 = 30",
    "7 \u2212 2 = 5",
    "- 3 + 5 = 8",
    "12 / 2/5 = 30",
    "36 * 68/12 = 3 * 68 = 204",
    "20 (words) x 15 (letters a word) = 300",
    "8 hot dogs that Luke ate * 3 = 24",
    ".5 * 4 = 2",
    "2 1/2 * 2 = 5",
]
WRONG = [
    ("3 x 4 = 13", 12),
    ("In total, 5 * 75 + 120 = 795 students", 495),
    ("$3 + $3 + $3 + $4 = $12", 13),
    ("38 * 216 = 8,128", 8208),
    ("17 * (20 - 5) = $204", 255),
    ("(12 / 20) x 100 = 55%.", 60),
    ("4 * 3 + 6 = 24th floor", 18),
    ("(she has 3 + 4 = 9 of them", 7),
]
LEFT_ALONE = [
    "3x + 5 = 42",
    "x = 8",
    "21 - 3 = 2 * S",
    "3P + 12 = 3(47) + 12",
    "2 x 1 hour = 120 minutes",
    "1 year / 3 months = 4 times",
    "twice 5 + 3 = 13",
    "2 dozen * 3 = 24",
    "5 * 8 = 40,0",
    "5 * 8000 = 40,00",
    "They are = to each other",
    "1 / 0 = 7",
    "-3 + 5 = 2",
    "1.5^2 + 1 = 9",
]


@pytest.mark.parametrize("text", TRUE)
def test_what_is_true_is_read_and_found_true(text: str) -> None:
    found = identities(text)
    assert found
    assert {one.state for one in found} <= {"true", "rounded"}, found


@pytest.mark.parametrize(("text", "value"), WRONG)
def test_what_is_wrong_is_found_with_what_it_is(text: str, value: float) -> None:
    (found,) = identities(text)
    assert found.state == "wrong"
    assert found.computed == pytest.approx(value)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_cannot_be_read_for_certain_is_left_alone(text: str) -> None:
    assert not [one for one in identities(text) if one.state == "wrong"]


def test_calculator_marks_are_checked_too_and_taken_off_for_reading() -> None:
    text = "She has 2 * 3 = <<2*3=7>>6 apples. Then 6 + 1 = <<6+1"
    assert [one.state for one in identities(text)] == ["true", "wrong"]
    assert without_marks(text) == "She has 2 * 3 = 6 apples. Then 6 + 1 = "


@given(
    st.integers(1, 9999),
    st.integers(1, 9999),
    st.sampled_from("+-*"),
    st.integers(1, 50),
    st.sampled_from(
        ["{} {} {} = {}", "${} {} ${} = ${}", "{:,} boxes {} {} = {:,} boxes", "{}{}{}={}"]
    ),
)
def test_a_stated_integer_is_true_exactly_when_it_is(
    one: int, other: int, sign: str, off: int, shape: str
) -> None:
    value = one + other if sign == "+" else one - other if sign == "-" else one * other
    if value < 0:
        one, other, value = other, one, -value
    (right,) = identities(shape.format(one, sign, other, value))
    (wrong,) = identities(shape.format(one, sign, other, value + off))
    assert (right.state, wrong.state) == ("true", "wrong")


@given(st.text(alphabet="0123456789+-*/=()<>x.,% $ab\n#\\{}", max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    identities(text)
    final_number(text)


UNITS = [
    "9", "1,", "1 = ", "(", "<<", "a ", "1 + ", "= 1 + 1 ", "\\frac{1}{2}", "(a ", "1/2 of ", "##",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(characters: int) -> float:
        text = unit * (characters // len(unit))
        return own_seconds(lambda: (identities(text), final_number(text)))

    seconds(1000)
    small, large = seconds(20_000), seconds(200_000)
    assert large < 40 * small + 0.5


FINALS = [
    ("The total is 12.\n#### 540", 540),
    ("#### $1,250.50 dollars", 1250.5),
    (r"so \boxed{42}, using 7 steps", 42),
    ("The answer is 18 because 3 times 6", 18),
    ("5 apples.\nThere are 3 left of 9", 9),
    ("", None),
    ("no numbers here", None),
    ("about .5 of it", 0.5),
]


@pytest.mark.parametrize(("text", "value"), FINALS)
def test_the_final_number(text: str, value: float | None) -> None:
    found = final_number(text)
    assert (found.value if found else None) == value
