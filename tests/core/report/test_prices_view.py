"""What `frugal prices` says about a price, and the way out where there is none."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile

import pytest
from rich.cells import cell_len
from rich.console import Console

from frugal_chains.errors import PriceFileError
from frugal_chains.pricing import PriceBook
from frugal_chains.report import PriceFacts, prices_json, prices_view
from frugal_chains.report._prices import price_snippet
from frugal_chains.usage import Usage

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def facts_of(
    model: str,
    provider: str | None = None,
    *,
    tier: str = "standard",
    usage: Usage | None = None,
    book: PriceBook | None = None,
) -> PriceFacts:
    book = book or PriceBook()
    return PriceFacts(
        asked=model,
        price=book.explain(model, provider, tier=tier, at=AT),
        standard=book.explain(model, provider, at=AT),
        history=book.history(model, provider, tier=tier, at=AT),
        usage=usage,
        charge=usage and book.price(usage, model=model, provider=provider, tier=tier, at=AT),
    )


def printed(facts: PriceFacts, *, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False).print(prices_view(facts))
    return out.getvalue()


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if re.match(rf"{name}\s+\S*\$", line)]
    return re.findall(r"\$[\d.,]+", line)


def test_every_bucket_band_and_fee_is_shown():
    # Gemini 2.5 Pro: 1.25/10 up to 200k input tokens, 2.50/15 above, cached 0.125/0.25
    # (ai.google.dev/gemini-api/docs/pricing, read 2026-11-21).
    text = printed(facts_of("gemini-2.5-pro", "google"))
    assert "> 200,000 in" in text
    assert row(text, "input") == ["$1.25", "$2.50"]
    assert row(text, "output") == ["$10.00", "$15.00"]
    assert row(text, "cache_read") == ["$0.125", "$0.25"]
    assert row(text, "web_search") == ["$35.00"]


def test_the_source_the_names_and_the_notes_are_shown():
    text = " ".join(printed(facts_of("models/gemini-2.5-flash", "google_genai")).split())
    assert "genai-prices" in text
    assert "google:models/gemini-2.5-flash -> google:gemini-2.5-flash" in text
    assert "listed as google/gemini-2.5-flash" in text
    assert "cache_write_5m is billed as input" in text


def test_an_example_is_charged_part_by_part():
    # Sonnet 4.5: 3 in, 15 out, reads 0.30, 1-hour writes 6 (docs.anthropic.com pricing).
    usage = Usage(input_tokens=10_000, output_tokens=500, cache_read_tokens=6_000,
                  cache_write_1h_tokens=1_000)  # fmt: skip
    facts = facts_of("claude-sonnet-4-5", "anthropic", usage=usage)
    parts = {"input": "0.009", "cache_read": "0.0018", "cache_write": "0.006", "output": "0.0075"}
    document = prices_json(facts)["example"]
    assert document["parts_usd"] == parts
    assert document["cost_usd"] == str(sum(map(Decimal, parts.values())))
    text = printed(facts)
    assert re.search(r"total\s+\$0\.0243\b", text)


def test_dates_on_which_the_price_changed_are_shown():
    # DeepSeek: 0.14/0.28, from 2026-08-16 16:00 UTC 0.22/0.66, from 2026-09-10 0.15/0.60 off-peak
    # (api-docs.deepseek.com/quick_start/pricing, read 2026-11-21).
    lines = printed(facts_of("deepseek-v4-flash", "deepseek")).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("from (UTC)"))
    shown = [re.findall(r"\$[\d.]+", line) for line in lines[start + 2 : start + 5]]
    assert shown == [["$0.14", "$0.28"], ["$0.22", "$0.66"], ["$0.15", "$0.60"]]
    assert lines[start + 2].startswith("the beginning")
    assert lines[start + 3].startswith("2026-08-16 16:00")


def history_of(text: str) -> list[str]:
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("from (UTC)"))
    return list(takewhile(str.strip, lines[start + 2 :]))


@pytest.mark.parametrize(
    ("model", "provider", "changes"),
    [
        # Small 24.09, Small 3 (sources in pricing/_past_prices.py), Small 4 (mistral.ai/pricing).
        (
            "mistral-small-latest",
            "mistral",
            [
                ("2024-09-17", ["$0.20", "$0.60"]),
                ("2025-01-30", ["$0.10", "$0.30"]),
                ("2026-03-16", ["$0.15", "$0.60"]),
            ],
        ),
        # Announced: ai.google.dev/gemini-api/docs/pricing, read 2026-11-21.
        ("gemini-3.7-flash", "google", [("2027-01-01", ["$1.50", "$7.50"])]),
    ],
)
def test_changes_of_the_list_price_are_shown_the_announced_ones_too(model, provider, changes):
    shown = [
        (line.split()[0], re.findall(r"\$[\d.]+", line))
        for line in history_of(printed(facts_of(model, provider)))[1:]
    ]
    assert shown == changes


def test_a_change_names_what_it_changed():
    # Opus 4.6 lost its long-prompt price on 2026-03-13; up to 200k tokens nothing changed.
    (_, line) = history_of(printed(facts_of("claude-opus-4-6", "anthropic"), width=200))
    assert re.findall(r"\$[\d.]+", line) == ["$5.00", "$25.00"]
    assert "> 200,000" in line
    *_, last = history_of(printed(facts_of("gemini-3.7-flash", "google")))
    assert last.split()[-1] == "all" or "input" in last


def test_the_users_own_prices_have_dates_too(tmp_path):
    file = tmp_path / "prices.toml"
    row = '[[price]]\nprovider = "acme"\nmodel = "in-house"\n'
    file.write_text(f"{row}until = 2026-06-30\ninput = 3\n{row}from = 2026-07-01\ninput = 2\n")
    facts = facts_of("in-house", "acme", book=PriceBook.load(file))
    assert [(f"{line.at:%Y-%m-%d}", line.bands[0].per_mtok["input"]) for line in facts.history] == [
        ("1970-01-01", 3),
        ("2026-07-01", 2),
    ]


def test_the_hours_of_the_day_asked_about_are_shown():
    # Friday 2026-11-20: peaks 01:00-04:00 and 06:00-10:00 UTC at twice the price.
    lines = printed(facts_of("deepseek-v4-flash", "deepseek")).splitlines()
    hours = [line.split()[1] for line in lines if line.startswith("2026-11-20")]
    assert hours == ["01:00", "04:00", "06:00", "10:00"]


def test_a_price_that_never_changed_has_no_dates():
    assert "from (UTC)" not in printed(facts_of("claude-sonnet-4-5", "anthropic"))


def test_a_free_model_is_called_free():
    facts = facts_of("llama3", "ollama")
    assert "free: known to cost nothing" in printed(facts)
    assert not facts.unpriced
    assert price_snippet(facts) == ""


@pytest.mark.parametrize(
    ("model", "provider", "tier"),
    [
        ("in-house", "acme", "standard"),
        ("nobody-knows-me", None, "standard"),
        ('odd [name]* "x" 模型', "acme", "standard"),
        ("claude-sonnet-4-5", "anthropic", "flex"),
        ("in-house", "acme", "batch"),
    ],
)
def test_the_snippet_prices_the_model_once_its_blanks_are_filled(tmp_path, model, provider, tier):
    facts = facts_of(model, provider, tier=tier)
    assert facts.unpriced
    snippet = price_snippet(facts)
    assert snippet.strip() in "\n".join(
        line.strip() for line in printed(facts, width=200).splitlines()
    )
    file = tmp_path / "prices.toml"
    file.write_text(snippet)
    with pytest.raises(PriceFileError):  # unfilled it must not price anything at zero
        PriceBook.load(file)
    filled = snippet.replace("...", "2")
    if tier != "standard" and "[[price]]" in filled:
        filled = filled.replace("output = 2\n", f"output = 2\n{tier} = 2\n", 1)
    file.write_text(filled)
    usage = Usage(input_tokens=100_000)
    charge = PriceBook.load(file).price(usage, model=model, provider=provider, tier=tier, at=AT)
    standard = facts.standard.bands[0].per_mtok["input"] if facts.standard.bands else Decimal(2)
    assert charge.cost_usd == standard / 10 * (1 if tier == "standard" else 2)


def test_the_snippet_for_an_own_price_without_the_tier_is_one_line_of_that_entry(tmp_path):
    file = tmp_path / "prices.toml"
    entry = '[[price]]\nprovider = "acme"\nmodel = "in-house"\ninput = 3\noutput = 4\n'
    file.write_text(entry)
    facts = facts_of("in-house", "acme", tier="batch", book=PriceBook.load(file))
    file.write_text(entry + price_snippet(facts).replace("...", "0.5"))
    charge = PriceBook.load(file).price(
        Usage(input_tokens=1_000_000), model="in-house", provider="acme", tier="batch", at=AT
    )
    assert charge.cost_usd == Decimal("1.5")


def test_tokens_that_have_no_price_are_unpriced_with_the_reason(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text('[[price]]\nprovider = "acme"\nmodel = "in-house"\ninput = 3\noutput = 4\n')
    usage = Usage(input_tokens=100, cache_write_1h_tokens=70)
    facts = facts_of("in-house", "acme", usage=usage, book=PriceBook.load(file))
    assert facts.unpriced
    assert re.search(r"UNPRICED: 70 \S*cache_write_1h", printed(facts))
    example = prices_json(facts)["example"]
    assert (example["cost_usd"], example["outcome"]) == (None, "unpriced")
    assert "cache_write_1h" in example["reason"]


def test_json_prices_are_exact_text():
    document = prices_json(facts_of("gemini-2.5-pro", "google"))
    low, high = document["bands"]
    assert (low["above_tokens"], high["above_tokens"]) == (0, 200_000)
    assert low["usd_per_mtok"]["cache_read"] == "0.125"
    assert document["usd_per_thousand"]["web_search"] == "35"
    assert document["outcome"] == "priced"
    assert document["history"][0]["from"] is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gemini-2.5-pro", "google"), ("deepseek-v4-flash", "deepseek"), ("in-house", "acme")],
)
def test_no_line_is_wider_than_sixty_columns(model, provider):
    text = printed(facts_of(model, provider, usage=Usage(input_tokens=5)), width=60)
    assert max(map(cell_len, text.splitlines())) <= 60
