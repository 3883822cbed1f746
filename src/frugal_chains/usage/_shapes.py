"""One reader per raw shape of usage: names of a provider in, counts as `Usage` includes them out.

Every shape states its source. What the providers disagree about is whether a parent includes its
parts; `Usage` always does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frugal_chains.usage._fields import Fields
from frugal_chains.usage._repair import Counts, add_what_stands_beside, check_total, split_writes
from frugal_chains.usage._tiers import LANGCHAIN_TIERS
from frugal_chains.usage._tools import google_billed_searches, tools_in_usage


def read_openai_chat(fields: Fields, provider: str) -> Counts:
    """OpenAI chat completions and embeddings, and the servers that speak this shape.

    Source: openai/types/completion_usage.py and create_embedding_response.py (openai 2.54.0,
    3.54.0). Parents include cached, written, audio, reasoning and predicted tokens, accepted or
    rejected ("still counted in the total completion tokens").

    The same, under names of their own: DeepSeek `prompt_cache_hit_tokens` + `..._miss_tokens` =
    `prompt_tokens` (platform.deepseek.com/api-docs/guides/kv_cache); Moonshot `cached_tokens`;
    Databricks, litellm and LlamaIndex's Bedrock `cache_read_input_tokens`,
    `cache_creation_input_tokens`. Groq, Mistral, vLLM and llama.cpp's server add nothing. xAI
    counts reasoning beside the parent.
    """
    total = fields.count("total_tokens")
    prompt, completion = (
        fields.part("prompt_tokens_details"),
        fields.part("completion_tokens_details"),
    )
    cached = max(
        prompt.count("cached_tokens"),
        fields.count("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"),
    )
    beside = fields.count("cache_creation_input_tokens", "cache_write_input_tokens")
    five, hour = _openai_writes(prompt, beside)
    counts: Counts = {
        "input_tokens": fields.count("prompt_tokens") or _deepseek_prompt(fields),
        "output_tokens": fields.count("completion_tokens"),
        "cache_read_tokens": cached,
        "cache_write_5m_tokens": five,
        "cache_write_1h_tokens": hour,
        "reasoning_tokens": max(
            completion.count("reasoning_tokens"), fields.count("reasoning_tokens")
        ),
        "input_audio_tokens": prompt.count("audio_tokens"),
        "input_image_tokens": prompt.count("image_tokens"),
        "output_audio_tokens": completion.count("audio_tokens"),
        "output_image_tokens": completion.count("image_tokens"),
        **tools_in_usage(fields),
    }
    add_what_stands_beside(counts, total, provider)
    check_total(counts, total, fields.problems)
    return counts


def _deepseek_prompt(fields: Fields) -> int:
    return fields.count("prompt_cache_hit_tokens") + fields.count("prompt_cache_miss_tokens")


def _openai_writes(details: Fields, total: int = 0) -> tuple[int, int]:
    """Cache writes, split by retention where the response does.

    Source: InputTokensDetailsCacheWriteTokensDetails in openai/types/responses/response_usage.py
    (openai 3.54.0). litellm keeps Anthropic's names and puts them into
    `cache_creation_token_details` (BerriAI/litellm#15056, read by DataDog/dd-trace-py#16843).
    """
    total = max(total, details.count("cache_write_tokens", "cache_creation_tokens"))
    split = details.part("cache_write_tokens_details", "cache_creation_token_details")
    five = split.count("ttl_30m_tokens", "ephemeral_5m_input_tokens")
    hour = split.count("ttl_12h_tokens", "ephemeral_1h_input_tokens")
    return split_writes(total, five, hour, details.problems)


def read_openai_responses(fields: Fields, provider: str) -> Counts:
    """OpenAI responses, realtime, images and transcription.

    Source: openai/types/responses/response_usage.py, realtime/realtime_response_usage.py,
    images_response.py, audio/transcription.py (openai 2.54.0). All parents include their parts.
    """
    total = fields.count("total_tokens")
    read = fields.part("input_tokens_details", "input_token_details")
    written = fields.part("output_tokens_details", "output_token_details")
    five, hour = _openai_writes(read)
    counts: Counts = {
        "input_tokens": fields.count("input_tokens"),
        "output_tokens": fields.count("output_tokens"),
        "cache_read_tokens": read.count("cached_tokens"),
        "cache_write_5m_tokens": five,
        "cache_write_1h_tokens": hour,
        # `thinking_tokens` is Anthropic's word, for a message without cache fields.
        "reasoning_tokens": written.count("reasoning_tokens", "thinking_tokens"),
        "input_audio_tokens": read.count("audio_tokens"),
        "cache_read_audio_tokens": read.part("cached_tokens_details").count("audio_tokens"),
        "input_image_tokens": read.count("image_tokens"),
        "output_audio_tokens": written.count("audio_tokens"),
        "output_image_tokens": written.count("image_tokens"),
        **tools_in_usage(fields),
    }
    add_what_stands_beside(counts, total)
    check_total(counts, total, fields.problems)
    return counts


def read_langchain(fields: Fields, provider: str) -> Counts:
    """LangChain's `usage_metadata`; what to know about it is in `_langchain`."""
    total = fields.count("total_tokens")
    read, written = fields.part("input_token_details"), fields.part("output_token_details")
    unsplit = read.count("cache_creation", *(f"{tier}_cache_creation" for tier in LANGCHAIN_TIERS))
    five, hour = read.count("ephemeral_5m_input_tokens"), read.count("ephemeral_1h_input_tokens")
    if unsplit == five + hour:  # the sum, repeated: not tokens of its own
        unsplit = 0
    counts: Counts = {
        "input_tokens": fields.count("input_tokens"),
        "output_tokens": fields.count("output_tokens"),
        "cache_read_tokens": read.count(
            "cache_read", *(f"{tier}_cache_read" for tier in LANGCHAIN_TIERS)
        ),
        "cache_write_5m_tokens": unsplit + five,
        "cache_write_1h_tokens": hour,
        "reasoning_tokens": written.count(
            "reasoning", *(f"{tier}_reasoning" for tier in LANGCHAIN_TIERS)
        ),
        "input_audio_tokens": read.count("audio"),
        "input_image_tokens": read.count("image"),
        "output_audio_tokens": written.count("audio"),
        "output_image_tokens": written.count("image"),
    }
    if provider.startswith("google"):
        # langchain-google-genai leaves tool-use prompts out of the parents (langchain-google#1959).
        counts["input_tokens"] = max(counts["input_tokens"], total - counts["output_tokens"])
    add_what_stands_beside(counts, total)
    check_total(counts, total, fields.problems)
    return counts


def read_bedrock(fields: Fields, provider: str) -> Counts:
    """Amazon Bedrock Converse, and the invocation metrics of InvokeModel streams.

    Source: TokenUsage and CacheDetail in botocore 1.44.5 (bedrock-runtime). `inputTokens` leaves
    cached tokens out: "total input tokens = inputTokens + cacheReadInputTokens +
    cacheWriteInputTokens" (docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, as
    quoted in crmne/ruby_llm#832, and so measured in mozilla-ai/any-llm#814). `cacheDetails` splits
    the writes by TTL. Streams of OpenAI models on Bedrock were seen to include cached tokens all
    the same (maximhq/bifrost#6942); nothing in them tells, so they are counted too high.
    """
    written = {"5m": 0, "1h": 0}
    for detail in fields.items("cacheDetails"):
        ttl = "1h" if detail.word("ttl") == "1h" else "5m"
        written[ttl] += detail.count("inputTokens")
    total = fields.count("cacheWriteInputTokens", "cacheWriteInputTokenCount")
    five, hour = split_writes(total, written["5m"], written["1h"], fields.problems)
    cached = fields.count("cacheReadInputTokens", "cacheReadInputTokenCount")
    return {
        "input_tokens": fields.count("inputTokens", "inputTokenCount") + cached + five + hour,
        "output_tokens": fields.count("outputTokens", "outputTokenCount"),
        "cache_read_tokens": cached,
        "cache_write_5m_tokens": five,
        "cache_write_1h_tokens": hour,
    }


_GEMINI_MODALITIES: Final[Mapping[str, str]] = {
    "audio": "audio",
    "image": "image",
    "document": "image",  # a page is read as an image; genai-prices 0.2.3 counts it so
}
"""Modalities priced apart. Video has no price of its own and stays in the parent."""


def read_gemini(fields: Fields, provider: str) -> Counts:
    """Google Gemini and Vertex AI, in JSON's camelCase and in the SDK's snake_case.

    Source: Google's UsageMetadata, as firebase.google.com/docs/reference/js/ai.usagemetadata and
    hexdocs.pm/geminix repeat it (read 2026-11-21). `promptTokenCount` includes the cached content;
    tool-use prompts and thoughts stand beside prompt and candidates; the total is the sum of the
    four. Some early servers counted thoughts among the candidates (simonw/llm-gemini#75): the
    total tells.
    """
    total = fields.count("totalTokenCount", "total_token_count")
    read = fields.count("promptTokenCount", "prompt_token_count")
    read += fields.count("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    thoughts = fields.count("thoughtsTokenCount", "thoughts_token_count")
    written = fields.count(
        "candidatesTokenCount", "candidates_token_count",
        "responseTokenCount", "response_token_count",
    )  # fmt: skip
    if total != read + written:
        written += thoughts
    counts: Counts = {
        "input_tokens": read,
        "output_tokens": written,
        "cache_read_tokens": fields.count("cachedContentTokenCount", "cached_content_token_count"),
        "reasoning_tokens": thoughts,
        "web_searches": google_billed_searches(fields),
    }
    for name, lists in _GEMINI_DETAILS.items():
        for entry in fields.items(*lists):
            modality = _GEMINI_MODALITIES.get(entry.word("modality"), "")
            key = name.format(modality)
            if modality and key in _GEMINI_BUCKETS:
                counts[key] = counts.get(key, 0) + entry.count("tokenCount", "token_count")
    check_total(counts, total, fields.problems)
    return counts


_GEMINI_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_{}_tokens": (
        "promptTokensDetails", "prompt_tokens_details",
        "toolUsePromptTokensDetails", "tool_use_prompt_tokens_details",
    ),
    "cache_read_{}_tokens": ("cacheTokensDetails", "cache_tokens_details"),
    "output_{}_tokens": (
        "candidatesTokensDetails", "candidates_tokens_details",
        "responseTokensDetails", "response_tokens_details",
    ),
}  # fmt: skip

_GEMINI_BUCKETS: Final = frozenset(
    {
        "input_audio_tokens",
        "input_image_tokens",
        "cache_read_audio_tokens",
        "output_audio_tokens",
        "output_image_tokens",
    }
)


def read_cohere(fields: Fields, provider: str) -> Counts:
    """Cohere v1 `meta` and v2 `usage`: what was billed, else what was processed.

    Source: docs.flexprice.io/cookbooks/pricing-teardowns/cohere-pricing (read 2026-11-21): "Its
    response distinguishes billable tokens from total processed tokens".
    """
    billed, processed = fields.part("billed_units"), fields.part("tokens")
    if billed.has("input_tokens", "output_tokens"):
        return {
            "input_tokens": billed.count("input_tokens"),
            "output_tokens": billed.count("output_tokens"),
        }
    return {
        "input_tokens": processed.count("input_tokens"),
        "output_tokens": processed.count("output_tokens"),
        "cache_read_tokens": fields.count("cached_tokens"),
    }


def read_ollama(fields: Fields, provider: str) -> Counts:
    """Ollama's own API (docs.ollama.com/api/usage, read 2026-11-21)."""
    return {
        "input_tokens": fields.count("prompt_eval_count"),
        "output_tokens": fields.count("eval_count"),
    }


def read_llama_cpp(fields: Fields, provider: str) -> Counts:
    """llama.cpp's own `/completion`, and `timings` alone.

    Seen on a llama.cpp server (xllamacpp 2026.10.11549): `tokens_evaluated` is the whole prompt,
    hit or miss; of it `timings.cache_n` came from the cache. `tokens_cached` is no hit count: it
    is the fill of the slot afterwards, prompt and answer.
    """
    timings = fields.part("timings") if fields.has("timings") else fields
    cached = timings.count("cache_n")
    return {
        "input_tokens": fields.count("tokens_evaluated") or timings.count("prompt_n") + cached,
        "output_tokens": fields.count("tokens_predicted") or timings.count("predicted_n"),
        "cache_read_tokens": cached,
    }
