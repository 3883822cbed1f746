"""The longest answer each model family can give: the worst case when a request sets no cap.

Sources, read 2026-11-21: the model profiles shipped in langchain-openai 1.7.3, langchain-anthropic
1.7.7, langchain-google-genai 4.4.2, langchain-mistralai 1.1.6, langchain-deepseek 1.1.1,
langchain-xai 1.3.0 and langchain-groq 1.1.3 (`data/_profiles.py`, generated from models.dev), and
`model_prices_and_context_window_backup.json` of litellm 1.109.1; Anthropic's models overview for
Claude 3.x and 4.0 (32k Opus, 64k Sonnet, 128k Sonnet 3.7 with its beta header). Where two sources
disagree the larger number stands, because a reservation must not be too small; except where the
larger one only repeats the context window (gemini-4, grok-4.20, grok-4.3). The first GPT-4 and the
16k and 32k models had no other bound than that window (`modelname_to_contextsize` of
langchain-openai 1.7.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from frugal_chains.providers._model_names import bare_model_name, longest_prefix

_OUTPUT_CAPS: Mapping[str, int] = {
    # OpenAI. Reasoning tokens are inside the cap.
    "chat-latest-": 128_000,
    "chatgpt-4o-": 16_384,
    "codex-": 128_000,
    "computer-use-preview-": 1_024,
    "daybreak-": 128_000,
    "gpt-3.5-": 4_096,
    "gpt-3.5-turbo-16k-": 16_384,
    "gpt-35-turbo-": 4_096,
    "gpt-35-turbo-16k-": 16_384,
    "gpt-4-": 8_192,
    "gpt-4-0125-": 4_096,
    "gpt-4-1106-": 4_096,
    "gpt-4-32k-": 32_768,
    "gpt-4-turbo-": 4_096,
    "gpt-4.1-": 32_768,
    "gpt-4.5-": 16_384,
    "gpt-4o-": 16_384,
    "gpt-4o-2024-05-13-": 4_096,
    "gpt-5": 128_000,
    "gpt-5-chat-": 16_384,
    "gpt-5-pro-": 272_000,
    "gpt-5.1-chat-": 16_384,
    "gpt-5.2-chat-": 16_384,
    "gpt-5.3-chat-": 16_384,
    "gpt-6": 128_000,
    "gpt-audio-": 16_384,
    "gpt-daybreak-": 128_000,
    "gpt-oss-": 131_072,
    "gpt-realtime-": 32_000,
    "o1-": 100_000,
    "o3-": 100_000,
    "o4-": 100_000,
    # Embeddings have no output tokens.
    "text-embedding-": 0,
    # Anthropic
    "claude-3-": 4_096,
    "claude-3-5-": 8_192,
    "claude-3-7-": 128_000,
    "claude-fable-": 128_000,
    "claude-haiku-": 128_000,
    "claude-haiku-4-5-": 64_000,
    "claude-mythos-": 128_000,
    "claude-opus-": 128_000,
    "claude-opus-4-0-": 32_000,
    "claude-opus-4-1-": 32_000,
    "claude-opus-4-2025": 32_000,
    "claude-opus-4-5-": 64_000,
    "claude-sonnet-": 128_000,
    "claude-sonnet-4-0-": 64_000,
    "claude-sonnet-4-2025": 64_000,
    "claude-sonnet-4-5-": 64_000,
    # Google
    "gemini-1.": 8_192,
    "gemini-2.0-": 8_192,
    "gemini-2.5-": 65_536,
    "gemini-3": 65_536,
    "gemini-4": 65_536,
    "gemini-embedding-": 0,
    "gemini-flash-": 65_536,
    "gemini-omni-": 65_536,
    "gemini-pro-": 65_536,
    "gemma-3-": 8_192,
    "gemma-4-": 32_768,
    # Mistral: bounded by the context window of the model.
    "codestral-": 256_000,
    "devstral-": 262_144,
    "magistral-": 262_144,
    "ministral-": 262_144,
    "mistral-large-": 262_144,
    "mistral-large-4-": 1_048_576,
    "mistral-medium-": 262_144,
    "mistral-small-": 262_144,
    "open-mistral-": 128_000,
    "pixtral-": 128_000,
    # DeepSeek
    "deepseek-chat-": 8_192,
    "deepseek-flash-": 393_216,
    "deepseek-reasoner-": 65_536,
    "deepseek-v3": 163_840,
    "deepseek-v4": 393_216,
    # xAI
    "grok-4.20-": 30_000,
    "grok-4.3-": 30_000,
    "grok-4.5-": 500_000,
    "grok-4.6-": 500_000,
    "grok-4.7-": 500_000,
    "grok-build-": 500_000,
    "grok-code-": 256_000,
    # Open weights, by the most generous host listed
    "kimi-k2": 262_144,
    "kimi-k3": 1_048_576,
    "llama-3.1-": 131_072,
    "llama-3.3-": 131_072,
    "llama-4-": 131_072,
    # Cohere
    "command-a-": 64_000,
    "command-r": 4_096,
}


@lru_cache(maxsize=1024)
def max_output_tokens(model: str) -> int | None:
    """The most tokens `model` can produce in one answer, or None when it is not known.

    Takes any spelling a framework reports: snapshots, Bedrock ids, `models/` prefixes, fine-tunes.
    """
    return longest_prefix(_OUTPUT_CAPS, bare_model_name(model))
