"""The class of a task: by its medians and one table."""

from __future__ import annotations

from typing import Any

import pytest

from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.inventory import THRESHOLDS, TaskGroup, inventory
from frugal_chains.replay.inventory._look import _ORDER
from frugal_chains.replay.inventory._thresholds import SIGNALS, classified
from frugal_chains.usage import Usage

USER = MessageFacts(role="user", text="hi")
RESULT = MessageFacts(role="tool", text="4 degrees", tool_call_id="c")


def group(*messages: MessageFacts, calls: int = 1, tools: int = 0, **usage: int) -> TaskGroup:
    request = RequestFacts(
        messages=messages or (USER,), tools=tuple(ToolFacts(name=str(n)) for n in range(tools))
    )
    tokens: dict[str, Any] = {"input_tokens": 10, "output_tokens": 2, **usage}
    call = RecordedCall(model="gpt-4o", task="t", request=request, usage=Usage(**tokens))
    (made,) = inventory([call] * calls, PriceBook()).groups
    return made


@pytest.mark.parametrize(
    ("made", "task_class", "reason"),
    [
        (group(), "simple", "below every threshold"),
        (group(output_tokens=149, input_tokens=1_999), "simple", "below"),
        (group(output_tokens=150), "moderate", "output tokens: median 150, moderate from 150"),
        (group(output_tokens=600), "complex", "output tokens: median 600, complex from 600"),
        (group(input_tokens=2_000), "moderate", "input tokens: median 2,000"),
        (group(input_tokens=16_000), "complex", "input tokens: median 16,000"),
        (group(output_tokens=100, reasoning_tokens=60), "moderate", "reasoning tokens"),
        (group(output_tokens=2_500, reasoning_tokens=2_000), "complex", "reasoning tokens"),
        (group(tools=1), "moderate", "tools offered: median 1"),
        (group(tools=12), "complex", "tools offered: median 12"),
        (group(USER, RESULT), "moderate", "tool results in the request: median 1"),
        (group(USER, *[RESULT] * 6), "complex", "tool results in the request: median 6"),
        (group(*[USER] * 4), "moderate", "turns of the user: median 4"),
        (group(*[USER] * 12), "complex", "turns of the user: median 12"),
        (group(MessageFacts(role="user", images=1)), "moderate", "images or recordings: median 1"),
        (group(MessageFacts(role="user", text="x" * 6_000)), "moderate", "characters in the"),
        (group(MessageFacts(role="system", text="x" * 60_000), USER), "simple", "below every"),
        # The highest class counts, and of that the signal that says most.
        (group(tools=3, output_tokens=900), "complex", "output tokens"),
        (group(tools=3, output_tokens=200), "moderate", "tools offered"),
    ],
)
def test_a_task_by_its_size_and_shape(made: TaskGroup, task_class: str, reason: str) -> None:
    assert made.task_class == task_class
    assert made.reason.startswith(reason)


def test_what_half_of_the_calls_reach_counts_not_what_a_few_do() -> None:
    def calls(long: int, short: int) -> list[RecordedCall]:
        lengths = [800] * long + [20] * short
        return [
            RecordedCall(
                model="gpt-4o", task="t", usage=Usage(input_tokens=9, output_tokens=length)
            )
            for length in lengths
        ]

    for long, short, expected in ((4, 6, "simple"), (6, 4, "complex")):
        (made,) = inventory(calls(long, short), PriceBook()).groups
        assert made.task_class == expected


def test_without_requests_the_reason_says_that_they_were_not_seen() -> None:
    bare = RecordedCall(model="gpt-4o", usage=Usage(input_tokens=9, output_tokens=9))
    (made,) = inventory([bare], PriceBook()).groups
    assert made.reason == "below the thresholds of its tokens; what was sent is not recorded"
    assert classified([None] * len(SIGNALS))[1].startswith("nothing is known")


def test_the_table_is_whole() -> None:
    assert SIGNALS == _ORDER
    for line in THRESHOLDS:
        assert 0 < line.moderate < line.complex
        assert line.why
        assert line.what
