"""What providers' caches let a request ask for, by their documents (read 2026-11-22)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from genai_prices.data import providers

from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import terms_by_ttl
from frugal_chains.providers import CacheControls, cache_controls, cache_rule

AT = datetime(2026, 11, 20, tzinfo=UTC)
ROWS = [
    # provider, model, control, matching, times to live, markers, look-back, key
    ("anthropic", "claude-opus-5", "cache_control", "breakpoints", "5m 1h", 4, 20, False),
    ("anthropic", "", "cache_control", "breakpoints", "5m 1h", 4, 20, False),
    ("", "claude-haiku-4-5", "cache_control", "breakpoints", "5m 1h", 4, 20, False),
    ("google_vertexai", "claude-sonnet-5", "cache_control", "breakpoints", "5m 1h", 4, 20, False),
    (
        "bedrock_converse",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "cachePoint",
        "breakpoints",
        "5m 1h",
        4,
        20,
        False,
    ),
    ("bedrock", "amazon.nova-pro-v1:0", "cachePoint", "breakpoints", "5m", 4, 1, False),
    ("bedrock", "meta.llama3-70b-instruct-v1:0", "none", "longest prefix", "", 0, None, False),
    ("openai", "gpt-4o-2024-08-06", "automatic", "longest prefix", " 24h", 0, None, True),
    ("openai", "o3", "automatic", "longest prefix", " 24h", 0, None, True),
    ("azure_openai", "our-deployment", "automatic", "longest prefix", " 24h", 0, None, True),
    ("openai", "gpt-5.6-sol", "prompt_cache_breakpoint", "breakpoints", "30m 12h", 4, 1, True),
    ("openai", "gpt-6.1-terra", "prompt_cache_breakpoint", "breakpoints", "30m 12h", 4, 1, True),
    ("bedrock", "openai.gpt-5.6-luna", "prompt_cache_breakpoint", "breakpoints", "30m 12h", 4, 1,
     True),
    ("google_genai", "gemini-3.8-flash", "automatic", "longest prefix", "", 0, None, False),
    ("deepseek", "deepseek-v4-flash", "automatic", "breakpoints", "", 0, None, False),
    ("ollama", "llama3.1:8b", "automatic", "longest prefix", "", 0, None, False),
    ("house", "zeta-9000", "none", "longest prefix", "", 0, None, False),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_what_a_request_can_ask_for(
    row: tuple[str, str, str, str, str, int, int | None, bool],
) -> None:
    provider, model, control, matching, ttls, markers, lookback, key = row
    found = cache_controls(provider, model)
    assert (found.control, found.matching) == (control, matching)
    assert " ".join(name for name, _ in found.ttls) == ttls
    assert (found.most_markers, found.lookback, found.cache_key) == (markers, lookback, key)


def every_rule() -> dict[str, CacheControls]:
    return {f"{row[0]}-{row[1]}": cache_controls(row[0], row[1]) for row in ROWS}


def test_every_rule_says_where_it_comes_from_and_when_it_was_read() -> None:
    for name, rule in every_rule().items():
        if rule.control != "none":
            assert re.search(r"\w+\.\w+.*2026-\d\d-\d\d$", rule.source), name


def test_times_to_live_in_seconds() -> None:
    """5 minutes and 1 hour; 30 minutes and 12 hours: the shortest first."""
    claude, gpt = (
        cache_controls("anthropic", "claude-opus-5"),
        cache_controls("openai", "gpt-6-sol"),
    )
    assert [claude.ttl_s(name) for name in ("5m", "1h", "")] == [300, 3600, 300]
    assert [gpt.ttl_s(name) for name in ("30m", "12h", "")] == [1800, 43200, 1800]
    for rule in every_rule().values():
        seconds = [s for _, s in rule.ttls]
        assert seconds == sorted(seconds)


def test_the_two_tables_agree() -> None:
    """On who caches by itself, and for how long unasked."""
    for provider, model, *_ in ROWS:
        rule, controls = cache_rule(provider, model), cache_controls(provider, model)
        if controls.control == "none":
            continue
        if provider == "bedrock" and "gpt" in model:
            continue  # `cache_rule` goes by who serves it
        asks = controls.control in ("cache_control", "cachePoint")
        if not (provider.startswith("google") and asks):
            assert rule.automatic != asks, (provider, model)
        assert controls.ttl_s() == (rule.ttl_s if controls.ttls else 0), (provider, model)


CLAUDE_LOSES = {
    # platform.claude.com/docs/en/build-with-claude/prompt-caching, "What invalidates the cache"
    "tools": "tools",
    "model": "tools",
    "system": "system",
    "web_search": "system",
    "citations": "system",
    "speed": "system",
    "tool_choice": "messages",
    "images": "messages",
    "thinking": "messages",
    "effort": "messages",
}


@pytest.mark.parametrize(("setting", "level"), CLAUDE_LOSES.items())
def test_what_claude_loses(setting: str, level: str) -> None:
    assert cache_controls("anthropic", "claude-opus-5").resets[setting] == level


def test_what_gpt_loses() -> None:
    """The nine reasons of its diagnostics, but for the input itself and compaction."""
    resets = cache_controls("openai", "gpt-5.6-sol").resets
    for setting in ("model", "cache_key", "service_tier", "tools", "format", "effort", "verbosity"):
        assert resets[setting] == "tools"
    # "Use `tool_choice: none` to disable tools": it loses nothing.
    assert "tool_choice" not in resets


def test_a_run_of_tool_calls_is_one_position_at_anthropic_alone() -> None:
    names = [name for name, rule in every_rule().items() if rule.runs_count_once]
    assert names == ["anthropic-claude-opus-5", "anthropic-", "-claude-haiku-4-5"]


def test_gpt_5_5_keeps_every_2048_tokens() -> None:
    intervals = [
        cache_controls("openai", model).interval_tokens
        for model in ("gpt-4o", "gpt-5.5", "gpt-5.5-pro", "gpt-5.6-sol")
    ]
    assert intervals == [128, 2048, 2048, 1]


@pytest.mark.parametrize(
    ("provider", "model", "alone", "marked"),
    [
        ("openai", "gpt-4o", True, True),
        ("openai", "gpt-5.6-sol", False, True),
        ("openai", "gpt-6.1-terra", False, True),
        ("deepseek", "deepseek-v4-flash", True, True),
        ("anthropic", "claude-sonnet-4-6", True, True),
        ("bedrock", "amazon.nova-pro-v1:0", True, True),
        ("google_genai", "gemini-3.8-flash", True, True),
        ("ollama", "llama3.1:8b", True, True),
    ],
)
def test_who_reads_a_beginning_of_a_request_that_went_on_otherwise(
    provider: str, model: str, alone: bool, marked: bool
) -> None:
    """OpenAI's guide, from GPT-5.6 on: only lookup boundaries are tried. DeepSeek's, third request
    of the second example: A + D reads the A that two have shared. Claude keeps nothing at all but
    what is marked."""
    found = cache_controls(provider, model)
    assert (found.reads_parts(), found.reads_parts(marked=True)) == (alone, marked)


def test_terms_have_the_prices_of_each_time_to_live() -> None:
    """platform.claude.com, pricing: Sonnet 4.6 3.00, 0.30, 3.75 and 6.00; developers.openai.com,
    pricing: gpt-5.6-sol 4.00, 0.40 and 5.00, gpt-6.1-terra 2.50 for 12 hours."""
    book = PriceBook()

    def shown(provider: str, model: str) -> dict[str, tuple[float, float, float, int]]:
        found = terms_by_ttl(book, model=model, provider=provider, at=AT)
        return {
            ttl: (t.prices.fresh, t.prices.cache_read, t.prices.cache_write, t.min_tokens)
            for ttl, t in found.items()
        }

    assert shown("anthropic", "claude-sonnet-4-6") == {
        "5m": (3000, 300, 3750, 1024),
        "1h": (3000, 300, 6000, 1024),
    }
    assert shown("openai", "gpt-5.6-sol") == {"30m": (4000, 400, 5000, 1024)}
    assert shown("openai", "gpt-6.1-terra")["12h"][2] == 2500
    assert shown("openai", "gpt-4o") == {"": (2500, 1250, 2500, 1024)}
    assert shown("anthropic", "claude-haiku-4-5")["1h"] == (1000, 100, 2000, 4096)
    assert shown("house", "zeta-9000") == {}
    given = terms_by_ttl(
        book, model="claude-sonnet-4-6", provider="anthropic", at=AT, min_tokens=2048
    )
    assert {t.min_tokens for t in given.values()} == {2048}


def test_terms_are_of_who_serves_the_model() -> None:
    """Bedrock takes 10 % more in one region than Anthropic's own 3.00 (platform.claude.com,
    pricing). Who serves it may be told by the name alone."""
    book, model = PriceBook(), "claude-sonnet-4-6"
    found = {
        provider: terms_by_ttl(book, model=model, provider=provider, at=AT)["5m"].prices.fresh
        for provider in ("bedrock", "anthropic", "")
    }
    assert found == {"bedrock": 3300, "anthropic": 3000, "": 3000}
    assert terms_by_ttl(book, model=model, at=AT) == terms_by_ttl(
        book, model=model, provider="anthropic", at=AT
    )


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_to_write_for_longer_never_costs_less(provider: str) -> None:
    book = PriceBook()
    models = next(each for each in providers if each.id == provider).models
    checked = 0
    for model in models:
        writes = [
            t.prices.cache_write
            for t in terms_by_ttl(book, model=model.id, provider=provider, at=AT).values()
        ]
        checked += len(writes) > 1
        assert writes == sorted(set(writes)), model.id
    assert checked
