"""What models cost before a price cut, or before their name moved, where genai-prices lists today.

Rows as in `_corrections`. Where no source at hand gives the old price the row refuses: a replay of
that day is unpriced with the reason, never silently today's price. A cut whose hour is not known
takes effect at 00:00 UTC of its day. Sources were read by 2026-11-21.
"""

from __future__ import annotations

from frugal_chains.pricing._entries import PriceEntry, utc
from frugal_chains.pricing._tables import TIERS, price_list

_NO_CACHE_PRICE = "no source at hand gives the cached price of before the cut"
_NO_AUDIO_PRICE = "no source at hand gives the audio price of this snapshot"

_OPENAI_ROWS = (
    PriceEntry(
        id="o1-mini-before-cut", provider="openai", models=("o1-mini", "o1-mini-2024-09-12"),
        until=utc(2025, 1, 31),
        prices=price_list({"input": "3", "cache_read": "1.50", "output": "12"}),
        source="https://github.com/greg-randall/scrythe open_ai_cost.py; cut with the release of "
        "o3-mini: RooCodeInc/Roo-Code#711, BerriAI/litellm#8151 (2025-01-31)",
    ),
    PriceEntry(
        id="gpt-4o-audio-before-cut", provider="openai", overlay=True, until=utc(2024, 12, 17),
        models=("gpt-4o-audio-preview", "gpt-4o-audio-preview-2024-10-01"),
        prices=price_list({"input_audio": "100", "output_audio": "200"}),
        source="https://github.com/greg-randall/scrythe open_ai_cost.py",
    ),
    *(
        PriceEntry(
            id="gpt-4o-realtime-2024-10-01", provider="openai", models=(name,), until=until,
            prices=price_list(
                {"input": "5", "cache_read": "2.5", "output": "20"},
                gaps=dict.fromkeys(
                    ("input_audio", "cache_read_audio", "output_audio"), _NO_AUDIO_PRICE),
            ),
            source="genai-prices 0.2.3 data.py, text prices; its audio prices are those of the "
            "2024-12-17 snapshot: https://developers.openai.com/api/docs/models/"
            "gpt-4o-realtime-preview",
        )
        for name, until in (
            ("gpt-4o-realtime-preview", utc(2024, 12, 17)),
            ("gpt-4o-realtime-preview-2024-10-01", None),
        )
    ),
)  # fmt: skip

_CLAUDE_ROWS = (
    PriceEntry(
        id="claude-3-5-haiku-before-cut", provider="anthropic", until=utc(2024, 12, 4),
        models=("claude-3-5-haiku*", "claude-3.5-haiku*"),
        prices=price_list(
            {"input": "1", "cache_read": "0.10", "cache_write_5m": "1.25", "output": "5"}),
        source="Helicone/helicone#2918 and simonw/llm-claude-3#23 (2024-11-04), with the "
        "multipliers of https://platform.claude.com/docs/en/build-with-claude/prompt-caching; "
        "the page showed $0.80 by 2024-12-04: danny-avila/LibreChat#4851",
    ),
)  # fmt: skip

_GEMINI_ALIAS = "Google has moved this alias since then; ask for the versioned model, or [alias] " \
    "it in prices.toml to the one that answered"  # fmt: skip
_GEMINI_CHANGELOG = "https://ai.google.dev/gemini-api/docs/changelog"
_GEMINI_ROWS = (
    PriceEntry(
        id="gemini-1.5-pro-before-cut", provider="google", models=("gemini-1.5-pro*",),
        until=utc(2024, 10, 1),
        prices=price_list(
            {"input": "3.50", "output": "10.50"},
            (128_000, {"input": "7.00", "output": "21.00"}),
            gaps={"cache_read": _NO_CACHE_PRICE},
        ),
        source="https://github.com/kunishou/GenerativeAI-Cost README.md; above 128,000 tokens: "
        "https://bigbullcloud.com/blog/google-gemini-api-cost-structure",
    ),
    PriceEntry(
        id="gemini-1.5-flash-before-cut", provider="google", until=utc(2024, 8, 12),
        models=("gemini-1.5-flash*",),
        prices=price_list(
            {"input": "0.35", "output": "1.05"}, gaps={"cache_read": _NO_CACHE_PRICE},
        ).capped(128_000, why="no source at hand gives the long-context price of before the cut"),
        source="https://github.com/taikinman/langrila src/langrila/legacy/gemini/model_config.py; "
        "until 2024-08-12: https://github.com/kunishou/GenerativeAI-Cost README.md",
    ),
    PriceEntry(
        id="gemini-2.5-flash-preview", provider="google", tiers=TIERS,
        models=("gemini-2.5-flash-preview", "gemini-2.5-flash-preview:*",
                "*gemini-2.5-flash-preview-04-17*", "*gemini-2.5-flash-preview-05-20*"),
        refuse="its output cost $0.60 with thinking off and $3.50 with thinking on, which usage "
        "does not report; give the prices you paid in prices.toml",
        source="RooCodeInc/Roo-Code#2720 and giselles-ai/giselle#1039, quoting the pricing page",
    ),
    PriceEntry(
        id="gemini-latest", provider="google", tiers=TIERS, until=utc(2026, 8, 21),
        models=("gemini-flash-latest", "gemini-flash-lite-latest"), refuse=_GEMINI_ALIAS,
        source=f"{_GEMINI_CHANGELOG} 2026-01-21 and 2026-05-19; huggingface/tau#630 (2026-08-21): "
        "3.7 Flash, at the price of 3.8 Flash, and 3.5 Flash-Lite",
    ),
    PriceEntry(
        # Gemini 3 Pro and 3.1 Pro, which it names since then, cost the same.
        id="gemini-latest", provider="google", tiers=TIERS, until=utc(2026, 1, 21),
        models=("gemini-pro-latest",), refuse=_GEMINI_ALIAS,
        source=f"{_GEMINI_CHANGELOG} 2026-01-21: gemini-pro-latest switched to "
        "gemini-3-pro-preview",
    ),
)  # fmt: skip

_MISTRAL_CUT = utc(2024, 9, 17)
_MISTRAL_ROWS = (
    PriceEntry(
        id="mistral-before-cut", provider="mistral", until=_MISTRAL_CUT, tiers=TIERS,
        models=("mistral-large", "mistral-large-latest", "mistral-large-2407",
                "mistral-small-latest", "open-mistral-nemo*", "mistral-nemo"),
        refuse="Mistral cut its prices on 2024-09-17, and no source at hand gives the older ones; "
        "give them in prices.toml",
        source="https://mistral.ai/news/september-24-release",
    ),
    PriceEntry(
        id="mistral-small-2409", provider="mistral", models=("mistral-small-latest",),
        since=_MISTRAL_CUT, until=utc(2025, 1, 30),
        prices=price_list({"input": "0.20", "output": "0.60"}),
        source="https://ai-tldr.dev/models/mistral-small-2-409: $0.20 / $0.60 at its release; "
        "docs.mistral.ai v0.0.80: the alias is 24.09. Until Mistral Small 3, 2025-01-30",
    ),
    PriceEntry(
        id="codestral-before-2501", provider="mistral", until=utc(2025, 1, 13), tiers=TIERS,
        models=("codestral", "codestral-latest"),
        refuse="the alias moved to Codestral 25.01 on 2025-01-13, and no source at hand gives the "
        "price of the version before; give it in prices.toml",
        source="https://github.com/mistralai/platform-docs-public "
        "src/schema/models/models/codestral-25-01.ts",
    ),
)  # fmt: skip

_COHERE_END = utc(2025, 9, 15)
_COHERE_NAMES = "https://docs.cohere.com/changelog/2025-09-15-major-command-deprecations: the " \
    "bare name was an alias of this version"  # fmt: skip
_COHERE_ROWS = (
    PriceEntry(
        id="command-r-03-2024", provider="cohere", models=("command-r", "command-r-03-2024"),
        until=_COHERE_END, prices=price_list({"input": "0.50", "output": "1.50"}),
        source=f"tarasglek/chatcraft.org#610 (2024-04), quoting the pricing page; {_COHERE_NAMES}",
    ),
    PriceEntry(
        id="command-r-plus-04-2024", provider="cohere", until=_COHERE_END,
        models=("command-r-plus", "command-r-plus-04-2024"),
        prices=price_list({"input": "3", "output": "15"}),
        source="https://openrouter.ai/cohere/command-r-plus-04-2024 and "
        f"tarasglek/chatcraft.org#610 (2024-04); {_COHERE_NAMES}",
    ),
    PriceEntry(
        id="command-r-retired", provider="cohere", since=_COHERE_END, tiers=TIERS,
        models=("command-r", "command-r-03-2024", "command-r-plus", "command-r-plus-04-2024"),
        refuse="Cohere retired this name on 2025-09-15; use command-r-08-2024 or "
        "command-r-plus-08-2024, or [alias] it in prices.toml to what really answers",
        source="https://docs.cohere.com/changelog/2025-09-15-major-command-deprecations",
    ),
)  # fmt: skip

PAST_PRICES: tuple[PriceEntry, ...] = (
    *_OPENAI_ROWS,
    *_CLAUDE_ROWS,
    *_GEMINI_ROWS,
    *_MISTRAL_ROWS,
    *_COHERE_ROWS,
)
