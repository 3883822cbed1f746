"""Numbers that cannot be true: never an exception, never an undercount, always a note."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.errors import UsageError
from frugal_chains.usage import (
    COUNT_FIELDS,
    Usage,
    UsageReading,
    merge_anthropic_stream,
    read_langchain_usage,
    read_usage,
)


class Five(IntEnum):
    FIVE = 5


class Hostile:
    """An object, mapping and number that fails at everything."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)

    def __repr__(self) -> str:
        raise RuntimeError("no text")


# (value of completion_tokens, what it counts, whether it is noted)
VALUES: list[tuple[Any, int, bool]] = [
    (12, 12, False),
    (12.0, 12, False),
    ("12", 12, False),
    (Decimal("12"), 12, False),
    (Fraction(12), 12, False),
    (Five.FIVE, 5, False),
    (None, 0, False),
    (12.5, 13, True),
    ("12.5", 13, True),
    (-3, 0, True),
    (True, 0, True),
    (False, 0, True),
    (math.nan, 0, True),
    (Decimal("NaN"), 0, True),
    (Decimal("sNaN"), 0, True),
    (math.inf, 0, True),
    (10**400, 0, True),
    ("many", 0, True),
    ("9" * 6000, 0, True),
    ([12], 0, True),
    ({}, 0, True),
    (Hostile(), 0, True),
]


@pytest.mark.parametrize(
    ("value", "count", "noted"),
    VALUES,
    ids=[f"{i}-{type(v[0]).__name__}" for i, v in enumerate(VALUES)],
)
def test_a_value_is_a_count_or_a_problem(value: Any, count: int, noted: bool) -> None:
    reading = read_usage({"prompt_tokens": 7, "completion_tokens": value})
    assert reading is not None
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (7, count)
    assert bool(reading.problems) is noted
    assert reading.usage.source == ("mixed" if noted else "provider")
    if noted:
        assert "completion_tokens" in reading.problems[0]


# (raw, what the usage must be, numbers that the note must name)
CONTRADICTIONS: list[tuple[Any, Usage, list[str]]] = [
    (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=9, source="mixed"),
        ["9", "5"],
    ),
    (
        {
            "input_tokens": 10,
            "output_tokens": 1,
            "total_tokens": 11,
            "input_token_details": {"cache_read": 8, "cache_creation": 7},
        },
        Usage(
            input_tokens=15,
            output_tokens=1,
            cache_read_tokens=8,
            cache_write_5m_tokens=7,
            source="mixed",
        ),
        ["15", "10"],
    ),
    (
        {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "completion_tokens_details": {"reasoning_tokens": 40},
        },
        Usage(input_tokens=5, output_tokens=40, reasoning_tokens=40, source="mixed"),
        ["40", "3"],
    ),
    (
        {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 30},
        Usage(input_tokens=5, output_tokens=25, source="mixed"),
        ["30", "5", "3"],
    ),
    (
        {"input_tokens": 5, "output_tokens": 3, "total_tokens": 30},
        Usage(input_tokens=5, output_tokens=25, source="mixed"),
        ["30", "5", "3"],
    ),
    (
        {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 30},
        Usage(input_tokens=5, output_tokens=25, source="mixed"),
        ["30", "5", "3"],
    ),
    (
        {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 6},
        Usage(input_tokens=5, output_tokens=3, source="mixed"),
        ["6", "5", "3"],
    ),
    (
        {"prompt_tokens": math.nan, "completion_tokens": 3, "total_tokens": 30},
        Usage(input_tokens=27, output_tokens=3, source="mixed"),
        ["30", "3"],
    ),
    (
        {"total_tokens": 30},
        Usage(input_tokens=30, source="mixed"),
        ["30"],
    ),
    (
        {"input_tokens": 0, "output_tokens": 503},
        Usage(output_tokens=503, source="mixed"),
        ["503"],
    ),
    (
        # The split says more than the total.
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 5},
        },
        Usage(
            input_tokens=14,
            output_tokens=1,
            cache_write_5m_tokens=8,
            cache_write_1h_tokens=5,
            source="mixed",
        ),
        ["10", "8", "5"],
    ),
    (
        # The split says less: the rest goes to the dearer time to live that it names.
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 5},
        },
        Usage(
            input_tokens=21,
            output_tokens=1,
            cache_write_5m_tokens=8,
            cache_write_1h_tokens=12,
            source="mixed",
        ),
        ["20", "8", "5"],
    ),
    (
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 0},
        },
        Usage(input_tokens=21, output_tokens=1, cache_write_5m_tokens=20, source="mixed"),
        ["20", "8"],
    ),
    (
        # A child larger than its parent, whose parent then exceeds its own.
        {
            "input_tokens": 10,
            "output_tokens": 1,
            "input_token_details": {
                "audio_tokens": 4,
                "cached_tokens": 12,
                "cached_tokens_details": {"audio_tokens": 30},
            },
        },
        Usage(
            input_tokens=30,
            output_tokens=1,
            cache_read_tokens=30,
            input_audio_tokens=30,
            cache_read_audio_tokens=30,
            source="mixed",
        ),
        ["30", "4", "12", "10"],
    ),
]


@pytest.mark.parametrize(("raw", "expected", "named"), CONTRADICTIONS)
def test_a_contradiction_is_repaired_upwards_and_both_numbers_are_named(
    raw: Any, expected: Usage, named: list[str]
) -> None:
    reading = read_usage(raw)
    assert reading is not None
    assert reading.usage == expected
    text = " ".join(reading.problems)
    assert all(number in text for number in named)


def test_negative_and_nothing_else_is_no_usage() -> None:
    assert read_usage({"prompt_tokens": -5, "completion_tokens": 0}) is None


def test_a_mock_is_no_usage() -> None:
    """`int(MagicMock())` is 1: a mocked client must not put tokens on the books."""
    assert read_usage(MagicMock()) is None
    assert read_langchain_usage(MagicMock(), response_metadata=MagicMock()) is None


NAMES = [
    "usage", "usage_metadata", "usageMetadata", "token_usage", "message", "response", "metadata",
    "meta", "x_groq", "timings", "prompt_tokens", "completion_tokens", "total_tokens",
    "prompt_tokens_details", "completion_tokens_details", "cached_tokens", "cache_write_tokens",
    "cache_write_tokens_details", "ttl_30m_tokens", "ttl_12h_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cost",
    "cost_in_usd_ticks", "is_byok", "cost_details", "upstream_inference_cost", "input_tokens",
    "output_tokens", "input_tokens_details", "output_tokens_details", "input_token_details",
    "output_token_details", "cache_read", "cache_creation", "reasoning", "audio", "flex",
    "flex_cache_read", "priority_reasoning", "priority_cache_creation", "total_cost",
    "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "cache_read_input_tokens",
    "cache_creation_input_tokens", "iterations", "type", "model", "server_tool_use",
    "web_search_requests", "service_tier", "speed", "serviceTier", "output", "inputTokens",
    "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails", "ttl",
    "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount",
    "toolUsePromptTokenCount", "cachedContentTokenCount", "promptTokensDetails", "modality",
    "tokenCount", "cacheTokensDetails", "billed_units", "tokens", "prompt_eval_count",
    "eval_count", "tokens_evaluated", "tokens_predicted", "cache_n", "prompt_n", "predicted_n",
    "cache_creation_token_details", "inference_geo", "currency", "code_execution_requests",
    "web_fetch_requests", "server_side_tool_usage_details", "num_sources_used", "web_search_calls",
    "x_search_calls", "candidates", "groundingMetadata", "grounding_metadata", "webSearchQueries",
    "groundingChunks", "maps", "modelVersion", "billedToolCalls", "tool", "action", "environment",
    "successfulToolCallCount", "name", "id", "content", "args",
]  # fmt: skip

WORDS = [
    "AUDIO", "IMAGE", "1h", "5m", "flex", "batch", "fast", "compaction", "message", "search", "us",
    "web_search_call", "server_tool_call", "shell_call", "image_generation_call", "google_search",
    "gemini-" + "9" * 6000,
]  # fmt: skip

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 300), st.integers(), st.floats(), st.decimals(),
    st.binary(max_size=3), st.text(max_size=3), st.sampled_from(WORDS), st.builds(Hostile),
    st.builds(object),
)  # fmt: skip
COUNTS = st.integers(0, 300)
KEYS = st.one_of(st.sampled_from(NAMES), st.integers(), st.text(max_size=2))


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.dictionaries(KEYS, inner, max_size=8) | st.lists(inner, max_size=3),
        max_leaves=25,
    )


ANYTHING = _nested(st.one_of(COUNTS, JUNK))

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Nested junk takes long to make on a busy machine, which says nothing about the reader."""


def _holds(reading: UsageReading | None) -> None:
    """What is true of every reading, whatever was read."""
    if reading is None:
        return
    usage = reading.usage
    # Building it again runs every check of `Usage`.
    Usage(**{name: getattr(usage, name) for name in COUNT_FIELDS})
    assert any(getattr(usage, name) for name in COUNT_FIELDS)
    assert usage.source == ("mixed" if reading.problems else "provider")
    assert reading.service_tier in {
        "",
        "standard",
        "batch",
        "flex",
        "priority",
        "fast",
        "ultrafast",
    }
    assert reading.billed_usd is None or Decimal(reading.billed_usd) >= 0


@unhurried
@given(st.dictionaries(KEYS, ANYTHING, max_size=10), st.one_of(st.none(), st.text(max_size=5)))
def test_whatever_is_nested_is_read_without_an_exception(raw: Any, provider: str | None) -> None:
    _holds(read_usage(raw, provider=provider))


@unhurried
@given(ANYTHING, ANYTHING, st.lists(ANYTHING, max_size=2) | ANYTHING)
def test_whatever_langchain_hands_over_is_read_without_an_exception(
    raw: Any, meta: Any, content: Any
) -> None:
    _holds(read_langchain_usage(raw, response_metadata=meta, content=content))


@unhurried
@given(ANYTHING, ANYTHING)
def test_whatever_a_stream_holds_is_merged_without_an_exception(start: Any, delta: Any) -> None:
    _holds(read_usage(merge_anthropic_stream(start, delta)))


@given(
    st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS}),
    st.fixed_dictionaries({"cached_tokens": COUNTS, "cache_write_tokens": COUNTS}),
    st.fixed_dictionaries({"reasoning_tokens": COUNTS}),
    st.none() | COUNTS,
)
def test_a_repair_never_counts_less_than_any_number_says(
    usage: dict[str, int], prompt: dict[str, int], completion: dict[str, int], total: int | None
) -> None:
    reading = read_usage(
        {
            **usage,
            "total_tokens": total,
            "prompt_tokens_details": prompt,
            "completion_tokens_details": completion,
        }
    )
    if reading is None:
        return
    read = reading.usage
    assert read.input_tokens >= max(usage["prompt_tokens"], sum(prompt.values()))
    assert read.output_tokens >= max(usage["completion_tokens"], *completion.values())
    assert read.total_tokens >= (total or 0)
    assert read.cache_read_tokens == prompt["cached_tokens"]
    assert read.cache_write_tokens == prompt["cache_write_tokens"]


@pytest.mark.parametrize("name", COUNT_FIELDS)
@pytest.mark.parametrize("count", [-1, True, 1.0, math.nan, None])
def test_a_usage_is_not_made_of_what_is_no_count(name: str, count: Any) -> None:
    enough = {
        "input_tokens": 9,
        "output_tokens": 9,
        "cache_read_tokens": 3,
        "input_audio_tokens": 3,
    }
    with pytest.raises(UsageError, match=rf"^{name} must be an int >= 0"):
        Usage(**{**enough, name: count})
