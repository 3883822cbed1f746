"""An independent price oracle: tables written by hand from price lists, priced with fractions.

It shares nothing with the code it judges: no import from frugal_chains, none from genai-prices.
Prices are USD per 1,000,000 tokens, fees USD per 1,000 calls. Every row names where its numbers
were read (by 2026-11-21, as stored copies); where the page itself was not at hand, who quotes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

Prices = Mapping[str, str]
Counts = Mapping[str, int]

CLAUDE = "platform.claude.com/docs/en/about-claude/pricing"
CLAUDE_BATCH = "platform.claude.com batch-processing, quoted by dev.to/neverpaytwice"
OPENAI = "developers.openai.com/api/docs/pricing, quoted by simonw/llm-prices data/openai.json"
OPENAI_SCRAPE = "developers.openai.com/api/docs/pricing.md of 2026-09-13 (unified-llm-pricing)"
PRIORITY = "openai.com/api-priority-processing as of 2026-03"
FLEX = "OpenAI flex processing, announced 2025-04-17"
GEMINI = "ai.google.dev/gemini-api/docs/pricing, quoted by simonw/llm-prices data/google.json"
XAI = "docs.x.ai/developers/pricing, page that lists grok-4.7"
DEEPSEEK = "api-docs.deepseek.com/quick_start/pricing"
MISTRAL = "mistral.ai/pricing, quoted by simonw/llm-prices#63 and promptfoo#9929"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model's price in one tier at one moment."""

    provider: str
    model: str
    source: str
    prices: Prices
    """By bucket. Absent buckets are not exercised."""
    above: tuple[int, Prices] | None = None
    """What every token costs once a request has more input tokens than the number."""
    fees: Prices = field(default_factory=dict)
    tier: str = "standard"
    at: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday, DeepSeek's off-peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What no price list answers; the right answer is `unpriced`."""

    provider: str | None
    model: str
    why: str
    counts: Counts = field(default_factory=lambda: {"input_tokens": 1000, "output_tokens": 100})
    tier: str = "standard"
    at: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _day(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def _io(input_: str, output: str, read: str | None = None, **more: str) -> Prices:
    prices = {"input": input_, "output": output, **more}
    return prices if read is None else {**prices, "cache_read": read}


def _claude(input_: str, write: str, write_1h: str, read: str, output: str) -> Prices:
    return _io(input_, output, read, cache_write_5m=write, cache_write_1h=write_1h)


def _anthropic(model: str, *numbers: str, source: str = CLAUDE, **row: object) -> Row:
    row.setdefault("fees", {"web_search": "10"} if row.get("tier") != "batch" else {})
    return Row(provider="anthropic", model=model, source=source, prices=_claude(*numbers), **row)  # type: ignore[arg-type]


def _openai(model: str, prices: Prices, source: str = OPENAI, **row: object) -> Row:
    return Row(provider="openai", model=model, prices=prices, source=source, **row)  # type: ignore[arg-type]


def _google(model: str, prices: Prices, source: str = GEMINI, **row: object) -> Row:
    return Row(provider="google", model=model, prices=prices, source=source, **row)  # type: ignore[arg-type]


def _xai(model: str, prices: Prices, above: tuple[int, Prices] | None, **row: object) -> Row:
    row.setdefault("source", XAI)
    return Row(provider="x-ai", model=model, prices=prices, above=above, **row)  # type: ignore[arg-type]


def _deepseek(model: str, prices: Prices, at: datetime, source: str = DEEPSEEK) -> Row:
    return Row(provider="deepseek", model=model, prices=prices, at=at, source=source)


ANTHROPIC_ROWS = (
    _anthropic("claude-fable-5-1", "10", "12.50", "20", "0.25", "50"),
    _anthropic("claude-fable-5", "10", "12.50", "20", "1", "50"),
    _anthropic("claude-opus-5", "5", "6.25", "10", "0.50", "25"),
    _anthropic("claude-opus-4-8", "5", "6.25", "10", "0.50", "25"),
    _anthropic("claude-opus-4-7", "5", "6.25", "10", "0.50", "25"),
    _anthropic("claude-opus-4-6", "5", "6.25", "10", "0.50", "25"),
    _anthropic("claude-opus-4-5-20251101", "5", "6.25", "10", "0.50", "25"),
    _anthropic("claude-opus-4-1-20250805", "15", "18.75", "30", "1.50", "75"),
    _anthropic("claude-sonnet-4-6", "3", "3.75", "6", "0.30", "15"),
    _anthropic("claude-sonnet-4-5-20250929", "3", "3.75", "6", "0.30", "15"),
    _anthropic("claude-3-7-sonnet-20250219", "3", "3.75", "6", "0.30", "15",
               at=_day(2025, 9, 1)),
    _anthropic("claude-haiku-4-5-20251001", "1", "1.25", "2", "0.10", "5"),
    _anthropic("claude-3-5-haiku-20241022", "0.80", "1", "1.60", "0.08", "4",
               at=_day(2025, 9, 1)),
    _anthropic("claude-3-haiku-20240307", "0.25", "0.30", "0.50", "0.03", "1.25", fees={},
               at=_day(2025, 9, 1)),
    _anthropic("claude-3-opus-20240229", "15", "18.75", "30", "1.50", "75", fees={},
               at=_day(2025, 9, 1)),
    # 5.5: cache reads at 0.05x of input, writes at the usual 1.25x and 2x.
    _anthropic("claude-opus-5-5", "4", "5", "8", "0.20", "20",
               source="simonw/llm-prices data/anthropic.json; pricing page, prompt caching"),
    _anthropic("claude-sonnet-5-5", "2", "2.50", "4", "0.10", "10",
               source=f"{CLAUDE}#prompt-caching: 0.05x reads on Sonnet 5.5"),
    _anthropic("claude-sonnet-5", "2", "2.50", "4", "0.20", "10",
               source="simonw/llm-prices data/anthropic.json; pricing page, prompt caching"),
    _anthropic("claude-haiku-5-5", "0.10", "0.125", "0.20", "0.01", "0.50", source=CLAUDE_BATCH,
               above=(100_000, _claude("0.50", "0.625", "1", "0.05", "2.50"))),
    _anthropic("claude-sonnet-4-20250514", "3", "3.75", "6", "0.30", "15",
               at=_day(2025, 10, 1),
               above=(200_000, _claude("6", "7.50", "12", "0.60", "22.50"))),
    _anthropic("claude-sonnet-4-5-20250929", "3", "3.75", "6", "0.30", "15",
               at=_day(2026, 1, 15),
               above=(200_000, _claude("6", "7.50", "12", "0.60", "22.50"))),
    # Batch: half of everything, cache writes and reads included.
    _anthropic("claude-opus-5-5", "2", "2.50", "4", "0.10", "10", tier="batch",
               source=CLAUDE_BATCH),
    _anthropic("claude-sonnet-4-6", "1.50", "1.875", "3", "0.15", "7.50", tier="batch",
               source=CLAUDE_BATCH),
    _anthropic("claude-haiku-4-5-20251001", "0.50", "0.625", "1", "0.05", "2.50", tier="batch",
               source=CLAUDE_BATCH),
    _anthropic("claude-haiku-5-5", "0.05", "0.0625", "0.10", "0.005", "0.25", tier="batch",
               above=(100_000, _claude("0.25", "0.3125", "0.50", "0.025", "1.25")),
               source=CLAUDE_BATCH),
    _anthropic("claude-3-7-sonnet-20250219", "1.50", "1.875", "3", "0.15", "7.50", tier="batch",
               at=_day(2025, 9, 1), source=CLAUDE),
    _anthropic("claude-opus-4-1-20250805", "7.50", "9.375", "15", "0.75", "37.50", tier="batch",
               at=_day(2025, 9, 1), source=CLAUDE),
)  # fmt: skip

_LONG = 272_000
OPENAI_ROWS = (
    _openai("gpt-4o", _io("2.50", "10", "1.25")),
    _openai("gpt-4o-2024-08-06", _io("2.50", "10", "1.25")),
    _openai("gpt-4o", _io("5", "15"), at=_day(2024, 7, 1),
            source="openai.com/api/pricing of 2024-09-20, quoted by promptfoo#1728"),
    _openai("gpt-4o-2024-05-13", _io("5", "15"),
            source="openai.com/api/pricing of 2024-09-20, quoted by promptfoo#1728"),
    _openai("gpt-4o-mini", _io("0.15", "0.60", "0.075")),
    _openai("gpt-4.1", _io("2", "8", "0.50"), fees={"web_search": "10", "file_search": "2.50"}),
    _openai("gpt-4.1-mini", _io("0.40", "1.60", "0.10")),
    _openai("gpt-4.1-nano", _io("0.10", "0.40", "0.025")),
    _openai("gpt-4.5-preview", _io("75", "150", "37.50"), at=_day(2025, 4, 1)),
    _openai("o1", _io("15", "60", "7.50")),
    _openai("o1-pro", _io("150", "600")),
    _openai("o1-mini", _io("1.10", "4.40", "0.55"), at=_day(2025, 4, 1)),
    _openai("o3", _io("2", "8", "0.50")),
    _openai("o3", _io("10", "40"), at=_day(2025, 5, 1)),
    _openai("o3-mini", _io("1.10", "4.40", "0.55")),
    _openai("o3-pro", _io("20", "80")),
    _openai("o4-mini", _io("1.10", "4.40", "0.275")),
    _openai("gpt-5", _io("1.25", "10", "0.125")),
    _openai("gpt-5-mini", _io("0.25", "2", "0.025")),
    _openai("gpt-5-nano", _io("0.05", "0.40", "0.005")),
    _openai("gpt-5-pro", _io("15", "120")),
    _openai("gpt-5.1", _io("1.25", "10", "0.125")),
    _openai("gpt-5.2", _io("1.75", "14", "0.175")),
    _openai("gpt-5.2-pro", _io("21", "168")),
    _openai("gpt-5.4", _io("2.50", "15", "0.25"), above=(_LONG, _io("5", "22.50", "0.50"))),
    _openai("gpt-5.4-mini", _io("0.75", "4.50", "0.075")),
    _openai("gpt-5.4-nano", _io("0.20", "1.25", "0.02")),
    _openai("gpt-5.4-pro", _io("30", "180"), above=(_LONG, _io("60", "270"))),
    _openai("gpt-5.5", _io("5", "30", "0.50"), above=(_LONG, _io("10", "45", "1"))),
    _openai("gpt-5.6-sol", _io("4", "20", "0.40", cache_write_5m="5"), OPENAI_SCRAPE,
            above=(_LONG, _io("8", "30", "0.80", cache_write_5m="10"))),
    _openai("gpt-5.6-sol", _io("5", "30", "0.50", cache_write_5m="6.25"), at=_day(2026, 8, 10),
            above=(_LONG, _io("10", "45", "1", cache_write_5m="12.50")),
            source="pricing.md of 2026-08-19 (unified-llm-pricing); writes 1.25x input"),
    _openai("gpt-6-astra", _io("10", "50", "1", cache_write_5m="12.50"), OPENAI_SCRAPE,
            above=(_LONG, _io("20", "75", "2", cache_write_5m="25"))),
    _openai("gpt-6.1-sol", _io("2", "10", "0.10"), above=(_LONG, _io("4", "15", "0.20")),
            source="developers.openai.com models/gpt-6.1-sol, quoted by Codex-Manager 0.4.7"),
    _openai("gpt-6.1-terra",
            _io("1", "5", "0.05", cache_write_5m="1.25", cache_write_1h="2.50"),
            above=(_LONG, _io("2", "7.50", "0.10", cache_write_5m="2.50", cache_write_1h="5")),
            source="developers.openai.com/api/docs/models/gpt-6.1-terra"),
    _openai("gpt-4o-audio-preview", _io("2.50", "10", input_audio="40", output_audio="80"),
            source="developers.openai.com/api/docs/models/gpt-4o-audio-preview"),
    _openai("gpt-4o-mini-audio-preview", _io("0.15", "0.60", input_audio="10", output_audio="20"),
            source="developers.openai.com/api/docs/models/gpt-4o-mini-audio-preview"),
    _openai("text-embedding-3-large", {"input": "0.13"},
            source="developers.openai.com/api/docs/models/text-embedding-3-large"),
    _openai("text-embedding-3-small", {"input": "0.02"},
            source="developers.openai.com/api/docs/models/text-embedding-3-small"),
    # Audio and image tokens. Cached image tokens have a price of their own on these pages, which no
    # usage tells apart: they are not exercised. Image models have no price for text output.
    _openai("gpt-realtime-1.5",
            _io("4", "16", "0.40", input_audio="32", cache_read_audio="0.40", output_audio="64",
                input_image="5"),
            source="developers.openai.com/api/docs/models/gpt-realtime-1.5"),
    _openai("gpt-realtime-2",
            _io("4", "24", "0.40", input_audio="32", cache_read_audio="0.40", output_audio="64",
                input_image="5"),
            source="developers.openai.com/api/docs/models/gpt-realtime-2"),
    _openai("gpt-realtime-2.1-mini",
            _io("0.60", "2.40", "0.06", input_audio="10", cache_read_audio="0.30",
                output_audio="20", input_image="0.80"),
            source="developers.openai.com/api/docs/models/gpt-realtime-2.1-mini"),
    _openai("gpt-4o-mini-realtime-preview",
            _io("0.60", "2.40", "0.30", input_audio="10", cache_read_audio="0.30",
                output_audio="20"),
            source="developers.openai.com/api/docs/models/gpt-4o-mini-realtime-preview"),
    _openai("gpt-image-1", {"input": "5", "input_image": "10", "output_image": "40"},
            source="openai.com/api/pricing, quoted by community.openai.com/t/1275254"),
    _openai("gpt-image-1-mini", {"input": "2", "input_image": "2.50", "output_image": "8"},
            source="developers.openai.com/api/docs/models/gpt-image-1-mini"),
    # Batch
    _openai("gpt-4o", _io("1.25", "5"), tier="batch", source="openai.com/api/pricing, Batch"),
    _openai("gpt-4o", _io("1.25", "5"), tier="batch", at=_day(2025, 6, 1),
            source="OpenAI Batch API FAQ (help.openai.com): 50 % of the standard price"),
    _openai("gpt-4o-mini", _io("0.075", "0.30"), tier="batch", at=_day(2025, 6, 1),
            source="OpenAI Batch API FAQ (help.openai.com): 50 % of the standard price"),
    _openai("gpt-5", _io("0.625", "5"), tier="batch", source="openai.com/api/pricing, Batch"),
    _openai("o3", _io("1", "4"), tier="batch", source="modelpedia.dev/openai/o3-2025-04-16"),
    _openai("gpt-6-astra", _io("5", "25", "0.50", cache_write_5m="6.25"), OPENAI_SCRAPE,
            tier="batch", above=(_LONG, _io("10", "37.50", "1", cache_write_5m="12.50"))),
    _openai("gpt-5.6-sol", _io("2", "10", "0.20", cache_write_5m="2.50"), OPENAI_SCRAPE,
            tier="batch", above=(_LONG, _io("4", "15", "0.40", cache_write_5m="5"))),
    _openai("text-embedding-3-small", {"input": "0.01"}, tier="batch",
            source="developers.openai.com/api/docs/pricing: embeddings, Batch"),
    _openai("text-embedding-3-large", {"input": "0.065"}, tier="batch",
            source="developers.openai.com/api/docs/pricing: embeddings, Batch"),
    # Flex
    _openai("o3", _io("5", "20"), FLEX, tier="flex", at=_day(2025, 5, 1)),
    _openai("o3", _io("1", "4", "0.25"), tier="flex",
            source="modelpedia.dev/openai/o3-2025-04-16"),
    _openai("o4-mini", _io("0.55", "2.20"), FLEX, tier="flex", at=_day(2025, 5, 1)),
    _openai("gpt-6-astra", _io("5", "25", "0.50", cache_write_5m="6.25"), OPENAI_SCRAPE,
            tier="flex", above=(_LONG, _io("10", "37.50", "1", cache_write_5m="12.50"))),
    # Priority, and the same under its newer name
    _openai("gpt-5", _io("2.50", "20", "0.25"), PRIORITY, tier="priority", at=_day(2026, 4, 1)),
    _openai("gpt-5", _io("2.50", "20", "0.25"), PRIORITY, tier="priority"),
    _openai("gpt-5-mini", _io("0.45", "3.60", "0.045"), PRIORITY, tier="priority"),
    _openai("gpt-4.1", _io("3.50", "14", "0.875"), PRIORITY, tier="priority"),
    _openai("gpt-4.1-mini", _io("0.70", "2.80", "0.175"), PRIORITY, tier="priority"),
    _openai("gpt-4o", _io("4.25", "17", "2.125"), PRIORITY, tier="priority", at=_day(2026, 4, 1)),
    _openai("gpt-4o-mini", _io("0.25", "1", "0.125"), PRIORITY, tier="priority"),
    _openai("o3", _io("3.50", "14", "0.875"), PRIORITY, tier="priority"),
    _openai("o4-mini", _io("2", "8", "0.50"), PRIORITY, tier="priority"),
    _openai("gpt-5.4-mini", _io("1.50", "9", "0.150"), PRIORITY, tier="priority"),
    _openai("gpt-6-astra", _io("20", "100", "2", cache_write_5m="25"), OPENAI_SCRAPE, tier="fast",
            above=(_LONG, _io("40", "150", "4", cache_write_5m="50"))),
)  # fmt: skip

GOOGLE_ROWS = (
    _google("gemini-2.5-pro", _io("1.25", "10", "0.125"), fees={"web_search": "35"},
            above=(200_000, _io("2.50", "15", "0.25"))),
    _google("models/gemini-2.5-pro", _io("1.25", "10", "0.125"),
            above=(200_000, _io("2.50", "15", "0.25"))),
    _google("gemini-2.5-flash", _io("0.30", "2.50", "0.03", input_audio="1.00"),
            source="ai.google.dev/gemini-api/docs/pricing#gemini-2.5-flash"),
    _google("gemini-2.5-flash-lite", _io("0.10", "0.40", "0.01", input_audio="0.30"),
            source="ai.google.dev/gemini-api/docs/pricing#gemini-2.5-flash-lite"),
    _google("gemini-2.5-flash-image", _io("0.30", "2.50", output_image="30"),
            source="developers.googleblog.com 2025-08-26 (all but image output as 2.5 Flash), "
                   "quoted by blog.laozhang.ai: 1,290 tokens an image at $30 per million"),
    _google("gemini-2.0-flash", _io("0.10", "0.40"), at=_day(2025, 9, 1)),
    _google("gemini-2.0-flash-lite", _io("0.075", "0.30"), at=_day(2025, 9, 1)),
    _google("gemini-1.5-flash", _io("0.075", "0.30"), at=_day(2025, 3, 1),
            above=(128_000, _io("0.15", "0.60"))),
    _google("gemini-1.5-flash-8b", _io("0.0375", "0.15"), at=_day(2025, 3, 1),
            above=(128_000, _io("0.075", "0.30"))),
    _google("gemini-1.5-pro", _io("1.25", "5", "0.3125"), at=_day(2025, 3, 1),
            above=(128_000, _io("2.50", "10", "0.625"))),
    _google("gemini-3-pro-preview", _io("2", "12"), above=(200_000, _io("4", "18"))),
    _google("gemini-3-flash-preview", _io("0.50", "3")),
    _google("gemini-3.1-flash-lite-preview", _io("0.25", "1.50", "0.025")),
    _google("gemini-3.5-flash", _io("1.50", "9", "0.15")),
    _google("gemini-3.5-flash-lite", _io("0.30", "2.50", "0.03")),
    _google("gemini-3.8-flash", _io("0.75", "3.75", "0.075"),
            source="BerriAI/litellm discussion 39357: half price through 2026-12-31"),
    _google("gemini-3.8-flash", _io("1.50", "7.50"), at=_day(2027, 1, 1, 0),
            source="BerriAI/litellm discussion 39357: from 2027-01-01"),
    _google("gemini-2.5-pro", _io("0.625", "5"), tier="batch",
            above=(200_000, _io("1.25", "7.50")), source="Gemini Batch: half of input and output"),
    _google("gemini-2.5-flash", _io("0.15", "1.25"), tier="batch", at=_day(2025, 8, 1),
            source="developers.googleblog.com 2025-07-07: batch mode, 50 % less"),
    _google("gemini-3.5-flash", _io("0.75", "4.50"), tier="batch",
            source="Gemini Batch: half of input and output"),
    _google("gemini-3.8-flash", _io("1.35", "6.75"), tier="priority",
            source="ai.google.dev pricing: Priority is 1.8 times standard"),
    _google("claude-sonnet-4-6", _io("1.50", "7.50"), tier="batch",
            source="cloud.google.com/vertex-ai/generative-ai/pricing: batch input and output"),
    _google("gemini-2.5-flash", _io("0.15", "1.25"), tier="flex",
            source="ai.google.dev/gemini-api/docs/optimization: Flex, 50 % discount"),
)  # fmt: skip

# xAI's long rates start AT 200,000 tokens: more than 199,999.
_G2 = (199_999, _io("4", "12", "1"))
XAI_ROWS = (
    _xai("grok-4.7", _io("2", "6", "0.50"), _G2, fees={"web_search": "5", "file_search": "2.50"}),
    _xai("grok-4.6", _io("2", "6", "0.50"), _G2),
    _xai("grok-4.5", _io("2", "6", "0.30"), (199_999, _io("4", "12", "0.60"))),
    _xai("grok-4.3", _io("1.25", "2.50", "0.20"), (199_999, _io("2.50", "5", "0.40"))),
    _xai("grok-4.20", _io("1.25", "2.50", "0.20"), (199_999, _io("2.50", "5", "0.40"))),
    _xai("grok-build-0.1", _io("1", "2", "0.20"), (199_999, _io("2", "4", "0.40"))),
    _xai("grok-4.3", _io("1", "2", "0.16"), (199_999, _io("2", "4", "0.32")), tier="batch",
         source="docs.x.ai/developers/pricing#batch-api-pricing: 20 % off every token type"),
    _xai("grok-4", _io("3", "15", "0.75"), (128_000, _io("6", "30", "0.75")),
         at=_day(2025, 10, 1), source="docs.x.ai models/grok-4-0709; simonw/llm-prices xai.json"),
    _xai("grok-4-fast", _io("0.20", "0.50"), (128_000, _io("0.40", "1.00")),
         at=_day(2025, 10, 1), source="docs.x.ai; simonw/llm-prices xai.json"),
    _xai("grok-3", _io("3", "15", "0.75"), None, at=_day(2025, 10, 1),
         source="simonw/llm-prices xai.json"),
    _xai("grok-3-mini", _io("0.30", "0.50", "0.075"), None, at=_day(2025, 10, 1),
         source="simonw/llm-prices xai.json"),
    _xai("grok-code-fast-1", _io("0.20", "1.50", "0.02"), None, at=_day(2025, 10, 1),
         source="simonw/llm-prices xai.json"),
)  # fmt: skip

_FLASH_OFF, _FLASH_PEAK = _io("0.15", "0.60", "0.003"), _io("0.30", "1.20", "0.006")
_PRO_OFF, _PRO_PEAK = _io("0.66", "1.98", "0.022"), _io("1.32", "3.96", "0.044")
DEEPSEEK_ROWS = (
    _deepseek("deepseek-flash", _FLASH_OFF, _day(2026, 11, 20, 0, 59)),
    _deepseek("deepseek-flash", _FLASH_PEAK, _day(2026, 11, 20, 1, 0)),
    _deepseek("deepseek-flash", _FLASH_PEAK, _day(2026, 11, 20, 3, 59)),
    _deepseek("deepseek-flash", _FLASH_OFF, _day(2026, 11, 20, 4, 0)),
    _deepseek("deepseek-flash", _FLASH_PEAK, _day(2026, 11, 20, 6, 0)),
    _deepseek("deepseek-flash", _FLASH_OFF, _day(2026, 11, 20, 10, 0)),
    _deepseek("deepseek-flash", _FLASH_OFF, _day(2026, 11, 21, 2), "Saturday: off-peak all day"),
    _deepseek("deepseek-flash", _FLASH_OFF, _day(2026, 10, 1, 2), "National Day: off-peak"),
    _deepseek("deepseek-v4-flash", _FLASH_PEAK, _day(2026, 11, 20, 2),
              "retired name, served and billed as Flash"),
    _deepseek("deepseek-v4-flash", _io("0.14", "0.28", "0.0028"), _day(2026, 7, 1, 2),
              "verdent.app, chatforest.com: V4 launch prices, flat all day"),
    _deepseek("deepseek-v4-flash", _io("0.22", "0.66", "0.007"), _day(2026, 8, 25, 12),
              "OmniRoute#11210, Wei-Shaw/sub2api#6097"),
    _deepseek("deepseek-v4-flash", _io("0.44", "1.32", "0.014"), _day(2026, 8, 25, 2),
              "docs.apiyi.com 2026-08: peak tier"),
    _deepseek("deepseek-v4-flash", _io("0.44", "1.32", "0.014"), _day(2026, 8, 22, 2),
              "a Saturday before weekends became off-peak on 2026-08-23 Beijing time"),
    _deepseek("deepseek-v4-flash", _io("0.22", "0.66", "0.007"), _day(2026, 8, 29, 2),
              "a Saturday after weekends became off-peak"),
    _deepseek("deepseek-v4-pro", _PRO_OFF, _day(2026, 11, 20, 12)),
    _deepseek("deepseek-v4-pro", _PRO_OFF, _day(2026, 11, 22, 7), "Sunday: off-peak all day"),
    _deepseek("deepseek-v4-pro", _PRO_PEAK, _day(2026, 8, 20, 2)),
    _deepseek("deepseek-v4-pro", _io("0.435", "0.87", "0.003625"), _day(2026, 7, 1, 2),
              "NousResearch/hermes-agent#88090: flat all day"),
    _deepseek("deepseek-v4-pro", _PRO_PEAK, _day(2026, 11, 20, 7)),
    _deepseek("deepseek-v4-pro", _PRO_OFF, _day(2026, 8, 16, 16), "peak billing starts 16:00 UTC"),
    _deepseek("deepseek-v4-pro", _io("0.435", "0.87", "0.003625"), _day(2026, 8, 16, 15, 59),
              "NousResearch/hermes-agent#88090"),
    _deepseek("deepseek-chat", _io("0.14", "0.28", "0.014"), _day(2025, 1, 20),
              "V3 promotion, simonw/llm-prices deepseek.json"),
    _deepseek("deepseek-chat", _io("0.27", "1.10", "0.07"), _day(2025, 6, 2, 12)),
    _deepseek("deepseek-chat", _io("0.135", "0.55", "0.035"), _day(2025, 6, 2, 17)),
    _deepseek("deepseek-chat", _io("0.135", "0.55", "0.035"), _day(2025, 6, 2, 0, 29)),
    _deepseek("deepseek-chat", _io("0.27", "1.10", "0.07"), _day(2025, 6, 2, 0, 30)),
    _deepseek("deepseek-chat", _io("0.27", "1.10", "0.07"), _day(2025, 2, 15, 17),
              "the night discount started on 2025-02-26"),
    _deepseek("deepseek-reasoner", _io("0.55", "2.19", "0.14"), _day(2025, 2, 15, 17),
              "the night discount started on 2025-02-26"),
    _deepseek("deepseek-chat", _io("0.56", "1.68", "0.07"), _day(2025, 9, 10, 17)),
    _deepseek("deepseek-chat", _io("0.28", "0.42", "0.028"), _day(2026, 4, 1, 17),
              "benchlm.ai 2026-04-13, quoting the page"),
    _deepseek("deepseek-chat", _io("0.14", "0.28", "0.0028"), _day(2026, 6, 1),
              "developersdigest.tech: the old names route to V4 Flash since 2026-04-24"),
    _deepseek("deepseek-reasoner", _io("0.55", "2.19", "0.14"), _day(2025, 6, 2, 12)),
    _deepseek("deepseek-reasoner", _io("0.135", "0.55", "0.035"), _day(2025, 6, 2, 17)),
    _deepseek("deepseek-reasoner", _io("0.56", "1.68", "0.07"), _day(2025, 9, 10, 12)),
)  # fmt: skip

_REGIONAL = "AWS regional endpoints: 1.1x of global since Claude 4.5 (clauder-navi.com, AWS)"
CLOUD_ROWS = (
    Row(provider="aws", model="global.anthropic.claude-sonnet-4-5-20250929-v1:0", source=CLAUDE,
        prices=_claude("3", "3.75", "6", "0.30", "15")),
    Row(provider="aws", model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", source=_REGIONAL,
        prices=_claude("3.30", "4.125", "6.60", "0.33", "16.50")),
    Row(provider="aws", model="eu.anthropic.claude-haiku-4-5-20251001-v1:0", source=_REGIONAL,
        prices=_claude("1.10", "1.375", "2.20", "0.11", "5.50")),
    # The bare id is an in-Region call, which is regional.
    Row(provider="aws", model="anthropic.claude-sonnet-4-5-20250929-v1:0", source=_REGIONAL,
        prices=_claude("3.30", "4.125", "6.60", "0.33", "16.50")),
    Row(provider="aws", model="us.anthropic.claude-3-7-sonnet-20250219-v1:0", source=CLAUDE,
        prices=_io("3", "15", "0.30", cache_write_5m="3.75"), at=_day(2025, 9, 1)),
    Row(provider="aws", model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", tier="batch",
        source="aws.amazon.com/bedrock/pricing: batch at a 50 % lower price",
        prices=_io("1.65", "8.25")),
    Row(provider="azure", model="gpt-4o", source="Azure global standard: OpenAI's list price",
        prices=_io("2.50", "10", "1.25")),
    Row(provider="azure", model="gpt-4o", tier="batch", prices=_io("1.25", "5"),
        source="learn.microsoft.com how-to/batch: 50 % less than global standard"),
    Row(provider="azure", model="gpt-4.1-mini", source="Azure global standard",
        prices=_io("0.40", "1.60", "0.10")),
)  # fmt: skip

MISTRAL_ROWS = (
    Row(provider="mistral", model="mistral-large-2512", source=MISTRAL, prices=_io("0.5", "1.5")),
    Row(provider="mistral", model="mistral-large-latest", source=MISTRAL,
        prices=_io("0.5", "1.5"), at=_day(2026, 6, 1)),
    Row(provider="mistral", model="mistral-large-latest", source=MISTRAL, prices=_io("2", "6"),
        at=_day(2025, 11, 1)),
    Row(provider="mistral", model="ministral-8b-latest", source=MISTRAL,
        prices=_io("0.15", "0.15")),
    Row(provider="mistral", model="ministral-8b-latest", source=MISTRAL, prices=_io("0.1", "0.1"),
        at=_day(2025, 11, 1)),
    Row(provider="mistral", model="mistral-small-latest", source=MISTRAL,
        prices=_io("0.15", "0.60")),
    Row(provider="mistral", model="mistral-medium-latest", source=MISTRAL,
        prices=_io("1.50", "7.50")),
    Row(provider="mistral", model="mistral-medium", source=MISTRAL, prices=_io("1.50", "7.50")),
    Row(provider="mistral", model="codestral-latest", source=MISTRAL, prices=_io("0.3", "0.9")),
    Row(provider="mistral", model="magistral-medium-latest", source=MISTRAL,
        prices=_io("2", "5"), at=_day(2026, 1, 15)),
    Row(provider="mistral", model="mistral-nemo", source=MISTRAL, prices=_io("0.15", "0.15")),
    Row(provider="mistral", model="magistral-small-latest", source=MISTRAL,
        prices=_io("0.15", "0.60")),
    Row(provider="mistral", model="mistral-large-2512", tier="batch", at=_day(2026, 6, 1),
        prices=_io("0.25", "0.75"), source="docs.mistral.ai/capabilities/batch: 50 % discount"),
    Row(provider="mistral", model="mistral-large-2512", tier="batch", prices=_io("0.25", "0.75"),
        source="docs.mistral.ai/capabilities/batch: 50 % discount"),
)  # fmt: skip

ROWS: tuple[Row, ...] = (
    *ANTHROPIC_ROWS,
    *OPENAI_ROWS,
    *GOOGLE_ROWS,
    *XAI_ROWS,
    *DEEPSEEK_ROWS,
    *CLOUD_ROWS,
    *MISTRAL_ROWS,
)

_WEB = {"input_tokens": 10, "web_searches": 1}
UNKNOWN: tuple[Unknown, ...] = (
    Unknown(provider="openai", model="gpt-17-turbo-ultra", why="no such model"),
    Unknown(provider=None, model="my-own-model", why="no provider can be told"),
    Unknown(provider="acme", model="gpt-4o", why="no such provider"),
    Unknown(provider="azure", model="prod-chat-eastus", why="a private deployment name"),
    Unknown(provider="openai", model="ft:gpt-4o-mini:acme::abc", why="no published id"),
    Unknown(provider="openai", model="gpt-4o", tier="Batch", why="a misspelt tier"),
    Unknown(provider="anthropic", model="claude-opus-5", tier="priority", why="sold by commitment"),
    Unknown(provider="azure", model="gpt-5", tier="priority", why="no published Azure price"),
    Unknown(provider="aws", model="us.amazon.nova-pro-v1:0", tier="flex", why="not published"),
    Unknown(provider="x-ai", model="grok-4.7", tier="batch", why="not in the batch table"),
    Unknown(provider="groq", model="openai/gpt-oss-20b", tier="batch", at=_day(2025, 6, 1),
            why="the batch price of that day is not known"),
    Unknown(provider="openai", model="gpt-5.4", tier="priority",
            counts={"input_tokens": 272_001}, why="priority excludes long context"),
    Unknown(provider="openai", model="gpt-5.5-pro", tier="batch",
            counts={"input_tokens": 272_001}, why="the batch table stops at 272,000"),
    Unknown(provider="openai", model="gpt-6.1-sol",
            counts={"input_tokens": 10, "cache_write_1h_tokens": 10}, why="12-hour writes"),
    Unknown(provider="aws", model="us.anthropic.claude-opus-4-1-20250805-v1:0",
            counts={"input_tokens": 10, "cache_write_1h_tokens": 10}, why="no 1-hour writes"),
    Unknown(provider="aws", model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            counts={"input_tokens": 200_001}, why="a long-context price that is not listed"),
    Unknown(provider="aws", model="us.anthropic.claude-opus-4-6-v1:0", at=_day(2026, 2, 20),
            counts={"input_tokens": 200_001}, why="a long-context price that is not listed"),
    Unknown(provider="google", model="claude-sonnet-4@20250514", at=_day(2025, 10, 1),
            counts={"input_tokens": 200_001}, why="a long-context price that is not listed"),
    Unknown(provider="google", model="claude-sonnet-4-6", at=_day(2026, 2, 20),
            counts={"input_tokens": 200_001}, why="a long-context price that is not listed"),
    Unknown(provider="openai", model="o3", at=_day(2025, 5, 1),
            counts={"input_tokens": 10, "cache_read_tokens": 10}, why="listed at a later price"),
    Unknown(provider="google", model="gemma-2-27b-it", why="OpenRouter's price, not Google's"),
    Unknown(provider="mistral", model="mistral-small-3.1-24b-instruct",
            why="OpenRouter's price, not Mistral's"),
    Unknown(provider="openai", model="whisper-1", why="billed by the hour"),
    Unknown(provider="openai", model="gpt-oss-20b", why="OpenAI does not sell it"),
    Unknown(provider="openai", model="text-embedding-3-small",
            why="embeddings have no output price"),
    Unknown(provider="openai", model="gpt-4o",
            counts={"input_tokens": 10, "input_audio_tokens": 10}, why="it takes no audio"),
    Unknown(provider="anthropic", model="claude-opus-5",
            counts={"input_tokens": 10, "code_executions": 1}, why="billed by container hour"),
    Unknown(provider="azure", model="gpt-4o", counts=_WEB, why="OpenAI's fee is not Azure's"),
    Unknown(provider="openai", model="gpt-4o-search-preview", why="a search in every request"),
    Unknown(provider="deepseek", model="deepseek-chat", why="retired on 2026-07-24"),
    Unknown(provider="deepseek", model="deepseek-r1-distill-qwen-32b", why="not theirs"),
    Unknown(provider="mistral", model="mistral-large-latest", why="Large 3 or Large 4"),
    Unknown(provider="perplexity", model="sonar-pro", why="fee by search context size"),
    Unknown(provider="vllm", model="meta-llama/Llama-3.3-70B-Instruct", why="rented machines"),
    Unknown(provider="ollama", model="gpt-oss:120b-cloud", why="billed by plan"),
    Unknown(provider="fireworks", model="accounts/fireworks/models/llama-v3p1-70b",
            why="not on the list"),
)  # fmt: skip

_FEE_COUNTS = {
    "web_search": "web_searches",
    "file_search": "file_searches",
    "code_execution": "code_executions",
}


def usages(row: Row) -> Iterator[Counts]:
    """Token counts that reach every bucket and both sides of the threshold."""
    prices = row.prices
    sizes = [1, 999, 100_003]
    if row.above is not None:
        sizes += [row.above[0], row.above[0] + 1, 3 * row.above[0]]
    for size in sizes:
        yield {"input_tokens": size}
        yield from _audio_and_images(prices, size)
        if "output" not in prices:
            continue
        yield {"input_tokens": size, "output_tokens": 777, "reasoning_tokens": 333}
        yield from _cached(prices, size)
    for fee in row.fees:
        yield {"input_tokens": 10, _FEE_COUNTS[fee]: 7}


def _cached(prices: Prices, size: int) -> Iterator[Counts]:
    third = size // 3
    if "cache_read" in prices:
        yield {"input_tokens": size, "cache_read_tokens": third, "output_tokens": 13}
        yield {"input_tokens": size, "cache_read_tokens": size, "output_tokens": 1}
    if "cache_write_5m" in prices:
        yield {"input_tokens": size, "cache_write_5m_tokens": third, "output_tokens": 13}
    if "cache_write_1h" in prices:
        yield {"input_tokens": size, "cache_write_1h_tokens": size}
        yield {
            "input_tokens": size,
            "cache_read_tokens": third,
            "cache_write_5m_tokens": third // 2,
            "cache_write_1h_tokens": third // 3,
            "output_tokens": 4_242,
            "reasoning_tokens": 42,
        }


def _audio_and_images(prices: Prices, size: int) -> Iterator[Counts]:
    text = 50 if "output" in prices else 0
    for kind in ("audio", "image"):
        if f"input_{kind}" in prices:
            yield {"input_tokens": size, f"input_{kind}_tokens": size // 2, "output_tokens": text}
        if f"output_{kind}" in prices:
            made = {"output_tokens": 450 + text, f"output_{kind}_tokens": 450}
            yield {"input_tokens": size, **made}
    if "cache_read_audio" in prices:
        yield {
            "input_tokens": size,
            "cache_read_tokens": size // 3,
            "input_audio_tokens": size // 2,
            "cache_read_audio_tokens": size // 4,
            "output_tokens": text,
        }


def expected_nanos(row: Row, counts: Counts) -> int:
    """The bill in nano-USD: summed exactly, then rounded once, half to even."""
    n = {name: counts.get(name, 0) for name in _ALL_COUNTS}
    prices = row.prices
    if row.above is not None and n["input_tokens"] > row.above[0]:
        prices = row.above[1]
    inputs = {
        "cache_read": n["cache_read_tokens"] - n["cache_read_audio_tokens"],
        "cache_read_audio": n["cache_read_audio_tokens"],
        "cache_write_5m": n["cache_write_5m_tokens"],
        "cache_write_1h": n["cache_write_1h_tokens"],
        "input_audio": n["input_audio_tokens"] - n["cache_read_audio_tokens"],
        "input_image": n["input_image_tokens"],
    }
    outputs = {
        "output_audio": n["output_audio_tokens"],
        "output_image": n["output_image_tokens"],
    }
    amounts = {
        **inputs,
        **outputs,
        "input": n["input_tokens"] - sum(inputs.values()),
        "output": n["output_tokens"] - sum(outputs.values()),
    }
    usd = sum(
        (Fraction(prices[bucket]) * tokens / 1_000_000 for bucket, tokens in amounts.items()
         if tokens),
        Fraction(0),
    )  # fmt: skip
    for fee, price in row.fees.items():
        usd += Fraction(price) * n[_FEE_COUNTS[fee]] / 1_000
    return round(usd * 1_000_000_000)  # round() of a Fraction is half to even


_ALL_COUNTS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens", "cache_read_audio_tokens",
    "output_audio_tokens", "input_image_tokens", "output_image_tokens", "web_searches",
    "code_executions", "file_searches",
)  # fmt: skip
