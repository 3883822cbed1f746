"""The provider's prompt cache in the report: shares added up by hand, when it warns, and why."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from frugal_chains.ledger import Attempt, Ledger, Totals
from frugal_chains.pricing import PriceBook
from frugal_chains.report import (
    CACHE_DAYS,
    ModelCache,
    ReportFacts,
    questions,
    recent_since,
    report_facts,
    report_json,
    report_view,
)
from frugal_chains.report._cache import MIN_ATTEMPTS, model_caches
from frugal_chains.report._cache_drop import DaySums, cache_drop
from frugal_chains.usage import Usage
from tests.core.report.sample_books import attempt, sample
from tests.own_time import own_seconds

BOOK = PriceBook()
OPENAI: dict[str, str] = {"model": "gpt-4o", "provider": "openai"}
SONNET: dict[str, str] = {"model": "claude-sonnet-4-5", "provider": "anthropic"}


def calls(
    count: int, tokens: int, read: int = 0, write: int = 0, *, source: str = "provider", **f: Any
) -> list[Attempt]:
    """So many attempts, of so many input tokens each."""
    usage = Usage(
        input_tokens=tokens,
        cache_read_tokens=read,
        cache_write_5m_tokens=write,
        source=source,  # type: ignore[arg-type]
    )
    return [attempt(nanos=1, usage=usage, **{**OPENAI, **f}) for _ in range(count)]


def report_of(attempts: Iterable[Attempt], book: PriceBook | None = BOOK) -> ReportFacts:
    """By way of a real ledger, as the command asks it."""
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        answers = {asked: books.totals(asked) for asked in questions((), books.tag_names())}
        recent = recent_since(answers[("day",)], None)
        return report_facts(answers, cache_days=books.totals(CACHE_DAYS, since=recent), book=book)


def cache_of(attempts: Iterable[Attempt], book: PriceBook | None = BOOK) -> ModelCache:
    (cache,) = report_of(attempts, book).caches
    return cache


def printed(facts: ReportFacts, *, width: int = 300, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # raises for what it cannot encode
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(report_view(facts, width=width, encoding=console.encoding))
    out.seek(0)
    return out.read()


def flat(text: str) -> str:
    return " ".join(text.split())


# -- shares ----------------------------------------------------------------------------------------


def test_shares_are_those_of_the_tokens_and_not_of_the_calls():
    cache = cache_of([*calls(30, 1_000, 0), *calls(10, 9_000, 6_000, 1_500, **OPENAI)])
    # 30,000 + 90,000 tokens in 40 calls: 60,000 of them read, 15,000 written.
    assert (cache.attempts, cache.input_tokens) == (40, 120_000)
    assert (cache.read_share, cache.written_share) == (0.5, 0.125)
    assert cache.prompt_tokens == 3_000
    assert cache.min_tokens == 1_024  # developers.openai.com: prompts of 1,024 tokens or more


def test_writes_of_both_times_to_live_are_written():
    usage = Usage(input_tokens=4_000, cache_write_5m_tokens=600, cache_write_1h_tokens=400)
    cache = cache_of([attempt(usage=usage, **SONNET) for _ in range(2)])
    assert (cache.written_tokens, cache.written_share) == (2_000, 0.25)


LEFT_OUT = [
    {"status": "error", "error_kind": "timeout"},
    {"status": "aborted", "error_kind": "cancelled"},
    {"status": "cached"},
    {"purpose": "embed"},
    {"service_tier": "batch"},
    {"source": "estimated"},
    {"source": "mixed"},
]


@pytest.mark.parametrize("fields", LEFT_OUT, ids=lambda f: "-".join(f.values()))
def test_attempts_that_say_nothing_of_a_cache_are_left_out(fields):
    cache = cache_of([*calls(20, 2_000, 1_500), *calls(500, 9_000, **fields)])
    assert (cache.attempts, cache.input_tokens, cache.read_tokens) == (20, 40_000, 30_000)
    assert cache.state == "well"
    assert cache.left_out == (500 if "source" in fields else 0)


@pytest.mark.parametrize("purpose", ["answer", "draft", "summary", "classify", "retry", "judge"])
def test_all_other_purposes_count(purpose):
    assert cache_of(calls(20, 2_000, purpose=purpose)).state == "low"


def test_models_stand_by_their_input_and_the_same_name_at_two_providers_is_two():
    facts = report_of(
        [
            *calls(20, 2_000, 1_500),
            *calls(20, 5_000, 4_000, provider="azure"),
            *calls(20, 3_000, 2_000, **SONNET),
        ]
    )
    assert [(c.provider, c.model) for c in facts.caches] == [
        ("azure", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-4o"),
    ]  # fmt: skip
    lines = printed(facts).splitlines()
    assert [line.split("  ")[0] for line in lines if "kept from" in line or "1,024" in line] == [
        "prompt cache", "gpt-4o (azure)", "claude-sonnet-4-5", "gpt-4o (openai)",
    ]  # fmt: skip


UNLISTED = [
    ("gpt-4o", "somebody"),  # no cache of theirs is known, and none shows
    ("llama3", "ollama"),  # says nothing of what it reads
    ("meta.llama3-1-70b-instruct-v1:0", "aws"),
    ("", ""),
    ("\x1b[31m模型", "?"),
]


@pytest.mark.parametrize(("model", "provider"), UNLISTED)
def test_of_a_cache_that_is_not_known_nothing_is_said(model, provider):
    facts = report_of(calls(50, 9_000, model=model, provider=provider))
    assert facts.caches == ()
    assert "prompt cache" not in printed(facts)


def test_a_cache_that_shows_in_the_usage_is_known():
    cache = cache_of(calls(30, 9_000, 90, model="grok-4", provider="x-ai"))
    assert (cache.state, cache.read_share) == ("low", 0.01)


@pytest.mark.parametrize("book", [BOOK, None], ids=["prices", "no-prices"])
def test_the_callers_own_machine_bills_nothing_and_is_no_warning(book):
    cache = cache_of(calls(30, 9_000, 90, model="qwen", provider="llama.cpp"), book)
    assert (cache.state, cache.saved_nanos, cache.cause) == ("no discount", None, None)


@pytest.mark.parametrize("attempts", [[], sample()[-1:]], ids=["empty", "response-cache"])
def test_without_an_attempt_at_a_provider_there_is_nothing_to_say(attempts):
    facts = report_of(attempts)
    assert facts.caches == ()
    assert report_json(facts)["cache"] == {"warn_below_percent": 50, "models": []}
    assert "prompt cache" not in printed(facts)


# -- when it warns ---------------------------------------------------------------------------------

EDGES = [
    ("just below half", calls(20, 2_000, 999), "low"),
    ("half", calls(20, 2_000, 1_000), "well"),
    ("all", calls(20, 2_000, 2_000), "well"),
    ("nothing", calls(20, 2_000, 0), "low"),
    ("one call too few", calls(19, 2_000, 999), "few"),
    ("few and well", calls(3, 2_000, 1_000), "well"),
    ("as long as what is kept", calls(20, 1_024, 0), "low"),
    ("one token shorter", calls(20, 1_023, 0), "short"),
    ("one token, on average", [*calls(1, 1_023), *calls(19, 1_024)], "short"),
    ("no input at all", calls(20, 0), "short"),
    ("estimated alone", calls(20, 2_000, source="estimated"), "estimated"),
    ("estimated beside too few", [*calls(20, 2_000, source="mixed"), *calls(19, 2_000)], "few"),
    # platform.claude.com, "Cache limitations": 4,096 for Haiku 4.5, 1,024 for Sonnet 4.5.
    ("Haiku at its minimum", calls(20, 4_096, model="claude-haiku-4-5", provider="anthropic"),
     "low"),
    ("Haiku below", calls(20, 4_095, model="claude-haiku-4-5", provider="anthropic"), "short"),
    ("Sonnet", calls(20, 1_024, **SONNET), "low"),
    ("a minimum that is not known", calls(20, 4_095, model="claude-9", provider="anthropic"),
     "short"),
    ("above all minimums", calls(20, 4_096, model="claude-9", provider="anthropic"), "low"),
    # Listed without a price for reads.
    ("no discount", calls(20, 2_000, model="gpt-4-turbo"), "no discount"),
]  # fmt: skip


@pytest.mark.parametrize(("attempts", "state"), [e[1:] for e in EDGES], ids=[e[0] for e in EDGES])
def test_a_warning_needs_enough_calls_long_prompts_and_a_price_that_is_lower(attempts, state):
    facts = report_of(attempts)
    (cache,) = facts.caches
    assert cache.state == state
    warned = state == "low"
    assert (cache.cause is not None) == warned
    assert ("Warning: " in printed(facts)) == warned
    (document,) = report_json(facts)["cache"]["models"]
    assert document["warning"] == warned
    assert (document["advice"] is not None) == (document["why"] is not None) == warned


counts = st.integers(0, 10_000)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    attempts=st.integers(0, 60),
    parts=st.tuples(counts, counts, counts, counts),
    provider=st.sampled_from(
        ["openai", "anthropic", "deepseek", "google", "aws", "x-ai", "ollama"]
    ),
    model=st.one_of(st.sampled_from(["gpt-4o", "gpt-5.6-sol", "claude-haiku-4-5"]), st.text()),
    source=st.sampled_from(["provider", "estimated", "mixed"]),
)
def test_shares_are_shares_and_the_warning_appears_exactly_below_half(
    attempts, parts, provider, model, source
):
    read, short, long, fresh = (part * attempts for part in parts)
    usage = Usage(
        input_tokens=read + short + long + fresh,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        source=source,
    )
    key = {"provider": provider, "model": model, "purpose": "answer", "status": "ok",
           "service_tier": "standard", "usage_source": source}  # fmt: skip
    line = Totals(key=key, attempts=attempts, operations=0, usage=usage, nanos=0, unpriced=0,
                  estimated=0)  # fmt: skip
    for cache in model_caches([line]):
        assert 0 <= cache.read_share <= 1
        assert 0 <= cache.written_share <= 1 - cache.read_share + 1e-9
        told = source == "provider" and attempts >= 20 and provider != "ollama"
        long_enough = usage.input_tokens >= cache.highest_min_tokens * attempts > 0
        assert (cache.state == "low") == (told and long_enough and cache.read_share < 0.5)
        assert (cache.state == "low") == (cache.cause is not None)


# -- what it costs ---------------------------------------------------------------------------------


def saved_usd(attempts: Iterable[Attempt], book: PriceBook | None = BOOK) -> Decimal | None:
    (document,) = report_json(report_of(attempts, book))["cache"]["models"]
    assert document["warning"]
    text = document["saved_up_to_usd"]
    return None if text is None else Decimal(text)


# USD per million tokens, of the providers' price pages: GPT-4o 2.50, cached 1.25; Sonnet 4.5 3,
# written 3.75 (5 minutes) and 6 (1 hour), read 0.30.


def test_the_cost_is_what_reading_would_have_saved_of_what_was_not_read():
    # 20 x 1,500 tokens at 2.50 - 1.25.
    assert saved_usd(calls(20, 2_000, 500)) == Decimal("0.0375")


def test_usage_that_was_estimated_adds_nothing_to_the_cost():
    attempts = [*calls(20, 2_000, 500), *calls(90, 5_000, source="mixed")]
    assert saved_usd(attempts) == Decimal("0.0375")


def test_what_was_written_would_have_saved_the_dearer_write():
    usage = Usage(input_tokens=4_000, cache_read_tokens=500, cache_write_5m_tokens=1_000,
                  cache_write_1h_tokens=2_000)  # fmt: skip
    # 500 fresh at 3 - 0.3, 1,000 at 3.75 - 0.3, 2,000 at 6 - 0.3: 16,200 of a millionth each.
    assert saved_usd([attempt(usage=usage, **SONNET) for _ in range(20)]) == Decimal("0.324")


def test_each_service_tier_has_its_price():
    # Half of the price: developers.openai.com, flex processing of o3 (2 and 0.50 in standard).
    flex = {"model": "o3", "service_tier": "flex"}
    assert saved_usd(calls(20, 2_000, **flex)) == Decimal("0.03")
    assert saved_usd(calls(20, 2_000, model="o3")) == Decimal("0.06")


def test_audio_has_other_prices_and_is_left_out():
    usage = Usage(input_tokens=2_000, input_audio_tokens=800, cache_read_tokens=100,
                  cache_read_audio_tokens=50)  # fmt: skip
    # 1,900 were not read, 750 of them audio.
    attempts = [attempt(usage=usage, **OPENAI) for _ in range(20)]
    assert saved_usd(attempts) == Decimal("0.02875")


def test_prices_are_those_of_the_prompts_size():
    # ai.google.dev/gemini-api/docs/pricing, 2.5 Pro: 1.25 up to 200,000 tokens, 2.50 above.
    pro = {"model": "gemini-2.5-pro", "provider": "google"}
    small = saved_usd(calls(20, 100_000, **pro))
    large = saved_usd(calls(20, 300_000, **pro))
    assert small is not None
    assert large == 3 * small * 2


@pytest.mark.parametrize(
    ("fields", "book"),
    [
        ({"model": "gpt-4o"}, None),
        ({"model": "gpt-nobody-knows"}, BOOK),
        ({"model": "gpt-4o", "service_tier": "a new one"}, BOOK),
    ],
    ids=["no-book", "no-price", "no-tier"],
)
def test_without_a_price_the_warning_names_no_amount(fields, book):
    attempts = calls(20, 2_000, **fields)
    assert saved_usd(attempts, book) is None
    text = printed(report_of(attempts, book))
    assert f"Warning: {fields['model']} (openai) read 0% of its input" in text
    assert "up to" not in text


def test_a_part_without_a_price_makes_the_whole_unknown():
    attempts = [*calls(20, 2_000), *calls(1, 2_000, service_tier="a new one")]
    assert saved_usd(attempts) is None


def test_the_amount_on_the_screen_is_never_above_the_exact_one():
    # 21 x 2,000 tokens at 1.25: 0.0525.
    assert "cost: up to $0.05 more than if" in flat(printed(report_of(calls(21, 2_000))))
    # 20 x 1,024 tokens of GPT-4.1 nano at 0.10 - 0.025: below a cent it is exact.
    text = flat(printed(report_of(calls(20, 1_024, model="gpt-4.1-nano"))))
    assert "cost: up to $0.001536 more than if" in text


# -- why -------------------------------------------------------------------------------------------

NOVA = {"model": "amazon.nova-pro-v1:0", "provider": "aws"}
BEDROCK = {"model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "provider": "aws"}
WHYS = [
    ("Anthropic, nothing", SONNET, (0, 0), "not marked",
     ["nothing was written", "1,024 tokens", "set cache_control on the block at the end"]),
    ("Bedrock, nothing", BEDROCK, (0, 0), "not marked", ["put a cachePoint block at the end"]),
    ("Anthropic, written only", SONNET, (0, 4_990), "not read again",
     ["not read again", "longer than 5 minutes", "time to live of 1h"]),
    ("Anthropic, hardly read", SONNET, (400, 4_000), "not read again", ["beginning of prompts"]),
    ("written as much as not", SONNET, (1_000, 2_000), "little marked", ["small part of what"]),
    ("written one token more", SONNET, (1_000, 2_001), "not read again", []),
    ("Nova, a short system prompt", NOVA, (1_200, 20), "little marked", ["cachePoint"]),
    ("OpenAI", OPENAI, (1_000, 0), "changing prefix",
     ["unasked", "1,024 tokens", "5 minutes", "first, byte for byte the same"]),
    ("DeepSeek", {"model": "deepseek-chat", "provider": "deepseek"}, (1_000, 0), "changing prefix",
     ["shorter than 64 tokens", "longer than 1 h"]),
    ("GPT-5.6, writes unasked", {"model": "gpt-5.6-sol", "provider": "openai"}, (0, 4_900),
     "not read again", ["30 minutes", "prompt_cache_breakpoint", "prompt_cache_key"]),
    ("a provider that is not known", {"model": "grok-4", "provider": "x-ai"}, (1_000, 0),
     "changing prefix", ["the beginning of prompts changes", "than the provider keeps it"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "tokens", "cause", "words"), [w[1:] for w in WHYS], ids=[w[0] for w in WHYS]
)
def test_the_totals_tell_the_most_likely_cause(fields, tokens, cause, words):
    read, write = tokens
    facts = report_of(calls(20, 5_000, read, write, **fields))
    (cache,) = facts.caches
    assert (cache.state, cache.cause) == ("low", cause)
    (document,) = report_json(facts)["cache"]["models"]
    assert document["cause"] == cause
    text = flat(printed(facts))
    assert f"likely: {document['why']}" in text
    assert f"what to do: {document['advice']}" in text
    assert [word for word in words if word not in text] == []
    assert "{" not in document["why"] + document["advice"]


# -- since when ------------------------------------------------------------------------------------


def day(number: int, attempts: int, read: int, tokens: int = 1_000) -> DaySums:
    """`read` of `tokens` in each of so many attempts."""
    return DaySums(f"2026-11-{number:02d}", attempts, attempts * tokens, attempts * read)


def since(*days: DaySums) -> str | None:
    found = cache_drop(days, min_attempts=20)
    return None if found is None else found.since


STEADY = [day(n, 20, 810) for n in range(13, 20)]
DROPS = [
    ("a fall", [*STEADY, day(20, 10, 120), day(21, 10, 120)], "2026-11-20"),
    ("one call too few since", [*STEADY, day(20, 19, 120)], None),
    ("one call too few before", [day(19, 19, 810), day(20, 20, 120)], None),
    ("enough on both sides", [day(19, 20, 810), day(20, 20, 120)], "2026-11-20"),
    ("to one half", [*STEADY, day(20, 20, 405)], None),
    ("below one half", [*STEADY, day(20, 20, 404)], "2026-11-20"),
    ("it came back", [*STEADY, day(20, 20, 0), *[day(n, 20, 810) for n in range(21, 28)]], None),
    ("it rose", [day(19, 20, 100), day(20, 20, 900)], None),
    ("too little to fall", [day(19, 20, 99), day(20, 20, 0)], None),
    ("just enough to fall", [day(19, 20, 100), day(20, 20, 0)], "2026-11-20"),
    ("a week apart", [day(13, 20, 810), day(20, 20, 120)], "2026-11-20"),
    ("more than a week apart", [day(12, 20, 810), day(20, 20, 120)], None),
    ("the larger of two", [day(1, 40, 900), day(2, 40, 420), day(3, 40, 20)], "2026-11-02"),
    ("no tokens", [day(19, 20, 0, tokens=0), day(20, 20, 0, tokens=0)], None),
    ("one day", [day(20, 90, 10)], None),
    ("no day", [], None),
]  # fmt: skip


@pytest.mark.parametrize(("days", "expected"), [d[1:] for d in DROPS], ids=[d[0] for d in DROPS])
def test_a_fall_has_its_first_day(days, expected):
    assert since(*days) == expected


def test_a_fall_across_a_month_counts_calendar_days():
    days = [DaySums("2026-10-28", 20, 100, 81), DaySums("2026-11-03", 20, 100, 12)]
    assert since(*days) == "2026-11-03"
    assert since(days[0], days[1]._replace(day="2026-11-05")) is None


def fallen() -> list[Attempt]:
    """81 % for seven days, then 12 %; 60 of 100 tokens in all, so that nothing is warned of."""
    return [
        row
        for number in range(10)
        for row in calls(10, 4_000, 3_240 if number < 7 else 480, day=number)
    ]


def test_a_fall_is_told_even_where_the_whole_is_well():
    facts = report_of(fallen())
    (cache,) = facts.caches
    assert (cache.state, round(cache.read_share, 3)) == ("well", 0.603)
    text = flat(printed(facts))
    said = "Less read from the prompt cache: gpt-4o (openai) since 2026-11-08: 81.0% to 12.0%"
    assert said in text
    assert "Warning" not in text
    (document,) = report_json(facts)["cache"]["models"]
    assert document["drop"] == {
        "since": "2026-11-08", "read_share_before": 0.81, "read_share_since": 0.12,
        "input_tokens_before": 280_000, "input_tokens_since": 120_000,
    }  # fmt: skip


def test_a_warning_says_since_when():
    facts = report_of([*fallen(), *calls(50, 4_000, 480, day=10)])
    text = flat(printed(facts))
    assert "Warning: gpt-4o (openai) read 44.2% of its input from the prompt cache" in text
    assert "since 2026-11-08: 81.0% to 12.0%" in text
    assert "Less read" not in text


def test_attempts_that_say_nothing_of_a_cache_make_no_fall():
    aborted = calls(100, 4_000, day=8, status="aborted")
    batch = calls(100, 4_000, day=8, service_tier="batch")
    guessed = calls(100, 4_000, day=8, source="estimated")
    steady = [row for n in range(8) for row in calls(10, 4_000, 3_240, day=n)]
    assert cache_of([*steady, *aborted, *batch, *guessed]).drop is None


def test_days_are_asked_for_five_weeks_and_never_before_the_report():
    days = [Totals(key={"day": name}, attempts=1, operations=1, usage=Usage(), nanos=0, unpriced=0,
                   estimated=0) for name in ("2026-01-01", "2026-11-20")]  # fmt: skip
    assert recent_since(days, None) == datetime(2026, 10, 17, tzinfo=UTC)
    late = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert recent_since(days, late) == late
    assert recent_since(days, datetime(2020, 1, 1, tzinfo=UTC)) == datetime(
        2026, 10, 17, tzinfo=UTC
    )
    assert recent_since([], late) is None


# -- how it looks ----------------------------------------------------------------------------------


def test_the_table_has_the_figures_of_each_model():
    facts = report_of([*calls(40, 3_000, 1_500, 375), *calls(20, 5_000, 4_000, **SONNET)])
    rows = [line.split() for line in printed(facts).splitlines()]
    assert ["gpt-4o", "40", "3,000", "1,024", "12.5%", "50.0%"] in rows
    assert ["claude-sonnet-4-5", "20", "5,000", "1,024", "0%", "80.0%"] in rows


def test_a_model_called_once_or_twice_without_a_cache_is_not_worth_a_line():
    facts = report_of(calls(MIN_ATTEMPTS - 1, 5_000))
    assert facts.caches[0].state == "few"
    assert "prompt cache" not in printed(facts)


def test_what_is_below_half_and_no_warning_has_its_reason():
    facts = report_of(
        [
            *calls(3, 5_000, 100, model="gpt-4.1"),
            *calls(20, 300),
            *calls(20, 2_000, model="claude-9", provider="anthropic"),
            *calls(20, 2_000, model="gpt-4-turbo"),
        ]
    )
    text = flat(printed(facts))
    assert "Below 50% of input read, and no warning" in text
    assert "too few calls to judge (under 20): gpt-4.1" in text
    assert (
        "prompts may be too short to be kept: claude-9 (2,000 tokens, kept from 1,024 to 4,096), "
        "gpt-4o (300 tokens, kept from 1,024)"
    ) in text
    assert "cached tokens cost no less than others: gpt-4-turbo" in text
    assert "Warning" not in text


def test_the_dearest_warning_comes_first_and_of_many_the_rest_are_counted():
    many = [row for n in range(12) for row in calls(20, 2_000 + n, model=f"gpt-unknown-{n}")]
    text = printed(report_of([*many, *calls(20, 1_500)]))
    warned = [line for line in text.splitlines() if line.startswith("Warning: ")]
    assert len(warned) == 10
    assert warned[0].startswith("Warning: gpt-4o ")  # of the others no price is known
    assert warned[1].startswith("Warning: gpt-unknown-11 ")  # with the most tokens not read
    assert "and 3 more models, all in --json" in text
    assert "and 3 more warnings, all in --json" in text


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_model_fits_and_obeys_nothing(width, encoding):
    odd = "gpt-\x1b[31m模型\n" + "x" * 90
    facts = report_of(
        [*fallen(), *calls(20, 5_000_000, 9, 1, model=odd), *calls(20, 3, model=odd + "2"),
         *calls(20, 5_000, 0, 4_500, **SONNET), *calls(1, 10, 1, model="")]
    )  # fmt: skip
    text = printed(facts, width=width, encoding=encoding)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "Warning: claude-sonnet-4-5 (anthropic)" in flat(text)
    assert "(no model)" in text


def test_the_json_has_what_the_screen_says():
    (document,) = report_json(report_of(calls(20, 2_000, 500, 250)))["cache"]["models"]
    assert document.pop("why").startswith("the provider caches unasked")
    assert document.pop("advice").startswith("put tools")
    assert document == {
        "provider": "openai", "model": "gpt-4o", "attempts": 20, "left_out": 0,
        "input_tokens": 40_000, "read_tokens": 10_000, "written_tokens": 5_000,
        "read_share": 0.25, "written_share": 0.125, "mean_prompt_tokens": 2_000,
        "min_tokens": 1_024, "highest_min_tokens": 1_024, "ttl_s": 300, "control": "automatic",
        "state": "low", "warning": True, "cause": "changing prefix", "saved_up_to_usd": "0.0375",
        "drop": None,
    }  # fmt: skip


def test_estimated_usage_alone_has_no_share():
    (document,) = report_json(report_of(calls(20, 2_000, source="estimated")))["cache"]["models"]
    assert (document["attempts"], document["left_out"]) == (0, 20)
    assert (document["read_share"], document["mean_prompt_tokens"]) == (None, 0)
    assert document["state"] == "estimated"


def test_a_year_of_many_models_is_decided_quickly():
    def line(model: int, **key: str) -> Totals:
        labels = {"provider": "openai", "model": f"gpt-4o-{model}", "purpose": "answer",
                  "status": "ok", "service_tier": "standard",
                  "usage_source": "provider"}  # fmt: skip
        usage = Usage(input_tokens=90_000, cache_read_tokens=9_000)
        return Totals(key={**labels, **key}, attempts=30, operations=0, usage=usage, nanos=0,
                      unpriced=0, estimated=0)  # fmt: skip

    whole = [line(m) for m in range(100)]
    days = [line(m, day=f"2026-10-{d:02d}") for m in range(100) for d in range(1, 32)]
    assert len(model_caches(whole, days)) == 100
    assert own_seconds(lambda: model_caches(whole, days)) < 0.5
