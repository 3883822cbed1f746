"""Anthropic streams: usage comes in two halves, and which half holds the input varies."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import MessageDeltaUsage, RawMessageDeltaEvent
from anthropic.types import Usage as AnthropicUsage

from frugal_chains.usage import Usage, UsageReading, merge_anthropic_stream, read_usage

START: dict[str, Any] = {
    "input_tokens": 472,
    "cache_read_input_tokens": 1800,
    "cache_creation_input_tokens": 248,
    "cache_creation": {"ephemeral_5m_input_tokens": 48, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 2,
    "service_tier": "priority",
}
WHOLE = Usage(
    input_tokens=2520,
    output_tokens=89,
    cache_read_tokens=1800,
    cache_write_5m_tokens=48,
    cache_write_1h_tokens=200,
)

CASES: list[tuple[str, Any, Any, Usage]] = [
    # platform.claude.com, streaming messages: the delta holds the output alone.
    ("input in message_start only", START, {"output_tokens": 89}, WHOLE),
    (
        "the delta repeats the input, as the SDK types it",
        START,
        {
            "output_tokens": 89,
            "input_tokens": 472,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
        },
        WHOLE,
    ),
    (
        "a gateway that knows the input at the end only",
        {"input_tokens": 0, "output_tokens": 0},
        {"input_tokens": 472, "output_tokens": 89, "cache_read_input_tokens": 1800},
        Usage(input_tokens=2272, output_tokens=89, cache_read_tokens=1800),
    ),
    (
        "a delta of nothing but zeros does not erase the start",
        START,
        {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 89},
        WHOLE,
    ),
    ("no delta came: the stream was cut", START, None, Usage(
        input_tokens=2520, output_tokens=2, cache_read_tokens=1800, cache_write_5m_tokens=48,
        cache_write_1h_tokens=200,
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "delta", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_halves_make_the_whole(start: Any, delta: Any, expected: Usage) -> None:
    reading = read_usage(merge_anthropic_stream(start, delta))
    assert reading is not None
    assert reading.usage == expected
    assert reading.problems == ()


def test_events_and_sdk_objects_are_taken_too() -> None:
    start_event = {
        "type": "message_start",
        "message": {"usage": AnthropicUsage.model_validate(START)},
    }
    delta_event = RawMessageDeltaEvent.model_validate(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 89},
        }
    )
    reading = read_usage(merge_anthropic_stream(start_event, delta_event))
    assert reading == UsageReading(usage=WHOLE, service_tier="priority")


def test_searches_and_compaction_come_with_the_delta() -> None:
    delta = {
        "output_tokens": 89,
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "iterations": [{"type": "compaction", "input_tokens": 1000, "output_tokens": 10}],
    }
    reading = read_usage(merge_anthropic_stream(START, delta))
    assert reading is not None
    assert reading.usage.input_tokens == WHOLE.input_tokens + 1000
    assert reading.usage.output_tokens == 99
    assert reading.usage.web_searches == 1


def test_where_the_model_ran_comes_with_the_start() -> None:
    start = {**START, "inference_geo": "us"}
    reading = read_usage(merge_anthropic_stream(start, {"output_tokens": 89}))
    assert reading is not None
    assert "inference_geo" in reading.problems[0]


def test_the_delta_alone_is_noted_for_its_missing_input() -> None:
    reading = read_usage(MessageDeltaUsage(output_tokens=89))
    assert reading is not None
    assert reading.usage == Usage(output_tokens=89, source="mixed")
    assert "89" in reading.problems[0]


def test_nothing_and_nothing_is_nothing() -> None:
    assert merge_anthropic_stream(None, None) == {}
    assert read_usage(merge_anthropic_stream(None, {})) is None
