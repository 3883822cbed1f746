"""Whether compressing pays, against a cache that is replayed token by token."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from frugal_chains.compression import Ahead, fewest_that_pay, pays, pays_rewriting
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import CacheTerms
from tests.core.pricing.replayed_cache import ReplayedCache, cache_terms

ANTHROPIC = cache_terms(3000, 300, 3750)
HAIKU = replace(ANTHROPIC, min_tokens=4096)
OPENAI = cache_terms(2500, 250, step=128)

SMALL = cache_terms(100, 10, 125, least=40)
SMALL_STEPS = cache_terms(100, 10, least=16, step=8)


terms_of = st.builds(
    lambda read, write, least, step: cache_terms(
        100, read, 100 if step > 1 else write, least=least, step=step
    ),
    read=st.sampled_from([0, 2, 10, 25, 50, 100]),
    write=st.sampled_from([100, 125, 200]),
    least=st.sampled_from([0, 16, 40, 88]),
    step=st.sampled_from([1, 1, 4, 8]),
)
"""Of a small provider: 88 tokens for 4,096, steps of 8 for 128."""
calls_of = st.lists(
    st.tuples(st.integers(0, 12), st.none() | st.tuples(st.integers(1, 60), st.floats(0, 1))),
    min_size=1,
    max_size=14,
)
"""Before each call: tokens of other messages, and a tool's output with how much of it is kept."""
Turns = list[tuple[int, tuple[int, float] | None]]


def _replayed(
    turns: Turns,
    terms: CacheTerms,
    *,
    books: bool,
    most: int | None,
    cold: frozenset[int],
    fitted: bool = False,
) -> tuple[float, float]:
    """Bills of the conversation uncompressed and as `pays` decides; `fitted`: to as few tokens as
    pay."""
    off, on = ReplayedCache(terms), ReplayedCache(terms)
    long: list[int] = []
    sent: list[int] = []
    bills = [0.0, 0.0]
    for number, (grows, output) in enumerate(turns):
        fresh = [number * 1000 + each for each in range(grows)]
        long, sent = long + fresh, sent + fresh
        if output is not None:
            before, after = output[0], int(output[0] * output[1])
            ahead = Ahead(
                prefix_tokens=len(sent),
                most_calls=None if most is None else most - number,
                saved_tokens=len(long) - len(sent) if books else 0,
                banked_nanos=bills[0] - bills[1] if books else 0.0,
            )
            if fitted:
                after = fewest_that_pay(before, after, terms, ahead) or after
            ok = pays(before, after, terms, ahead).ok
            text = [number * 1000 + 500 + each for each in range(before)]
            long, sent = long + text, sent + (text[:after] if ok else text)
        bills[0] += off.bill(long, cold=number in cold)
        bills[1] += on.bill(sent, cold=number in cold)
    return bills[0], bills[1]


@given(calls_of, terms_of, st.booleans(), st.frozensets(st.integers(0, 13), max_size=2))
# One token over the least, and nothing else: compressed it is never read from the cache.
@example([(30, (10, 0.5)), *[(0, None)] * 8], SMALL, False, frozenset())
# Nine tokens of two steps of 8, on every call.
@example([(23, (9, 0.9)), *[(8, None)] * 8], SMALL_STEPS, False, frozenset())
# Much is left out, and what is left is one token too short once more.
@example(
    [(0, (58, 0.37)), (1, None), (0, None), (0, None)],
    replace(SMALL_STEPS, min_tokens=40),
    False,
    frozenset(),
)
def test_no_conversation_is_dearer(
    turns: Turns, terms: CacheTerms, known: bool, cold: frozenset[int]
) -> None:
    """Each decision alone; with the number of calls, or without."""
    off, on = _replayed(turns, terms, books=False, most=len(turns) if known else None, cold=cold)
    assert on <= off + 1e-6


@given(calls_of, terms_of, st.integers(0, 5), st.frozensets(st.integers(0, 13), max_size=2))
# The call in which the compressed prompt is long enough at last writes all of it.
@example(
    [(0, (32, 0.18)), (3, (5, 0.46)), (0, (58, 0.89))],
    cache_terms(100, 0, 200, least=40),
    0,
    frozenset(),
)
def test_no_conversation_is_dearer_with_books(
    turns: Turns, terms: CacheTerms, more: int, cold: frozenset[int]
) -> None:
    """What was saved may be risked, where the most calls are known."""
    off, on = _replayed(turns, terms, books=True, most=len(turns) + more, cold=cold)
    assert on <= off + 1e-6


@given(terms_of, st.integers(0, 100), st.integers(1, 60), st.integers(1, 60), st.integers(1, 12))
def test_a_refusal_has_a_reason(
    terms: CacheTerms, prefix: int, before: int, after: int, calls: int
) -> None:
    """Where it refuses for more than a doubtful step, some conversation of that many calls is
    dearer; looked for by trying how long the rest of the prompt may be."""
    assume(after < before)
    found = pays(before, after, terms, Ahead(prefix_tokens=prefix, most_calls=calls))
    if found.ok or terms.step_tokens > 1 or terms.prices.cache_write != terms.prices.fresh:
        return
    worst = 0.0
    for grows in range(100):
        off, on = ReplayedCache(terms), ReplayedCache(terms)
        long, short = list(range(prefix + before + grows)), list(range(prefix + after + grows))
        bills = [(off.bill(long), on.bill(short)) for _ in range(calls)]
        worst = max(worst, sum(b - a for a, b in bills))
    assert worst > 0


@pytest.mark.parametrize(
    ("before", "after", "terms", "ahead", "reason"),
    [
        (300, 150, None, Ahead(prefix_tokens=0), "no cache"),
        (300, 300, ANTHROPIC, Ahead(prefix_tokens=5000), "not shorter"),
        (300, 150, ANTHROPIC, Ahead(prefix_tokens=1000), "pays"),
        (300, 150, HAIKU, Ahead(prefix_tokens=1000), "minimum"),
        (300, 150, HAIKU, Ahead(prefix_tokens=1000, most_calls=1), "pays"),
        (300, 150, HAIKU, Ahead(prefix_tokens=1000, most_tokens=4095), "pays"),
        # Off, every further call reads the minimum and all that was left out, .1 x 41,000; that is
        # as much as the longest prompt that is too short, 4,095: nothing can be lost.
        (50_000, 2_000, HAIKU, Ahead(prefix_tokens=1000), "pays"),
        # 10 tokens less may be a step less: 128 x .9 more and 10 less, on every call.
        (300, 290, OPENAI, Ahead(prefix_tokens=5000), "steps"),
        (300, 290, OPENAI, Ahead(prefix_tokens=5000, most_calls=1), "pays"),
        # 116 left out are at most one step: 115.2 more and 116 less.
        (300, 184, OPENAI, Ahead(prefix_tokens=5000), "pays"),
        (300, 185, OPENAI, Ahead(prefix_tokens=5000), "steps"),
        # 100 left out: 15.2 on each further call at worst, and 100 saved at once.
        (300, 200, OPENAI, Ahead(prefix_tokens=5000, most_calls=7), "pays"),
        (300, 200, OPENAI, Ahead(prefix_tokens=5000, most_calls=8), "steps"),
        # 10 were left out before, and may have cost a step on this very call.
        (20, 10, OPENAI, Ahead(prefix_tokens=5000, saved_tokens=10, most_calls=1), "steps"),
        # Uncompressed the prefix is in the cache, compressed it is not: all of it is written now.
        (300, 200, HAIKU, Ahead(prefix_tokens=4000, saved_tokens=200, most_calls=3), "minimum"),
        # With 28 left out before it makes a whole step.
        (300, 200, OPENAI, Ahead(prefix_tokens=5000, saved_tokens=28, banked_nanos=1e9), "pays"),
    ],
)  # fmt: skip
def test_verdicts(
    before: int, after: int, terms: CacheTerms | None, ahead: Ahead, reason: str
) -> None:
    found = pays(before, after, terms, ahead)
    assert (found.reason, found.ok) == (reason, reason in ("pays", "no cache"))


def test_the_expected_bill() -> None:
    """By hand: 2,000 in front, warm; 400 become 100; three calls, each 50 longer."""
    ahead = Ahead(prefix_tokens=2000, calls=3, growth_tokens=50)
    found = pays(400, 100, ANTHROPIC, ahead)
    first = 2000 * 300 + 400 * 3750
    later = (2400 + 2450) * 300 + 2 * 50 * 3750
    assert found.expected_nanos_before == first + later
    assert found.net_nanos == 300 * 3750 + 2 * 300 * 300
    half = pays(400, 100, ANTHROPIC, replace(ahead, calls=1.5))
    assert half.net_nanos == 300 * 3750 + 0.5 * 300 * 300


# -- to how many tokens ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "terms", "ahead", "fewest"),
    [
        (300, 100, None, Ahead(prefix_tokens=0), 100),
        (300, 300, ANTHROPIC, Ahead(prefix_tokens=5000), None),
        (300, 150, ANTHROPIC, Ahead(prefix_tokens=1000), 150),
        # 200 less are not sure to be two steps less; 128 less are one, for sure.
        (300, 100, OPENAI, Ahead(prefix_tokens=5000), 172),
        # Two steps at a tenth of the price: from 231 tokens on.
        (600, 369, OPENAI, Ahead(prefix_tokens=5000), 369),
        (600, 370, OPENAI, Ahead(prefix_tokens=5000), 472),
        # With 28 left out before, 100 more make a step.
        (300, 190, OPENAI, Ahead(prefix_tokens=5000, saved_tokens=28, banked_nanos=1e9), 200),
        (120, 20, OPENAI, Ahead(prefix_tokens=5000), None),
        # So much of it that the prompt is just long enough to be kept.
        (300, 50, HAIKU, Ahead(prefix_tokens=3900), 196),
        (300, 50, HAIKU, Ahead(prefix_tokens=1000), None),
    ],
)  # fmt: skip
def test_the_fewest_tokens_that_pay(
    before: int, after: int, terms: CacheTerms | None, ahead: Ahead, fewest: int | None
) -> None:
    assert fewest_that_pay(before, after, terms, ahead) == fewest


@given(
    terms_of, st.integers(0, 100), st.integers(1, 60), st.integers(0, 60), st.integers(0, 9),
    st.integers(0, 20),
)  # fmt: skip
def test_there_are_no_fewer_that_pay(
    terms: CacheTerms, prefix: int, before: int, after: int, short: int, out: int
) -> None:
    """As found by asking about every length; all that the text may come out at pays too."""
    ahead = Ahead(prefix_tokens=prefix, saved_tokens=out)

    def ok(tokens: int) -> bool:
        return pays(before, tokens, terms, ahead).ok

    found = fewest_that_pay(before, after, terms, ahead, short_tokens=short)
    if after < before and ok(after):
        assert found == after
        return
    right = [
        n for n in range(after + 1 + short, before)
        if all(ok(each) for each in range(n - short, n + 1))
    ]  # fmt: skip
    assert found == (right[0] if right else None)


@given(calls_of, terms_of, st.booleans(), st.frozensets(st.integers(0, 13), max_size=2))
def test_no_conversation_is_dearer_with_as_few_as_pay(
    turns: Turns, terms: CacheTerms, books: bool, cold: frozenset[int]
) -> None:
    most = len(turns) if books else None
    off, on = _replayed(turns, terms, books=books, most=most, cold=cold, fitted=True)
    assert on <= off + 1e-6


# -- what stands in the cache already ----------------------------------------------------------


def test_rewriting_pays_from_so_many_calls_on() -> None:
    """1,000 of 6,000 become 200, 3,000 behind them. Read .3: leaving costs 1,800 a call. The first
    call with 200 reads 2,000 and writes 3,200: 600 + 12,000 = 12,600; then 1,560 a call: 240 less.
    10,800 / 240 = 45 further calls make it even."""

    def ask(calls: int) -> bool:
        return pays_rewriting(
            1000, 200, ANTHROPIC, Ahead(prefix_tokens=2000, calls=calls),
            behind_tokens=3000, shared_tokens=2000, least_calls=calls,
        ).ok  # fmt: skip

    assert not ask(46)
    assert ask(47)


@given(
    terms_of, st.integers(0, 80), st.integers(1, 60), st.integers(0, 59), st.integers(0, 60),
    st.lists(st.integers(0, 12), min_size=1, max_size=14), st.integers(0, 3),
)  # fmt: skip
@example(cache_terms(100, 50, 200, least=40), 0, 46, 36, 0, [3, 8, 8, 0, 1, 0, 0], 1)
@example(SMALL_STEPS, 37, 2, 1, 0, [0, 1, 8], 2)
def test_rewriting_is_never_dearer(
    terms: CacheTerms, front: int, before: int, after: int, behind: int,
    growths: list[int], fewer: int,
) -> None:  # fmt: skip
    assume(after < before)
    text = list(range(10_000, 10_000 + before))
    head, tail = list(range(front)), list(range(5000, 5000 + behind))
    bills = []
    ahead = Ahead(prefix_tokens=front, most_calls=len(growths))
    ok = pays_rewriting(
        before, after, terms, ahead,
        behind_tokens=behind,
        shared_tokens=front if terms.step_tokens > 1 else 0,
        least_calls=max(1, len(growths) - fewer),
    ).ok  # fmt: skip
    for kept in (text, text[:after] if ok else text):
        oracle = ReplayedCache(terms)
        oracle.bill(head + text + tail)
        prompt, total = head + kept + tail, 0.0
        for number, grows in enumerate(growths):
            prompt = prompt + [20_000 + 100 * number + each for each in range(grows)]
            total += oracle.bill(prompt)
        bills.append(total)
    assert bills[1] <= bills[0] + 1e-6


def test_a_cold_cache_has_nothing_to_lose() -> None:
    ahead = Ahead(prefix_tokens=2000)
    assert not pays_rewriting(1000, 200, ANTHROPIC, ahead, behind_tokens=3000).ok
    assert pays_rewriting(1000, 200, ANTHROPIC, ahead, behind_tokens=3000, warm=False).ok


@pytest.mark.parametrize(
    "bad",
    [
        lambda: pays(2, 1, cache_terms(1, 2), Ahead(prefix_tokens=0)),
        lambda: pays(2, 1, cache_terms(1, 0, 0.5), Ahead(prefix_tokens=0)),
        lambda: pays_rewriting(2, 1, cache_terms(1, 2), Ahead(prefix_tokens=0), behind_tokens=1),
        lambda: Ahead(prefix_tokens=-1),
        lambda: Ahead(prefix_tokens=1, most_calls=0),
        lambda: Ahead(prefix_tokens=1, calls=math.inf),
    ],
)
def test_what_makes_no_sense_is_refused(bad: object) -> None:
    with pytest.raises(CompressionError):
        bad()  # type: ignore[operator]
