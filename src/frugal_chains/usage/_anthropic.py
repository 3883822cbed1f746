"""Anthropic messages: one message, its hidden iterations, and the two halves of a stream."""

from __future__ import annotations

from typing import Any, Final

from frugal_chains.usage._fields import Fields, count_of
from frugal_chains.usage._repair import Counts, split_writes
from frugal_chains.usage._tools import tools_in_usage


def read_anthropic(fields: Fields, provider: str) -> Counts:
    """Usage of an Anthropic message.

    Source: anthropic/types/usage.py and beta/beta_usage.py (anthropic 1.17.0). `input_tokens`
    leaves cached tokens out: "Total input tokens in a request is the summation of `input_tokens`,
    `cache_creation_input_tokens`, and `cache_read_input_tokens`" (anthropic/types/message.py).
    `output_tokens` includes thinking.
    """
    counts = _read_message(fields)
    details = fields.part("output_tokens_details")
    counts["reasoning_tokens"] = details.count("thinking_tokens", "reasoning_tokens")
    counts.update(tools_in_usage(fields))
    _add_iterations(counts, fields)
    return counts


def _read_message(fields: Fields) -> Counts:
    cached, split = fields.count("cache_read_input_tokens"), fields.part("cache_creation")
    five, hour = split_writes(
        fields.count("cache_creation_input_tokens"),
        split.count("ephemeral_5m_input_tokens"),
        split.count("ephemeral_1h_input_tokens"),
        fields.problems,
    )
    return {
        "input_tokens": fields.count("input_tokens") + cached + five + hour,
        "output_tokens": fields.count("output_tokens"),
        "cache_read_tokens": cached,
        "cache_write_5m_tokens": five,
        "cache_write_1h_tokens": hour,
    }


_INSIDE_TOP_LEVEL: Final = frozenset({"message", "fallback_message"})
"""Iterations that the top-level counts already hold. A declined attempt before a fallback is a
`message` that they do not hold and that is not billed (miiiiiiich/agent-walker#39,
ccusage/ccusage#1552)."""


def _add_iterations(counts: Counts, fields: Fields) -> None:
    """Add what `usage.iterations` holds and the top level does not.

    "A `compaction` entry's tokens are not included in the top-level `usage` fields"
    (anthropic/types/beta/beta_usage.py, anthropic 1.17.0). An `advisor_message` is not included
    either, and is billed at the rates of its own model (ccusage/ccusage#1115), which one usage
    cannot say: it is added and noted. So is a kind that is not known here.

    Every entry is a request of its own length, and so are the messages that the top level sums up.
    """
    top, lengths = counts["input_tokens"], []
    for entry in fields.items("iterations"):
        kind, extra = entry.word("type"), _read_message(entry)
        lengths.append(extra["input_tokens"])
        if kind in _INSIDE_TOP_LEVEL:
            top = 0
            continue
        for name, count in extra.items():
            counts[name] += count
        if kind != "compaction":
            fields.problems.append(
                f"iterations: {kind[:40]!r} of model {entry.word('model')[:80]!r} adds "
                f"{extra['input_tokens']} input and {extra['output_tokens']} output tokens, which "
                "may be billed at another model's rates"
            )
    _note_sum(counts["input_tokens"], max(top, *lengths, 0), fields)


LONG_CONTEXT_TOKENS: Final = 200_000
"""Longer requests to Claude up to Opus 4.6 and Sonnet 4.6 were billed higher as a whole, to these
two until 2026-03-13 (platform.claude.com/docs/en/about-claude/pricing#long-context-pricing)."""


def _note_sum(tokens: int, longest: int, fields: Fields) -> None:
    """Note a usage that is long only as a sum: its price will be looked up as one long request."""
    if longest <= LONG_CONTEXT_TOKENS < tokens:
        fields.problems.append(
            f"iterations: {tokens} input tokens are several requests, the longest of {longest}: "
            f"where requests above {LONG_CONTEXT_TOKENS} cost more, the price is too high"
        )


_CUMULATIVE: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
_STATED: Final = (
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "service_tier",
    "speed",
    "inference_geo",
)


def merge_anthropic_stream(start: object, delta: object) -> dict[str, Any]:
    """The usage of a streamed message, from its `message_start` and its last `message_delta`.

    Takes the usage of each, or the event, or the message that holds it; either may be None. The
    result is a mapping for `read_usage`. Counts in a delta are cumulative and mostly leave the
    input side to `message_start` (anthropic/types/message_delta_usage.py, anthropic 1.17.0; some
    gateways do the reverse), so the larger of the two is the count.
    """
    first, last = _usage_in(start), _usage_in(delta)
    merged: dict[str, Any] = {}
    for name in _CUMULATIVE:
        values = [half.get(name) for half in (last, first) if half.has(name)]
        if values:
            merged[name] = max(values, key=lambda value: count_of(value)[0])
    for name in _STATED:
        value = last.get(name)
        merged[name] = first.get(name) if value is None else value
    return {name: value for name, value in merged.items() if value is not None}


def _usage_in(half: object) -> Fields:
    """The usage of a stream event: in `message.usage`, in `usage`, or the thing itself."""
    fields = Fields(half)
    message = fields.part("message") if fields.has("message") else fields
    return message.part("usage") if message.has("usage") else message
