"""The SDKs' own classes, LangChain's own converters, and genai-prices as an independent reader."""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStartEvent
from anthropic.types import Usage as AnthropicUsage
from anthropic.types.beta import BetaUsage
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st
from langchain_anthropic.chat_models import _create_usage_metadata as from_anthropic
from langchain_openai.chat_models.base import _create_usage_metadata as from_openai_chat
from langchain_openai.chat_models.base import (
    _create_usage_metadata_responses as from_openai_responses,
)
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.llms.openai import OpenAI as LlamaIndexOpenAI
from openai.types import CompletionUsage, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseUsage

from frugal_chains.usage import Usage, read_langchain_usage, read_usage

PARTS = st.tuples(*[st.integers(0, 5000)] * 6)
"""Six disjoint numbers of tokens; the payloads are composed of them, so the answer is known."""


def _chat_payload(parts: tuple[int, ...]) -> tuple[dict[str, Any], Usage]:
    plain, cached, written, audio, answer, thought = parts
    payload = {
        "prompt_tokens": plain + cached + written + audio,
        "completion_tokens": answer + thought,
        "total_tokens": sum(parts),
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": audio,
        },
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": 0},
    }
    return payload, Usage(
        input_tokens=plain + cached + written + audio,
        output_tokens=answer + thought,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        reasoning_tokens=thought,
        input_audio_tokens=audio,
    )


def _responses_payload(parts: tuple[int, ...]) -> tuple[dict[str, Any], Usage]:
    plain, cached, written, more, answer, thought = parts
    payload = {
        "input_tokens": plain + cached + written + more,
        "output_tokens": answer + thought,
        "total_tokens": sum(parts),
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens_details": {"reasoning_tokens": thought},
    }
    return payload, Usage(
        input_tokens=plain + cached + written + more,
        output_tokens=answer + thought,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        reasoning_tokens=thought,
    )


def _anthropic_payload(parts: tuple[int, ...]) -> tuple[dict[str, Any], Usage]:
    plain, cached, five, hour, answer, thought = parts
    payload = {
        "input_tokens": plain,
        "output_tokens": answer + thought,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": five,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens_details": {"thinking_tokens": thought},
        "service_tier": "standard",
    }
    return payload, Usage(
        input_tokens=plain + cached + five + hour,
        output_tokens=answer + thought,
        cache_read_tokens=cached,
        cache_write_5m_tokens=five,
        cache_write_1h_tokens=hour,
        reasoning_tokens=thought,
    )


_SERVED = {"default": "standard", "auto": "standard"}


def _in_its_keys(tier: str | None) -> str:
    """LangChain writes these two tiers into the keys of its usage, and no other."""
    return tier if tier in ("flex", "priority") else ""


def _same(reading: Any, expected: Usage, tier: str = "") -> None:
    """The reading holds exactly `expected`; where only output was used, that is noted."""
    if not expected.total_tokens:
        assert reading is None
        return
    note_expected = not expected.input_tokens
    assert bool(reading.problems) is note_expected
    assert reading.service_tier == tier
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
                 "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens"):  # fmt: skip
        assert getattr(reading.usage, name) == getattr(expected, name), name


@given(PARTS, st.sampled_from([None, "default", "flex", "priority"]))
def test_openai_chat_raw_sdk_and_langchain_agree(parts: tuple[int, ...], tier: str | None) -> None:
    payload, expected = _chat_payload(parts)
    served = _SERVED.get(tier, tier or "")
    _same(read_usage({"usage": payload, "service_tier": tier}), expected, served)
    _same(read_usage(CompletionUsage.model_validate(payload)), expected)
    _same(read_langchain_usage(from_openai_chat(payload, tier)), expected, _in_its_keys(tier))


@given(PARTS, st.sampled_from([None, "default", "flex", "priority"]))
def test_openai_responses_raw_sdk_and_langchain_agree(
    parts: tuple[int, ...], tier: str | None
) -> None:
    payload, expected = _responses_payload(parts)
    served = _SERVED.get(tier, tier or "")
    _same(read_usage({"usage": payload, "service_tier": tier}), expected, served)
    _same(read_usage(ResponseUsage.model_validate(payload)), expected)
    _same(read_langchain_usage(from_openai_responses(payload, tier)), expected, _in_its_keys(tier))


@given(PARTS)
def test_anthropic_raw_sdk_and_langchain_agree(parts: tuple[int, ...]) -> None:
    payload, expected = _anthropic_payload(parts)
    _same(read_usage(payload), expected, "standard")
    _same(read_usage(AnthropicUsage.model_validate(payload)), expected, "standard")
    _same(read_usage(BetaUsage.model_validate(payload)), expected, "standard")
    converted = from_anthropic(AnthropicUsage.model_validate(payload))
    _same(read_langchain_usage(converted), expected)


@given(st.tuples(*[st.integers(0, 5000)] * 4))
def test_anthropic_without_a_split_agrees_too(parts: tuple[int, ...]) -> None:
    plain, cached, written, answer = parts
    usage = AnthropicUsage(
        input_tokens=plain,
        output_tokens=answer,
        cache_read_input_tokens=cached,
        cache_creation_input_tokens=written,
    )
    expected = Usage(
        input_tokens=plain + cached + written,
        output_tokens=answer,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
    )
    _same(read_usage(usage), expected)
    _same(read_langchain_usage(from_anthropic(usage)), expected)


# --- genai-prices: another reader of the same payloads, written by others ---

ORACLE_FIELDS = (
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cache_read_tokens", "cache_read_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("reasoning_tokens", "output_reasoning_tokens"),
    ("input_audio_tokens", "input_audio_tokens"),
)


def _agrees_with_genai_prices(provider: str, flavor: str, response: dict[str, Any]) -> None:
    source = get_snapshot().find_provider(None, provider, None)
    _, theirs = source.extract_usage({"model": "any", **response}, api_flavor=flavor)
    ours = read_usage(response, provider=provider)
    assert ours is not None
    for name, their_name in ORACLE_FIELDS:
        their_value = theirs.__dict__.get(their_name)
        assert getattr(ours.usage, name) == (their_value or 0), name


@given(st.tuples(*[st.integers(1, 5000)] * 6))
def test_genai_prices_reads_the_same(parts: tuple[int, ...]) -> None:
    chat, responses = {"usage": _chat_payload(parts)[0]}, {"usage": _responses_payload(parts)[0]}
    _agrees_with_genai_prices("openai", "chat", chat)
    _agrees_with_genai_prices("openrouter", "chat", chat)
    _agrees_with_genai_prices("groq", "default", {"usage": _without_writes(chat["usage"])})
    _agrees_with_genai_prices("openai", "responses", responses)
    _agrees_with_genai_prices("x-ai", "chat", {"usage": _xai(parts)})
    _agrees_with_genai_prices("anthropic", "default", {"usage": _anthropic_payload(parts)[0]})
    _agrees_with_genai_prices("aws", "default", {"usage": _bedrock(parts)})
    _agrees_with_genai_prices("google", "default", {"usageMetadata": _gemini(parts)})


def _without_writes(payload: dict[str, Any]) -> dict[str, Any]:
    details = dict(payload["prompt_tokens_details"])
    del details["cache_write_tokens"]
    return {**payload, "prompt_tokens_details": details}


def _xai(parts: tuple[int, ...]) -> dict[str, Any]:
    plain, cached, _, _, answer, thought = parts
    return {
        "prompt_tokens": plain + cached,
        "completion_tokens": answer,
        "total_tokens": plain + cached + answer + thought,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _bedrock(parts: tuple[int, ...]) -> dict[str, Any]:
    plain, cached, five, hour, answer, _ = parts
    return {
        "inputTokens": plain,
        "outputTokens": answer,
        "totalTokens": plain + cached + five + hour + answer,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": five + hour,
        "cacheDetails": [{"ttl": "1h", "inputTokens": hour}, {"ttl": "5m", "inputTokens": five}],
    }


def _gemini(parts: tuple[int, ...]) -> dict[str, Any]:
    plain, cached, tools, audio, answer, thought = parts
    return {
        "promptTokenCount": plain + cached + audio,
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tools,
        "candidatesTokenCount": answer,
        "thoughtsTokenCount": thought,
        "totalTokenCount": plain + cached + audio + tools + answer + thought,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": plain + cached},
            {"modality": "AUDIO", "tokenCount": audio},
        ],
    }


# --- whole responses, as SDKs and LlamaIndex hand them over ---

CHAT_COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5.6-sol",
    "service_tier": "flex",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
    "usage": _chat_payload((10, 20, 30, 0, 5, 6))[0],
}
CHAT_USAGE = _chat_payload((10, 20, 30, 0, 5, 6))[1]


def test_a_whole_chat_completion_tells_its_tier() -> None:
    reading = read_usage(ChatCompletion.model_validate(CHAT_COMPLETION))
    assert reading is not None
    assert (reading.usage, reading.service_tier) == (CHAT_USAGE, "flex")


def test_llamaindex_openai_raw_and_additional_kwargs() -> None:
    raw = ChatCompletion.model_validate(CHAT_COMPLETION)
    llm = LlamaIndexOpenAI(model="gpt-4o", api_key="none")
    kwargs = llm._get_response_token_counts(raw)
    response = ChatResponse(
        message=ChatMessage(role="assistant"), raw=raw, additional_kwargs=kwargs
    )
    from_raw, from_kwargs = read_usage(response.raw), read_usage(response.additional_kwargs)
    assert from_raw is not None
    assert from_kwargs is not None
    assert from_raw.usage == CHAT_USAGE
    assert from_kwargs.usage == Usage(input_tokens=60, output_tokens=11)


def test_llamaindex_openai_reports_zero_for_a_server_without_usage() -> None:
    llm = LlamaIndexOpenAI(model="gpt-4o", api_key="none")
    assert read_usage(llm._get_response_token_counts({"usage": {}})) is None


def test_llamaindex_responses_keeps_the_sdk_object_in_additional_kwargs() -> None:
    payload, expected = _responses_payload((1, 2, 3, 4, 5, 6))
    reading = read_usage(
        {"usage": ResponseUsage.model_validate(payload), "built_in_tool_calls": []}
    )
    assert reading is not None
    assert reading.usage == expected


def test_llamaindex_anthropic_raw_is_a_dict_of_sdk_objects() -> None:
    payload, expected = _anthropic_payload((1, 2, 3, 4, 5, 6))
    message = Message.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-6",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": payload,
        }
    )
    for raw in (message, dict(message), message.model_dump()):
        reading = read_usage(raw)
        assert reading is not None
        assert reading.usage == expected


def test_an_anthropic_message_start_event_is_looked_into() -> None:
    event = RawMessageStartEvent.model_validate(
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-6",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 25, "output_tokens": 1},
            },
        }
    )
    reading = read_usage(event)
    assert reading is not None
    assert reading.usage == Usage(input_tokens=25, output_tokens=1)


def test_an_openai_response_completed_event_is_looked_into() -> None:
    payload, expected = _responses_payload((1, 2, 3, 4, 5, 6))
    response = Response.model_construct(
        service_tier="priority", output=[], usage=ResponseUsage.model_validate(payload)
    )
    reading = read_usage(SimpleNamespace(type="response.completed", response=response))
    assert reading is not None
    assert (reading.usage, reading.service_tier) == (expected, "priority")


def test_an_embedding_response() -> None:
    raw = CreateEmbeddingResponse.model_validate(
        {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [],
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )
    reading = read_usage(raw)
    assert reading is not None
    assert reading.usage == Usage(input_tokens=8)


def test_fields_unknown_to_the_sdk_are_kept_as_extras_and_read() -> None:
    usage = CompletionUsage.model_validate(
        {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "total_tokens": 10,
            "prompt_cache_hit_tokens": 4,
            "cost": 0.5,
        }
    )
    reading = read_usage(usage)
    assert reading is not None
    assert (reading.usage.cache_read_tokens, reading.billed_usd) == (4, "0.5")


class _Modality(IntEnum):
    """As in google.ai.generativelanguage, where modalities are numbers with names."""

    TEXT = 1
    AUDIO = 4


class _Slots:
    """An object with properties, as proto-plus messages are."""

    __slots__ = ()
    prompt_token_count = property(lambda self: 7)
    candidates_token_count = property(lambda self: 5)
    total_token_count = property(lambda self: 12)
    prompt_tokens_details = property(
        lambda self: (
            SimpleNamespace(modality=_Modality.TEXT, token_count=4),
            SimpleNamespace(modality=_Modality.AUDIO, token_count=3),
        )
    )


@pytest.mark.parametrize("raw", [_Slots(), SimpleNamespace(usage_metadata=_Slots())])
def test_objects_that_are_no_pydantic_models(raw: Any) -> None:
    reading = read_usage(raw)
    assert reading is not None
    assert reading.usage == Usage(input_tokens=7, output_tokens=5, input_audio_tokens=3)
