"""Providers' published rules that a price list does not spell out.

The sources were read by 2026-11-21 as stored copies of the page, or as quoted by the project a row
names. "Start unconfirmed" marks a rule whose first day no page at hand states: nothing was sold
under it before it existed, so an early start prices nothing that was real.
"""

from __future__ import annotations

from decimal import Decimal

from frugal_chains.pricing._entries import BilledAs, TierRule, utc
from frugal_chains.pricing._tables import BUCKETS, Bucket

_HALF = Decimal("0.5")
_TEXT: tuple[Bucket, ...] = ("input", "input_image", "output", "reasoning")
_TOKENS: tuple[Bucket, ...] = (
    "input", "input_image", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning",
)  # fmt: skip
_MEDIA: tuple[Bucket, ...] = ("input", "input_audio", "input_image", "output", "reasoning")

# genai-prices lists most tiers from the day it verified them (2026-10-12 and 2026-10-14) and
# answers with the standard price before that day, and for resellers always.
TIER_RULES: tuple[TierRule, ...] = (
    TierRule(
        id="openai-batch", provider="openai", models=("*",), tier="batch", factor=_HALF,
        since=utc(2024, 4, 15),
        source="https://help.openai.com/en/articles/9197833-batch-api-faq: 50 % discount. "
        "Start unconfirmed",
    ),
    TierRule(
        id="openai-batch-embeddings", provider="openai", models=("text-embedding-*",),
        tier="batch", factor=_HALF, buckets=("input",), since=utc(2024, 7, 1),
        source="https://developers.openai.com/api/docs/pricing: embeddings, Batch "
        "column. Start unconfirmed",
    ),
    TierRule(
        id="openai-flex", provider="openai", models=("*",), tier="flex", factor=_HALF,
        since=utc(2025, 4, 17),
        source="https://developers.openai.com/api/docs/guides/flex-processing: Batch rates",
    ),
    TierRule(
        id="openai-priority", provider="openai", tier="priority", since=utc(2026, 3, 17),
        models=("gpt-4.1*", "gpt-4o*", "gpt-5", "gpt-5-2025*", "gpt-5-mini*", "gpt-5.1*",
                "gpt-5.2*", "gpt-5.4*", "o3*", "o4-mini*"),
        source="https://openai.com/api-priority-processing as of GPT-5.4 mini (2026-03-17)",
    ),
    TierRule(
        id="claude-batch", provider="anthropic", tier="batch", factor=_HALF, buckets=_TOKENS,
        models=("claude-3-haiku*", "claude-3-opus*", "claude-3-5-*", "claude-3.5-*",
                "claude-3-7-*", "claude-3.7-*", "claude-opus-*", "claude-sonnet-*",
                "claude-haiku-*", "claude-4*", "claude-fable-*", "claude-mythos-*"),
        since=utc(2024, 10, 8),
        source="https://platform.claude.com/docs/en/build-with-claude/batch-processing: 50 % of "
        "all usage, cache reads and writes included; https://claude.com/blog/message-batches-api "
        "(2024-10-08)",
    ),
    TierRule(
        id="gemini-batch", provider="google", models=("gemini-*",), tier="batch", factor=_HALF,
        since=utc(2025, 7, 7),
        source="https://developers.googleblog.com/scale-your-ai-workloads-batch-mode-gemini-api",
    ),
    TierRule(
        id="gemini-batch", provider="google", models=("gemini-3.5-flash", "gemini-3.7-flash*"),
        tier="batch", factor=_HALF, buckets=_MEDIA, since=utc(2026, 4, 2),
        source="https://ai.google.dev/gemini-api/docs/pricing, Batch tab",
    ),
    TierRule(
        id="gemini-flex", provider="google", models=("gemini-*",), tier="flex", factor=_HALF,
        buckets=_MEDIA, since=utc(2026, 4, 2),
        source="https://ai.google.dev/gemini-api/docs/optimization: Flex, 50 % discount",
    ),
    TierRule(
        id="gemini-priority", provider="google", tier="priority", factor=Decimal("1.8"),
        models=("gemini-3.7-flash*", "gemini-3.8-flash*", "gemini-4-argon*"), buckets=_MEDIA,
        since=utc(2026, 4, 2),
        source="https://ai.google.dev/gemini-api/docs/pricing, Priority tab",
    ),
    TierRule(
        id="vertex-claude-batch", provider="google", models=("*claude-*",), tier="batch",
        factor=_HALF, buckets=_TEXT, since=utc(2026, 10, 14),
        source="https://cloud.google.com/vertex-ai/generative-ai/pricing#claude-models: batch "
        "input and output",
    ),
    TierRule(
        id="mistral-batch", provider="mistral", models=("*",), tier="batch", factor=_HALF,
        since=utc(2024, 11, 7),
        source="https://docs.mistral.ai/capabilities/batch: 50 % discount. Start unconfirmed",
    ),
    TierRule(
        id="groq-flex", provider="groq", models=("*",), tier="flex", factor=Decimal(1),
        buckets=BUCKETS, since=utc(2024, 12, 1),
        source="https://console.groq.com/docs/flex-processing: pricing matches the on-demand "
        "tier. Start unconfirmed",
    ),
    TierRule(
        id="azure-batch", provider="azure", tier="batch", factor=_HALF, buckets=_TEXT,
        models=("gpt-*", "o1*", "o3*", "o4*", "text-embedding-*"), since=utc(2024, 9, 1),
        source="https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch: 50 % less than "
        "global standard. Start unconfirmed",
    ),
    TierRule(
        id="bedrock-batch", provider="aws", tier="batch", factor=_HALF, buckets=_TEXT,
        models=("*anthropic.claude-*", "*amazon.nova-*", "*meta.llama*", "*mistral.*"),
        since=utc(2024, 10, 29),
        source="https://aws.amazon.com/bedrock/pricing: batch at a 50 % lower price than "
        "on-demand; https://aws.amazon.com/blogs/machine-learning, Automate Amazon Bedrock batch "
        "inference (2024-10-29)",
    ),
)  # fmt: skip

_BEFORE_56 = (
    "gpt-3*", "gpt-4*", "chatgpt-4o*", "gpt-5", "gpt-5-*", "gpt-5.[1-5]*", "o1*", "o3*", "o4*",
    "codex-mini*",
)  # fmt: skip
_NO_WRITE_CHARGE = (
    "https://learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching: models before the "
    "GPT-5.6 family do not charge extra for cache writes"
)
_NO_CACHED_PRICE = "https://developers.openai.com/api/docs/pricing: '-' in the cached input column"
_AUDIO_NEVER_CACHED = (
    "gpt-4o-audio-preview*", "gpt-4o-mini-audio*", "gpt-4o-transcribe*", "gpt-4o-mini-transcribe*",
    "gpt-audio*",
)  # fmt: skip
_NEVER_CACHED = (
    "gpt-3.5*", "ft:gpt-3.5*", "gpt-4", "gpt-4-*", "ft:gpt-4-0*", "chatgpt-4o-latest", "gpt-4o",
    "gpt-4o-2024-05-13", "gpt-4o-mini-tts*", *_AUDIO_NEVER_CACHED, "o1-pro*", "o3-pro*",
    "gpt-5*-pro", "gpt-5*-pro-20*", "computer-use*",
)  # fmt: skip
_IMPLICIT = "https://ai.google.dev/gemini-api/docs/caching: implicit caching has no write price"
_ONE_INPUT_PRICE = (
    "https://ai.google.dev/gemini-api/docs/pricing: one input price for text, image, video and "
    "audio where no audio price stands beside it"
)

# In the order in which they are applied: a rule may lean on a bucket that an earlier one filled.
# Reasoning needs no rule: `Rates` bills it as the output it is part of, unless a list prices it
# apart (OpenAI reasoning guide, Anthropic extended thinking guide, Gemini thinking guide).
BILLED_AS: tuple[BilledAs, ...] = (
    BilledAs("*", ("*",), "input_image", "input",
             "images are billed as input tokens: OpenAI images guide, Anthropic vision guide, "
             "Gemini tokens guide"),
    BilledAs("openai", _NEVER_CACHED, "cache_read", "input", _NO_CACHED_PRICE),
    BilledAs("openai", _AUDIO_NEVER_CACHED, "cache_read_audio", "input_audio", _NO_CACHED_PRICE),
    BilledAs("openai", _BEFORE_56, "cache_write_5m", "input", _NO_WRITE_CHARGE),
    BilledAs("openai", _BEFORE_56, "cache_write_1h", "input", _NO_WRITE_CHARGE),
    BilledAs("openai", ("gpt-4o-mini-tts*",), "output_audio", "output",
             "https://developers.openai.com/api/docs/pricing: its output is audio"),
    BilledAs("openai", ("gpt-image-*",), "output_image", "output",
             "https://developers.openai.com/api/docs/pricing: its output is images"),
    BilledAs("azure", _BEFORE_56, "cache_read", "input", _NO_CACHED_PRICE),
    BilledAs("azure", _BEFORE_56, "cache_write_5m", "input", _NO_WRITE_CHARGE),
    BilledAs("azure", _BEFORE_56, "cache_write_1h", "input", _NO_WRITE_CHARGE),
    BilledAs("google", ("gemini-*",), "cache_write_5m", "input", _IMPLICIT),
    BilledAs("google", ("gemini-*",), "cache_write_1h", "input", _IMPLICIT),
    BilledAs("google", ("gemini-*",), "input_audio", "input", _ONE_INPUT_PRICE),
    BilledAs("google", ("gemini-*",), "cache_read_audio", "cache_read", _ONE_INPUT_PRICE),
    BilledAs("google", ("gemini-*tts*",), "output_audio", "output",
             "https://ai.google.dev/gemini-api/docs/pricing: its output is audio"),
    BilledAs("deepseek", ("*",), "cache_write_5m", "input",
             "https://api-docs.deepseek.com/guides/kv_cache: writing costs the cache-miss price"),
)  # fmt: skip

FREE_MODELS: tuple[tuple[str, str], ...] = (
    # https://developers.openai.com/api/docs/guides/moderation: free of charge
    ("openai", "*moderation*"),
    # https://ai.google.dev/gemini-api/docs/pricing: free of charge, no paid tier. On Vertex AI
    # they run on machines that are billed, and `resolve` leaves them unpriced.
    ("google", "gemma-3*"),
    ("google", "gemma-4-26b-a4b-it"),
    ("google", "gemma-4-31b-it"),
    # https://openrouter.ai/docs: models ending in :free
    ("openrouter", "*:free"),
)
"""Hosted models that cost nothing, as `(provider, glob)`. An empty price list alone is not proof:
genai-prices also lists models without a price."""

REFUSED_PROVIDERS: dict[str, str] = {
    "openai-codex": "it is billed by a ChatGPT subscription, not by tokens",
    "vllm": "a vLLM server has no price list, and the machine it runs on may cost money",
    "tgi": "a TGI server has no price list, and the machine it runs on may cost money",
}
"""Providers without a per-token price, and why they are not free either."""
