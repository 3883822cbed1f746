"""What genai-prices 0.2.3 gets silently wrong: corrected or refused here, with the source.

Each trap also states what genai-prices itself answers today. When a new version of it no longer
falls into one, that test fails, and the correction can be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from frugal_chains.errors import UsageError
from frugal_chains.pricing import Free, PriceBook, Priced, Unpriced
from frugal_chains.usage import Usage

M = 1_000_000
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # Friday


def day(year: int, month: int, date: int, hour: int = 12) -> datetime:
    return datetime(year, month, date, hour, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Trap:
    name: str
    source: str
    model: str
    provider: str | None
    genai: str
    """What genai-prices answers: USD, or the exception it raises."""
    right: str
    """USD, `free`, or a part of the reason for `unpriced: ...`."""
    tier: str = "standard"
    at: datetime = NOW
    counts: Mapping[str, int] = field(default_factory=lambda: {"input_tokens": 100_000})


SONNET_45 = "anthropic.claude-sonnet-4-5-20250929-v1:0"
TRAPS = (
    # usage shapes
    Trap(
        name="1h write without the write total", model="claude-sonnet-4-6", provider="anthropic",
        counts={"input_tokens": M, "cache_write_1h_tokens": M}, genai="ValueError", right="6",
        source="platform.claude.com/docs/en/about-claude/pricing: 1h writes $6 on Sonnet 4.6",
    ),
    Trap(
        name="12-hour writes at the 30-minute price", model="gpt-6.1-terra", provider="openai",
        counts={"input_tokens": 100_000, "cache_write_tokens": 100_000,
                "cache_write_1h_tokens": 100_000}, genai="0.125", right="0.25",
        source="developers.openai.com/api/docs/models/gpt-6.1-terra: $2.50 for 12-hour retention",
    ),
    Trap(
        name="1h writes that Bedrock does not sell", provider="aws",
        model="us.anthropic.claude-opus-4-1-20250805-v1:0",
        counts={"input_tokens": 100_000, "cache_write_tokens": 100_000,
                "cache_write_1h_tokens": 100_000}, genai="1.875", right="unpriced: cache_write_1h",
        source="genai-prices data.py: no cache_write_1h_mtok in that entry",
    ),
    Trap(
        name="audio at the text price", model="gpt-4o-audio-preview", provider="openai",
        counts={"input_tokens": 100_000, "input_audio_tokens": 100_000}, genai="0.25", right="4",
        source="developers.openai.com/api/docs/models/gpt-4o-audio-preview: audio input $40",
    ),
    Trap(
        name="output of an embedding model for nothing", model="text-embedding-3-small",
        provider="openai", counts={"input_tokens": 0, "output_tokens": M}, genai="0",
        right="unpriced: output", source="developers.openai.com/api/docs/pricing: no output price",
    ),
    Trap(
        name="billed by the hour, so 0 by the token", model="whisper-1", provider="openai",
        genai="0", right="unpriced: audio_hours",
        source="developers.openai.com/api/docs/models/whisper-1: $0.006 / minute",
    ),
    Trap(
        name="container hours dropped", model="claude-opus-5", provider="anthropic",
        counts={"input_tokens": 0, "code_executions": 10}, genai="0",
        right="unpriced: Anthropic bills containers by the hour",
        source="platform.claude.com/docs/en/about-claude/pricing#code-execution-tool",
    ),
    Trap(
        name="container sessions dropped", model="gpt-4.1", provider="openai",
        counts={"input_tokens": 0, "code_executions": 10}, genai="0",
        right="unpriced: OpenAI bills containers by session",
        source="developers.openai.com/api/docs/pricing: containers by size",
    ),
    Trap(
        name="Gemini's code execution is in the tokens", model="gemini-2.5-pro",
        provider="google", counts={"input_tokens": 0, "code_executions": 10}, genai="0", right="0",
        source="ai.google.dev/gemini-api/docs/code-execution",
    ),
    Trap(
        name="a search in every request", model="gpt-4o-search-preview", provider="openai",
        genai="0.25", right="unpriced: web search",
        source="developers.openai.com/api/docs/pricing: search models bill a call each",
    ),
    # tiers
    Trap(
        name="a misspelt tier", model="gpt-4o", provider="openai", tier="Batch", genai="0.25",
        right="unpriced: unknown service tier 'Batch'; expected one of standard, batch",
        source="genai-prices types.py: context values match case-sensitively, misses are standard",
    ),
    Trap(
        name="batch before 2026-10-14", model="gpt-4o", provider="openai", tier="batch",
        at=day(2025, 6, 1), genai="0.25", right="0.125",
        source="help.openai.com/en/articles/9197833-batch-api-faq: 50 % discount",
    ),
    Trap(
        name="Claude batch in 2025", model="claude-3-7-sonnet-20250219", provider="anthropic",
        tier="batch", at=day(2025, 6, 1), genai="0.3", right="0.15",
        source="docs.claude.com pricing, batch table: Sonnet 3.7 $1.50 / $7.50",
    ),
    Trap(
        name="Gemini batch in 2025", model="gemini-2.5-pro", provider="google", tier="batch",
        at=day(2025, 8, 1), genai="0.125", right="0.0625",
        source="developers.googleblog.com 2025-07-07: batch mode, 50 % less",
    ),
    Trap(
        name="before there was a batch API", model="gpt-4o", provider="openai", tier="batch",
        at=day(2024, 4, 1), genai="0.25", right="unpriced: no batch price known",
        source="help.openai.com/en/articles/9197833-batch-api-faq (start date unconfirmed)",
    ),
    Trap(
        name="flex before 2026-10-12", model="o4-mini", provider="openai", tier="flex",
        at=day(2025, 6, 1), genai="0.11", right="0.055",
        source="OpenAI flex processing, 2025-04-17: half of the standard price",
    ),
    Trap(
        name="priority before 2026-10-12", model="gpt-5", provider="openai", tier="priority",
        at=day(2026, 5, 1), genai="0.125", right="0.25",
        source="openai.com/api-priority-processing as of 2026-03: GPT-5 $2.50",
    ),
    Trap(
        name="priority before any price list at hand", model="gpt-5", provider="openai",
        tier="priority", at=day(2025, 9, 1), genai="0.125",
        right="unpriced: no priority price known", source="openai.com/api-priority-processing",
    ),
    Trap(
        name="priority beyond the short context", model="gpt-5.4", provider="openai",
        tier="priority", counts={"input_tokens": 272_001}, genai="1.360005",
        right="unpriced: no priority price is published above 272,000",
        source="openai.com/api-priority-processing: GPT-5.4 excludes long context",
    ),
    Trap(
        name="Azure batch", model="gpt-4o", provider="azure", tier="batch", genai="0.25",
        right="0.125", source="learn.microsoft.com how-to/batch: 50 % less than global standard",
    ),
    Trap(
        name="Azure priority", model="gpt-5", provider="azure", tier="priority", genai="0.125",
        right="unpriced: no priority price known", source="no Azure price list gives one",
    ),
    Trap(
        name="Bedrock batch", model=f"us.{SONNET_45}", provider="aws", tier="batch", genai="0.33",
        right="0.165", source="aws.amazon.com/bedrock/pricing: batch at a 50 % lower price",
    ),
    Trap(
        name="cached tokens in Bedrock batch", model=f"us.{SONNET_45}", provider="aws",
        tier="batch", counts={"input_tokens": 100_000, "cache_read_tokens": 100_000},
        genai="0.033", right="unpriced: cache_read",
        source="aws.amazon.com/bedrock/pricing: batch lists input and output",
    ),
    Trap(
        name="xAI batch is not half", model="grok-4.3", provider="x-ai", tier="batch",
        genai="0.1", right="0.1", source="docs.x.ai/developers/pricing: 20 % off",
    ),
    Trap(
        name="xAI batch of a model outside the batch table", model="grok-4.7", provider="x-ai",
        tier="batch", genai="0.2", right="unpriced: no batch price known",
        source="docs.x.ai/developers/pricing#batch-api-pricing",
    ),
    Trap(
        name="Anthropic priority is a commitment", model="claude-opus-5", provider="anthropic",
        tier="priority", genai="0.5", right="unpriced: no priority price known",
        source="platform.claude.com/docs/en/api/service-tiers",
    ),
    Trap(
        name="embeddings in batch", model="text-embedding-3-small", provider="openai",
        tier="batch", genai="0.002", right="0.001",
        source="developers.openai.com/api/docs/pricing: embeddings, Batch $0.01",
    ),
    # names
    Trap(
        name="a fine-tune under no published id", model="ft:gpt-4o-mini:acme::abc",
        provider="openai", genai="LookupError", right="unpriced: no price for model",
        source="developers.openai.com/api/docs/pricing: fine-tuned snapshots carry their date",
    ),
    Trap(
        name="a fine-tune has its own price", provider="openai",
        model="ft:gpt-4o-mini-2024-07-18:acme::abc", genai="0.03", right="0.03",
        source="developers.openai.com/api/docs/pricing: fine-tuned gpt-4o-mini $0.30",
    ),
    Trap(
        name="Azure OpenAI is not OpenAI", model="gpt-4.1", provider="azure_openai",
        tier="priority", genai="0.35", right="unpriced: no priority price known for 'gpt-4.1' at "
        "azure", source="genai-prices data.py: provider_match ClauseContains('openai')",
    ),
    Trap(
        name="models/ prefix", model="models/gemini-2.5-flash", provider="google",
        genai="LookupError", right="0.03", source="ai.google.dev/api/models: `models/{model}`",
    ),
    Trap(
        name="azure_ai", model="gpt-4o", provider="azure_ai", genai="LookupError", right="0.25",
        source="langchain 1.5 chat_models/base.py: azure_ai",
    ),
    Trap(
        name="Fireworks models that are not listed", provider="fireworks",
        model="accounts/fireworks/models/llama-v3p1-70b", genai="LookupError",
        right="unpriced: no price for model", source="fireworks.ai/pricing",
    ),
    Trap(
        name="Ollama is free", model="llama3.2", provider="ollama", genai="LookupError",
        right="free", source="docs.ollama.com: runs on the caller's machine",
    ),
    Trap(
        name="gemini-1.5-flash-8b matched to its big brother", model="gemini-1.5-flash-8b",
        provider="google", at=day(2025, 3, 1), genai="0.0075", right="0.00375",
        source="ai.google.dev/gemini-api/docs/pricing: 1.5 Flash-8B $0.0375",
    ),
    Trap(
        name="a distilled model matched to deepseek-reasoner", provider=None,
        model="deepseek-r1-distill-llama-70b", genai="0.055", right="unpriced: distilled",
        source="api-docs.deepseek.com lists no distilled model",
    ),
    Trap(
        name="an open-weights model at OpenRouter's price", model="gpt-oss-20b", provider="openai",
        genai="0.0029", right="unpriced: no API price",
        source="developers.openai.com/api/docs/pricing does not list gpt-oss",
    ),
    Trap(
        name="an alias that moved", model="mistral-large-latest", provider="mistral",
        at=day(2026, 3, 1), genai="0.2", right="0.05",
        source="simonw/llm-prices#63: Mistral Large 3 since 2025-12-02",
    ),
    Trap(
        name="an alias before it moved", model="gpt-4o", provider="openai", at=day(2024, 7, 1),
        genai="0.25", right="0.5", source="danny-avila/LibreChat#4386: since 2024-10-03",
    ),
    # DeepSeek
    Trap(
        name="DeepSeek on a Saturday", model="deepseek-v4-flash", provider="deepseek",
        at=day(2026, 11, 21, 2), genai="0.03", right="0.015",
        source="api-docs.deepseek.com/quick_start/pricing: peak is Monday to Friday",
    ),
    Trap(
        name="DeepSeek on a public holiday", model="deepseek-v4-pro", provider="deepseek",
        at=day(2026, 10, 1, 2), genai="0.132", right="0.066",
        source="api-docs.deepseek.com/zh-cn/quick_start/pricing: public holidays are off-peak",
    ),
    Trap(
        name="DeepSeek before there were peaks", model="deepseek-v4-flash", provider="deepseek",
        at=day(2026, 7, 1, 2), genai="0.03", right="0.014",
        source="genai-prices#582; V4 Flash was $0.14 all day",
    ),
    Trap(
        name="deepseek-chat after V3.1", model="deepseek-chat", provider="deepseek",
        at=day(2026, 1, 5, 12), genai="0.027", right="0.028",
        source="api-docs.deepseek.com/quick_start/pricing as of 2026-04: $0.28",
    ),
    Trap(
        name="deepseek-chat is retired", model="deepseek-chat", provider="deepseek",
        genai="0.027", right="unpriced: retired", source="api-docs.deepseek.com/updates 2026-04-24",
    ),
    # Bedrock, long context
    Trap(
        name="a bare Bedrock id is an in-Region call", model=SONNET_45, provider="aws",
        genai="0.33", right="0.33", source="aws.amazon.com/bedrock/pricing: regional is 1.1x",
    ),
    Trap(
        name="global. carries no premium", model=f"global.{SONNET_45}", provider="aws",
        genai="0.3", right="0.3", source="aws.amazon.com/bedrock/pricing: global",
    ),
    Trap(
        name="Bedrock long context", model=f"us.{SONNET_45}", provider="aws",
        counts={"input_tokens": 200_001}, genai="0.6600033", right="unpriced: long-context",
        source="platform.claude.com pricing#long-context-pricing",
    ),
    Trap(
        name="Sonnet 4 with a million tokens", model="claude-sonnet-4-20250514",
        provider="anthropic", at=day(2025, 10, 1), counts={"input_tokens": 300_000}, genai="0.9",
        right="1.8", source="platform.claude.com pricing: $6 above 200,000",
    ),
    Trap(
        name="Grok 4 above 128,000", model="grok-4", provider="x-ai", at=day(2025, 10, 1),
        counts={"input_tokens": 200_000}, genai="0.6", right="1.2",
        source="docs.x.ai/docs/models/grok-4-0709; theopenco/llmgateway#2037",
    ),
    Trap(
        name="the cliff, below", model="gemini-2.5-pro", provider="google",
        counts={"input_tokens": 200_000}, genai="0.25", right="0.25",
        source="ai.google.dev pricing: prompts <= 200k",
    ),
    Trap(
        name="the cliff, above: every token", model="gemini-2.5-pro", provider="google",
        counts={"input_tokens": 200_001}, genai="0.5000025", right="0.5000025",
        source="ai.google.dev pricing: prompts > 200k",
    ),
    Trap(
        name="272,000 is short", model="gpt-5.4", provider="openai",
        counts={"input_tokens": 272_000}, genai="0.68", right="0.68",
        source="developers.openai.com/api/docs/models/gpt-5.4: more than 272K",
    ),
    # fees and free
    Trap(
        name="OpenAI's search fee at Azure", model="gpt-4o", provider="azure",
        counts={"input_tokens": 0, "web_searches": 1000}, genai="10", right="unpriced: web_search",
        source="azure.microsoft.com pricing: grounding is billed by Azure",
    ),
    Trap(
        name="xAI's search fee dropped", model="grok-4.7", provider="x-ai",
        counts={"input_tokens": 0, "web_searches": 1000}, genai="0", right="5",
        source="docs.x.ai/developers/pricing: web search $5 / 1k calls",
    ),
    Trap(
        name="a request fee that depends", model="sonar-pro", provider="perplexity",
        counts={"input_tokens": 0}, genai="0.014", right="unpriced: search context size",
        source="docs.perplexity.ai pricing: $6, $10 or $14 by context size",
    ),
    Trap(
        name="free because the provider says so", model="omni-moderation-latest",
        provider="openai", genai="0", right="free",
        source="developers.openai.com/api/docs/guides/moderation",
    ),
)  # fmt: skip

BOOK = PriceBook()


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_a_trap_is_corrected_or_refused(trap: Trap) -> None:
    counts = {k: v for k, v in trap.counts.items() if k != "cache_write_tokens"}
    got = BOOK.price(
        Usage(**counts), model=trap.model, provider=trap.provider, tier=trap.tier, at=trap.at
    )
    if trap.right == "free":
        assert isinstance(got, Free)
    elif trap.right.startswith("unpriced: "):
        assert isinstance(got, Unpriced), trap.source
        assert trap.right.removeprefix("unpriced: ") in got.reason
    else:
        assert isinstance(got, Priced), trap.source
        assert got.cost_usd == Decimal(trap.right), trap.source


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_genai_prices_still_answers_so(trap: Trap) -> None:
    from genai_prices import Usage as GenaiUsage
    from genai_prices import calc_price

    def answer() -> str:
        contexts = {"flex": {"service_tier": "flex"}, "priority": {"service_tier": "priority"}}
        context = contexts.get(trap.tier, {"processing": trap.tier})
        try:
            price = calc_price(
                GenaiUsage(**trap.counts), trap.model, provider_id=trap.provider,
                genai_request_timestamp=trap.at,
                price_context=None if trap.tier == "standard" else context,
            )  # fmt: skip
        except (LookupError, ValueError) as error:
            return type(error).__name__
        return f"{price.total_price.normalize():f}"

    assert answer() == trap.genai


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 10, "cache_read_tokens": 20},
        {"output_tokens": 10, "reasoning_tokens": 20},
    ],
    ids=["cached > input", "reasoning > output"],
)
def test_contradictory_counts_never_reach_a_price(counts: dict[str, int]) -> None:
    # genai-prices raises a bare ValueError for the first and prices the second.
    with pytest.raises(UsageError, match=r"20 exceeds .* = 10"):
        Usage(**counts)


@pytest.mark.parametrize(
    ("provider", "model", "year"),
    [
        ("anthropic", "claude-3-5-sonnet-20241022", 2025),
        ("anthropic", "claude-3-haiku-20240307", 2024),
        ("openai", "gpt-4.5-preview", 2025),
        ("openai", "o1-preview", 2024),
        ("google", "gemini-1.5-pro", 2024),
        ("groq", "llama-3.3-70b-versatile", 2025),
        ("mistral", "mistral-small-2506", 2025),
    ],
)
def test_a_retired_model_keeps_its_price(provider: str, model: str, year: int) -> None:
    # litellm deletes these, so an old ledger cannot be replayed against its map.
    then = BOOK.price(Usage(input_tokens=M), model=model, provider=provider, at=day(year, 12, 1))
    assert isinstance(then, Priced)
    assert then.nanos > 0
