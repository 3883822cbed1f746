"""Which messages belong together, what a provider would refuse, and what stays with what."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import HeldMessage, group_messages
from tests.core.memory.conversations import answers, asks, refused, said

USER, REPLY = said("user", 1, "u"), said("assistant", 1, "s")

CASES: dict[str, tuple[list[HeldMessage], tuple[int, ...], set[int]]] = {
    "nothing": ([], (), set()),
    "plain": ([USER, REPLY, USER], (0, 1, 2), set()),
    "one call": ([USER, asks(1, "c", "a"), answers(1, "r", "a"), USER], (0, 1, 3), set()),
    "parallel calls": (
        [asks(1, "c", "a", "b"), answers(1, "r", "b"), answers(1, "r", "a"), USER],
        (0, 3),
        set(),
    ),
    "the last calls wait": ([USER, asks(1, "c", "a", "b"), answers(1, "r", "a")], (0, 1), set()),
    "calls nobody answered": ([asks(1, "c", "a"), USER], (0, 1), {0}),
    "one of two answered": (
        [asks(1, "c", "a", "b"), answers(1, "r", "a"), USER],
        (0, 2),
        {0, 1},
    ),
    "a result before its call": (
        [answers(1, "r", "a"), asks(1, "c", "a"), USER],
        (0, 1, 2),
        {0, 1},
    ),
    "a result without any call": ([USER, answers(1, "r", "a"), USER], (0, 1, 2), {1}),
    "a result of another call": (
        [asks(1, "c", "a"), answers(1, "r", "a"), answers(1, "r", "b"), USER],
        (0, 3),
        {2},
    ),
    "a result twice": (
        [asks(1, "c", "a"), answers(1, "r", "a"), answers(1, "r", "a"), USER],
        (0, 3),
        {2},
    ),
    "an id twice in one message": (
        [asks(1, "c", "a", "a"), answers(1, "r", "a"), answers(1, "r", "a"), USER],
        (0, 3),
        set(),
    ),
    "an id again later": (
        [asks(1, "c", "a"), answers(1, "r", "a"), asks(1, "c", "a"), answers(1, "r", "a")],
        (0, 2),
        set(),
    ),
    "a message between call and result": (
        [asks(1, "c", "a"), USER, answers(1, "r", "a")],
        (0, 1, 2),
        {0, 2},
    ),
    "no ids": (
        [asks(1, "c", "", ""), answers(1, "r", ""), answers(1, "r", ""), USER],
        (0, 3),
        set(),
    ),
    "no ids, one result too few": (
        [asks(1, "c", "", ""), answers(1, "r", ""), USER],
        (0, 2),
        {0, 1},
    ),
    "no ids, one result too many": (
        [asks(1, "c", ""), answers(1, "r", ""), answers(1, "r", ""), USER],
        (0, 3),
        {2},
    ),
    "some ids": (
        [asks(1, "c", "a", ""), answers(1, "r", ""), answers(1, "r", "a"), USER],
        (0, 3),
        set(),
    ),
    "a result without id of a call with one": (
        [asks(1, "c", "a"), answers(1, "r", ""), USER],
        (0, 2),
        {0, 1},
    ),
    "two calls in a row": (
        [asks(1, "c", "a"), asks(1, "c", "b"), answers(1, "r", "b")],
        (0, 1),
        {0},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_groups(name: str) -> None:
    messages, starts, broken = CASES[name]
    groups = group_messages(messages)
    assert (groups.starts, groups.broken) == (starts, frozenset(broken))


def test_from_a_position_on() -> None:
    messages, _, _ = CASES["a result before its call"]
    groups = group_messages(messages, 1)
    assert (groups.starts, groups.broken) == ((1, 2), frozenset({1}))


IDS = st.sampled_from(("a", "b", ""))
MESSAGES = st.lists(
    st.just(USER)
    | st.just(REPLY)
    | st.builds(lambda ids: asks(1, "c", *ids), st.lists(IDS, min_size=1, max_size=3))
    | st.builds(lambda to: answers(1, "r", to), IDS),
    max_size=9,
)


@given(MESSAGES)
def test_without_what_is_broken_no_provider_refuses(messages: list[HeldMessage]) -> None:
    broken = group_messages(messages).broken
    assert refused([one for at, one in enumerate(messages) if at not in broken]) == ""


@given(MESSAGES)
def test_nothing_is_broken_that_a_provider_takes(messages: list[HeldMessage]) -> None:
    if not refused(messages):
        assert group_messages(messages).broken == frozenset()


@given(MESSAGES)
def test_a_group_is_one_message_or_calls_with_all_that_follow_them(
    messages: list[HeldMessage],
) -> None:
    spans = list(pairwise((*group_messages(messages).starts, len(messages))))
    assert [at for begin, end in spans for at in range(begin, end)] == [*range(len(messages))]
    for begin, end in spans:
        assert end - begin == 1 or messages[begin].calls
        assert all(one.role == "tool" for one in messages[begin + 1 : end])


@given(MESSAGES, MESSAGES)
def test_groups_do_not_move_when_messages_follow(
    messages: list[HeldMessage], more: list[HeldMessage]
) -> None:
    starts = group_messages(messages).starts
    assert group_messages([*messages, *more]).starts[: len(starts)] == starts


def test_a_message_has_no_tokens_below_zero() -> None:
    assert HeldMessage(role="user", tokens=0).tokens == 0
    with pytest.raises(MemoryPlanError, match="-1 tokens"):
        HeldMessage(role="user", tokens=-1)
