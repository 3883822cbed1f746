"""What providers' caches keep, by their documents."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices.data import providers

from frugal_chains.pricing import PriceBook, TokenPrices
from frugal_chains.providers import cache_rule

CLAUDE = [
    # platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11-20.
    ("claude-opus-5", 512),
    ("claude-fable-5-1", 512),
    ("claude-sonnet-4-5", 1024),
    ("claude-sonnet-4-6", 1024),
    ("claude-sonnet-5", 1024),
    ("claude-opus-4-8", 1024),
    ("claude-haiku-4-5", 4096),
    ("claude-opus-4-5", 4096),
    ("claude-opus-4-6", 4096),
]


@pytest.mark.parametrize(("marker_ttl", "kept_s"), [("", 300), ("5m", 300), ("1h", 3600)])
def test_a_marker_may_ask_for_longer(marker_ttl: str, kept_s: int) -> None:
    """platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11-20."""
    assert cache_rule("anthropic").kept_s(marker_ttl) == kept_s


def test_a_marker_never_asks_for_less() -> None:
    rule = cache_rule("deepseek")
    assert rule.kept_s("5m") == rule.kept_s() == rule.ttl_s > 300


@pytest.mark.parametrize(("model", "least"), CLAUDE)
@pytest.mark.parametrize("provider", ["anthropic", "bedrock_converse", "google_vertexai", ""])
def test_the_minimum_of_claude_is_the_models(provider: str, model: str, least: int) -> None:
    rule = cache_rule(provider, model)
    assert (rule.min_tokens, rule.highest_min_tokens) == (least, None)
    assert rule.step_tokens == 1


@pytest.mark.parametrize(
    "model",
    [
        "claude-haiku-4-5-20251001",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "claude-haiku-4-5@20251001",
        "anthropic/claude-haiku-4.5",
    ],
)
def test_a_model_is_known_by_any_of_its_names(model: str) -> None:
    assert cache_rule("anthropic", model).min_tokens == 4096


def test_a_newer_model_is_not_taken_for_the_one_whose_name_it_begins_with() -> None:
    for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-opus-4-7", "claude-zeta-9"):
        rule = cache_rule("anthropic", model)
        assert (rule.min_tokens, rule.highest_min_tokens) == (1024, 4096)


@pytest.mark.parametrize(
    ("provider", "model", "least", "highest", "step"),
    [
        # developers.openai.com/api/docs/guides/prompt-caching: 1,024; steps until GPT-5.6.
        ("openai", "gpt-4o-2024-08-06", 1024, None, 128),
        ("azure_openai", "gpt-5.1", 1024, None, 128),
        ("", "gpt-4.1-mini", 1024, None, 128),
        ("openai", "gpt-5.6-terra", 1024, None, 1),
        ("azure_openai", "gpt-5.6-sol", 1024, None, 1),
        ("openai", "gpt-6.1-sol", 1024, None, 1),
        ("azure_openai", "our-deployment", 1024, None, 128),
        # ai.google.dev/gemini-api/docs/caching: 1,024 to 4,096 by model, and it disagrees with
        # its own earlier versions.
        ("google_genai", "gemini-2.5-flash", 2048, 4096, 1),
        ("google_genai", "gemini-3.8-flash", 4096, 4096, 1),
        ("google_genai", "gemini-zeta", 1024, 4096, 1),
        # api-docs.deepseek.com/guides/kv_cache: units end where requests do.
        ("deepseek", "deepseek-chat", 64, None, 1),
        ("ollama", "llama3.1:8b", 1, None, 1),
        # Whoever is not known may do what any provider does.
        ("house", "zeta-9000", 1024, 4096, 128),
        ("", "", 1024, 4096, 128),
    ],
)
def test_the_rule_of_a_provider_for_a_model(
    provider: str, model: str, least: int, highest: int | None, step: int
) -> None:
    rule = cache_rule(provider, model)
    assert (rule.min_tokens, rule.highest_min_tokens, rule.step_tokens) == (least, highest, step)


def test_steps_are_where_writing_is_free() -> None:
    """OpenAI's two kinds of caches differ in both; the price list says which is which."""
    at, book = datetime(2026, 11, 20, tzinfo=UTC), PriceBook()
    openai = next(each for each in providers if each.id == "openai")
    wrong = []
    for model in (each.id for each in openai.models):
        prices = TokenPrices.of(book, model=model, provider="openai", at=at)
        if prices is None:
            continue
        free = prices.cache_write <= prices.fresh
        if free != (cache_rule("openai", model).step_tokens == 128):
            wrong.append(model)
    assert wrong == []


def test_who_caches_unasked_and_for_how_long() -> None:
    assert not cache_rule("anthropic").automatic
    assert not cache_rule("bedrock").automatic
    for provider in ("openai", "azure", "google", "deepseek"):
        assert cache_rule(provider).automatic
    assert cache_rule("anthropic", "claude-opus-5").ttl_s == 300
    assert cache_rule("deepseek").ttl_s == 3600
