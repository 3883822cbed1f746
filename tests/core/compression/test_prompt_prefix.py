"""The arithmetic of a cached prefix, against a bill added up call by call."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import PromptError, diff_text, weigh_prefix_change
from frugal_chains.pricing import CacheTerms
from tests.core.pricing.replayed_cache import cache_terms

SONNET = cache_terms(3000, 300, 3750)
# 3 USD per million tokens; reads 0.1x, writes 1.25x: platform.claude.com, prompt caching.


def cost(shared: int, total: int, terms: CacheTerms) -> float:
    """Of a prompt of which the cache has so many tokens, told one by one."""
    prices = terms.prices
    if total < terms.min_tokens:
        return total * prices.fresh
    found = 0
    if min(shared, total) >= terms.min_tokens:
        while found + terms.step_tokens <= min(shared, total):
            found += terms.step_tokens
    return found * prices.cache_read + (total - found) * prices.cache_write


def test_by_hand() -> None:
    # Left: 10 reads of 3,000. Changed: 2,000 written once, read 9 times.
    change = weigh_prefix_change(
        before_tokens=0,
        removed_tokens=1000,
        behind_tokens=2000,
        terms=SONNET,
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
        terms=SONNET,
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
            terms=SONNET,
            calls=50,
            warm_tokens=0,
            every_call=each,
        )
        for each in (False, True)
    )
    assert once.pays
    assert not every.pays


def test_less_than_the_least_in_front_is_not_read() -> None:
    """800 in front of the gap are too few to be kept by themselves: all 1,800 are written; and
    1,100 are read in steps of 128, so 1,024 of them."""
    asked: dict[str, Any] = {
        "removed_tokens": 200,
        "behind_tokens": 1000,
        "calls": 1,
        "warm_tokens": 3000,
    }
    short = weigh_prefix_change(before_tokens=800, terms=SONNET, **asked)
    assert short.change_nanos == 1800 * 3750
    steps = cache_terms(2500, 250, step=128)
    long = weigh_prefix_change(before_tokens=1100, terms=steps, **asked)
    assert long.change_nanos == 1024 * 250 + (2100 - 1024) * 2500


tokens = st.integers(0, 5000)


@given(
    tokens, tokens, tokens, st.integers(1, 40), tokens, st.booleans(), st.integers(0, 15),
    st.sampled_from([1, 128]),
)  # fmt: skip
def test_as_added_up_call_by_call(
    before: int, removed: int, behind: int, calls: int, warm: int, every: bool, least: int,
    step: int,
) -> None:  # fmt: skip
    prices = cache_terms(3000, 300, 3750, least=128 * least, step=step)
    change = weigh_prefix_change(
        before_tokens=before,
        removed_tokens=removed,
        behind_tokens=behind,
        terms=prices,
        calls=calls,
        warm_tokens=warm,
        every_call=every,
    )
    total, rest = before + removed + behind, before + behind
    left = [cost(warm if n == 0 else total, total, prices) for n in range(calls)]
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
        weigh_prefix_change(**{**right, **wrong}, terms=SONNET, warm_tokens=0)


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
