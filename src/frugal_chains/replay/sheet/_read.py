"""`read_sheet`: a workload sheet from its file.

    title = "Support assistant"
    prices_on = 2026-11-20          # the day whose prices hold
    calls = [4e6, 5e6, 7e6]         # a month; any number may be a range [low, likely, high]
    retry_rate = 0.02               # paid again in full, for each call

    [shape]                         # of one call; a model may have its own, as [model.shape]
    system_tokens = 1_500           # parts of the input, or input_tokens for all of it
    history_tokens = 800
    retrieved_tokens = 1_200
    question_tokens = 100
    static_tokens = 1_500           # the same beginning in every call, or static_share of the input
    output_tokens = 300

    [[model]]                       # the mix: shares of the calls, of one model it is 1
    name = "gpt-4o"                 # provider, tier, task if wanted

    [[scenario]]                    # says what differs from the sheet, or from `based_on`
    name = "routed"
    [scenario.classifier]           # asked before each call is answered
    model = "gpt-4o-mini"
    input_tokens = 120
    output_tokens = 2
    [[scenario.model]]              # replaces the mix
    name = "gpt-4o-mini"
    share = 0.9
    escalation_rate = 0.15          # drafted, then asked again: both are paid
    escalates_to = "gpt-4o"
    [[scenario.model]]
    name = "gpt-4o"
    share = "rest"

    [[scenario]]
    name = "routed + cache + batch"
    based_on = "routed"
    cache_hit_rate = 0.8            # of the calls: they read the static beginning, the others write
    cache_writes = "5m"             # or "1h", or "input" where a miss is billed as fresh input
    batch_share = 0.3               # of the calls, in the provider's batch tier

    [[claim]]                       # what someone said, held against what it really is
    text = "5M calls on gpt-4o cost about $17,500 a month"
    cost_usd = 17_500               # or saved_usd, saved_share (of a scenario), or, of a price
                                    # (model, bucket): usd_per_mtok, share_of_input

A model's own `tier`, `cache_hit_rate`, `cache_writes`, `batch_share` and `retry_rate` win over its
scenario's, and these over the sheet's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from frugal_chains.errors import SheetError
from frugal_chains.replay.sheet._amounts import Amount
from frugal_chains.replay.sheet._build import workload
from frugal_chains.replay.sheet._claims_read import claims
from frugal_chains.replay.sheet._keys import LEVERS, SHEET
from frugal_chains.replay.sheet._merge import merged
from frugal_chains.replay.sheet._sheet import BASELINE, Sheet, Workload
from frugal_chains.replay.sheet._tables import BROKEN, WHERE, Reader, nearest

_MAX_BYTES = 1_000_000
_MAX_SCENARIOS = 50
MAX_RANGES = 8
"""An interval is computed at every corner of the ranges: 256 of eight."""


def read_sheet(path: str | Path) -> Sheet:
    """Read and check a workload sheet.

    Raises:
        SheetError: the file cannot be read, or something in it is wrong. The message has all that
            is, each with its table and key, what was expected, and what was found.
    """
    where = Path(path)
    raw = _parsed(where)
    if not raw:
        raise SheetError(
            f"{where}: the sheet is empty; expected at least prices_on, calls, [shape], [[model]]"
        )
    reader = Reader()
    sheet = _sheet(reader, reader.table(raw, SHEET), str(where))
    if reader.problems or sheet is None:
        count = len(reader.problems)
        listed = "".join(f"\n- {problem}" for problem in reader.problems)
        raise SheetError(f"{where}: {count} problem{'s' if count > 1 else ''}:{listed}")
    return sheet


def _parsed(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise SheetError(f"{path}: {size:,} bytes; expected a sheet of at most {_MAX_BYTES:,}")
        text = path.read_bytes().decode()
    except OSError as error:
        raise SheetError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SheetError(f"{path}: expected UTF-8 text, got byte {error.start:,}") from error
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SheetError(f"{path}: expected valid TOML: {error}") from error
    except RecursionError as error:
        raise SheetError(
            f"{path}: expected a sheet, got arrays within arrays without end"
        ) from error
    except (ValueError, ArithmeticError) as error:  # thousands of digits, an exponent of twenty
        raise SheetError(
            f"{path}: expected numbers of at most 18 digits, got a larger one"
        ) from error


def _sheet(reader: Reader, table: Mapping[str, Any], path: str) -> Sheet | None:
    baseline = workload(reader, table, name=BASELINE, note="")
    rows = table.get("scenario", [])
    scenarios = [] if rows is BROKEN else _scenarios(reader, table, rows)
    names = [str(row["name"]) for row in rows if row["name"] is not BROKEN] if scenarios else []
    found = claims(reader, table.get("claim", []), (BASELINE, *names))
    built = [built for built in (baseline, *scenarios) if built]
    ranges = _ranges(built)
    if len(ranges) > MAX_RANGES:
        reader.complain(
            (), f"{len(ranges)} ranges; expected at most {MAX_RANGES}: "
            f"{', '.join(amount.key for amount in ranges)}"
        )  # fmt: skip
    if reader.problems or baseline is None:
        return None
    return Sheet(
        path=path,
        title=table.get("title", Path(path).stem),
        note=table.get("note", ""),
        prices_on=table["prices_on"],
        baseline=baseline,
        scenarios=tuple(built[1:]),
        claims=found,
        ranges=ranges,
    )


def _scenarios(
    reader: Reader, sheet: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[Workload | None]:
    """Each on top of the sheet, or of the earlier scenario that it is based on."""
    if len(rows) > _MAX_SCENARIOS:
        reader.complain((), f"{len(rows)} scenarios; expected at most {_MAX_SCENARIOS}")
        return []
    tables: dict[str, Mapping[str, Any]] = {BASELINE: sheet}
    built = []
    for row in rows:
        name, base = row["name"], row.get("based_on", BASELINE)
        if base is not BROKEN and base not in tables:
            reader.complain(
                row[WHERE], f"based_on {base!r} is no scenario above this one; "
                f"{nearest(base, tables)}"
            )  # fmt: skip
        full = merged(tables.get(base, sheet), row)
        _check_levers(reader, row, full)
        built.append(workload(reader, full, name=str(name), note=row.get("note", "")))
        if name in tables:
            reader.complain(row[WHERE], f"name {name!r} is taken; expected one of its own")
        elif name is not BROKEN:
            tables[name] = full
    return built


def _check_levers(reader: Reader, row: Mapping[str, Any], full: Mapping[str, Any]) -> None:
    """A number that no model takes would be believed to count."""
    models = full.get("model")
    for lever in LEVERS:
        if lever in row and isinstance(models, list) and all(lever in model for model in models):
            reader.complain(
                row[WHERE], f"{lever} has no effect: each model has its own; give the scenario "
                "models of its own, or the number to these"
            )  # fmt: skip


def _ranges(workloads: Sequence[Workload]) -> tuple[Amount, ...]:
    """Every range that is used, each once."""
    found: dict[str, Amount] = {}
    for each in workloads:
        for amount in _amounts(each):
            if amount is not None and amount.is_range:
                found[amount.key] = amount
    return tuple(found.values())


def _amounts(each: Workload) -> list[Amount | None]:
    amounts: list[Amount | None] = [each.calls]
    for entry in each.entries:
        shape = entry.shape
        amounts += [entry.share, entry.cache_hit_rate, entry.batch_share, entry.retry_rate]
        amounts += [entry.escalation_rate, *shape.inputs.values(), shape.output_tokens]
        amounts += [shape.static_tokens, shape.static_share]
    if each.classifier:
        asked = each.classifier
        amounts += [asked.share, asked.input_tokens, asked.output_tokens]
    return amounts
