"""What genai-prices 0.2.3 gets silently wrong, corrected or refused. Every row has its source.

Rows are read from top to bottom and a later active row wins, so a price change is appended below
the row it ends and no row is ever overwritten: an attempt of that day keeps its price. A row with
`prices` replaces the whole price, or with `overlay` only what it names; a row with `refuse` leaves
the model unpriced. Sources were read by 2026-11-21 as stored copies of the page, or as quoted by
the project a row names.
"""

from __future__ import annotations

from datetime import date

from frugal_chains.pricing._entries import PriceEntry, Window, utc
from frugal_chains.pricing._past_prices import PAST_PRICES
from frugal_chains.pricing._tables import TIERS, price_list

# Chinese public holidays are off-peak; these are the weekdays among those of 2026 since the rule
# (State Council notice 2025 no. 7). Later ones count as working days until they are appended.
_CHINESE_HOLIDAYS = frozenset(
    {date(2026, 9, 25), *(date(2026, 10, day) for day in (1, 2, 5, 6, 7))}
)
_NIGHT_2025 = Window(spans=((16 * 60 + 30, 24 * 60), (0, 30)))
_PEAK_DAILY = Window(spans=((60, 4 * 60), (6 * 60, 10 * 60)))
_PEAK_WORKDAYS = Window(
    spans=_PEAK_DAILY.spans, weekdays=frozenset(range(5)), except_on=_CHINESE_HOLIDAYS
)
# Changes take effect at 00:00 Beijing time. https://api-docs.deepseek.com/quick_start/pricing
_V3_PROMO_END = utc(2025, 2, 8, 16)
_NIGHT_START = utc(2025, 2, 26, 16, 30)
_NIGHT_END = utc(2025, 9, 5, 16)
_V32 = utc(2025, 9, 29)
_V4 = utc(2026, 4, 24)
_OLD_NAMES_END = utc(2026, 7, 24, 15, 59)
_PEAKS = utc(2026, 8, 16, 16)
_WEEKENDS = utc(2026, 8, 22, 16)
_V41 = utc(2026, 9, 10)

_DEEPSEEK = "https://api-docs.deepseek.com/quick_start/pricing"
_CHAT, _REASONER = ("deepseek-chat", "deepseek-chat-v3*"), ("deepseek-reasoner",)
_OLD_NAMES = (*_CHAT, *_REASONER)
_FLASH, _PRO = ("deepseek-v4-flash*",), ("deepseek-v4-pro*",)
_FLASH_41 = ("deepseek-flash", *_FLASH)

_DEEPSEEK_ROWS = (
    PriceEntry(
        id="deepseek-v3-promo", provider="deepseek", models=_CHAT, until=_V3_PROMO_END,
        prices=price_list({"input": "0.14", "cache_read": "0.014", "output": "0.28"}),
        source="https://github.com/simonw/llm-prices data/deepseek.json (until 2025-02-08)",
    ),
    PriceEntry(
        id="deepseek-v3", provider="deepseek", models=_CHAT, since=_V3_PROMO_END, until=_NIGHT_END,
        prices=price_list({"input": "0.27", "cache_read": "0.07", "output": "1.10"}),
        source=f"{_DEEPSEEK} as of 2025-09-04",
    ),
    PriceEntry(
        id="deepseek-r1", provider="deepseek", models=_REASONER, until=_NIGHT_END,
        prices=price_list({"input": "0.55", "cache_read": "0.14", "output": "2.19"}),
        source=f"{_DEEPSEEK} as of 2025-09-04",
    ),
    PriceEntry(
        id="deepseek-2025-night", provider="deepseek", models=_OLD_NAMES, window=_NIGHT_2025,
        since=_NIGHT_START, until=_NIGHT_END,
        prices=price_list({"input": "0.135", "cache_read": "0.035", "output": "0.55"}),
        source=f"{_DEEPSEEK} as of 2025-09-04: UTC 16:30-00:30, started 2025-02-26",
    ),
    PriceEntry(
        id="deepseek-v3.1", provider="deepseek", models=_OLD_NAMES, since=_NIGHT_END, until=_V32,
        prices=price_list({"input": "0.56", "cache_read": "0.07", "output": "1.68"}),
        source=f"{_DEEPSEEK}: from 2025-09-05 16:00 UTC, night discount cancelled",
    ),
    PriceEntry(
        id="deepseek-v3.2", provider="deepseek", models=_OLD_NAMES, since=_V32, until=_V4,
        prices=price_list({"input": "0.28", "cache_read": "0.028", "output": "0.42"}),
        source=f"{_DEEPSEEK} as of 2026-04-13; https://api-docs.deepseek.com/news/news250929",
    ),
    PriceEntry(
        id="deepseek-old-names-v4", provider="deepseek", models=_OLD_NAMES,
        since=_V4, until=_OLD_NAMES_END,
        prices=price_list({"input": "0.14", "cache_read": "0.0028", "output": "0.28"}),
        source="https://api-docs.deepseek.com/updates 2026-04-24: both names route to V4 Flash",
    ),
    PriceEntry(
        id="deepseek-old-names-retired", provider="deepseek", models=_OLD_NAMES,
        since=_OLD_NAMES_END,
        refuse="DeepSeek retired this name on 2026-07-24 15:59 UTC; use deepseek-flash or "
        "deepseek-v4-pro, or [alias] it in prices.toml to what really answers",
        source="https://api-docs.deepseek.com/updates 2026-04-24",
    ),
    PriceEntry(
        id="deepseek-v4-flash", provider="deepseek", models=_FLASH, until=_PEAKS,
        prices=price_list({"input": "0.14", "cache_read": "0.0028", "output": "0.28"}),
        source=f"{_DEEPSEEK} as of 2026-06; flat all day",
    ),
    PriceEntry(
        id="deepseek-v4-flash-offpeak", provider="deepseek", models=_FLASH, since=_PEAKS,
        until=_V41, prices=price_list({"input": "0.22", "cache_read": "0.007", "output": "0.66"}),
        source="https://github.com/Wei-Shaw/sub2api/pull/6097, quoting the pricing page",
    ),
    PriceEntry(
        id="deepseek-v4-flash-peak", provider="deepseek", models=_FLASH, window=_PEAK_DAILY,
        since=_PEAKS, until=_WEEKENDS,
        prices=price_list({"input": "0.44", "cache_read": "0.014", "output": "1.32"}),
        source=f"{_DEEPSEEK}: from 2026-08-16 16:00 UTC, 01:00-04:00 and 06:00-10:00 UTC",
    ),
    PriceEntry(
        id="deepseek-v4-flash-peak", provider="deepseek", models=_FLASH, window=_PEAK_WORKDAYS,
        since=_WEEKENDS, until=_V41,
        prices=price_list({"input": "0.44", "cache_read": "0.014", "output": "1.32"}),
        source="weekends off-peak from 2026-08-23 00:00 Beijing: genai-prices#582, OmniRoute#11210",
    ),
    PriceEntry(
        id="deepseek-flash-offpeak", provider="deepseek", models=_FLASH_41, since=_V41,
        prices=price_list({"input": "0.15", "cache_read": "0.003", "output": "0.60"}),
        source=f"{_DEEPSEEK}: V4.1 Flash, which also answers the retired V4 Flash names",
    ),
    PriceEntry(
        id="deepseek-flash-peak", provider="deepseek", models=_FLASH_41, window=_PEAK_WORKDAYS,
        since=_V41, prices=price_list({"input": "0.30", "cache_read": "0.006", "output": "1.20"}),
        source=f"{_DEEPSEEK}: Monday to Friday, Chinese public holidays excepted",
    ),
    PriceEntry(
        id="deepseek-v4-pro", provider="deepseek", models=_PRO, until=_PEAKS,
        prices=price_list({"input": "0.435", "cache_read": "0.003625", "output": "0.87"}),
        source=f"{_DEEPSEEK} as of 2026-06; flat all day",
    ),
    PriceEntry(
        id="deepseek-v4-pro-offpeak", provider="deepseek", models=_PRO, since=_PEAKS,
        prices=price_list({"input": "0.66", "cache_read": "0.022", "output": "1.98"}),
        source=_DEEPSEEK,
    ),
    PriceEntry(
        id="deepseek-v4-pro-peak", provider="deepseek", models=_PRO, window=_PEAK_DAILY,
        since=_PEAKS, until=_WEEKENDS,
        prices=price_list({"input": "1.32", "cache_read": "0.044", "output": "3.96"}),
        source=f"{_DEEPSEEK}: from 2026-08-16 16:00 UTC",
    ),
    PriceEntry(
        id="deepseek-v4-pro-peak", provider="deepseek", models=_PRO, window=_PEAK_WORKDAYS,
        since=_WEEKENDS, prices=price_list(
            {"input": "1.32", "cache_read": "0.044", "output": "3.96"}),
        source=f"{_DEEPSEEK}: Monday to Friday, Chinese public holidays excepted; genai-prices#582",
    ),
    PriceEntry(
        id="deepseek-distill", provider="deepseek", models=("deepseek-r1-distill*",),
        refuse="DeepSeek does not serve its distilled models; name the provider that does",
        source="genai-prices 0.2.3 data.py matches `deepseek-r1*` to deepseek-reasoner",
    ),
)  # fmt: skip

_OPENAI_PRICES = "https://developers.openai.com/api/docs/pricing"
_FINE_TUNED = "litellm 1.109.1 model_prices_and_context_window_backup.json, cache_read: half of " \
    "the fine-tuned input price"  # fmt: skip
_OPENAI_ROWS = (
    PriceEntry(
        id="gpt-4o-2024-05-13", provider="openai", models=("gpt-4o",), until=utc(2024, 10, 3),
        prices=price_list({"input": "5", "output": "15"}),
        source="the alias moved to gpt-4o-2024-08-06 on 2024-10-03: danny-avila/LibreChat#4386",
    ),
    PriceEntry(
        id="o3-before-cut", provider="openai", models=("o3", "o3-2025-04-16"),
        until=utc(2025, 6, 10),
        prices=price_list(
            {"input": "10", "output": "40"},
            gaps={"cache_read": "genai-prices lists the cached price of after the 80 % cut of "
                  "2025-06-10"},
        ),
        source="https://openai.com/index/introducing-o3-and-o4-mini; genai-prices 0.2.3 data.py",
    ),
    PriceEntry(
        id="gpt-4o-audio", provider="openai", overlay=True, since=utc(2024, 12, 17),
        models=("gpt-4o-audio-preview", "gpt-4o-audio-preview-2024-12-17",
                "gpt-4o-audio-preview-2025-06-03"),
        prices=price_list({"input_audio": "40", "output_audio": "80"}),
        source="https://developers.openai.com/api/docs/models/gpt-4o-audio-preview",
    ),
    PriceEntry(
        id="gpt-4o-mini-audio", provider="openai", overlay=True, since=utc(2024, 12, 17),
        models=("gpt-4o-mini-audio-preview", "gpt-4o-mini-audio-preview-2024-12-17"),
        prices=price_list({"input_audio": "10", "output_audio": "20"}),
        source="https://developers.openai.com/api/docs/models/gpt-4o-mini-audio-preview",
    ),
    # genai-prices lists no cached price of fine-tuned models.
    PriceEntry(
        id="ft-gpt-4o-cache", provider="openai", overlay=True, models=("ft:gpt-4o-2024-08-06*",),
        prices=price_list({"cache_read": "1.875"}), source=_FINE_TUNED,
    ),
    PriceEntry(
        id="ft-gpt-4o-mini-cache", provider="openai", overlay=True,
        models=("ft:gpt-4o-mini-2024-07-18*",),
        prices=price_list({"cache_read": "0.15"}), source=_FINE_TUNED,
    ),
    PriceEntry(
        id="openai-12h-writes", provider="openai", overlay=True, models=("gpt-6.1-terra*",),
        prices=price_list({"cache_write_1h": "2.50"}, (272_000, {"cache_write_1h": "5.00"})),
        source="https://developers.openai.com/api/docs/models/gpt-6.1-terra: 12-hour retention",
    ),
    PriceEntry(
        id="openai-search-models", provider="openai", tiers=TIERS,
        models=("gpt-4o-search-preview*", "gpt-4o-mini-search-preview*", "gpt-5-search-api*"),
        refuse="every request also bills a web search that its usage does not report; give "
        "`request` and the token rates in prices.toml",
        source=f"{_OPENAI_PRICES}: web search, built-in tools",
    ),
    PriceEntry(
        id="openai-not-sold", provider="openai", tiers=TIERS,
        models=("gpt-oss*", "gpt-5-image*", "gpt-5.4-image*"),
        refuse="OpenAI publishes no API price for it; name the provider that serves it, or add "
        "[[free]] to prices.toml if you run it yourself",
        source="genai-prices 0.2.3 data.py: imported from OpenRouter, not verified",
    ),
    PriceEntry(
        id="openai-containers", provider="openai", overlay=True, models=("*",), tiers=TIERS,
        prices=price_list({}, gaps={"code_execution": "OpenAI bills containers by session and "
                                    "size, which a count of runs does not give"}),
        source=f"{_OPENAI_PRICES}: built-in tools",
    ),
)  # fmt: skip

_LONG = "requests above 200,000 input tokens had a long-context price on this platform that " \
    "genai-prices does not list"  # fmt: skip
_CLAUDE_PRICES = "https://platform.claude.com/docs/en/about-claude/pricing"
_LONG_SOURCE = f"{_CLAUDE_PRICES}#long-context-pricing"
_CLAUDE_ROWS = (
    PriceEntry(
        id="claude-sonnet-4-long", provider="anthropic", since=utc(2025, 8, 12),
        models=("claude-sonnet-4", "claude-sonnet-4-0*", "claude-sonnet-4-2025*",
                "claude-sonnet-4@*", "claude-4-sonnet*"),
        overlay=True,
        prices=price_list(
            {"input": "3", "cache_read": "0.30", "cache_write_5m": "3.75",
             "cache_write_1h": "6", "output": "15"},
            (200_000, {"input": "6", "cache_read": "0.60", "cache_write_5m": "7.50",
                       "cache_write_1h": "12", "output": "22.50"}),
        ),
        source=f"{_LONG_SOURCE}; thenewstack.io 2025-08-12: 1M context in beta, twice the price",
    ),
    PriceEntry(
        id="bedrock-long-context", provider="aws", refuse=_LONG, refuse_above_tokens=200_000,
        models=("*claude-sonnet-4-2025*", "*claude-sonnet-4-5-*"), source=_LONG_SOURCE,
    ),
    PriceEntry(
        id="bedrock-long-context", provider="aws", refuse=_LONG, refuse_above_tokens=200_000,
        models=("*claude-sonnet-4-6*", "*claude-opus-4-6*"), until=utc(2026, 3, 13),
        source=_LONG_SOURCE,
    ),
    PriceEntry(
        id="vertex-long-context", provider="google", refuse=_LONG, refuse_above_tokens=200_000,
        models=("claude-sonnet-4", "claude-sonnet-4@*", "claude-sonnet-4-0*",
                "claude-sonnet-4-2025*", "claude-4-sonnet*"),
        source=_LONG_SOURCE,
    ),
    PriceEntry(
        id="vertex-long-context", provider="google", refuse=_LONG, refuse_above_tokens=200_000,
        models=("*claude-sonnet-4-6*",), until=utc(2026, 3, 13), source=_LONG_SOURCE,
    ),
    PriceEntry(
        id="claude-containers", provider="anthropic", overlay=True, models=("*",), tiers=TIERS,
        prices=price_list({}, gaps={"code_execution": "Anthropic bills containers by the hour, "
                                    "which a count of runs does not give"}),
        source=f"{_CLAUDE_PRICES}#code-execution-tool",
    ),
)  # fmt: skip

_XAI_PRICES = "https://docs.x.ai/developers/pricing"
_OTHER_ROWS = (
    PriceEntry(
        id="gemini-1.5-flash-8b", provider="google", models=("gemini-1.5-flash-8b*",),
        prices=price_list(
            {"input": "0.0375", "cache_read": "0.01", "output": "0.15"},
            (128_000, {"input": "0.075", "cache_read": "0.02", "output": "0.30"}),
        ),
        source="https://ai.google.dev/gemini-api/docs/pricing#gemini-1.5-flash-8b; genai-prices "
        "matches the name to gemini-1.5-flash",
    ),
    PriceEntry(
        id="gemini-1.5-pro-cache", provider="google", models=("gemini-1.5-pro*",), overlay=True,
        since=utc(2024, 10, 1),
        prices=price_list({"cache_read": "0.3125"}, (128_000, {"cache_read": "0.625"})),
        source="https://ai.google.dev/gemini-api/docs/pricing#gemini-1.5-pro",
    ),
    PriceEntry(
        id="gemini-code-execution", provider="google", models=("gemini-*",), overlay=True,
        tiers=TIERS, prices=price_list({}, fees={"code_execution": "0"}),
        source="https://ai.google.dev/gemini-api/docs/code-execution: one charge, by tokens",
    ),
    PriceEntry(
        id="grok-4-long", provider="x-ai", models=("grok-4", "grok-4-0709", "grok-4-latest"),
        prices=price_list(
            {"input": "3", "cache_read": "0.75", "output": "15"},
            (128_000, {"input": "6", "cache_read": "0.75", "output": "30"}),
        ),
        source="https://docs.x.ai/docs/models/grok-4-0709; theopenco/llmgateway#2037",
    ),
    PriceEntry(
        id="grok-4-fast-long", provider="x-ai",
        models=("grok-4-fast*", "grok-4-1-fast*"),
        prices=price_list(
            {"input": "0.20", "cache_read": "0.05", "output": "0.50"},
            (128_000, {"input": "0.40", "output": "1.00"}),
            gaps={"cache_read": "xAI lists no cached price above 128,000 input tokens"},
        ),
        source="https://docs.x.ai/developers/models; theopenco/llmgateway#2037",
    ),
    PriceEntry(
        id="xai-tools", provider="x-ai", models=("grok-*",), overlay=True, tiers=TIERS,
        since=utc(2026, 9, 21),
        prices=price_list(
            {}, fees={"web_search": "5", "code_execution": "5", "file_search": "2.50"}),
        source=f"{_XAI_PRICES}: tool invocation costs, on the page that lists grok-4.7",
    ),
    PriceEntry(
        id="mistral-large-latest", provider="mistral", models=("mistral-large-latest",),
        since=utc(2025, 12, 2), until=utc(2026, 10, 6),
        prices=price_list({"input": "0.5", "cache_read": "0.05", "output": "1.5"}),
        source="the alias moved to Mistral Large 3 on 2025-12-02: simonw/llm-prices#63",
    ),
    PriceEntry(
        id="mistral-large-latest", provider="mistral", models=("mistral-large-latest",),
        since=utc(2026, 10, 6), tiers=TIERS,
        refuse="the alias may answer as Mistral Large 3 or, since 2026-10-06, Large 4; ask for "
        "mistral-large-2512 or mistral-large-4, or [alias] it in prices.toml",
        source="https://docs.mistral.ai/models/mistral-large-4-0",
    ),
    PriceEntry(
        id="mistral-medium", provider="mistral", models=("mistral-medium",),
        since=utc(2026, 7, 1),
        prices=price_list({"input": "1.5", "cache_read": "0.15", "output": "7.5"}),
        source="the bare name answers as Mistral Medium 3.5: promptfoo#9929, verified 2026-07-01",
    ),
    PriceEntry(
        id="magistral-small-latest", provider="mistral", models=("magistral-small-latest",),
        since=utc(2026, 7, 1),
        prices=price_list({"input": "0.15", "cache_read": "0.015", "output": "0.60"}),
        source="folded into Mistral Small 4: promptfoo#9929, verified 2026-07-01",
    ),
    PriceEntry(
        id="perplexity-sonar", provider="perplexity", models=("sonar*",), tiers=TIERS,
        refuse="its request fee depends on the search context size (and deep research on citation "
        "tokens), which usage does not report; give `request` in prices.toml",
        source="genai-prices 0.2.3 data.py: it takes the highest fee shown",
    ),
    PriceEntry(
        id="not-the-makers-price", provider="google", models=("gemma-2-*",), tiers=TIERS,
        refuse="genai-prices has its price from OpenRouter, not from Google; give it in "
        "prices.toml",
        source="genai-prices 0.2.3 data.py: imported from OpenRouter, not verified",
    ),
    PriceEntry(
        id="not-the-makers-price", provider="mistral", tiers=TIERS,
        models=("mistral-small-3.1-24b-instruct", "mistral-small-24b-instruct-2501"),
        refuse="genai-prices has its price from OpenRouter, not from Mistral; give it in "
        "prices.toml",
        source="genai-prices 0.2.3 data.py: imported from OpenRouter, not verified",
    ),
)  # fmt: skip

CORRECTIONS: tuple[PriceEntry, ...] = (
    *_DEEPSEEK_ROWS,
    *PAST_PRICES,
    *_OPENAI_ROWS,
    *_CLAUDE_ROWS,
    *_OTHER_ROWS,
)
