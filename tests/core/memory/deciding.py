"""Conversations that are decided about, one decision at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frugal_chains.memory import (
    CompactionPolicy,
    ConversationFacts,
    Decision,
    HeldMessage,
    MemoryState,
    MemoryTerms,
    WaterMark,
    decide,
    view,
    with_segment,
)
from tests.core.memory.conversations import (
    MODELS,
    PLAIN,
    UNCACHED,
    Model,
    said,
)

by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
EAGER = replace(PLAIN, trigger=WaterMark(high_tokens=1), keep_tokens=500)
"""Compacts whenever there is something to drop."""


def decided(
    messages: list[HeldMessage],
    state: MemoryState | None = None,
    policy: CompactionPolicy = EAGER,
    *,
    model: Model = UNCACHED,
    head: str = "h",
    head_tokens: int = 100,
    tail: int = 0,
    now_s: float = 0.0,
    expected: float | None = None,
    terms: MemoryTerms | None = None,
) -> Decision:
    facts = ConversationFacts(
        messages=messages, head_tokens=head_tokens, head=head, tail_tokens=tail
    )
    return decide(
        facts,
        state or MemoryState(),
        terms or model.terms("digest"),
        policy,
        now_s=now_s,
        expected_calls=expected,
    )


def gone_on(
    messages: list[HeldMessage], state: MemoryState | None = None, **given: object
) -> MemoryState:
    """The state after a decision, carried out if there is a plan."""
    decision = decided(messages, state, **given)  # type: ignore[arg-type]
    if decision.plan is None:
        return decision.state
    return with_segment(decision, f"text {len(messages)}", decision.plan.segment_tokens)


def shown(state: MemoryState, messages: list[HeldMessage]) -> list[str]:
    return [
        messages[one.position].key if one.position is not None else "segment"
        for one in view(state, len(messages))
    ]


def history(turns: int) -> list[HeldMessage]:
    """Ends with a question."""
    messages = [said("user", 300, "u0")]
    for n in range(1, turns):
        messages += [said("assistant", 400, f"a{n - 1}"), said("user", 300, f"u{n}")]
    return messages


def warm_state(model: Model, turns: int, **given: object) -> MemoryState:
    """After the call with so many questions, a conversation that has not been compacted."""
    state, messages = MemoryState(), history(turns)
    never = replace(PLAIN, trigger=WaterMark(high_tokens=10**9))
    for n in range(1, turns + 1):
        state = decided(
            messages[: 2 * n - 1],
            state,
            never,
            model=model,
            now_s=10.0 * n,
            **given,  # type: ignore[arg-type]
        ).state
    return state
