"""Reading the consoles' CSV: sums added up by hand from the fixtures, and files that are wrong.

The fixtures are written here after real exports' columns; no figure in them is anyone's.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ReconcileError
from frugal_chains.reconcile import model_key, read_export
from frugal_chains.reconcile._cells import moment_of_cell, usd_nanos, whole_number

HERE = Path(__file__).parent / "fixtures"
MINI, FULL = "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"


def test_openai_usage_is_added_up_by_day_and_model():
    export = read_export([HERE / "openai_usage.csv"])
    assert (export.provider, export.first_day, export.last_day) == (
        "openai", "2026-11-01", "2026-11-03",
    )  # fmt: skip
    assert export.measures == ("input_tokens", "cache_read_tokens", "output_tokens", "requests")
    assert export.cells == {
        ("2026-11-01", MINI): {
            "input_tokens": 150_000,
            "cache_read_tokens": 20_000,
            "output_tokens": 9_000,
            "requests": 12,
        },
        ("2026-11-02", FULL): {
            "input_tokens": 50_000,
            "cache_read_tokens": 0,
            "output_tokens": 5_000,
            "requests": 4,
        },
    }


def test_openai_cost_is_added_up_by_the_model_of_its_line_items():
    export = read_export([HERE / "openai_cost.csv"])
    assert export.measures == ("usd",)
    # 0.0195 + 0.0015 + 0.0054; 0.125 + 0.05; and what names no model keeps its own name.
    assert {cell: sums["usd"] for cell, sums in export.cells.items()} == {
        ("2026-11-01", MINI): 26_400_000,
        ("2026-11-02", FULL): 175_000_000,
        ("2026-11-02", "web search tool calls"): 20_000_000,
    }
    assert export.cent_rows == 0
    assert export.last_day == "2026-11-03"


def test_anthropic_usage_sums_its_four_buckets_to_input():
    export = read_export([HERE / "anthropic_usage.csv"])
    assert export.provider == "anthropic"
    assert export.cells["2026-11-01", "claude-haiku-4-5-20251001"] == {
        "input_tokens": 5_500,
        "cache_read_tokens": 4_000,
        "cache_write_tokens": 500,
        "cache_write_5m_tokens": 200,
        "cache_write_1h_tokens": 300,
        "output_tokens": 500,
        "web_searches": 1,
    }
    assert export.cells["2026-11-02", "claude-haiku-4-5-20251001"]["input_tokens"] == 3_000
    assert "requests" not in export.measures


def test_anthropic_cost_is_in_cents_of_what_was_paid():
    export = read_export([HERE / "anthropic_cost.csv"])
    assert {cell: sums["usd"] for cell, sums in export.cells.items()} == {
        ("2026-11-01", "Claude Haiku 4.5"): 350_000_000,
        ("2026-11-01", "Claude Sonnet 4.5"): 1_070_000_000,
        ("2026-11-02", "web_search"): 10_000_000,
    }
    assert export.cent_rows == 5  # 0.00 may have been half a cent, too


def test_usage_and_cost_together_are_one_export():
    export = read_export([HERE / "openai_usage.csv", HERE / "openai_cost.csv"])
    assert export.measures[0] == "usd"
    both = export.cells["2026-11-01", MINI]
    assert (both["usd"], both["input_tokens"]) == (26_400_000, 150_000)
    assert export.left_out_days == 0


def test_older_anthropic_exports_have_one_bucket_of_writes(tmp_path):
    file = tmp_path / "old.csv"
    file.write_text(
        "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write,"
        "usage_input_tokens_cache_read,usage_output_tokens\n"
        "2025-05-01T00:00:00Z,claude-3-5-sonnet-20241022,10,20,30,4\n"
    )
    export = read_export([file])
    assert export.cells["2025-05-01", "claude-3-5-sonnet-20241022"] == {
        "input_tokens": 60, "cache_read_tokens": 30, "cache_write_tokens": 20, "output_tokens": 4,
    }  # fmt: skip
    assert "cache_write_5m_tokens" not in export.measures


def test_an_export_in_which_nothing_was_used_is_all_zero(tmp_path):
    file = tmp_path / "completions_usage.csv"
    file.write_text(
        "start_time,end_time,start_time_iso,end_time_iso\n"
        "1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00\n"
    )
    export = read_export([file])
    assert (export.cells, export.first_day) == ({}, "2026-11-01")
    assert export.measures == ("input_tokens", "output_tokens", "requests")


def test_days_of_another_time_zone_go_to_the_day_they_are_most_of(tmp_path):
    file = tmp_path / "usage.csv"
    # 2026-11-01 08:00 to 2026-11-02 08:00 UTC: 16 hours of the first, 8 of the second.
    file.write_text(
        "start_time,end_time,model,input_tokens,output_tokens\n1793520000,1793606400,gpt-4o,7,1\n"
    )
    export = read_export([file])
    assert export.offset_s == 8 * 3600
    assert list(export.cells) == [("2026-11-01", "gpt-4o")]


HEAD = "start_time,end_time,model,num_model_requests,input_tokens,output_tokens\n"
ROW = "1793491200,1793577600,gpt-4o,3,1234567,89\n"
SAVED_AGAIN = {
    "byte order mark": ("\ufeff" + HEAD + ROW).encode(),
    "utf-16": (HEAD + ROW).encode("utf-16"),
    "windows": (HEAD + ROW).replace("\n", "\r\n").encode(),
    "semicolons": (HEAD + ROW).replace(",", ";").encode(),
    "tabs": (HEAD + ROW).replace(",", "\t").encode(),
    "spaces around": (HEAD + ROW).replace(",", " , ").encode(),
    "capitals": (HEAD.upper() + ROW).encode(),
    "thousands": (HEAD + ROW.replace("1234567", '"1,234,567"')).encode(),
    "points": (HEAD + ROW).replace(",", ";").replace("1234567", "1.234.567").encode(),
    "apostrophes": (HEAD + ROW.replace("1234567", "1'234'567")).encode(),
    "narrow spaces": (HEAD + ROW.replace("1234567", "1\u202f234\u202f567")).encode(),
    "decimals": (HEAD + ROW.replace("1234567", "1234567.0")).encode(),
    "blank lines": (HEAD + "\n" + ROW + "\n,,,,,\n").encode(),
    "a line separator in a cell": (
        HEAD.strip() + ",note\n" + ROW.strip() + ',"a\u2028b\x0bc\nd"\n'
    ).encode(),
    "more columns": (HEAD.strip() + ",note\n" + ROW.strip() + ",hello\n").encode(),
}


@pytest.mark.parametrize("raw", SAVED_AGAIN.values(), ids=SAVED_AGAIN)
def test_a_file_that_a_spreadsheet_has_saved_is_the_same(tmp_path, raw):
    file = tmp_path / "usage.csv"
    file.write_bytes(raw)
    assert read_export([file]).cells == {
        ("2026-11-01", "gpt-4o"): {"input_tokens": 1_234_567, "output_tokens": 89, "requests": 3}
    }


COST = "usage_date_utc,model,token_type,cost_usd\n"
WRONG = {
    "empty": (b"", ["is empty"]),
    "head alone": (HEAD.encode(), ["no rows"]),
    "workbook": (b"PK\x03\x04rest", ["Excel workbook", "not CSV"]),
    "json": (b'{"data": []}', ["JSON", "not CSV"]),
    "latin-1": (HEAD.encode() + b"1793491200,1793577600,caf\xe9,1,1,1\n", ["UTF-8"]),
    "another file": (b"name,age\nx,3\n", ["none of", "OpenAI's usage export", "name, age"]),
    "no output": (
        b"start_time,model,input_tokens,input_cached_tokens\n1793491200,gpt-4o,1,1\n",
        ["looks like OpenAI's usage export", "no column output_tokens", "input_cached_tokens"],
    ),
    "no amounts": (b"usage_date_utc,model\n2026-11-01,x\n", ["has no column", "usage_date_utc"]),
    "cut off": ((HEAD + ROW + "1793491200,17935").encode(), ["line 3", "2 cells", "cut off"]),
    "bare thousands": ((HEAD + ROW.replace("1234567", "1,234")).encode(), ["7 cells", "quotes"]),
    "no number": ((HEAD + ROW.replace("89", "many")).encode(), ["line 2", "'many'"]),
    "negative tokens": ((HEAD + ROW.replace("89", "-89")).encode(), ["line 2", "'-89'"]),
    "half a token": ((HEAD + ROW.replace("89", "8.5")).encode(), ["'8.5'"]),
    "no day": ((COST + "soon,Claude Haiku 4.5,output,0.10\n").encode(), ["line 2", "'soon'"]),
    "no amount": ((COST + "2026-11-01,Claude Haiku 4.5,output,free\n").encode(), ["'free'"]),
    "not a number": ((COST + "2026-11-01,Claude Haiku 4.5,output,NaN\n").encode(), ["'NaN'"]),
    "twice": ((HEAD + ROW + ROW).encode(), ["line 3", "repeats line 2", "twice"]),
    "weeks": ((HEAD + ROW.replace("1793577600", "1794096000")).encode(), ["covers 7 days"]),
    "euros": (
        b"start_time,end_time,amount_value,amount_currency,line_item\n"
        b'1793491200,1793577600,1.5,eur,"gpt-4o, input"\n',
        ["line 2", "eur", "USD"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "words"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_compared_says_why(tmp_path, raw, words):
    file = tmp_path / "usage.csv"
    file.write_bytes(raw)
    with pytest.raises(ReconcileError) as caught:
        read_export([file])
    for word in (str(file) if "no rows" not in words else "usage.csv", *words):
        assert word in str(caught.value)


def test_files_that_do_not_go_together_are_refused(tmp_path):
    usage, cost = HERE / "openai_usage.csv", HERE / "openai_cost.csv"
    with pytest.raises(ReconcileError, match="2026-11-01 to 2026-11-03"):
        read_export([usage, usage])
    with pytest.raises(ReconcileError, match="one at a time"):
        read_export([usage, HERE / "anthropic_usage.csv"])
    with pytest.raises(ReconcileError, match="not one of anthropic"):
        read_export([usage], provider="anthropic")
    late = tmp_path / "late.csv"
    late.write_text(cost.read_text().replace("1793", "1803"))
    with pytest.raises(ReconcileError, match="no day in common"):
        read_export([usage, late])


def test_zeros_may_repeat_and_credits_are_kept_apart(tmp_path):
    file = tmp_path / "cost.csv"
    row = '1793491200,1793577600,{},usd,"gpt-4o, input"\n'
    head = "start_time,end_time,amount_value,amount_currency,line_item\n"
    file.write_text(head + row.format(0) * 2 + row.format("2.5") + row.format("-1.25"))
    export = read_export([file])
    assert export.cells == {("2026-11-01", "gpt-4o"): {"usd": 2_500_000_000}}
    assert export.credits_nanos == -1_250_000_000


@given(
    counts=st.lists(st.integers(0, 10**12), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    style=st.sampled_from(["{}", "{:,}", "{}.0"]),
    order=st.randoms(use_true_random=False),
)
def test_the_sum_does_not_depend_on_how_it_is_written(
    tmp_path_factory, counts, delimiter, style, order
):
    rows = [
        [1793491200, 1793577600, f"key-{n}", "gpt-4o", style.format(count), 1]
        for n, count in enumerate(counts)
    ]
    order.shuffle(rows)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(
        ["start_time", "end_time", "api_key_id", "model", "input_tokens", "output_tokens"]
    )
    writer.writerows(rows)
    file = tmp_path_factory.mktemp("export") / "usage.csv"
    file.write_text(text.getvalue(), newline="")
    sums = read_export([file]).cells["2026-11-01", "gpt-4o"]
    assert (sums["input_tokens"], sums["output_tokens"]) == (sum(counts), len(counts))


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), (" 12 ", 12), ("3.0", 3), ("3,00", 3), ("25,000", 25000), ("1234.000", 1234),
     ("1,234", 1234), ("1.234.567", 1234567),
     ("1 234", 1234), ("-5", -5)],
)  # fmt: skip
def test_counts(text, count):
    assert whole_number(text) == count


@pytest.mark.parametrize("text", ["", "1.5", "1,23", "12,34,567", "1,234.567", "ten", "1e3"])
def test_what_is_no_count(text):
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        whole_number(text)


@pytest.mark.parametrize(
    ("text", "comma", "nanos"),
    [("0.10", False, 100_000_000), ("$1,250.00", False, 1_250_000_000_000), ("0E-6176", False, 0),
     ("0.003835980000000000000000000000", False, 3_835_980), ("1.250,50", False, 1_250_500_000_000),
     ("0,05", False, 50_000_000), ("1,250", False, 1_250_000_000_000),
     ("1,250", True, 1_250_000_000),
     ("1.250", True, 1_250_000_000), ("-2.5", False, -2_500_000_000), ("1e-7", False, 100)],
)  # fmt: skip
def test_amounts(text, comma, nanos):
    assert usd_nanos(text, decimal_comma=comma) == nanos


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1e12", "--1"])
def test_what_is_no_amount(text):
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        usd_nanos(text)


@pytest.mark.parametrize(
    ("text", "iso"),
    [("1793491200", "2026-11-01T00:00:00+00:00"), ("1793491200.0", "2026-11-01T00:00:00+00:00"),
     ("2026-11-01", "2026-11-01T00:00:00+00:00"), ("2026-11-01 13:00", "2026-11-01T13:00:00+00:00"),
     ("2026/11/01", "2026-11-01T00:00:00+00:00"),
     ("2026-11-01T01:00:00+02:00", "2026-10-31T23:00:00+00:00"),
     ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00+00:00")],
)  # fmt: skip
def test_moments(text, iso):
    assert moment_of_cell(text).isoformat() == iso


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("Claude 3.5 Sonnet 2024-10-22", "claude-sonnet-3-5"),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-3-5"),
        ("claude-3-haiku-20240307", "claude-haiku-3"),
        ("Claude Haiku 3", "claude-haiku-3"),
        ("Claude Opus 4", "claude-opus-4"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-5.6-sol", "gpt-5.6-sol"),
        ("text-embedding-3-small", "text-embedding-3-small"),
        ("o3-mini-2025-01-31", "o3-mini"),
        ("", ""),
    ],
)
def test_names_of_one_model_are_one(name, key):
    assert model_key(name) == key


@pytest.mark.parametrize(
    ("item", "model"),
    [
        ("gpt-4o-mini-2024-07-18, cached input", "gpt-4o-mini-2024-07-18"),
        ("priority | gpt-5.6-sol, output, long context", "gpt-5.6-sol"),
        ("gpt-5-nano, input_tokens", "gpt-5-nano"),
        ("gpt-5.6-sol, cache writes", "gpt-5.6-sol"),
        ("gpt-4o-audio-preview, audio input", "gpt-4o-audio-preview"),
        ("web search tool calls", "web search tool calls"),
        ("code interpreter, sessions", "code interpreter, sessions"),
    ],
)
def test_line_items_name_their_model(item, model):
    from frugal_chains.reconcile._names import item_model

    assert item_model(item) == model
