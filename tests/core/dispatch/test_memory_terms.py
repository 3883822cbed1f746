"""What a decision about memory takes from a provider's page, a price list and a summariser."""

from __future__ import annotations

from typing import Literal

import pytest

from frugal_chains.dispatch import Compactor, Summarizer
from frugal_chains.facts import RequestFacts
from frugal_chains.memory import CompactionPolicy, MemoryState, WaterMark
from frugal_chains.tokens import TokenCounter
from tests.core.dispatch.talking import assistant, drive, history_of, user
from tests.servers import ManualClock

START_S = 1_790_000_000.0
HEAD_WORDS = "Answer kindly. " * 1_000
"""Some thousands of tokens, above every provider's minimum."""


def first_compaction_usd(model: str, provider: str, ttl: Literal["", "5m", "1h"]) -> float:
    """What the first compaction costs at once, with everything before it in the cache."""
    clock = ManualClock(START_S)
    made = Compactor(
        CompactionPolicy(trigger=WaterMark(high_tokens=6_000), keep_tokens=500),
        cache_ttl=ttl,
        clock=clock,
    )
    state, messages = MemoryState(), [user(HEAD_WORDS), assistant("Yes.")]
    for number in range(40):
        messages += [user(f"Turn {number}. " + "river " * 300)]
        pinned = frozenset({0})
        history = history_of(messages, model=model, provider=provider, pinned=pinned)
        turn = drive(made.turn(history, state))
        clock.advance(5.0)
        if turn.event is not None:
            assert turn.event.extra_usd is not None
            return turn.event.extra_usd
        state = turn.state
        messages.append(assistant("So it is. " + "stone " * 100))
    raise AssertionError("nothing was compacted")


def beginning_tokens(model: str, provider: str) -> int:
    """As a request of its own: what every request has once stands in front of it as well."""
    facts = RequestFacts(messages=(user(HEAD_WORDS),))
    return TokenCounter().count_request(facts, model=model, provider=provider).tokens


def test_where_only_ends_of_requests_are_found_the_beginning_is_written_anew() -> None:
    """GPT-5.6 and later mark the end of a prompt by themselves, and "match exactly at a
    breakpoint"; with markers of the application the beginning is found. Two dollars for a million
    tokens, a quarter more for writing, a tenth for reading (2026-11)."""
    model, provider = "gpt-6-sol", "openai"
    unmarked = first_compaction_usd(model, provider, "")
    marked = first_compaction_usd(model, provider, "5m")
    lost_usd = beginning_tokens(model, provider) * (2.50 - 0.20) / 1e6
    assert unmarked - marked == pytest.approx(lost_usd, rel=1e-6)


@pytest.mark.parametrize(
    ("model", "provider", "ttl", "written_usd"),
    [
        ("gpt-5.1", "openai", "", 1.25e-6),
        ("claude-sonnet-4-5", "anthropic", "5m", 3.75e-6),
        ("deepseek-v4-flash", "deepseek", "", 0.14e-6),
    ],
    ids=["steps", "claude", "deepseek"],
)
def test_elsewhere_the_beginning_is_read(
    model: str, provider: str, ttl: Literal["", "5m", "1h"], written_usd: float
) -> None:
    again_usd = beginning_tokens(model, provider) * written_usd
    assert first_compaction_usd(model, provider, ttl) < 0.2 * again_usd


def test_a_summary_by_a_model_without_a_price_is_taken_to_cost_what_the_answers_do() -> None:
    clock = ManualClock(START_S)
    unknown = Summarizer(model="nobody-knows", provider="nobody")
    priced = Summarizer(model="gpt-4o", provider="openai")
    kinds = []
    for summarizer in (unknown, priced):
        made = Compactor(
            CompactionPolicy(trigger=WaterMark(high_tokens=2_000), keep_tokens=300),
            summarizer=summarizer,
            clock=clock,
        )
        messages = [user("river " * 2_500), assistant("stone " * 400)] * 2 + [user("Well?")]
        decision = made.preview(
            history_of(messages, model="gpt-4o", provider="openai"), MemoryState()
        )
        assert decision.plan is not None
        kinds.append((decision.plan.way.kind, decision.plan.summary_nanos))
    assert kinds[0] == kinds[1]
