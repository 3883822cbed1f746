"""What a memory remembers between calls: as JSON, after an undo, after edits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import (
    Account,
    CompactionPolicy,
    ConversationFacts,
    HeldMessage,
    MemoryState,
    Recalled,
    RentEqualsBuy,
    Segment,
    Shown,
    decide,
    digests_before,
    still_true,
    view,
    with_segment,
)
from tests.core.memory.conversations import SONNET, UNCACHED, Model, said

SEGMENTS = (
    Segment(id="cmp-1", text="first", tokens=80, end=4, kept=(0, 2), digest="d1"),
    Segment(id="cmp-2", text="second", tokens=90, end=9, kept=(5,), digest="d2"),
    Segment(id="cmp-3", text="third \ud83d", tokens=70, end=12, digest="d3"),
)
FULL = MemoryState(
    segments=SEGMENTS,
    account=Account(
        calls=9, spent_nanos=1.5, unmanaged_nanos=2.5, rent_nanos=0.25, sent_tokens=900,
        unmanaged_tokens=2_000, head="h", at_s=-3.5, ends=((3, 1.0), (9, 2.5)),
    ),
    shortened=(("k", 64), ("m", 99)),
    quiet_until_tokens=5,
    failures=2,
    waits_until_call=11,
    recalled=Recalled(question="q", text="t", tokens=3, stable_tokens=8),
)  # fmt: skip


# -- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [MemoryState(), FULL], ids=("empty", "full"))
def test_there_and_back(state: MemoryState) -> None:
    assert MemoryState.from_json(state.to_json()) == state
    assert MemoryState.from_json(json.loads(json.dumps(state.to_json()))) == state


def damaged(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The full state as JSON, with another value at one place; `...`: without it."""
    data: dict[str, Any] = json.loads(json.dumps(FULL.to_json()))
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


NAN, INF = float("nan"), float("inf")
DAMAGE: list[tuple[tuple[str | int, ...], Any]] = [
    *((("version",), value) for value in (..., 0, 2, "1", None)),
    *((("segments",), value) for value in (..., None, 5, "abc", {"a": 1}, [5], [None], [[]])),
    *((("segments", 0, "end"), value) for value in (..., None, "4", 4.0, -1, 0, 9, 10, True)),
    *(
        (("segments", 0, "kept"), value)
        for value in (..., None, 5, "02", [2, 0], [0, 0], [4], [-1])
    ),
    (("segments", 1, "kept"), [3]),
    (("segments", 1, "end"), 4),
    *((("segments", 0, "tokens"), value) for value in (..., None, "80", 80.5, -80, NAN)),
    *((("segments", 0, "text"), value) for value in (..., None, 7)),
    *((("segments", 0, "id"), value) for value in (..., None, 7)),
    *((("segments", 0, "digest"), value) for value in (..., None, 7)),
    (("segments", 0, "more"), 1),
    *((("account",), value) for value in (..., None, 5, [])),
    *((("account", "calls"), value) for value in (..., None, "9", 9.5, -1)),
    *((("account", "spent_nanos"), value) for value in (..., None, "1", NAN, INF, -1.0, True)),
    *((("account", "at_s"), value) for value in (..., "now", NAN, INF)),
    (("account", "head"), None),
    (("account", "more"), 1),
    *(
        (("shortened",), value)
        for value in (..., None, 5, [["k"]], [["k", "64"]], [[1, 64]], ["k"])
    ),
    *((("quiet_until_tokens",), value) for value in (..., None, INF, -1, "5")),
    *((("failures",), value) for value in (..., None, INF, -1, True)),
    *((("waits_until_call",), value) for value in (..., None, INF)),
    *((("recalled",), value) for value in (..., "abc", 5, [], {})),
    (("recalled", "tokens"), None),
    (("more",), 1),
]


@pytest.mark.parametrize(("path", "value"), DAMAGE, ids=map(str, range(len(DAMAGE))))
def test_damaged_data_is_an_error_of_ours(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(MemoryPlanError, match=r"start with MemoryState\(\)") as error:
        MemoryState.from_json(damaged(path, value))
    assert "first" not in str(error.value)  # no text of a conversation


@pytest.mark.parametrize("data", [None, 5, "state", [], [1], {}])
def test_what_is_no_state_at_all(data: Any) -> None:
    with pytest.raises(MemoryPlanError, match="version 1"):
        MemoryState.from_json(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        ("segments",), ("segments", 0), ("segments", 1, "kept"), ("segments", 2, "end"),
        ("account",), ("account", "sent_tokens"), ("account", "at_s"), ("shortened",),
        ("shortened", 0), ("shortened", 0, 1), ("recalled",), ("recalled", "text"), ("failures",),
    ]
)  # fmt: skip


@given(PLACES, JSON)
def test_whatever_is_read_can_be_decided_with(path: tuple[str | int, ...], value: Any) -> None:
    try:
        state = MemoryState.from_json(damaged(path, value))
    except MemoryPlanError:
        return
    messages = [said("user", 2_000, f"u{n}") for n in range(20)]
    state = replace(
        state,
        segments=tuple(
            replace(one, digest=digests_before(messages, [one.end])[0]) for one in state.segments
        ),
    )
    decide(
        ConversationFacts(messages=messages, head="h"),
        state,
        SONNET.terms(),
        CompactionPolicy(limit_tokens=9_000),
        now_s=0.0,
    )


# -- what is still true --------------------------------------------------------------------------


def keyed(*keys: str) -> list[HeldMessage]:
    return [said("user", 10, key) for key in keys]


def covering(messages: list[HeldMessage], *ends: int) -> MemoryState:
    return MemoryState(
        segments=tuple(
            Segment(id=f"cmp-{end}", text="t", tokens=5, end=end, digest=digest)
            for end, digest in zip(ends, digests_before(messages, ends), strict=True)
        ),
        account=Account(sent_tokens=77, unmanaged_tokens=99, spent_nanos=5.0),
    )


HISTORY = keyed(*"abcdefghij")
CHANGES: dict[str, tuple[Callable[[list[HeldMessage]], list[HeldMessage]], int]] = {
    "nothing": (lambda all: all, 3),
    "more behind": (lambda all: [*all, said("user", 1, "z")], 3),
    "an edit of the newest": (lambda all: [*all[:9], said("user", 10, "z")], 3),
    "an edit in the last segment": (lambda all: [*all[:8], said("user", 10, "z"), *all[9:]], 2),
    "an edit in the second": (lambda all: [*all[:5], said("user", 10, "z"), *all[6:]], 1),
    "an edit of the first": (lambda all: [said("user", 10, "z"), *all[1:]], 0),
    "a removal": (lambda all: [*all[:4], *all[5:]], 1),
    "one more in the middle": (lambda all: [*all[:4], said("user", 1, "z"), *all[4:]], 1),
    "two change places": (lambda all: [*all[:7], all[8], all[7], *all[9:]], 2),
    "less than was covered": (lambda all: all[:8], 2),
    "nothing left": (lambda all: [], 0),
    "two keys that read as one": (lambda all: [*keyed("ab"), *all[2:], said("user", 1, "z")], 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_segments_are_forgotten_from_the_first_change_on(name: str) -> None:
    change, left = CHANGES[name]
    state = covering(HISTORY, 4, 7, 9)
    after = still_true(state, change(list(HISTORY)))
    assert after.segments == state.segments[:left]
    known = (
        state.account if left == 3 else replace(state.account, sent_tokens=0, unmanaged_tokens=0)
    )
    assert after.account == known


@given(st.lists(st.text(max_size=3), max_size=8), st.lists(st.integers(0, 9), max_size=4))
def test_digests_do_not_depend_on_where_others_end(keys: list[str], ends: list[int]) -> None:
    messages, ends = keyed(*keys), sorted(ends)
    assert digests_before(messages, ends) == [digests_before(messages, [end])[0] for end in ends]
    assert [digest == "" for digest in digests_before(messages, ends)] == [
        end > len(keys) for end in ends
    ]


@given(st.lists(st.text(max_size=2), max_size=5), st.lists(st.text(max_size=2), max_size=5))
def test_other_keys_have_another_digest(one: list[str], other: list[str]) -> None:
    first, second = (digests_before(keyed(*keys), [len(keys)]) for keys in (one, other))
    assert (first == second) == (one == other)


def test_a_digest_is_the_same_in_every_process() -> None:
    assert digests_before(keyed("a", "bc", ""), [0, 2, 3]) == [
        "b8e1dda3ac0aa3820ad2990b",
        "14f8ff5d57d07e48aec56042",
        "c8b72a5b91f6b1008220837b",
    ]


# -- the view ------------------------------------------------------------------------------------


def test_a_view_has_what_is_kept_the_segments_and_the_rest() -> None:
    shown = [
        one.position if one.segment is None else one.segment.id
        for one in view(FULL, 16, frozenset({13}))
    ]
    assert shown == [0, 2, "cmp-1", 5, "cmp-2", "cmp-3", 12, 14, 15]
    assert list(view(MemoryState(), 2)) == [Shown(position=0), Shown(position=1)]
    assert (FULL.end, MemoryState().end) == (12, 0)


# -- undo ----------------------------------------------------------------------------------------

EAGER = CompactionPolicy(trigger=RentEqualsBuy(regret=100, first=0.1), keep_tokens=500)


def grown(
    state: MemoryState, turns: range, policy: CompactionPolicy = EAGER, *, model: Model = UNCACHED
) -> tuple[MemoryState, list[HeldMessage], list[str]]:
    """State, history and reasons after these turns of a conversation of 300 and 400 tokens."""
    reasons = []
    for n in turns:
        messages = [
            said("assistant" if at % 2 else "user", 400 if at % 2 else 300, f"m{at}")
            for at in range(2 * n + 1)
        ]
        decision = decide(
            ConversationFacts(messages=messages, head_tokens=100, head="h"),
            state, model.terms("digest"), policy, now_s=10.0 * n,
        )  # fmt: skip
        reasons.append(decision.reason)
        state = decision.state
        if decision.plan is not None:
            state = with_segment(decision, f"text {n}", decision.plan.segment_tokens)
    return state, messages, reasons


def test_undo_brings_back_what_was_dropped_and_all_that_stood_on_it() -> None:
    state, messages, _ = grown(MemoryState(), range(12))
    assert len(state.segments) >= 3
    before = state.segments
    after = state.without(before[1].id)
    assert after.segments == before[:1]
    assert [one.position for one in view(after, len(messages))][1:] == [
        *range(before[0].end, len(messages))
    ]
    assert after.account.rent_nanos == 0.0
    assert after.account.sent_tokens == 0  # the cache has nothing of what is sent now
    assert after.account.spent_nanos == state.account.spent_nanos
    assert state.without(before[0].id).segments == ()


def test_after_an_undo_it_is_quiet_until_as_much_has_come_again() -> None:
    state, _, _ = grown(MemoryState(), range(12))
    whole = 100 + 12 * 300 + 11 * 400
    came_back = whole - state.account.sent_tokens
    undone = state.without(state.segments[0].id)
    assert undone.quiet_until_tokens == whole + came_back
    _, _, reasons = grown(undone, range(12, 24))
    sizes = [100 + (n + 1) * 300 + n * 400 for n in range(12, 24)]
    quiet = [reason == "undone" for reason in reasons]
    assert quiet == [size < whole + came_back for size in sizes]
    assert any(quiet)
    assert not all(quiet)


def test_after_an_undo_the_window_is_still_kept() -> None:
    state, _, _ = grown(MemoryState(), range(12))
    undone = state.without(state.segments[0].id)
    _, _, reasons = grown(undone, range(12, 13), replace(EAGER, limit_tokens=8_000))
    assert reasons == ["limit"]


def test_an_undo_of_what_is_not_there() -> None:
    with pytest.raises(MemoryPlanError, match=r"cmp-9.*cmp-1, cmp-2, cmp-3"):
        FULL.without("cmp-9")
    with pytest.raises(MemoryPlanError, match="none"):
        MemoryState().without("cmp-1")
