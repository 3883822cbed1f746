"""The price book: three outcomes, days and hours, names, and what `explain` tells."""

from __future__ import annotations

import pickle
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.pricing import Free, PriceBook, Priced, Rates, Unpriced
from frugal_chains.pricing import _book as book_module
from frugal_chains.usage import Usage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BOOK = PriceBook()
LOT = Usage(input_tokens=1_000_000)


def cost(model: str, provider: str | None = None, **asked: object) -> Decimal | None:
    asked.setdefault("at", NOON)
    return BOOK.price(LOT, model=model, provider=provider, **asked).cost_usd  # type: ignore[arg-type]


# One model, its price per 1,000,000 input tokens, and the spellings that mean it.
SPELLINGS = (
    ("2.50", "gpt-4o", ("openai", "OpenAI", "openai_llm", "openai_responses_llm", None)),
    ("2.50", "openai:gpt-4o", (None,)),
    ("2.50", "openai/gpt-4o", (None, "litellm", "openai")),
    ("2.50", "GPT-4o", ("openai",)),
    ("2.50", "gpt-4o", ("azure", "azure_openai", "azure_ai", "azure_openai_llm")),
    ("2.50", "azure/gpt-4o", (None, "azure")),
    ("3", "claude-sonnet-4-6", ("anthropic", "Anthropic_LLM", None)),
    ("0.30", "gemini-2.5-flash", ("google", "google_genai", "google_vertexai", "GenAI", None)),
    ("0.30", "models/gemini-2.5-flash", ("google_genai", "Gemini_LLM", None)),
    ("0.30", "publishers/google/models/gemini-2.5-flash", ("google_vertexai",)),
    ("0.30", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", ("vertexai",)),
    ("0.30", "gemini/gemini-2.5-flash", (None,)),
    ("3.30", "us.anthropic.claude-sonnet-4-6-v1:0",
     ("aws", "amazon_bedrock", "bedrock_converse", "Bedrock_Converse_LLM", None)),
    ("3.30", "bedrock/us.anthropic.claude-sonnet-4-6-v1:0", (None,)),
    ("3", "arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-sonnet-4-6-v1:0",
     ("bedrock", None)),
    ("0.50", "mistral-large-2512", ("mistral", "mistralai", "MistralAI_LLM", None)),
    ("0.59", "llama-3.3-70b-versatile", ("groq", "Groq")),
    ("0.59", "groq/llama-3.3-70b-versatile", (None, "groq")),
    ("2.50", "openai/gpt-4o", ("openrouter",)),
    ("0.30", "ft:gpt-4o-mini-2024-07-18:acme::x1", ("openai", None)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("usd", "model", "provider"),
    [(usd, model, provider) for usd, model, providers in SPELLINGS for provider in providers],
)
def test_spellings_of_frameworks_and_providers_lead_to_one_price(
    usd: str, model: str, provider: str | None
) -> None:
    # A million input tokens is above 200,000, where these models have no second price.
    assert cost(model, provider) == Decimal(usd)


@pytest.mark.parametrize(
    "provider",
    ["ollama", "Ollama_llm", "llama.cpp", "llamacpp", "LlamaCPP_llm", "lmstudio", "LMStudio",
     "xllamacpp", "local"],
)  # fmt: skip
def test_a_model_on_ones_own_machine_is_free(provider: str) -> None:
    got = BOOK.price(LOT, model="smollm2-135m", provider=provider, at=NOON)
    assert got == Free(price_id="local")
    assert got.cost_usd == 0


@pytest.mark.parametrize(
    ("provider", "way_out"),
    [("openai-codex", "subscription"), ("vllm", "may cost money"), ("OpenAILike", "no price list"),
     ("huggingface", "no price list"), ("nvidia", "no price list"), ("ibm", "no price list")],
)  # fmt: skip
def test_a_provider_without_a_price_list_is_not_free(provider: str, way_out: str) -> None:
    got = BOOK.price(LOT, model="some-model", provider=provider, at=NOON)
    assert isinstance(got, Unpriced)
    assert way_out in got.reason
    assert "prices.toml" in got.reason


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "omni-moderation-latest"), ("google", "gemma-3-27b-it"),
     ("google", "gemma-4-26b-a4b-it"), ("google", "gemma-4-31b-it"),
     ("openrouter", "meta-llama/llama-3.3-70b-instruct:free")],
)  # fmt: skip
def test_a_hosted_model_is_free_only_where_its_provider_says_so(provider: str, model: str) -> None:
    assert BOOK.price(LOT, model=model, provider=provider, at=NOON) == Free(
        price_id="genai-prices 0.2.3"
    )


def test_a_listing_without_a_price_is_unpriced_even_for_nothing() -> None:
    got = BOOK.price(Usage(), model="devstral-small:free", provider="mistral", at=NOON)
    assert isinstance(got, Unpriced)
    assert "no price for its input tokens" in got.reason


# A bucket without a price of its own, and what the provider bills it as.
M = 1_000_000
BILLED_AS = (
    ("5", "openai", "gpt-5.5", {"input_tokens": 1000, "input_image_tokens": 1000}),
    ("15", "openai", "gpt-5-pro", {"input_tokens": M, "cache_read_tokens": M}),
    ("32", "openai", "gpt-audio", {"input_tokens": M, "input_audio_tokens": M,
                                   "cache_read_tokens": M, "cache_read_audio_tokens": M}),
    ("2.5", "openai", "gpt-4o", {"input_tokens": M, "cache_write_5m_tokens": M}),
    ("1.25", "openai", "gpt-5", {"input_tokens": M, "cache_write_1h_tokens": M}),
    ("12", "openai", "gpt-4o-mini-tts", {"output_tokens": M, "output_audio_tokens": M}),
    ("40", "openai", "gpt-image-1", {"output_tokens": M, "output_image_tokens": M}),
    ("15", "azure", "gpt-5-pro", {"input_tokens": M, "cache_read_tokens": M}),
    ("2.5", "azure", "gpt-4o", {"input_tokens": M, "cache_write_5m_tokens": M}),
    ("2.5", "azure", "gpt-4o", {"input_tokens": M, "cache_write_1h_tokens": M}),
    ("0.3", "google", "gemini-2.5-flash", {"input_tokens": M, "cache_write_5m_tokens": M}),
    ("0.3", "google", "gemini-2.5-flash", {"input_tokens": M, "cache_write_1h_tokens": M}),
    ("1.5", "google", "gemini-3.5-flash", {"input_tokens": M, "input_audio_tokens": M}),
    ("0.15", "google", "gemini-3.5-flash",
     {"input_tokens": M, "input_audio_tokens": M, "cache_read_tokens": M,
      "cache_read_audio_tokens": M}),
    ("10", "google", "gemini-2.5-flash-tts", {"output_tokens": M, "output_audio_tokens": M}),
    ("0.15", "deepseek", "deepseek-flash", {"input_tokens": M, "cache_write_5m_tokens": M}),
    ("10", "openai", "gpt-5", {"output_tokens": M, "reasoning_tokens": M}),
)  # fmt: skip


@pytest.mark.parametrize(("usd_per_mtok", "provider", "model", "counts"), BILLED_AS)
def test_a_bucket_is_billed_as_its_provider_says(
    usd_per_mtok: str, provider: str, model: str, counts: dict[str, int]
) -> None:
    got = BOOK.price(Usage(**counts), model=model, provider=provider, at=NOON)
    assert isinstance(got, Priced), got
    used = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
    assert got.cost_usd == Decimal(usd_per_mtok) * used / M


def test_no_write_rule_for_models_with_a_write_price() -> None:
    usage = Usage(input_tokens=10, cache_write_1h_tokens=10)
    for model in ("gpt-5.6-sol", "gpt-6-sol", "gpt-rosalind-research"):
        assert isinstance(BOOK.price(usage, model=model, provider="openai", at=NOON), Unpriced)


def test_a_price_changes_with_its_day() -> None:
    # Gemini 3.8 Flash doubles on 2027-01-01.
    assert cost("gemini-3.8-flash", at=datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == Decimal(
        "0.75"
    )
    assert cost("gemini-3.8-flash", at=datetime(2027, 1, 1, tzinfo=UTC)) == Decimal("1.5")


def test_days_are_utc_days() -> None:
    in_tokyo = timezone(timedelta(hours=9))
    new_year_in_tokyo = datetime(2027, 1, 1, 8, 59, tzinfo=in_tokyo)
    assert cost("gemini-3.8-flash", at=new_year_in_tokyo) == Decimal("0.75")
    assert cost("gemini-3.8-flash", at=new_year_in_tokyo + timedelta(minutes=1)) == Decimal("1.5")
    assert cost("gemini-3.8-flash", at=datetime(2027, 1, 1)) == Decimal("1.5")  # naive is UTC


def test_hours_of_one_day_do_not_share_a_price() -> None:
    hours = range(24)
    at = [datetime(2026, 11, 20, hour, 30, tzinfo=UTC) for hour in hours]
    peak = {hour for hour in hours if 1 <= hour < 4 or 6 <= hour < 10}
    usd = [cost("deepseek-flash", "deepseek", at=moment) for moment in at]
    assert {hour for hour in hours if usd[hour] == Decimal("0.30")} == peak
    assert {usd[hour] for hour in set(hours) - peak} == {Decimal("0.15")}
    rates = BOOK.rates(model="deepseek-flash", provider="deepseek", at=at[2])
    assert isinstance(rates, Rates)
    assert rates.price(LOT).cost_usd == Decimal("0.30")


def test_no_moment_means_now(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = datetime(2026, 11, 20, 2, tzinfo=UTC)
    monkeypatch.setattr(book_module.time, "time_ns", lambda: int(peak.timestamp()) * 10**9)
    assert PriceBook().price(LOT, model="deepseek-flash").cost_usd == Decimal("0.30")
    noon = peak.replace(hour=12)
    monkeypatch.setattr(book_module.time, "time_ns", lambda: int(noon.timestamp()) * 10**9)
    assert PriceBook().price(LOT, model="deepseek-flash").cost_usd == Decimal("0.15")


ASKED = [
    (model, provider, tier, datetime(year, month, day, hour, tzinfo=UTC))
    for model, provider in (("gpt-4o", "openai"), ("deepseek-chat", "deepseek"),
                            ("claude-sonnet-4-6", "anthropic"), ("gemini-3.8-flash", None))
    for tier in ("standard", "batch")
    for year, month, day in ((2024, 7, 1), (2025, 6, 2), (2026, 3, 12), (2026, 11, 20))
    for hour in (2, 17)
]  # fmt: skip
IN_ORDER = [BOOK.price(LOT, model=m, provider=p, tier=t, at=at) for m, p, t, at in ASKED]


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_in_which_days_are_asked_does_not_matter(shuffler: random.Random) -> None:
    order = list(range(len(ASKED)))
    shuffler.shuffle(order)
    fresh = PriceBook()
    for i in order:
        model, provider, tier, at = ASKED[i]
        got = fresh.price(LOT, model=model, provider=provider, tier=tier, at=at)
        assert got == IN_ORDER[i]


def test_rates_compile_once_per_model_provider_tier_and_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[object] = []
    real = book_module.resolve
    monkeypatch.setattr(
        book_module, "resolve", lambda *asked: compiled.append(asked[:3]) or real(*asked)
    )
    fresh = PriceBook()
    for tier in ("standard", "batch", "standard", "batch"):
        for hours in range(10):
            fresh.price(LOT, model="gpt-4o", tier=tier, at=NOON + timedelta(hours=hours))
    assert compiled == [("gpt-4o", None, "standard"), ("gpt-4o", None, "batch")]


def test_a_full_cache_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "_MAX_COMPILED", 3)
    small = PriceBook()
    usd = {small.price(LOT, model="gpt-4o", at=NOON + timedelta(days=n)).cost_usd
           for n in range(10)}  # fmt: skip
    assert usd == {Decimal("2.5")}
    assert len(small._compiled) <= 3


def test_price_ids_name_list_and_corrections() -> None:
    assert priced("gpt-4o").price_id == "genai-prices 0.2.3"
    assert priced("gpt-4o", tier="batch", at=datetime(2025, 6, 1, tzinfo=UTC)).price_id == (
        "genai-prices 0.2.3 corrected openai-batch"
    )
    assert priced("deepseek-flash").price_id == (
        "genai-prices 0.2.3 corrected deepseek-flash-offpeak"
    )


def priced(model: str, **asked: object) -> Priced:
    got = BOOK.price(LOT, model=model, **{"at": NOON, **asked})  # type: ignore[arg-type]
    assert isinstance(got, Priced), got
    return got


def test_the_three_outcomes_survive_pickling() -> None:
    for model, provider in (("gpt-4o", "openai"), ("llama3", "ollama"), ("nope", "openai")):
        got = BOOK.price(LOT, model=model, provider=provider, at=NOON)
        assert pickle.loads(pickle.dumps(got)) == got


def test_explain_tells_rates_bands_fees_and_sources() -> None:
    told = BOOK.explain("gemini-2.5-pro", at=NOON)
    assert (told.outcome, told.provider, told.listed_as) == (
        "priced", "google", "google/gemini-2.5-pro",
    )  # fmt: skip
    assert [band.above_tokens for band in told.bands] == [0, 200_000]
    assert told.bands[0].per_mtok["input"] == Decimal("1.25")
    assert told.bands[1].per_mtok["output"] == Decimal("15")
    assert told.fees["web_search"] == Decimal("35")
    assert told.reason == ""


def test_explain_tells_the_way_of_a_name_and_why_a_correction() -> None:
    told = BOOK.explain("azure/gpt-4o", tier="batch", at=NOON)
    assert told.names == ("azure/gpt-4o", "azure:gpt-4o")
    assert told.listed_as == "openai/gpt-4o"
    assert told.price_id.endswith("corrected azure-batch")
    assert any("learn.microsoft.com" in note for note in told.notes)


def test_explain_tells_why_there_is_no_price() -> None:
    told = BOOK.explain("gpt-17", "openai", at=NOON)
    assert told.outcome == "unpriced"
    assert "gpt-17" in told.reason
    assert told.bands == ()


@pytest.mark.parametrize("ask", ["rates", "explain"])
def test_those_who_type_a_tier_hear_of_a_misspelt_one(ask: str) -> None:
    with pytest.raises(ValueError, match="unknown service tier 'Batch'; expected one of standard"):
        getattr(BOOK, ask)(model="gpt-4o", tier="Batch")


def test_context_windows() -> None:
    assert BOOK.context_window_tokens("gpt-4o", "azure_openai") == 128_000
    assert BOOK.context_window_tokens("claude-opus-5") == 1_000_000
    assert BOOK.context_window_tokens("nope", "openai") is None
    assert BOOK.context_window_tokens("nope") is None


def test_the_import_is_lazy() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import frugal_chains.pricing as p; book = p.PriceBook.load()\n"
        "print([m for m in ('genai_prices', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_its_provider_has_deprecated_is_told() -> None:
    assert "deprecated by the provider" in PriceBook().explain("gemini-2.0-flash", "google").notes
    assert "deprecated by the provider" not in PriceBook().explain("gpt-5.1", "openai").notes
