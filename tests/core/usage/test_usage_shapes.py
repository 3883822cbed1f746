"""Every raw shape of usage, from the providers' documents and from servers that were seen.

The expected buckets are worked out by hand from what each provider says its numbers include.
"""

from __future__ import annotations

from typing import Any

import pytest

from frugal_chains.usage import Usage, read_usage

Case = tuple[str, Any, Usage]

OPENAI_CHAT: dict[str, Any] = {
    # The example of the chat completions reference, with the fields of gpt-5.6 (dotnet/extensions
    # issue 7635 shows a real one).
    "prompt_tokens": 9657,
    "completion_tokens": 78,
    "total_tokens": 9735,
    "prompt_tokens_details": {
        "cached_tokens": 1024,
        "cache_write_tokens": 8000,
        "audio_tokens": 12,
    },
    "completion_tokens_details": {
        "reasoning_tokens": 37,
        "audio_tokens": 3,
        "accepted_prediction_tokens": 8,
        "rejected_prediction_tokens": 5,
    },
}

CASES: list[Case] = [
    (
        "openai chat: predicted tokens are already in completion_tokens",
        OPENAI_CHAT,
        Usage(
            input_tokens=9657,
            output_tokens=78,
            cache_read_tokens=1024,
            cache_write_5m_tokens=8000,
            reasoning_tokens=37,
            input_audio_tokens=12,
            output_audio_tokens=3,
        ),
    ),
    (
        "openai responses: writes split into 30 minutes and 12 hours",
        # InputTokensDetailsCacheWriteTokensDetails, openai 3.54.0
        {
            "input_tokens": 9658,
            "input_tokens_details": {
                "cached_tokens": 100,
                "cache_write_tokens": 9000,
                "cache_write_tokens_details": {"ttl_30m_tokens": 2000, "ttl_12h_tokens": 7000},
            },
            "output_tokens": 42,
            "output_tokens_details": {"reasoning_tokens": 25},
            "total_tokens": 9700,
        },
        Usage(
            input_tokens=9658,
            output_tokens=42,
            cache_read_tokens=100,
            cache_write_5m_tokens=2000,
            cache_write_1h_tokens=7000,
            reasoning_tokens=25,
        ),
    ),
    (
        "openai embeddings",
        {"prompt_tokens": 8, "total_tokens": 8},
        Usage(input_tokens=8),
    ),
    (
        "openai realtime: cached audio is part of both cached and audio tokens",
        # The response.done example of the realtime reference.
        {
            "total_tokens": 253,
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 13,
                "image_tokens": 0,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        },
        Usage(
            input_tokens=132,
            output_tokens=121,
            cache_read_tokens=64,
            input_audio_tokens=13,
            cache_read_audio_tokens=4,
            output_audio_tokens=91,
        ),
    ),
    (
        "openai images",
        {
            "total_tokens": 100,
            "input_tokens": 50,
            "output_tokens": 50,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
            "output_tokens_details": {"text_tokens": 2, "image_tokens": 48},
        },
        Usage(input_tokens=50, output_tokens=50, input_image_tokens=40, output_image_tokens=48),
    ),
    (
        "anthropic: input_tokens leaves cached tokens out",
        # platform.claude.com, prompt caching, "1-hour cache duration"
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
        },
        Usage(
            input_tokens=4096,
            output_tokens=503,
            cache_read_tokens=1800,
            cache_write_5m_tokens=148,
            cache_write_1h_tokens=100,
        ),
    ),
    (
        "anthropic: writes without a split are at the default time to live",
        {"input_tokens": 5, "cache_creation_input_tokens": 1971, "output_tokens": 7},
        Usage(input_tokens=1976, output_tokens=7, cache_write_5m_tokens=1971),
    ),
    (
        "anthropic: thinking without any cache field",
        {
            "input_tokens": 10,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 40},
        },
        Usage(input_tokens=10, output_tokens=50, reasoning_tokens=40),
    ),
    (
        "anthropic: searches and thinking",
        {
            "input_tokens": 105,
            "output_tokens": 6039,
            "cache_read_input_tokens": 7123,
            "cache_creation_input_tokens": 7345,
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3},
            "output_tokens_details": {"thinking_tokens": 4000},
        },
        Usage(
            input_tokens=14573,
            output_tokens=6039,
            cache_read_tokens=7123,
            cache_write_5m_tokens=7345,
            reasoning_tokens=4000,
            web_searches=2,
        ),
    ),
    (
        "anthropic: compaction is billed beside the top level",
        # platform.claude.com, compaction, with a shorter conversation: see COMPACTION.
        {
            "input_tokens": 20000,
            "output_tokens": 1000,
            "iterations": [
                {
                    "type": "compaction",
                    "input_tokens": 180000,
                    "output_tokens": 3500,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                },
                {
                    "type": "message",
                    "input_tokens": 20000,
                    "output_tokens": 1000,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                },
            ],
        },
        Usage(input_tokens=200000, output_tokens=4500),
    ),
    (
        "anthropic: a request that is long by itself is long",
        {
            "input_tokens": 205000,
            "output_tokens": 1000,
            "iterations": [{"type": "compaction", "input_tokens": 180000, "output_tokens": 3500}],
        },
        Usage(input_tokens=385000, output_tokens=4500),
    ),
    (
        "anthropic: a declined attempt before a fallback is not billed",
        # The record in ccusage issue 1552.
        {
            "input_tokens": 2,
            "output_tokens": 13658,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 79214,
            "iterations": [
                {
                    "type": "message",
                    "model": "claude-fable-5",
                    "input_tokens": 2,
                    "output_tokens": 578,
                    "cache_creation_input_tokens": 10421,
                    "cache_read_input_tokens": 72769,
                },
                {
                    "type": "fallback_message",
                    "model": "claude-opus-4-8",
                    "input_tokens": 2,
                    "output_tokens": 13658,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 79214,
                },
            ],
        },
        Usage(input_tokens=79216, output_tokens=13658, cache_read_tokens=79214),
    ),
    (
        "gemini: thoughts and tool-use prompts stand beside",
        {
            "promptTokenCount": 264,
            "cachedContentTokenCount": 20,
            "candidatesTokenCount": 104,
            "toolUsePromptTokenCount": 40,
            "thoughtsTokenCount": 989,
            "totalTokenCount": 1397,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 6},
                {"modality": "IMAGE", "tokenCount": 100},
                {"modality": "DOCUMENT", "tokenCount": 58},
                {"modality": "VIDEO", "tokenCount": 50},
                {"modality": "AUDIO", "tokenCount": 50},
            ],
            "toolUsePromptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 30},
                {"modality": "AUDIO", "tokenCount": 10},
            ],
            "cacheTokensDetails": [
                {"modality": "TEXT", "tokenCount": 5},
                {"modality": "AUDIO", "tokenCount": 15},
            ],
            "candidatesTokensDetails": [
                {"modality": "TEXT", "tokenCount": 54},
                {"modality": "IMAGE", "tokenCount": 30},
                {"modality": "AUDIO", "tokenCount": 20},
            ],
        },
        Usage(
            input_tokens=304,
            output_tokens=1093,
            cache_read_tokens=20,
            reasoning_tokens=989,
            input_audio_tokens=60,
            cache_read_audio_tokens=15,
            input_image_tokens=158,
            output_audio_tokens=20,
            output_image_tokens=30,
        ),
    ),
    (
        "gemini, snake_case",
        # The SDK's print in mozilla-ai/any-llm issue 1290, and a cached part.
        {
            "prompt_token_count": 20,
            "candidates_token_count": 198,
            "thoughts_token_count": 405,
            "total_token_count": 623,
            "cached_content_token_count": 4,
        },
        Usage(input_tokens=20, output_tokens=603, cache_read_tokens=4, reasoning_tokens=405),
    ),
    (
        "gemini: thoughts alone",
        # router-for-me/CLIProxyAPI issue 5733
        {"promptTokenCount": 21, "thoughtsTokenCount": 60, "totalTokenCount": 81},
        Usage(input_tokens=21, output_tokens=60, reasoning_tokens=60),
    ),
    (
        "gemini: early servers counted thoughts among the candidates, the total tells",
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 100,
            "thoughtsTokenCount": 60,
            "totalTokenCount": 110,
        },
        Usage(input_tokens=10, output_tokens=100, reasoning_tokens=60),
    ),
    (
        "the same in snake_case",
        {
            "prompt_token_count": 10,
            "candidates_token_count": 100,
            "thoughts_token_count": 60,
            "total_token_count": 110,
        },
        Usage(input_tokens=10, output_tokens=100, reasoning_tokens=60),
    ),
    (
        "gemini live",
        {"promptTokenCount": 100, "responseTokenCount": 50, "totalTokenCount": 150},
        Usage(input_tokens=100, output_tokens=50),
    ),
    (
        "bedrock converse: cached tokens stand beside inputTokens, writes split by TTL",
        {
            "inputTokens": 12,
            "outputTokens": 60,
            "totalTokens": 2915,
            "cacheReadInputTokens": 1843,
            "cacheWriteInputTokens": 1000,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 700}, {"ttl": "5m", "inputTokens": 300}],
        },
        Usage(
            input_tokens=2855,
            output_tokens=60,
            cache_read_tokens=1843,
            cache_write_5m_tokens=300,
            cache_write_1h_tokens=700,
        ),
    ),
    (
        "bedrock invocation metrics",
        {
            "amazon-bedrock-invocationMetrics": {
                "inputTokenCount": 3,
                "outputTokenCount": 9,
                "cacheReadInputTokenCount": 5,
                "cacheWriteInputTokenCount": 7,
            }
        },
        Usage(input_tokens=15, output_tokens=9, cache_read_tokens=5, cache_write_5m_tokens=7),
    ),
    (
        "bedrock converse stream event",
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}}},
        Usage(input_tokens=3, output_tokens=4),
    ),
    (
        "deepseek: hit + miss = prompt",
        {
            "prompt_tokens": 51193,
            "completion_tokens": 71,
            "total_tokens": 51264,
            "prompt_cache_hit_tokens": 128,
            "prompt_cache_miss_tokens": 51065,
            "completion_tokens_details": {"reasoning_tokens": 11},
        },
        Usage(input_tokens=51193, output_tokens=71, cache_read_tokens=128, reasoning_tokens=11),
    ),
    (
        "deepseek without prompt_tokens",
        {"completion_tokens": 7, "prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 4},
        Usage(input_tokens=7, output_tokens=7, cache_read_tokens=3),
    ),
    (
        "openrouter",
        # openrouter.ai/docs/use-cases/usage-accounting
        {
            "completion_tokens": 2,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "cost": 0.95,
            "cost_details": {"upstream_inference_cost": 19},
            "prompt_tokens": 194,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 100,
                "audio_tokens": 0,
            },
            "total_tokens": 196,
            "server_tool_use": {"web_search_requests": 1},
        },
        Usage(input_tokens=194, output_tokens=2, cache_write_5m_tokens=100, web_searches=1),
    ),
    (
        "xai chat: reasoning stands beside completion_tokens",
        # The record in Wei-Shaw/sub2api issue 5771, which matches xAI's own charge.
        {
            "prompt_tokens": 10120,
            "completion_tokens": 1499,
            "total_tokens": 14428,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 2809},
        },
        Usage(input_tokens=10120, output_tokens=4308, cache_read_tokens=128, reasoning_tokens=2809),
    ),
    (
        "xai chat: reasoning below completion_tokens, still beside",
        {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "total_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        Usage(input_tokens=20, output_tokens=10, reasoning_tokens=3),
    ),
    (
        "mistral",
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_audio_seconds": None,
        },
        Usage(input_tokens=10, output_tokens=5),
    ),
    (
        "groq stream",
        {
            "choices": [],
            "usage": None,
            "x_groq": {
                "id": "req_1",
                "usage": {
                    "queue_time": 0.03,
                    "prompt_tokens": 18,
                    "prompt_time": 0.001,
                    "completion_tokens": 556,
                    "completion_time": 0.4,
                    "total_tokens": 574,
                    "prompt_tokens_details": {"cached_tokens": 4},
                },
            },
        },
        Usage(input_tokens=18, output_tokens=556, cache_read_tokens=4),
    ),
    (
        "moonshot",
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cached_tokens": 6},
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=6),
    ),
    (
        "one quantity under two names is counted once, at its largest",
        {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "prompt_cache_hit_tokens": 6,
            "cached_tokens": 4,
        },
        Usage(input_tokens=9, output_tokens=1, cache_read_tokens=6),
    ),
    (
        "databricks: reasoning at the top",
        {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "reasoning_tokens": 3},
        Usage(input_tokens=9, output_tokens=5, reasoning_tokens=3),
    ),
    (
        "images through an openai-compatible gateway",
        {
            "prompt_tokens": 90,
            "completion_tokens": 50,
            "total_tokens": 140,
            "prompt_tokens_details": {"image_tokens": 80, "text_tokens": 10},
            "completion_tokens_details": {"image_tokens": 40},
        },
        Usage(input_tokens=90, output_tokens=50, input_image_tokens=80, output_image_tokens=40),
    ),
    (
        "cache beside, reasoning inside: the total tells",
        {
            "prompt_tokens": 12,
            "completion_tokens": 60,
            "total_tokens": 172,
            "prompt_tokens_details": {"cached_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 10},
        },
        Usage(input_tokens=112, output_tokens=60, cache_read_tokens=100, reasoning_tokens=10),
    ),
    (
        "cache and reasoning beside: the total tells",
        {
            "prompt_tokens": 12,
            "completion_tokens": 60,
            "total_tokens": 182,
            "prompt_tokens_details": {"cached_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 10},
        },
        Usage(input_tokens=112, output_tokens=70, cache_read_tokens=100, reasoning_tokens=10),
    ),
    (
        # router-for-me/CLIProxyAPI pull request 5746, before the fix
        "gemini behind a gateway that speaks openai responses",
        {
            "input_tokens": 21,
            "output_tokens": 0,
            "total_tokens": 81,
            "output_tokens_details": {"reasoning_tokens": 60},
        },
        Usage(input_tokens=21, output_tokens=60, reasoning_tokens=60),
    ),
    (
        "cohere v1: billed, not processed",
        {
            "meta": {
                "billed_units": {"input_tokens": 20, "output_tokens": 33},
                "tokens": {"input_tokens": 215, "output_tokens": 33},
            }
        },
        Usage(input_tokens=20, output_tokens=33),
    ),
    (
        "cohere v2 without billed tokens",
        {
            "usage": {
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": 215, "output_tokens": 33},
                "cached_tokens": 100,
            }
        },
        Usage(input_tokens=215, output_tokens=33, cache_read_tokens=100),
    ),
    (
        "ollama",
        # docs.ollama.com/api/usage
        {
            "model": "gemma3",
            "response": "Hello! How can I help you today?",
            "done": True,
            "total_duration": 174560334,
            "prompt_eval_count": 11,
            "prompt_eval_duration": 13074791,
            "eval_count": 18,
            "eval_duration": 52479709,
        },
        Usage(input_tokens=11, output_tokens=18),
    ),
    (
        "llama.cpp /completion: tokens_cached is no hit count",
        # As a llama.cpp server of xllamacpp 2026.10.11549 answered, second call. `tokens` is always
        # there, and empty unless `return_tokens` asks for the ids (`to_json_non_oaicompat` in
        # llama.cpp tools/server/server-task.cpp).
        {
            "index": 0,
            "content": " Paris.",
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "tokens_predicted": 8,
            "tokens_evaluated": 8,
            "tokens_cached": 15,
            "timings": {"cache_n": 7, "prompt_n": 1, "predicted_n": 8, "prompt_ms": 10.777},
        },
        Usage(input_tokens=8, output_tokens=8, cache_read_tokens=7),
    ),
    (
        "llama.cpp /completion with the ids of its tokens",
        {"tokens": [12366, 13], "tokens_predicted": 2, "tokens_evaluated": 8},
        Usage(input_tokens=8, output_tokens=2),
    ),
    (
        "an empty shape before the one that counts",
        {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 3, "output_tokens": 4},
        Usage(input_tokens=3, output_tokens=4),
    ),
    (
        "llama.cpp chat: usage before timings",
        {
            "object": "chat.completion",
            "usage": {
                "completion_tokens": 6,
                "prompt_tokens": 36,
                "total_tokens": 42,
                "prompt_tokens_details": {"cached_tokens": 35},
            },
            "timings": {"cache_n": 35, "prompt_n": 1, "predicted_n": 6},
        },
        Usage(input_tokens=36, output_tokens=6, cache_read_tokens=35),
    ),
    (
        "llama.cpp stream chunk: timings alone",
        {"choices": [], "timings": {"cache_n": 35, "prompt_n": 1, "predicted_n": 6}},
        Usage(input_tokens=36, output_tokens=6, cache_read_tokens=35),
    ),
    (
        "llama.cpp as an anthropic server",
        {"cache_read_input_tokens": 35, "input_tokens": 1, "output_tokens": 6},
        Usage(input_tokens=36, output_tokens=6, cache_read_tokens=35),
    ),
    (
        "llamaindex additional_kwargs",
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "tool_calls": []},
        Usage(input_tokens=3, output_tokens=4),
    ),
    (
        "llamaindex bedrock additional_kwargs: the total shows that the cache stands beside",
        {
            "prompt_tokens": 12,
            "completion_tokens": 60,
            "total_tokens": 2915,
            "cache_read_input_tokens": 1843,
            "cache_creation_input_tokens": 1000,
        },
        Usage(
            input_tokens=2855,
            output_tokens=60,
            cache_read_tokens=1843,
            cache_write_5m_tokens=1000,
        ),
    ),
    (
        "litellm: the same names, included in prompt_tokens",
        {
            "prompt_tokens": 2855,
            "completion_tokens": 60,
            "total_tokens": 2915,
            "cache_read_input_tokens": 1843,
            "prompt_tokens_details": {"cached_tokens": 1843, "cache_creation_tokens": 1000},
        },
        Usage(
            input_tokens=2855,
            output_tokens=60,
            cache_read_tokens=1843,
            cache_write_5m_tokens=1000,
        ),
    ),
    (
        "litellm: the times to live of the writes, in Anthropic's names",
        {
            "prompt_tokens": 1100,
            "completion_tokens": 10,
            "total_tokens": 1110,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_creation_tokens": 1000,
                "cache_creation_token_details": {
                    "ephemeral_5m_input_tokens": 300,
                    "ephemeral_1h_input_tokens": 700,
                },
            },
            "cache_creation_input_tokens": 1000,
            "cache_read_input_tokens": 0,
        },
        Usage(
            input_tokens=1100,
            output_tokens=10,
            cache_write_5m_tokens=300,
            cache_write_1h_tokens=700,
        ),
    ),
]


@pytest.mark.parametrize(("raw", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_shape_is_read_exactly(raw: Any, expected: Usage) -> None:
    reading = read_usage(raw)
    assert reading is not None
    assert reading.problems == ()
    assert reading.usage == expected


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        "",
        "prompt_tokens",
        12,
        [],
        {"usage": None},
        {"usage": {}},
        {"choices": []},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}},
        {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0},
        {"prompt_token_count": 0},
        {"total_cost": 0},
        {"metadata": {"tokens": "mine"}},
    ],
)
def test_no_usage_at_all_is_none(raw: Any) -> None:
    assert read_usage(raw) is None


TIERS = [
    ({"service_tier": "flex", "usage": OPENAI_CHAT}, "flex"),
    ({"service_tier": "default", "usage": OPENAI_CHAT}, "standard"),
    ({"service_tier": "priority", "usage": OPENAI_CHAT}, "priority"),
    ({"service_tier": "fast", "usage": OPENAI_CHAT}, "fast"),
    ({"service_tier": "ultrafast", "usage": OPENAI_CHAT}, "ultrafast"),
    ({"usage": OPENAI_CHAT}, ""),
    ({"service_tier": None, "usage": OPENAI_CHAT}, ""),
    ({"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"}, "batch"),
    ({"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"}, "priority"),
    (
        {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "speed": "fast"},
        "fast",
    ),
    ({"serviceTier": {"type": "flex"}, "usage": {"inputTokens": 1, "outputTokens": 1}}, "flex"),
    ({"serviceTier": {"type": "reserved"}, "usage": {"inputTokens": 1}}, "standard"),
    ({"promptTokenCount": 1, "trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
]


@pytest.mark.parametrize(("raw", "tier"), TIERS)
def test_the_tier_that_served_is_read(raw: Any, tier: str) -> None:
    reading = read_usage(raw)
    assert reading is not None
    assert (reading.service_tier, reading.problems) == (tier, ())


def test_an_unknown_tier_is_noted() -> None:
    reading = read_usage({"service_tier": "warp", "usage": OPENAI_CHAT})
    assert reading is not None
    assert reading.service_tier == ""
    assert "warp" in reading.problems[0]


CHARGES = [
    ({"cost": 0.95}, "0.95"),
    ({"cost": 0}, "0"),
    ({"cost": 1.2e-08}, "0.000000012"),
    ({"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}, "0.95"),
    ({"cost": 0.95, "is_byok": True, "cost_details": {"upstream_inference_cost": 19}}, "19.95"),
    # docs.x.ai/developers/cost-tracking: 37756000 ticks cost $0.0038
    ({"cost_in_usd_ticks": 37756000}, "0.0037756"),
    ({"cost_in_usd_ticks": 25 * 10**9}, "2.5"),
    ({"cost": 100}, "100"),
    ({"cost": "1e-999999"}, "0"),
    ({"cost": 10**7}, None),
    ({"cost": "free"}, None),
    ({"cost": True}, None),
    ({"cost": float("nan")}, None),
    ({"cost": -1}, None),
    # A response of Perplexity's sonar-pro, and one of its agent API.
    (
        {
            "cost": {
                "input_tokens_cost": 0.000966,
                "output_tokens_cost": 0.01221,
                "request_cost": 0.006,
                "total_cost": 0.019176,
            }
        },
        "0.019176",
    ),
    ({"cost": {"currency": "USD", "tool_calls_cost": 0.005, "total_cost": 0.0174}}, "0.0174"),
    ({"cost": {"currency": "EUR", "total_cost": 0.0174}}, None),
    ({"cost": {"request_cost": 1}}, None),
    ({"cost": {"total_cost": "free"}}, None),
    ({}, None),
]


@pytest.mark.parametrize(("extra", "billed_usd"), CHARGES)
def test_the_charge_of_the_provider_is_read(extra: dict[str, Any], billed_usd: str | None) -> None:
    reading = read_usage({"prompt_tokens": 1, "completion_tokens": 1, **extra})
    assert reading is not None
    assert reading.billed_usd == billed_usd


def test_without_a_total_xai_counts_reasoning_beside() -> None:
    raw = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    beside, inside = read_usage(raw, provider="xai"), read_usage(raw, provider="openai")
    assert beside is not None
    assert inside is not None
    assert (beside.usage.output_tokens, inside.usage.output_tokens) == (13, 9)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("bedrock", Usage(input_tokens=17, output_tokens=2, cache_read_tokens=5)),
        ("xai", Usage(input_tokens=12, output_tokens=2, cache_read_tokens=5)),
        (None, Usage(input_tokens=12, output_tokens=2, cache_read_tokens=5)),
    ],
)
def test_without_a_total_the_provider_breaks_the_tie(provider: str | None, expected: Usage) -> None:
    raw = {"prompt_tokens": 12, "completion_tokens": 2, "cache_read_input_tokens": 5}
    reading = read_usage(raw, provider=provider)
    assert reading is not None
    assert reading.usage == expected


def test_advisor_tokens_are_counted_and_noted_with_their_model() -> None:
    # The record in ccusage issue 1115, shortened: the top level holds the executor alone.
    reading = read_usage(
        {
            "input_tokens": 2,
            "output_tokens": 491,
            "cache_read_input_tokens": 226584,
            "cache_creation_input_tokens": 7853,
            "iterations": [
                {"type": "message", "input_tokens": 1, "output_tokens": 45},
                {
                    "type": "advisor_message",
                    "model": "claude-opus-4-7",
                    "input_tokens": 159419,
                    "output_tokens": 7805,
                },
                {"type": "message", "input_tokens": 1, "output_tokens": 446},
            ],
        }
    )
    assert reading is not None
    assert reading.usage.input_tokens == 2 + 226584 + 7853 + 159419
    assert reading.usage.output_tokens == 491 + 7805
    assert reading.usage.source == "mixed"
    problem, of_the_sum = reading.problems
    assert "claude-opus-4-7" in problem
    assert "159419" in problem
    assert "several requests" in of_the_sum


COMPACTION: dict[str, Any] = {
    # platform.claude.com, compaction: 23,000/1,000 at the top, 180,000/3,500 for the summary.
    "input_tokens": 23000,
    "output_tokens": 1000,
    "iterations": [
        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
        {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
    ],
}


def test_a_sum_of_requests_that_is_longer_than_any_of_them_is_noted() -> None:
    """Claude Opus 4.6 cost twice as much above 200,000 tokens, a request."""
    reading = read_usage(COMPACTION)
    assert reading is not None
    assert reading.usage == Usage(input_tokens=203000, output_tokens=4500, source="mixed")
    (problem,) = reading.problems
    assert "203000" in problem
    assert "180000" in problem


def test_messages_that_the_top_level_sums_up_are_requests_of_their_own() -> None:
    message = {"type": "message", "input_tokens": 150000, "output_tokens": 500}
    raw = {"input_tokens": 300000, "output_tokens": 1000, "iterations": [message, message]}
    reading = read_usage(raw)
    assert reading is not None
    assert reading.usage == Usage(input_tokens=300000, output_tokens=1000, source="mixed")
    assert "150000" in reading.problems[0]


@pytest.mark.parametrize(
    ("geo", "noted"), [("us", 1), ("global", 0), ("not_available", 0), (None, 0)]
)
def test_inference_in_the_us_is_noted_because_it_costs_more(geo: Any, noted: int) -> None:
    raw = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 0}
    reading = read_usage({**raw, "inference_geo": geo})
    assert reading is not None
    assert len(reading.problems) == noted
    assert all("1.1" in problem for problem in reading.problems)
