"""The task inventory as it is printed, and as JSON: of the shipped examples, word for word."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from frugal_chains.pricing import PriceBook
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.inventory import Inventory, inventory
from frugal_chains.replay.recorded import read_recording
from frugal_chains.report._json_inventory import inventory_json
from frugal_chains.report._terminal_inventory import inventory_view
from frugal_chains.usage import Usage

EXAMPLES = Path(__file__).parents[3] / "examples" / "traffic"
AT = datetime(2025, 11, 22, tzinfo=UTC)


def facts_of(name: str) -> Inventory:
    return inventory(read_recording(EXAMPLES / name), PriceBook(), at=AT)


def printed(facts: Inventory, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False).print(
        inventory_view(facts, width=width)
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


ADVICE = """
    The class is by size and shape: length, tools, steps, reasoning, documents. It is not measured
    quality, and no reason to route by itself. Have two models answer a sample of a task, score the
    answers, and frugal calibrate measures where the smaller one is good enough."""

# gpt-4o: 2.50 in, 10 out; gpt-4o-mini: 0.15 and 0.60; gpt-5-mini flex: half of 0.25 and 2 USD a
# million (openai.com/api/pricing, 2025-11). "sort mail": 186 x 2.5 + 8 x 10 = 545 millionths.
OPENAI = """\
calls   12, 1 failed, 1 of unknown size
tokens  1,148 in, 196 out
cached  0% of input tokens
cost    $0.0026454 + 0 unpriced, 0 estimated
tasks   4 groups; 25.0% of calls have no task tag and are grouped by what their prompts begin with

class     groups  calls  tokens  money        cost
──────────────────────────────────────────────────
simple         2  58.3%   30.2%  22.3%  $0.0005894
moderate       2  41.7%   69.8%  77.7%  $0.002056
complex        0     0%      0%     0%           -

task         class     calls      %   in  in p90  out  out p90  cached        cost  % money
───────────────────────────────────────────────────────────────────────────────────────────
like line 7  moderate      3  25.0%  178     222   20       22      0%  $0.001925     72.8%
sort mail    simple        5  41.7%   46      48    2        2      0%  $0.000545     20.6%
questions    moderate      2  16.7%   88     160   16       84      0%  $0.000131      5.0%
read orders  simple        2  16.7%   92      92   14       14      0%  $0.0000444     1.7%

Why
    like line 7: moderate, tool results in the request: median 1, moderate from 1
      models: gpt-4o-2024-08-06 3
    sort mail: simple, below every threshold: short, without tools, reasoning or documents
      models: gpt-4o-2024-08-06 4, gpt-4o 1
    questions: moderate, tools offered: median 1, moderate from 1
      models: gpt-5-mini-2025-08-07 2
    read orders: simple, below every threshold: short, without tools, reasoning or documents
      models: gpt-4o-mini-2024-07-18 2
"""

# Sonnet 4.5: 3 in, 15 out, 6 for a write of an hour, 0.30 for a read; Haiku 4.5 in a batch: half
# of 1 and 5 USD a million (claude.com/pricing, 2025-11).
# "like line 1": 60 x 3 + 1,400 x 6 + 27 x 15, and 100 x 3 + 1,400 x 0.3 + 28 x 15 = 10,125.
ANTHROPIC = """\
calls   5
tokens  4,008 in, 1,102 out
cached  34.9% of input tokens
cost    $0.0175665 + 0 unpriced, 0 estimated
tasks   3 groups; 60.0% of calls have no task tag and are grouped by what their prompts begin with

class     groups  calls  tokens  money        cost
──────────────────────────────────────────────────
simple         1  40.0%   59.0%  57.6%  $0.010125
moderate       1  40.0%   22.5%  29.4%  $0.00516
complex        1  20.0%   18.5%  13.0%  $0.0022815

task         class     calls      %     in  in p90  out  out p90  cached        cost  % money
─────────────────────────────────────────────────────────────────────────────────────────────
like line 1  simple        2  40.0%  1,460   1,500   27       28   47.3%  $0.010125     57.6%
inspect      moderate      2  40.0%    420     590   22      120      0%  $0.00516      29.4%
like line 5  complex       1  20.0%     38      38  905      905      0%  $0.0022815    13.0%

Why
    like line 1: simple, below every threshold: short, without tools, reasoning or documents
      models: claude-sonnet-4-5-20250929 2
    inspect: moderate, tools offered: median 1, moderate from 1
      models: claude-sonnet-4-5-20250929 2
    like line 5: complex, output tokens: median 905, complex from 600
      models: claude-haiku-4-5-20251001 1
"""


@pytest.mark.parametrize(
    ("name", "expected"), [("openai.jsonl", OPENAI), ("anthropic.jsonl", ANTHROPIC)]
)
def test_the_inventory_of_an_example_is_printed(name: str, expected: str) -> None:
    assert printed(facts_of(name)) == expected + ADVICE


@pytest.mark.parametrize("width", [60, 72, 200])
def test_it_fits_and_keeps_what_matters(width: int) -> None:
    text = printed(facts_of("anthropic.jsonl"), width)
    assert max(map(cell_len, text.splitlines())) <= width
    for word in ("class", "calls", "cost", "$0.0022815", "frugal"):
        assert word in text
    assert ("in p90" in text) == (width == 200)


def test_no_prompt_and_no_control_character_is_printed() -> None:
    text = printed(facts_of("openai.jsonl")) + json.dumps(inventory_json(facts_of("openai.jsonl")))
    assert "bicycle" not in text
    assert "chain" not in text
    usage = Usage(input_tokens=1)
    bad = RecordedCall(model="m\x1b[31m", task="a\x1b[2J[bold]<b>", usage=usage)
    shown = printed(inventory([bad], PriceBook()))
    assert "\x1b" not in shown
    assert "a\\x1b[2J[bold]<b>" in shown


def test_nothing_to_look_at_is_said() -> None:
    assert printed(inventory([], PriceBook())).startswith("No call to look at")


def test_many_groups_are_cut_and_unpriced_ones_say_so() -> None:
    usage = Usage(input_tokens=5)
    calls = [RecordedCall(model="x-1", task=f"task {n:02}", usage=usage) for n in range(30)]
    text = printed(inventory(calls, PriceBook()))
    assert "cost    unpriced + 30 unpriced, 0 estimated" in text
    assert "and 10 more groups, all in --json" in text


def test_the_json_holds_the_same_and_adds_up() -> None:
    plain = json.loads(json.dumps(inventory_json(facts_of("anthropic.jsonl"))))
    assert [group["name"] for group in plain["groups"]] == ["like line 1", "inspect", "like line 5"]
    assert plain["total"]["cost_usd"] == "0.0175665"
    for parts in (plain["groups"], plain["classes"]):
        for name in ("calls", "input_tokens", "output_tokens"):
            assert sum(part["sums"][name] for part in parts) == plain["total"][name]
        assert sum(part["shares"]["money"] for part in parts) == pytest.approx(1)
    first = plain["groups"][0]
    assert first["medians"]["input_tokens"] == 1_460
    assert first["models"] == [{"model": "claude-sonnet-4-5-20250929", "calls": 2}]
    assert [line["class"] for line in plain["classes"]] == ["simple", "moderate", "complex"]
    assert "calibrate" in plain["class_is"]
