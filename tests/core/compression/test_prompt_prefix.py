"""The arithmetic of a cached prefix, against a bill added up call by call."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import (
    PrefixPrices,
    PromptError,
    diff_text,
    weigh_prefix_change,
)

SONNET = PrefixPrices(fresh_nanos=3000, read_nanos=300, write_nanos=3750, min_tokens=1024)
# 3 USD per million tokens; reads 0.1x, writes 1.25x: platform.claude.com, prompt caching.


def cost(found: int, total: int, prices: PrefixPrices) -> float:
    if total < prices.min_tokens:
        return total * prices.fresh_nanos
    return found * prices.read_nanos + (total - found) * prices.missed_nanos


def test_by_hand() -> None:
    # Left: 10 reads of 3,000. Changed: 2,000 written once, read 9 times.
    change = weigh_prefix_change(
        before_tokens=0,
        removed_tokens=1000,
        behind_tokens=2000,
        prices=SONNET,
        calls=10,
        warm_tokens=3000,
    )
    assert change.leave_nanos == 10 * 3000 * 300
    assert change.change_nanos == 2000 * 3750 + 9 * 2000 * 300
    assert not change.pays
    # The penalty of 2,000 * 3,450 is earned back at 1,000 * 300 a call: after 23, so with the 24th.
    assert change.break_even_calls == 24


def test_a_prefix_that_gets_too_short_to_be_cached_loses_its_cache() -> None:
    change = weigh_prefix_change(
        before_tokens=800,
        removed_tokens=400,
        behind_tokens=0,
        prices=SONNET,
        calls=100,
        warm_tokens=1200,
    )
    assert change.change_nanos == 100 * 800 * 3000
    assert change.break_even_calls is None


def test_a_choice_made_anew_on_every_call_is_never_found_again() -> None:
    once, every = (
        weigh_prefix_change(
            before_tokens=2000,
            removed_tokens=500,
            behind_tokens=3000,
            prices=SONNET,
            calls=50,
            warm_tokens=0,
            every_call=each,
        )
        for each in (False, True)
    )
    assert once.pays
    assert not every.pays


tokens = st.integers(0, 5000)


@given(tokens, tokens, tokens, st.integers(1, 40), tokens, st.booleans(), st.integers(0, 2000))
def test_as_added_up_call_by_call(
    before: int, removed: int, behind: int, calls: int, warm: int, every: bool, least: int
) -> None:
    prices = PrefixPrices(fresh_nanos=3000, read_nanos=300, write_nanos=3750, min_tokens=least)
    change = weigh_prefix_change(
        before_tokens=before,
        removed_tokens=removed,
        behind_tokens=behind,
        prices=prices,
        calls=calls,
        warm_tokens=warm,
        every_call=every,
    )
    total, rest = before + removed + behind, before + behind
    left = [cost(min(warm, total) if n == 0 else total, total, prices) for n in range(calls)]
    kept = before if every else rest
    changed = [cost(min(warm, before) if n == 0 else kept, rest, prices) for n in range(calls)]
    assert change.leave_nanos == sum(left)
    assert change.change_nanos == sum(changed)
    if change.break_even_calls is not None and change.break_even_calls <= calls and not every:
        assert change.pays or removed == 0 or change.break_even_calls == 1


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"removed_tokens": -1}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    right = {"before_tokens": 0, "removed_tokens": 1, "behind_tokens": 0, "calls": 1}
    with pytest.raises(PromptError):
        weigh_prefix_change(**{**right, **wrong}, prices=SONNET, warm_tokens=0)


def test_a_price_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(PromptError, match="read_nanos"):
        PrefixPrices(fresh_nanos=1, read_nanos=float("nan"))


# the diff

small = st.text(alphabet="ab \n", max_size=40)


@given(small, small)
def test_the_words_of_a_diff_hold_both_texts(before: str, after: str) -> None:
    shown = diff_text(before, after, "words")
    if before == after:
        assert shown == ""
        return
    gone, came = r"(?s)\[-(.*?)-\]", r"(?s)\{\+(.*?)\+\}"
    assert re.sub(came, "", re.sub(gone, r"\1", shown)) == before
    assert re.sub(gone, "", re.sub(came, r"\1", shown)) == after


def test_a_diff_by_lines_is_unified() -> None:
    before = "\n".join("abcdefghij")
    assert diff_text(before, before.replace("e", "E")).split("\n") == [
        "--- before", "+++ after", "@@ -2,7 +2,7 @@",
        " b", " c", " d", "-e", "+E", " f", " g", " h",
    ]  # fmt: skip


def test_a_diff_of_a_large_text_takes_bounded_time() -> None:
    lines = [str(n) for n in range(100_000)]
    assert diff_text("\n".join(lines), "\n".join(reversed(lines))).count("\n") > 150_000
