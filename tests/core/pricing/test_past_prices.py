"""A replay of an old day takes the price of that day, or none: never silently today's.

Expected values are typed from the sources named, not from the tables of the package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from frugal_chains.pricing import Free, PriceBook, Priced, Unpriced
from frugal_chains.usage import Usage

K = 100_000
IN_OUT = {"input_tokens": K, "output_tokens": K}
LONG = {"input_tokens": 128_001, "output_tokens": 1000}
AUDIO = {"input_tokens": K, "output_tokens": K, "input_audio_tokens": K, "output_audio_tokens": K}
BOOK = PriceBook()


def day(year: int, month: int, date: int) -> datetime:
    return datetime(year, month, date, tzinfo=UTC)


# model, provider, day, counts, then USD or a part of the reason.
CASES = (
    # scrythe open_ai_cost.py: $3 / $1.50 cached / $12; litellm#8151: $1.10 / $4.40 since o3-mini
    ("o1-mini", "openai", day(2025, 1, 30), IN_OUT, "1.5"),
    ("o1-mini-2024-09-12", "openai", day(2024, 11, 1),
     {"input_tokens": K, "cache_read_tokens": K}, "0.15"),
    ("o1-mini", "openai", day(2025, 1, 31), IN_OUT, "0.55"),
    # scrythe open_ai_cost.py: audio $100 / $200
    ("gpt-4o-audio-preview", "openai", day(2024, 12, 16), AUDIO, "30"),
    ("gpt-4o-audio-preview", "openai", day(2024, 12, 17), AUDIO, "12"),
    # genai-prices lists the later snapshot's audio for both
    ("gpt-4o-realtime-preview-2024-10-01", "openai", day(2025, 6, 1), AUDIO, "audio price"),
    ("gpt-4o-realtime-preview-2024-10-01", "openai", day(2025, 6, 1), IN_OUT, "2.5"),
    ("gpt-4o-realtime-preview", "openai", day(2024, 12, 16), AUDIO, "audio price"),
    ("gpt-4o-realtime-preview", "openai", day(2024, 12, 17), AUDIO, "12"),
    # simonw/llm-claude-3#23: $1 / $5; LibreChat#4851 (2024-12-04): $0.80 / $4
    ("claude-3-5-haiku-20241022", "anthropic", day(2024, 11, 15), IN_OUT, "0.6"),
    ("claude-3-5-haiku-latest", "anthropic", day(2024, 12, 4), IN_OUT, "0.48"),
    # kunishou/GenerativeAI-Cost: $3.50 / $10.50; bigbullcloud.com: $7 / $21 above 128,000
    ("gemini-1.5-pro", "google", day(2024, 9, 30), IN_OUT, "1.4"),
    ("gemini-1.5-pro-001", "google", day(2024, 7, 1), LONG, "0.917007"),
    ("gemini-1.5-pro", "google", day(2024, 7, 1),
     {"input_tokens": K, "cache_read_tokens": K}, "no source at hand"),
    ("gemini-1.5-pro", "google", day(2024, 10, 1), IN_OUT, "0.625"),
    # langrila gemini/model_config.py: $0.35 / $1.05, and nothing above 128,000
    ("gemini-1.5-flash-001", "google", day(2024, 8, 11), IN_OUT, "0.14"),
    ("gemini-1.5-flash", "google", day(2024, 8, 11), LONG, "long-context price"),
    ("gemini-1.5-flash", "google", day(2024, 8, 12), IN_OUT, "0.0375"),
    # Roo-Code#2720: output $0.60, $3.50 when it thinks
    ("gemini-2.5-flash-preview-04-17", "google", day(2025, 5, 1), IN_OUT, "thinking"),
    ("gemini-2.5-flash-preview-05-20", "google", day(2025, 6, 1), IN_OUT, "thinking"),
    ("gemini-2.5-flash-preview-09-2025", "google", day(2025, 10, 1), IN_OUT, "0.28"),
    # ai.google.dev/gemini-api/docs/changelog: the aliases moved on 2026-01-21 and 2026-05-19
    ("gemini-flash-latest", "google", day(2026, 8, 20), IN_OUT, "moved this alias"),
    ("gemini-flash-latest", "google", day(2026, 11, 1), IN_OUT, "0.45"),
    ("gemini-flash-lite-latest", "google", day(2025, 10, 15), IN_OUT, "moved this alias"),
    ("gemini-flash-lite-latest", "google", day(2026, 11, 1), IN_OUT, "0.28"),
    ("gemini-pro-latest", "google", day(2026, 1, 20), IN_OUT, "moved this alias"),
    ("gemini-pro-latest", "google", day(2026, 1, 21), IN_OUT, "1.4"),
    # ai-tldr.dev: Mistral Small 24.09 at $0.20 / $0.60; simonw/llm-prices: Small 3 $0.10 / $0.30
    ("mistral-small-latest", "mistral", day(2024, 9, 16), IN_OUT, "Mistral cut its prices"),
    ("mistral-small-latest", "mistral", day(2024, 9, 17), IN_OUT, "0.08"),
    ("mistral-small-latest", "mistral", day(2025, 1, 30), IN_OUT, "0.04"),
    ("mistral-large-2407", "mistral", day(2024, 9, 16), IN_OUT, "Mistral cut its prices"),
    ("mistral-large-2407", "mistral", day(2024, 9, 17), IN_OUT, "0.8"),
    ("open-mistral-nemo", "mistral", day(2024, 9, 16), IN_OUT, "Mistral cut its prices"),
    ("codestral-latest", "mistral", day(2025, 1, 12), IN_OUT, "Codestral 25.01"),
    ("codestral-latest", "mistral", day(2025, 1, 13), IN_OUT, "0.12"),
    # cohere.com/pricing in 2024-04: $0.50 / $1.50 and $3 / $15; docs.cohere.com: the bare names
    # were those versions until 2025-09-15
    ("command-r", "cohere", day(2024, 6, 1), IN_OUT, "0.2"),
    ("command-r-03-2024", "cohere", day(2025, 9, 14), IN_OUT, "0.2"),
    ("command-r-plus", "cohere", day(2025, 3, 1), IN_OUT, "1.8"),
    ("command-r-plus", "cohere", day(2025, 9, 15), IN_OUT, "retired this name"),
    ("command-r-08-2024", "cohere", day(2025, 3, 1), IN_OUT, "0.075"),
    ("command-r-plus-08-2024", "cohere", day(2025, 3, 1), IN_OUT, "1.25"),
    # litellm's map: half of the fine-tuned input price
    ("ft:gpt-4o-mini-2024-07-18:acme::x", "openai", day(2026, 3, 1),
     {"input_tokens": K, "cache_read_tokens": K}, "0.015"),
    ("ft:gpt-4o-2024-08-06:acme::x", "openai", day(2026, 3, 1),
     {"input_tokens": K, "cache_read_tokens": K}, "0.1875"),
    ("ft:gpt-4o-2024-11-20:acme::x", "openai", day(2026, 3, 1),
     {"input_tokens": K, "cache_read_tokens": K}, "no price for it"),
    # developers.openai.com/api/docs/pricing: '-' in the cached input column
    *((model, "openai", day(2026, 3, 1), {"input_tokens": K, "cache_read_tokens": K}, usd)
      for model, usd in (
          ("gpt-5-pro", "1.5"), ("gpt-5.2-pro-2025-12-11", "2.1"), ("o1-pro", "15"),
          ("o3-pro", "2"), ("gpt-4", "3"), ("gpt-4-turbo", "1"), ("gpt-3.5-turbo", "0.05"),
          ("chatgpt-4o-latest", "0.5"), ("gpt-4o-2024-05-13", "0.5"), ("gpt-audio", "0.25"),
          ("ft:gpt-3.5-turbo-0125:acme::x", "0.3"))),
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "provider", "at", "counts", "right"), CASES,
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_day_has_its_own_price(
    model: str, provider: str, at: datetime, counts: dict[str, int], right: str
) -> None:
    got = BOOK.price(Usage(**counts), model=model, provider=provider, at=at)
    if right[0].isdigit():
        assert isinstance(got, Priced)
        assert got.cost_usd == Decimal(right)
    else:
        assert isinstance(got, Unpriced)
        assert right in got.reason


@pytest.mark.parametrize("tier", ["batch", "flex", "priority"])
@pytest.mark.parametrize(
    ("model", "provider"),
    [("gemini-flash-latest", "google"), ("gemini-2.5-flash-preview-05-20", "google"),
     ("mistral-large-2407", "mistral"), ("codestral-latest", "mistral")],
)  # fmt: skip
def test_what_is_refused_is_refused_in_every_tier(model: str, provider: str, tier: str) -> None:
    at = day(2025, 8, 1) if provider == "google" else day(2024, 9, 1)
    got = BOOK.price(Usage(**IN_OUT), model=model, provider=provider, tier=tier, at=at)
    assert isinstance(got, Unpriced)


def test_batch_halves_the_price_of_its_day() -> None:
    got = BOOK.price(
        Usage(**IN_OUT), model="claude-3-5-haiku-20241022", provider="anthropic", tier="batch",
        at=day(2024, 11, 15),
    )  # fmt: skip
    assert isinstance(got, Priced)
    assert got.cost_usd == Decimal("0.3")


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gemma-3-27b-it", "google_vertexai"), ("gemma-4-31b-it", "vertex_ai"),
     ("vertex_ai/gemma-3-27b-it", None), ("publishers/google/models/gemma-3-27b-it", "google")],
)  # fmt: skip
def test_gemma_is_free_at_the_gemini_api_alone(model: str, provider: str | None) -> None:
    at = day(2026, 3, 1)
    got = BOOK.price(Usage(**IN_OUT), model=model, provider=provider, at=at)
    assert isinstance(got, Unpriced)
    assert "not on Vertex AI" in got.reason
    bare = model.rpartition("/")[2]
    assert isinstance(BOOK.price(Usage(), model=bare, provider="google_genai", at=at), Free)


def test_the_model_that_vertex_sells_by_the_token_is_priced() -> None:
    # cloud.google.com/vertex-ai/generative-ai/pricing: $0.15 / $0.60
    got = BOOK.price(
        Usage(**IN_OUT), model="gemma-4-26b-a4b-it-maas", provider="google_vertexai",
        at=day(2026, 11, 1),
    )  # fmt: skip
    assert isinstance(got, Priced)
    assert got.cost_usd == Decimal("0.075")


@pytest.mark.parametrize("model", ["llama-3.3-70b-versatile", "openai/gpt-oss-120b"])
def test_groq_s_flex_costs_what_on_demand_costs(model: str) -> None:
    # console.groq.com/docs/flex-processing: "the same pricing as on-demand processing"
    usage, at = Usage(input_tokens=K, output_tokens=K), day(2026, 3, 1)
    flex = BOOK.price(usage, model=model, provider="groq", tier="flex", at=at)
    standard = BOOK.price(usage, model=model, provider="groq", at=at)
    assert isinstance(flex, Priced)
    assert isinstance(standard, Priced)
    assert flex.nanos == standard.nanos > 0
