"""Sweeps: every point is a replay of its own, and only what is sure is called the best."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ReplayError
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.replay import (
    SETUP_KEYS,
    Batch,
    Compression,
    Marks,
    Memory,
    RecordedCall,
    ReplayBill,
    Routing,
    Setup,
    Sweep,
    SweepPoint,
    Value,
    parse_sweep,
    replay,
    setup_text,
    sweep,
)
from frugal_chains.replay._bill import GROUPS
from frugal_chains.replay._setup_keys import key_value, value_in, with_values
from frugal_chains.replay._sweep import _widened
from frugal_chains.usage import Usage
from tests.core.replay.test_replay_bills import BOOK, long_talk, sized

FAQ = "routing.by_task.faq"
USUAL = Setup(memory=Memory(), compression=Compression(), prompt_cache=Marks())


# -- what is tried ---------------------------------------------------------------------------------


def test_a_sweep_as_it_is_written() -> None:
    grid = parse_sweep(
        ["memory.keep_tokens=500,1_000, 500", "compression.budget_tokens=none,200",
         "routing.by_task.sort mail=openai:gpt-4o-mini,none", "prompt_cache.ttl=5m"]
    )  # fmt: skip
    assert grid == {
        "memory.keep_tokens": (500, 1_000),
        "compression.budget_tokens": (None, 200),
        "routing.by_task.sort mail": ("openai:gpt-4o-mini", None),
        "prompt_cache.ttl": ("5m",),
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["memory.keep_tokens"], ["KEY=VALUE,VALUE"]),
        (["memory.keep=5"], ["'memory.keep'", *SETUP_KEYS, "routing.by_task.TASK"]),
        (["batch.tasks=nightly"], ["'batch.tasks'", "memory.keep_tokens"]),
        (["memory=5"], ["'memory'"]),
        (["routing.by_task.=openai:gpt-4o"], ["'routing.by_task.'"]),
        (["=5"], ["''"]),
        (["memory.keep_tokens=many"], ["memory.keep_tokens", "'many'", "a whole number", "none"]),
        (["memory.keep_tokens=0.5"], ["'0.5'", "a whole number"]),
        (["memory.keep_tokens=5,"], ["''", "a whole number"]),
        (["prompt_cache.ttl="], ["prompt_cache.ttl", "a word"]),
        (["memory.keep_tokens=5", "memory.keep_tokens=6"], ["memory.keep_tokens", "twice"]),
        (
            ["memory.keep_tokens=1,2,3,4,5,6,7,8,9", "compression.budget_tokens=1,2,3,4,5,6,7,8"],
            ["72 points (9 x 8)", "at most 64", "fewer values"],
        ),
    ],
)
def test_what_cannot_be_swept(texts: list[str], said: list[str]) -> None:
    with pytest.raises(ReplayError) as caught:
        parse_sweep(texts)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"memory.keep_tokens": (0,)}, ["memory.keep_tokens = 0", "above 0"]),
        (
            {"memory.summary_tokens": (500,), "memory.segments_tokens": (600,)},
            ["summary_tokens = 500", "segments_tokens = 600", "at least twice"],
        ),
        ({FAQ: ("no model",)}, ["routing.by_task.faq"]),
        ({"memory.keep_tokens": tuple(range(1, 66))}, ["65 points"]),
    ],
)
def test_a_point_that_is_no_setup_is_named(
    grid: dict[str, tuple[Value, ...]], said: list[str]
) -> None:
    with pytest.raises(ReplayError) as caught:
        sweep([], USUAL, grid, prices=BOOK, now_us=0)
    for part in said:
        assert part in str(caught.value)


def test_a_setup_that_no_file_says_is_not_bent_into_one() -> None:
    mine = Setup(memory=Memory(policy=CompactionPolicy(least_dropped_tokens=50)))
    with pytest.raises(ReplayError, match="made in code"):
        sweep([], mine, {"memory.keep_tokens": (500,)}, prices=BOOK, now_us=0)


KEYS_AND_VALUES = st.sampled_from(tuple(SETUP_KEYS)).flatmap(
    lambda key: st.tuples(
        st.just(key),
        st.none()
        | (st.integers(1_500, 10**6) if SETUP_KEYS[key] is int else st.sampled_from(("5m", "1h"))),
    )
) | st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1).map(
        lambda task: f"routing.by_task.{task}"
    ),
    st.none() | st.sampled_from(("openai:gpt-4o", "mistral-large", "aws:a:b:0")),
)
SETUPS = st.sampled_from(
    (
        Setup(),
        USUAL,
        Setup(batch=Batch(tasks=frozenset({"n"})), routing=Routing(by_task={"n": ("", "m")})),
        Setup(memory=Memory(policy=CompactionPolicy(trigger=WaterMark(high_tokens=9_000)))),
    )
)


@given(SETUPS, KEYS_AND_VALUES)
def test_a_key_that_is_set_is_found_again_and_nothing_else_changes(
    setup: Setup, pair: tuple[str, Value]
) -> None:
    key, value = pair
    if key == "memory.summary_tokens" and isinstance(value, int):
        value = 300  # at most half of all segments, which stay as they are
    made = with_values(setup, {key: value})
    if value is not None:
        assert value_in(made, key) == value
    table = key.partition(".")[0]
    for name in ("memory", "compression", "routing", "prompt_cache", "batch"):
        if name != table:
            assert getattr(made, name) == getattr(setup, name)
    other = {k for k in SETUP_KEYS if k != key and getattr(setup, k.partition(".")[0])}
    assert all(value_in(made, k) == value_in(setup, k) for k in other)
    assert with_values(setup, {}) == setup


@given(KEYS_AND_VALUES)
def test_what_a_key_is_can_be_written_and_read(pair: tuple[str, Value]) -> None:
    key, value = pair
    assert key_value(key, "none" if value is None else str(value)) == value


def test_a_task_that_is_not_routed_leaves_no_empty_table() -> None:
    routed = with_values(Setup(), {FAQ: "openai:gpt-4o-mini"})
    assert routed.routing is not None
    assert with_values(routed, {FAQ: None}) == Setup()


# -- what comes of it ------------------------------------------------------------------------------


def test_every_figure_of_a_sweep_of_models_is_that_of_list_prices() -> None:
    """1,000 tokens in and 200 out; USD a million: 2.50 and 10, 0.15 and 0.60, 0.10 and 0.40; 10 and
    30 (2026-11)."""
    calls = [sized(number) for number in range(40)]
    grid = {FAQ: ("openai:gpt-4o-mini", "openai:gpt-4.1-nano", "openai:gpt-4-turbo")}
    found = sweep(calls, Setup(), grid, prices=BOOK, now_us=0)
    per_call = {"openai:gpt-4.1-nano": 180_000, "openai:gpt-4o-mini": 270_000, None: 4_500_000,
                "openai:gpt-4-turbo": 16_000_000}  # fmt: skip
    assert {p.values[FAQ]: p.bill.nanos for p in found.points} == {
        name: 40 * nanos for name, nanos in per_call.items()
    }
    assert [p.values[FAQ] for p in found.points] == list(per_call)
    assert [p.as_set for p in found.points] == [False, False, True, False]
    assert found.before.nanos == 40 * 4_500_000
    assert [found.saved_nanos(p) for p in found.points] == [
        40 * (4_500_000 - nanos) for nanos in per_call.values()
    ]
    assert found.best is found.lowest
    assert setup_text(found.recommended) == '[routing.by_task]\n"faq" = "openai:gpt-4.1-nano"\n'
    assert found.month_factor == pytest.approx(365.25 / 12 * 24 / 40)


def test_each_point_is_what_a_replay_of_it_alone_says() -> None:
    grid: dict[str, Sequence[Value]] = {
        "memory.keep_tokens": (300, 4_000), "memory.recall_tokens": (None, 500)
    }  # fmt: skip
    found = sweep(long_talk(25), USUAL, grid, prices=BOOK, now_us=0)
    assert len(found.points) == 5  # the four, and as it is set
    assert found.as_set.values == {"memory.keep_tokens": 2_000, "memory.recall_tokens": 0}
    for point in found.points:
        (alone,) = replay(long_talk(25), [point.setup], prices=BOOK, now_us=0).bills
        assert point.bill == alone
    assert all(a.bill.nanos <= b.bill.nanos for a, b in pairwise(found.points))
    assert len({point.bill.nanos for point in found.points}) > 2


def test_few_conversations_make_nothing_sure() -> None:
    grid: dict[str, Sequence[Value]] = {"memory.keep_tokens": (300,)}
    found = sweep(long_talk(40), USUAL, grid, prices=BOOK, now_us=0)
    assert found.lowest.bill.nanos < 0.7 * found.before.nanos
    assert found.best is None
    assert found.recommended == USUAL  # which saves, by what was seen


def test_the_same_value_as_it_is_set_is_no_second_point() -> None:
    grid: dict[str, Sequence[Value]] = {"memory.keep_tokens": (2_000, None, 500)}
    found = sweep([sized(0)], USUAL, grid, prices=BOOK, now_us=0)
    assert [p.values["memory.keep_tokens"] for p in found.points] == [2_000, 500]
    assert found.as_set.values == {"memory.keep_tokens": 2_000}


def test_nothing_recorded() -> None:
    found = sweep([], USUAL, {"memory.keep_tokens": (500,)}, prices=BOOK, now_us=0)
    assert (found.before.nanos, found.best, found.month_factor) == (0, None, None)
    assert found.recommended == Setup()


# -- what is sure ----------------------------------------------------------------------------------

EMPTY = replay([], [], prices=BOOK, now_us=0)


def bill_of(groups: Sequence[int]) -> ReplayBill:
    usage = Usage(input_tokens=1)
    return ReplayBill(
        calls=GROUPS, nanos=sum(groups), unpriced=0, usage=usage, groups=tuple(groups), used=GROUPS
    )


def sweep_of(before: Sequence[int], *bills: Sequence[int]) -> Sweep:
    """The first of the bills is as it is set."""
    points = [
        SweepPoint(values={}, setup=replace(USUAL, memory=Memory(recall_tokens=number)),
                   bill=bill_of(each), as_set=not number)
        for number, each in enumerate(bills)
    ]  # fmt: skip
    points.sort(key=lambda point: point.bill.nanos)
    return Sweep(keys=(), replayed=EMPTY, before=bill_of(before), points=tuple(points),
                 month_factor=None)  # fmt: skip


GROUP_NANOS = st.lists(st.integers(0, 10**9), min_size=GROUPS, max_size=GROUPS)


@given(GROUP_NANOS, st.lists(GROUP_NANOS, min_size=1, max_size=4))
def test_what_is_recommended_is_never_dearer(before: list[int], bills: list[list[int]]) -> None:
    found = sweep_of(before, *bills)
    costs = {setup_text(p.setup): p.bill.nanos for p in found.points} | {"": found.before.nanos}
    chosen = costs[setup_text(found.recommended)]
    assert chosen <= found.before.nanos
    if found.recommended != Setup():
        assert chosen < found.before.nanos
    if found.best is not None:
        assert found.best is found.lowest
        assert found.recommended == found.best.setup
        assert all(chosen < other for text, other in costs.items() if other != chosen)


def test_points_that_differ_by_chance_alone_are_seldom_called_sure() -> None:
    """Sixteen settings of no effect, 300 times: without a correction one of them would seem surely
    lower in about every third sweep (1 - 0.975 ** 15)."""
    rng = random.Random(7)
    wrong = plain = 0
    for _ in range(300):
        bills = [[round(rng.gauss(10**6, 10**5)) for _ in range(GROUPS)] for _ in range(16)]
        found = sweep_of([2 * 10**6] * GROUPS, *bills)
        low, mine = found.lowest.bill, found.as_set.bill
        wrong += found.is_lower(low, mine)
        plain += mine.nanos - low.nanos > (mine.spread_nanos(less=low) or 0)
    assert wrong <= 15 < plain


def test_a_real_difference_is_seen() -> None:
    rng = random.Random(8)
    base = [round(rng.gauss(10**6, 10**5)) for _ in range(GROUPS)]
    cheaper = [nanos - round(rng.gauss(10**5, 10**4)) for nanos in base]
    found = sweep_of([2 * nanos for nanos in base], base, cheaper)
    assert found.best is found.lowest
    assert not found.lowest.as_set
    kept = sweep_of([2 * nanos for nanos in base], cheaper, base)
    assert kept.best is kept.as_set


def test_intervals_widen_with_the_points() -> None:
    """Two-sided 5 % shared by 1, 10 and 64: normal quantiles of 1.960, 2.807 and 3.360."""
    assert [_widened(points) * 1.95996 for points in (0, 1, 10, 64)] == pytest.approx(
        [1.960, 1.960, 2.807, 3.360], abs=1e-3
    )


def test_calls_without_conversations_are_swept_too() -> None:
    """Where each call is a conversation of its own, there is nothing for a memory to leave out."""
    calls = [RecordedCall(model="gpt-4o", provider="openai", usage=Usage(input_tokens=9_000))] * 30
    found = sweep(calls, USUAL, {"memory.keep_tokens": (500, 800)}, prices=BOOK, now_us=10**15)
    assert len({point.bill.nanos for point in found.points}) == 1
    assert found.recommended == Setup()
