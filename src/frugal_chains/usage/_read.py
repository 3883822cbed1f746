"""`read_usage`: find the usage in whatever a provider or its SDK returned, and read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from frugal_chains.usage._anthropic import read_anthropic
from frugal_chains.usage._fields import Fields
from frugal_chains.usage._reading import UsageReading
from frugal_chains.usage._repair import Counts, finish
from frugal_chains.usage._shapes import (
    read_bedrock,
    read_cohere,
    read_gemini,
    read_langchain,
    read_llama_cpp,
    read_ollama,
    read_openai_chat,
    read_openai_responses,
)
from frugal_chains.usage._tiers import billed_usd_of, tier_of
from frugal_chains.usage._tools import tools_beside_usage

Detector = Callable[[Fields], bool]
Reader = Callable[[Fields, str], Counts]


def _any_of(*names: str) -> Detector:
    return lambda fields: fields.has(*names)


def _is_anthropic(fields: Fields) -> bool:
    own = ("cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "iterations",
           "server_tool_use")  # fmt: skip
    return fields.has("input_tokens", "output_tokens") and fields.has(*own)


def _is_langchain(fields: Fields) -> bool:
    """`input_token_details` is also OpenAI realtime's word; its parts have other names."""
    if not fields.has("input_token_details", "output_token_details", "total_cost"):
        return False
    details = fields.part("input_token_details", "output_token_details")
    return not details.has("audio_tokens", "cached_tokens", "text_tokens")


SHAPES: Final[tuple[tuple[Detector, Reader], ...]] = (
    (_any_of("prompt_tokens", "completion_tokens"), read_openai_chat),
    (_is_langchain, read_langchain),
    (_is_anthropic, read_anthropic),
    (_any_of("input_tokens", "output_tokens"), read_openai_responses),
    (_any_of("inputTokens", "outputTokens", "inputTokenCount", "outputTokenCount"), read_bedrock),
    (
        _any_of(
            "promptTokenCount", "prompt_token_count", "candidatesTokenCount",
            "candidates_token_count", "totalTokenCount", "total_token_count",
        ),
        read_gemini,
    ),
    (_any_of("billed_units", "tokens"), read_cohere),
    (_any_of("prompt_eval_count", "eval_count"), read_ollama),
    (_any_of("tokens_evaluated", "tokens_predicted", "predicted_n"), read_llama_cpp),
    # Embeddings of Voyage and others state a total alone.
    (_any_of("total_tokens"), read_openai_chat),
)  # fmt: skip
"""Which names betray which shape, most telling first. A shape that counts nothing was none: the
`tokens` of llama.cpp's `/completion` are no counts of Cohere's but a list of ids."""

WRAPPERS: Final = (
    "usage",  # most responses; LlamaIndex raw["usage"] and additional_kwargs["usage"]
    "usage_metadata",  # google-genai; LangChain's AIMessage
    "usageMetadata",  # Gemini's JSON
    "token_usage",  # LangChain's llm_output and response_metadata
    "message",  # Anthropic's message_start event
    "response",  # OpenAI's response.completed event
    "metadata",  # Bedrock's ConverseStream event
    "x_groq",  # Groq's streams
    "meta",  # Cohere v1
    "amazon-bedrock-invocationMetrics",
    "timings",  # llama.cpp
)
"""Where responses and events keep their usage."""

SHAPE_NAMES: Final = frozenset(
    {
        "prompt_tokens", "completion_tokens", "input_token_details", "output_token_details",
        "total_cost", "input_tokens", "output_tokens", "inputTokens", "outputTokens",
        "inputTokenCount", "outputTokenCount", "promptTokenCount", "prompt_token_count",
        "candidatesTokenCount", "candidates_token_count", "totalTokenCount", "total_token_count",
        "billed_units", "tokens", "prompt_eval_count", "eval_count", "tokens_evaluated",
        "tokens_predicted", "predicted_n", "total_tokens",
    }
)  # fmt: skip
"""All that a detector of `SHAPES` asks for first: what has none of these is no usage itself."""

_DEPTH: Final = 3
"""The deepest is Anthropic's message_start: event, message, usage."""


def read_usage(raw: object, *, provider: str | None = None) -> UsageReading | None:
    """Read a provider's usage from a mapping or an SDK object; never raises.

    `raw` is the usage itself or the response, chunk or event that holds it; hand in the response
    where you can, as some providers state the service tier and their server-side tools there.
    `provider` breaks ties between shapes that share their names.

    Returns None when there is no usage at all: nothing recognised, or nothing above 0. Numbers
    that cannot be true are repaired upwards and noted in `problems`. Of an Anthropic stream read
    `merge_anthropic_stream(start, delta)`: the delta alone has no input.
    """
    return _read(Fields(raw), str(provider or "").lower(), tier="", fees={}, depth=_DEPTH)


def _read(
    fields: Fields, provider: str, *, tier: str, fees: Counts, depth: int
) -> UsageReading | None:
    """Read `fields` or, when they are no usage, what they wrap; what they state is handed down."""
    tier = tier_of(fields) or tier
    for detects, reads in () if fields.lacks(SHAPE_NAMES) else SHAPES:
        if detects(fields):
            counts = reads(fields, provider)
            for name, count in fees.items():
                counts[name] = counts.get(name) or count  # the usage knows best what is billed
            reading = finish(counts, fields.problems, tier=tier, billed_usd=billed_usd_of(fields))
            if reading is not None:
                return reading
            if fields.problems:  # it speaks this shape and states nonsense, as a mock does: a
                return None  # mock answers to every name, and its answers are mocks again
    if not depth:
        return None
    fees = {**fees, **tools_beside_usage(fields)}
    for name in WRAPPERS:
        if fields.has(name):
            inner = fields.part(name)
            reading = _read(inner, provider, tier=tier, fees=fees, depth=depth - 1)
            if reading is not None:
                return reading
    return None
