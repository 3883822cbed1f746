"""How long a decision takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from frugal_chains.memory import (
    CompactionPolicy,
    HeldMessage,
    MemoryState,
)
from tests.core.memory.conversations import (
    PLAIN,
    tool_run,
)
from tests.core.memory.deciding import EAGER, decided, gone_on, history
from tests.own_time import own_seconds


def seconds(messages: list[HeldMessage], state: MemoryState, policy: CompactionPolicy) -> float:
    """The best of several: another's work on the same core only adds to it."""
    return min(own_seconds(lambda: decided(messages, state, policy, now_s=1.0)) for _ in range(40))


KINDS: dict[str, Callable[[int], list[HeldMessage]]] = {
    "turns": lambda count: history(count // 2),
    "tools": lambda count: tool_run(count // 2),
    "pinned": lambda count: [
        replace(one, pinned=at % 10 == 0) for at, one in enumerate(history(count // 2))
    ],
}


ACTS = replace(EAGER, limit_tokens=9_000)


def compacted_before(messages: list[HeldMessage]) -> MemoryState:
    """After a compaction, all but the newest tenth of the messages ago."""
    return gone_on(messages[: len(messages) * 9 // 10 // 2 * 2 + 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [PLAIN, EAGER, ACTS], ids=("waits", "acts", "limit"))
def test_a_decision_takes_less_than_a_millisecond(kind: str, policy: CompactionPolicy) -> None:
    messages = KINDS[kind](1_000)
    state = compacted_before(messages)
    assert state.segments
    assert seconds(messages, state, policy) <= 0.001
    if policy.limit_tokens is None:
        assert seconds(messages, MemoryState(), policy) <= 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_time_grows_with_the_messages_and_no_faster(kind: str) -> None:
    short, long = KINDS[kind](1_000), KINDS[kind](10_000)
    for made in (lambda _: MemoryState(), compacted_before):
        once, tenfold = (seconds(one, made(one), ACTS) for one in (short, long))
        assert tenfold <= 20 * once
    assert tenfold <= 0.010
