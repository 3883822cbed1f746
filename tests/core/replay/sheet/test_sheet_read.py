"""What is wrong with a sheet is told at once, with tables, keys and numbers."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.errors import SheetError
from frugal_chains.pricing import PriceBook
from frugal_chains.replay.sheet import _read, read_sheet, sheet_bill
from tests.core.replay.sheet.sheets import EXAMPLES, SMALL, sheet_of

BOOK = PriceBook()
TWO = f'{SMALL}share = 0.5\n[[model]]\nname = "gpt-4o-mini"\nshare = 0.5\n'
SCENARIO = f'{SMALL}[[scenario]]\nname = "routed"\n'


def problems_of(text: str) -> list[str]:
    with pytest.raises(SheetError) as refused:
        sheet_of(text)
    head, *problems = str(refused.value).split("\n- ")
    assert f"{len(problems)} problem" in head
    return problems


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


# What is written in place of what, and the one complaint.
CASES = {
    "shares too small": (
        changed(TWO, "share = 0.5\n[[", "share = 0.4\n[["),
        "model shares: add to 0.9, not to 1: 0.1 is missing "
        "(model 1 (gpt-4o) 0.4, model 2 (gpt-4o-mini) 0.5)",
    ),
    "shares too large": (
        changed(TWO, "share = 0.5\n[[", "share = 0.7\n[["),
        "model shares: add to 1.2, not to 1: 0.2 too much "
        "(model 1 (gpt-4o) 0.7, model 2 (gpt-4o-mini) 0.5)",
    ),
    "thirds": (
        changed(TWO, "share = 0.5\n[[", "share = 0.333333333\n[["),
        "model shares: add to 0.833333333, not to 1: 0.166666667 is missing "
        "(model 1 (gpt-4o) 0.333333333, model 2 (gpt-4o-mini) 0.5)",
    ),
    "a single model that takes not all": (
        f"{SMALL}share = 0.9\n",
        "model shares: add to 0.9, not to 1: 0.1 is missing (model 1 (gpt-4o) 0.9)",
    ),
    "a share is missing": (
        changed(TWO, "share = 0.5\n[[", "[["),
        'model 1 (gpt-4o): share is missing; expected a share of the calls, or "rest"',
    ),
    "shares of a scenario": (
        f'{SCENARIO}[[scenario.model]]\nname = "a"\nshare = 0.5\n'
        '[[scenario.model]]\nname = "b"\nshare = 0.25\n',
        "scenario 1 (routed): model shares: add to 0.75, not to 1: 0.25 is missing "
        "(model 1 (a) 0.5, model 2 (b) 0.25)",
    ),
    "a range of shares without a rest": (
        changed(TWO, "share = 0.5\n[[", "share = [0.4, 0.5, 0.6]\n[["),
        'model shares: a share that is a range needs one model with share = "rest" '
        "(model 1 (gpt-4o) [0.4, 0.5, 0.6], model 2 (gpt-4o-mini) 0.5)",
    ),
    "two rests": (
        TWO.replace("share = 0.5", 'share = "rest"'),
        'model shares: expected "rest" once, got it 2 times',
    ),
    "nothing for the rest": (
        changed(TWO, "share = 0.5\n[[", "share = [0.4, 0.5, 1]\n[[")
        + '[[model]]\nname = "c"\nshare = "rest"\n',
        'model shares: the others add to 1.5, 0.5 too much: nothing is left for "rest" '
        "(model 1 (gpt-4o) [0.4, 0.5, 1], model 2 (gpt-4o-mini) 0.5)",
    ),
    "negative calls": (
        changed(SMALL, "1_000_000", "-1"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, got -1",
    ),
    "no calls": (
        changed(SMALL, "1_000_000", "0"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, got 0",
    ),
    "half a call": (
        changed(SMALL, "1_000_000", "0.5"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, got 0.5",
    ),
    "a call and a half": (
        changed(SMALL, "1_000_000", "1.5"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, got 1.5",
    ),
    "huge calls": (
        changed(SMALL, "1_000_000", "1e999999999"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, "
        "got 1E+999999999",
    ),
    "NaN": (
        changed(SMALL, "4_000", "nan"),
        "shape: input_tokens: expected a whole number of tokens from 0 to 100,000,000, got NaN",
    ),
    "inf": (
        f"cache_hit_rate = inf\n{SMALL}",
        "cache_hit_rate: expected a number of calls as a share from 0 to 1, got Infinity",
    ),
    "a percentage": (
        f"batch_share = 30\n{SMALL}",
        "batch_share: expected a number of calls as a share from 0 to 1, got 30",
    ),
    "too many decimals": (
        f"batch_share = 0.0000000001\n{SMALL}",
        "batch_share: expected a number of calls as a share from 0 to 1, of at most 9 decimals, "
        "got 1E-10",
    ),
    "true": (
        f"retry_rate = true\n{SMALL}",
        "retry_rate: expected a number of paid retries for each call from 0 to 10, got true",
    ),
    "a range the wrong way round": (
        changed(SMALL, "1_000_000", "[3, 2, 1]"),
        "calls: expected a range in order, low <= likely <= high, got [3, 2, 1]",
    ),
    "half a range": (
        changed(SMALL, "1_000_000", "[1, 2]"),
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000, or a range "
        "[low, likely, high] of three such numbers, got [1, 2]",
    ),
    "a range where none can be": (
        f'{SMALL}[[claim]]\ntext = "x"\ncost_usd = [1, 2, 3]\n',
        "claim 1 (x): cost_usd: expected a number of USD a month from 0 to 1,000,000,000,000; a "
        "range is not possible here, got [1, 2, 3]",
    ),
    "an unknown key": (
        f"cache_hitrate = 0.5\n{SMALL}",
        "unknown key 'cache_hitrate'; did you mean 'cache_hit_rate'?",
    ),
    "an unknown key of a model": (
        f"{SMALL}escalation = 0.5\n",
        "model 1 (gpt-4o): unknown key 'escalation'; did you mean 'escalation_rate'?",
    ),
    "an unknown key of a shape": (
        f"{SMALL}[model.shape]\nqqq = 1\n",
        "model 1 (gpt-4o), shape: unknown key 'qqq'; known: input_tokens, system_tokens, "
        "history_tokens, retrieved_tokens, question_tokens, output_tokens, static_tokens, "
        "static_share",
    ),
    "no date": (
        changed(SMALL, "prices_on = 2026-11-20\n", ""),
        "prices_on is missing; expected a date such as 2026-11-20, without quotes",
    ),
    "a date in quotes": (
        changed(SMALL, "2026-11-20", '"2026-11-20"'),
        "prices_on: expected a date such as 2026-11-20, without quotes, got '2026-11-20'",
    ),
    "a table in place of tables": (
        changed(SMALL, "[[model]]", "[model]"),
        "model: expected at least one table, written [[model]], got a table",
    ),
    "tables in place of a table": (
        changed(SMALL, "[shape]", "[[shape]]"),
        "shape: expected a table, written [shape], got [a table]",
    ),
    "no input": (
        changed(SMALL, "input_tokens = 4_000\n", ""),
        "model 1 (gpt-4o): expected input_tokens in [shape], or system_tokens, history_tokens, "
        "retrieved_tokens, question_tokens",
    ),
    "no output": (
        changed(SMALL, "output_tokens = 300\n", ""),
        "model 1 (gpt-4o): expected output_tokens in [shape]",
    ),
    "an empty prompt": (
        changed(changed(SMALL, "4_000", "0"), "2_000", "0"),
        "shape: a call without input: expected at least 1 token",
    ),
    "the whole and its parts": (
        changed(SMALL, "input_tokens", "system_tokens = 2_000\ninput_tokens"),
        "shape: input_tokens beside system_tokens; expected one or the other",
    ),
    "a beginning in two ways": (
        changed(SMALL, "static_tokens", "static_share = 0.5\nstatic_tokens"),
        "shape: static_tokens beside static_share; expected one or the other",
    ),
    "a beginning longer than the whole": (
        changed(SMALL, "2_000", "[1_000, 2_000, 5_000]"),
        "shape: static_tokens [1,000, 2,000, 5,000] is more than the shortest input, 4,000 tokens",
    ),
    "hits without a beginning": (
        changed(SCENARIO, "static_tokens = 2_000\n", "") + "cache_hit_rate = 0.5\n",
        "scenario 1 (routed): cache_hit_rate without a beginning that a cache can hold; expected "
        "static_tokens or static_share in the shape (static_tokens = 0: it has none)",
    ),
    "a cascade without an end": (
        f"{SMALL}escalation_rate = 0.1\n",
        "model 1 (gpt-4o): escalates_to is missing; expected it beside escalation_rate",
    ),
    "batches in two ways": (
        f'{SMALL}tier = "flex"\nbatch_share = 0.5\n',
        "model 1 (gpt-4o): batch_share 0.5 with tier flex: batches are a tier of their own; "
        "expected one of the two",
    ),
    "an unknown tier": (
        f'{SMALL}tier = "slow"\n',
        "model 1 (gpt-4o): tier: expected one of standard, flex, priority, fast, got 'slow'",
    ),
    "a scenario on top of nothing": (
        f'{SCENARIO}[[scenario]]\nname = "cached"\nbased_on = "rooted"\n',
        "scenario 2 (cached): based_on 'rooted' is no scenario above this one; "
        "did you mean 'routed'?",
    ),
    "a scenario twice": (
        f'{SCENARIO}[[scenario]]\nname = "routed"\n',
        "scenario 2 (routed): name 'routed' is taken; expected one of its own",
    ),
    "a scenario called baseline": (
        SCENARIO.replace("routed", "baseline"),
        "scenario 1 (baseline): name 'baseline' is taken; expected one of its own",
    ),
    "a number that no model takes": (
        SCENARIO.replace('"gpt-4o"\n', '"gpt-4o"\nbatch_share = 0.1\n') + "batch_share = 0.5\n",
        "scenario 1 (routed): batch_share has no effect: each model has its own; give the scenario "
        "models of its own, or the number to these",
    ),
    "a classifier without a model": (
        f"{SMALL}[classifier]\ninput_tokens = 10\n",
        "classifier: model is missing",
    ),
    "a claim without a figure": (
        f'{SMALL}[[claim]]\ntext = "x"\n',
        "claim 1 (x): expected one of cost_usd, saved_usd, saved_share, usd_per_mtok, "
        "share_of_input, got none",
    ),
    "a claim about another sheet": (
        f'{SCENARIO}[[claim]]\ntext = "x"\nscenario = "Routed"\ncost_usd = 1\n',
        "claim 1 (x): scenario 'Routed' is not in the sheet; did you mean 'routed'?",
    ),
    "a saving of the baseline": (
        f'{SMALL}[[claim]]\ntext = "x"\nsaved_share = 0.5\n',
        "claim 1 (x): a saving is of a scenario; expected scenario",
    ),
    "a price of nothing": (
        f'{SMALL}[[claim]]\ntext = "x"\nusd_per_mtok = 1\n',
        "claim 1 (x): a claim about a price needs model and bucket",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), CASES.values(), ids=list(CASES))
def test_a_mistake_is_named_once_with_table_key_and_number(text: str, complaint: str):
    assert problems_of(text) == [complaint]


def test_the_sheet_in_the_documentation_is_one():
    text = str(_read.__doc__).partition("\n\n")[2].partition("\nA model's own")[0]
    sheet = sheet_of(textwrap.dedent(text))
    assert [each.name for each in sheet.scenarios] == ["routed", "routed + cache + batch"]
    assert [(r.low, r.likely, r.high) for r in sheet.ranges] == [(4_000_000, 5_000_000, 7_000_000)]
    assert sheet_bill(sheet, BOOK).scenarios[1].nanos is not None


def test_everything_that_is_wrong_is_told_at_once():
    problems = problems_of("""
titel = "x"
calls = -5
[shape]
output_tokens = inf
[[model]]
name = "gpt-4o"
shere = 0.5
[[scenario]]
[[scenario.model]]
name = ""
share = 2
""")
    assert [problem.split(";")[0].split(", got")[0] for problem in problems] == [
        "unknown key 'titel'",
        "calls: expected a whole number of calls a month from 1 to 1,000,000,000,000",
        "shape: output_tokens: expected a whole number of tokens from 0 to 100,000,000",
        "model 1 (gpt-4o): unknown key 'shere'",
        "scenario 1, model 1: name: expected a text of 1 to 200 characters",
        'scenario 1, model 1: share: expected a number of calls as a share from 0 to 1, or "rest" '
        "for what the other models leave",
        "scenario 1: name is missing",
        "prices_on is missing",
        "model 1 (gpt-4o): expected input_tokens in [shape], or system_tokens, history_tokens, "
        "retrieved_tokens, question_tokens",
        "scenario 1, model 1: expected input_tokens in [shape], or system_tokens, history_tokens, "
        "retrieved_tokens, question_tokens",
    ]


def test_too_many_scenarios_are_told():
    text = SMALL + "".join(f'[[scenario]]\nname = "{n}"\n' for n in range(51))
    assert problems_of(text) == ["51 scenarios; expected at most 50"]


def test_nine_ranges_are_too_many():
    text = SMALL
    for old in ("1_000_000", "4_000", "300"):
        text = changed(text, old, f"[{old}, {old}, {old}1]")
    levers = ("cache_hit_rate", "batch_share", "retry_rate")
    text = "".join(f"{lever} = [0.1, 0.2, 0.3]\n" for lever in levers) + text
    text += "escalation_rate = [0.1, 0.2, 0.3]\nescalates_to = 'gpt-5'\n"
    text += "[classifier]\nmodel = 'x'\ninput_tokens = [1, 2, 3]\n"
    assert len(sheet_of(text).ranges) == 8
    (problem,) = problems_of(f"{text}output_tokens = [1, 2, 3]\n")
    assert problem.startswith("9 ranges; expected at most 8: calls, cache_hit_rate, batch_share")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the sheet is empty; expected at least prices_on, calls, [shape], [[model]]"),
        (b"# nothing\n", "the sheet is empty"),
        (b"calls = \n", "expected valid TOML: Invalid value (at line 1, column 9)"),
        (b"{}", "expected valid TOML"),
        (b'title = "\xff"', "expected UTF-8 text, got byte 9"),
        (b"calls = " + b"9" * 5_000, "expected numbers of at most 18 digits"),
        (b"calls = 1e99999999999999999999", "expected numbers of at most 18 digits"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "arrays within arrays"),
        (b"#" * 1_000_001, "1,000,001 bytes; expected a sheet of at most 1,000,000"),
    ],
)
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes, complaint: str):
    path = tmp_path / "sheet.toml"
    path.write_bytes(content)
    with pytest.raises(SheetError) as refused:
        read_sheet(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert complaint in str(refused.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(SheetError, match="cannot be read: No such file"):
        read_sheet(tmp_path / "sheet.toml")
    with pytest.raises(SheetError, match="cannot be read: Is a directory"):
        read_sheet(tmp_path)


def test_names_and_notes_lose_their_line_breaks_and_a_sheet_its_missing_title():
    sheet = sheet_of('note = """a\nb"""' + SMALL)
    assert (sheet.title, sheet.note) == ("sheet", "a b")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_sheet_is_computed_or_refused_and_nothing_else(data: st.DataObject):
    """Lines dropped, doubled and with other values: a `SheetError`, or a bill."""
    lines = data.draw(st.sampled_from(EXAMPLES)).read_text(encoding="utf-8").splitlines()
    odd = st.sampled_from(
        ["-1", "nan", "inf", "1e400", "true", "[]", "{}", '""', "[1, 2, 3]", "0", '"rest"', "1e-9"]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key, equals, _value = lines[at].partition("=")
        how = data.draw(st.sampled_from(["drop", "double", "value"]))
        if how == "value" and equals:
            lines[at] = f"{key}= {data.draw(odd)}"
        else:
            lines[at : at + 1] = [] if how == "drop" else [lines[at]] * 2
        lines = lines or [""]
    try:
        sheet = sheet_of("\n".join(lines))
    except SheetError:
        return
    bill = sheet_bill(sheet, BOOK)
    assert [each.nanos is None for each in bill.workloads] == [
        bool(each.unpriced) for each in bill.workloads
    ]
