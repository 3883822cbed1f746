"""The tables of tokenizers and output caps, against the packages that publish them."""

from __future__ import annotations

from importlib import import_module

import pytest
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from frugal_chains.providers import (
    bare_model_name,
    is_bedrock_id,
    max_output_tokens,
    model_family,
    tokenizer_facts,
)

# No package carries the ranks of OpenAI's encodings before cl100k_base; those models are retired.
RETIRED = {"gpt2", "r50k_base", "p50k_base", "p50k_edit"}


def test_every_model_that_tiktoken_lists_has_the_encoding_it_lists() -> None:
    listed = MODEL_TO_ENCODING | MODEL_PREFIX_TO_ENCODING
    for model, encoding in listed.items():
        facts = tokenizer_facts(model)
        if encoding in RETIRED:
            assert not facts.own_encoding, model
        else:
            assert (facts.encoding, facts.own_encoding) == (encoding, True), model


@pytest.mark.parametrize(
    ("model", "provider", "encoding", "own"),
    [
        ("gpt-4o-mini-2024-07-18", "openai", "o200k_base", True),
        ("gpt-5.2-codex", "openai", "o200k_base", True),
        ("o4-mini", None, "o200k_base", True),
        ("gpt-4-turbo", None, "cl100k_base", True),
        ("gpt-4.1-nano", None, "o200k_base", True),
        ("ft:gpt-3.5-turbo-0125:acme::abc", "openai", "cl100k_base", True),
        ("openai.gpt-oss-120b-1:0", "amazon_bedrock", "o200k_harmony", True),
        ("groq/openai/gpt-oss-20b", "groq", "o200k_harmony", True),
        ("gpt-6.1-terra", "openai", "o200k_base", False),
        ("gpt-daybreak-blue-latest", "openai", "o200k_base", False),
        ("our-deployment", "azure_openai", "o200k_base", False),
        ("anthropic.claude-v2:1", "bedrock", "o200k_base", False),
        ("", None, "o200k_base", False),
    ],
)
def test_encodings(model: str, provider: str | None, encoding: str, own: bool) -> None:
    facts = tokenizer_facts(model, provider)
    assert (facts.encoding, facts.own_encoding) == (encoding, own)


@pytest.mark.parametrize(
    ("model", "provider", "like"),
    [
        ("us.anthropic.claude-opus-4-6-v1:0", "amazon_bedrock", "claude-opus-4-6"),
        ("claude-sonnet-4@20250514", "google_vertexai", "claude-sonnet-4-20250514"),
        ("claude-opus-9", None, "claude-opus-5"),
        ("projects/p/locations/l/models/gemini-2.5-pro", None, "gemini-2.5-flash"),
        ("google_genai:gemini-3-pro", None, "gemini-3-flash"),
        ("meta.llama3-1-70b-instruct-v1:0", "aws", "llama-3.1-8b"),
        ("mistral:7b", "ollama", "mistral-large-latest"),
        ("anthropic/claude-opus-4.7", "openrouter", "claude-opus-4-7"),
        ("anthropic/claude-3.5-sonnet", "openrouter", "claude-3-5-sonnet-20241022"),
        ("claude-opus-4-7@default", "google_vertexai", "claude-opus-4-7"),
        ("claude-sonnet-4-5@20250929", "google_vertexai", "claude-sonnet-4-5"),
        ("us.deepseek.r1-v1:0", "aws", "deepseek-reasoner"),
        ("tuned-model", "anthropic", "claude-opus-5"),
        ("tuned-model", "mistralai", "mistral-large-latest"),
    ],
)
def test_spellings_of_one_family_count_alike(model: str, provider: str | None, like: str) -> None:
    assert tokenizer_facts(model, provider) == tokenizer_facts(like, provider)


def test_claude_changed_its_tokenizer_with_opus_4_7() -> None:
    older = [tokenizer_facts(f"claude-{m}").ascii_factor for m in ("opus-4-6", "haiku-4-5")]
    newer = [tokenizer_facts(f"claude-{m}").ascii_factor for m in ("opus-4-7", "haiku-5-5")]
    assert max(older) < min(newer)


@pytest.mark.parametrize(
    ("model", "bare", "family"),
    [
        ("GPT-4o-2024-08-06", "gpt-4o-2024-08-06", "gpt-4o"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None, "claude-sonnet-4-5"),
        ("claude-opus-4-5@20251101", None, "claude-opus-4-5"),
        ("mistral-large-latest", None, "mistral-large"),
        ("ft:gpt-4o-mini-2024-07-18:acme::9x", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai:gpt-5", "gpt-5", "gpt-5"),
        ("llama3.1:8b", "llama3.1:8b", "llama3.1:8b"),
        ("anthropic/claude-opus-4.7", "claude-opus-4-7", "claude-opus-4-7"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet", "claude-3-7-sonnet"),
        ("claude-opus-4-7@default", "claude-opus-4-7", "claude-opus-4-7"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620", "claude-3-5-sonnet"),
        ("claude-2.1", "claude-2.1", "claude-2.1"),
        ("openai/gpt-4o:floor", "gpt-4o", "gpt-4o"),
        ("openai/gpt-4o:extended", "gpt-4o:extended", "gpt-4o:extended"),
        ("global.deepseek.v3-v1:0", "deepseek-v3-v1:0", "deepseek-v3"),
        ("moonshotai.kimi-k2.5", "kimi-k2.5", "kimi-k2.5"),
    ],
)
def test_model_names(model: str, bare: str | None, family: str) -> None:
    assert model_family(model) == family
    if bare is not None:
        assert bare_model_name(model) == bare


@pytest.mark.parametrize(
    ("model", "bedrock"),
    [
        ("anthropic.claude-opus-5-v1:0", True),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("in.amazon.nova-pro-v1:0", True),
        ("global.minimax.minimax-m2", True),
        ("moonshot.kimi-k2-thinking", True),
        ("openai.gpt-oss-120b-1:0", True),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama4", True),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/x", True),
        ("claude-opus-5", False),
        ("anthropic/claude-opus-4.7", False),
        ("deepseek-chat", False),
        ("llama3.1:8b", False),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/x", False),
    ],
)
def test_ids_of_bedrock(model: str, bedrock: bool) -> None:
    assert is_bedrock_id(model) is bedrock


# models.dev, as LangChain's packages ship it. Where litellm's map allows more, the larger stands.
LARGER_ELSEWHERE = {"gpt-5.3-codex-spark", "gpt-4-turbo"}
NOT_CHAT = ("image", "embedding", "realtime")


@pytest.mark.parametrize("package", ["langchain_openai", "langchain_anthropic"])
def test_output_caps_agree_with_the_published_profiles(package: str) -> None:
    profiles = import_module(f"{package}.data._profiles")._PROFILES
    checked = 0
    for model, profile in profiles.items():
        published = profile.get("max_output_tokens")
        if not published or any(word in model for word in NOT_CHAT):
            continue
        cap = max_output_tokens(model)
        assert cap is not None, model
        if model in LARGER_ELSEWHERE:
            assert cap >= published, model
        else:
            assert cap == published, model
        checked += 1
    assert checked > 15


@pytest.mark.parametrize(
    ("model", "cap"),
    [
        # litellm 1.109.1 and, for Gemini, langchain-google-genai 4.4.2
        ("models/gemini-2.5-flash", 65_536),
        ("gemini-3.8-flash", 65_536),
        ("deepseek-chat", 8_192),
        ("deepseek-v4-pro", 393_216),
        ("gpt-5.2-chat-latest", 16_384),
        ("ft:gpt-4.1-mini-2025-04-14:acme::1", 32_768),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 64_000),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("anthropic/claude-3.5-sonnet", 8_192),
        ("anthropic/claude-opus-4.1", 32_000),
        ("anthropic/claude-sonnet-4.5:floor", 64_000),
        ("claude-sonnet-4-5@20250929", 64_000),
        ("claude-opus-4@20250514", 32_000),
        ("openai/gpt-4o:floor", 16_384),
        # `modelname_to_contextsize` of langchain-openai 1.7.3: their window was the only bound.
        ("gpt-4-32k", 32_768),
        ("gpt-4-32k-0613", 32_768),
        ("gpt-4", 8_192),
        ("gpt-3.5-turbo-16k", 16_384),
        ("gpt-35-turbo-16k", 16_384),
        ("text-embedding-3-large", 0),
        ("never-heard-of", None),
        ("", None),
    ],
)
def test_output_caps(model: str, cap: int | None) -> None:
    assert max_output_tokens(model) == cap
