"""The comparison: an export beside the ledger's totals, by day and model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from frugal_chains.errors import ReconcileError
from frugal_chains.ledger import Totals
from frugal_chains.reconcile._export import Cell, UsageExport
from frugal_chains.reconcile._facts import (
    JUDGED,
    MEASURES,
    Difference,
    Line,
    Reconciliation,
    Spread,
)
from frugal_chains.reconcile._names import model_key
from frugal_chains.reconcile._reasons import reasons

LEDGER_QUESTION: Final = (
    "day", "provider", "model", "purpose", "status", "usage_source", "outcome",
)  # fmt: skip
"""By what the ledger's totals are asked for."""

_DAY: Final = timedelta(days=1)
_Sums = dict[Cell, dict[str, int]]


def whole_days(
    export: UsageExport, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[datetime, datetime]:
    """The days to compare, as `[first, after the last)`: those of the export, and of the period
    that is asked for only the whole ones, as the export has no parts of days.

    Raises:
        ReconcileError: there are none.
    """
    first, last = _midnight(export.first_day), _midnight(export.last_day) + _DAY
    if since is not None:
        first = max(first, _floor(since + _DAY - timedelta(microseconds=1)))
    if until is not None:
        last = min(last, _floor(until))
    if not any(first <= _midnight(day) < last for day in export.days):
        raise ReconcileError(
            f"no whole day to compare: the export has {export.first_day} to {export.last_day}"
        )
    return first, last


def reconcile(
    export: UsageExport,
    lines: Sequence[Totals],
    *,
    days: tuple[datetime, datetime],
    now: datetime,
    ledger_begins: datetime | None = None,
    edge_attempts: int = 0,
    waiting: int = 0,
) -> Reconciliation:
    """The ledger beside an export.

    Args:
        export: What the provider says.
        lines: The ledger's totals by `LEDGER_QUESTION` over `days`, of every provider.
        days: As `whole_days` gives them.
        now: To tell a day that is not over.
        ledger_begins: When the ledger's first attempt started.
        edge_attempts: Attempts that started in the minutes before `days` begin, or end.
        waiting: Files of ended processes whose attempts are not in the ledger yet.
    """
    first, last = f"{days[0]:%Y-%m-%d}", f"{days[1] - _DAY:%Y-%m-%d}"
    lines = [line for line in lines if line.key["day"] in export.days]
    of_provider = [line for line in lines if line.key["provider"] == export.provider]
    theirs = _export_sums(export, first, last)
    ours = _ledger_sums(export, of_provider)
    names = _names(export, of_provider)
    cells = [_cell(export, cell, theirs, ours, names) for cell in sorted({*theirs, *ours})]
    by_day = _grouped(cells, lambda line: line.day)
    by_model = _grouped(cells, lambda line: line.model)
    day_lines = tuple(_summed(export, group, day=day) for day, group in sorted(by_day.items()))
    model_lines = [_summed(export, group, model=model) for model, group in by_model.items()]
    judged = [measure for measure in JUDGED if measure in export.measures]
    return Reconciliation(
        provider=export.provider,
        files=tuple(export.files),
        first_day=first,
        last_day=last,
        measures=export.measures,
        total=_summed(export, cells),
        days=day_lines,
        models=tuple(sorted(model_lines, key=lambda line: _size(line, judged))),
        cells=tuple(cells),
        spreads={m: _spread(m, cells, day_lines) for m in judged},
        reasons=reasons(
            export,
            lines,
            cells=cells,
            days=day_lines,
            first=days[0],
            last=days[1],
            now=now,
            ledger_begins=ledger_begins,
            edge_attempts=edge_attempts,
            waiting=waiting,
        ),
    )


def _export_sums(export: UsageExport, first: str, last: str) -> _Sums:
    found: _Sums = {}
    for (day, model), amounts in export.cells.items():
        if first <= day <= last and day in export.days:
            sums = found.setdefault((day, _key(export, model)), dict.fromkeys(export.measures, 0))
            for measure in export.measures:
                sums[measure] += amounts.get(measure, 0)
    return found


def _ledger_sums(export: UsageExport, lines: Iterable[Totals]) -> _Sums:
    """What the ledger has of the provider. Answers of a response cache never reached it."""
    found: _Sums = {}
    for line in lines:
        if line.key["status"] == "cached":
            continue
        told = export.tells(line.key["purpose"])
        amounts = {
            measure: MEASURES[measure](line) if told or measure == "usd" else 0
            for measure in export.measures
        }
        if any(amounts.values()) or line.unpriced:
            cell = line.key["day"], _key(export, line.key["model"])
            sums = found.setdefault(cell, dict.fromkeys(export.measures, 0))
            for measure, amount in amounts.items():
                sums[measure] += amount
    return found


def _key(export: UsageExport, model: str) -> str:
    return model_key(model) if export.by_model else ""


def _names(export: UsageExport, lines: Iterable[Totals]) -> dict[str, set[str]]:
    """Every name that either side has for a model, by its key."""
    found: dict[str, set[str]] = {}
    if export.by_model:
        for name in (*(model for _, model in export.cells), *(line.key["model"] for line in lines)):
            found.setdefault(model_key(name), set()).add(name)
    return found


def _cell(
    export: UsageExport, cell: Cell, theirs: _Sums, ours: _Sums, names: dict[str, set[str]]
) -> Line:
    day, model = cell
    known = tuple(sorted(names.get(model, ())))
    none = dict.fromkeys(export.measures, 0)
    return Line(
        day=day,
        model=model,
        names=known if known != (model,) else (),
        differences={
            measure: Difference(
                export=theirs.get(cell, none)[measure], ledger=ours.get(cell, none)[measure]
            )
            for measure in export.measures
        },
    )


def _grouped(cells: Iterable[Line], key: Callable[[Line], str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for cell in cells:
        found.setdefault(key(cell), []).append(cell)
    return found


def _summed(export: UsageExport, cells: Sequence[Line], *, day: str = "", model: str = "") -> Line:
    return Line(
        day=day,
        model=model,
        names=cells[0].names if model else (),
        differences={
            measure: Difference(
                export=sum(cell.differences[measure].export for cell in cells),
                ledger=sum(cell.differences[measure].ledger for cell in cells),
            )
            for measure in export.measures
        },
    )


def _size(line: Line, judged: Sequence[str]) -> tuple[int, int, str]:
    """The largest first, by the first measure that is judged."""
    found = line.differences[judged[0]]
    return -found.export, -found.ledger, line.model


def _spread(measure: str, cells: Sequence[Line], days: Sequence[Line]) -> Spread:
    told = [(day.day, day.differences[measure].percent) for day in days]
    percents = [(day, abs(percent)) for day, percent in told if percent is not None]
    billed = [abs(p) for day, p in zip(days, (p for _, p in told), strict=True)
              if p is not None and day.differences[measure].export]  # fmt: skip
    largest = max(percents, key=lambda pair: pair[1], default=("", None))
    pairs = [cell.differences[measure] for cell in cells]
    return Spread(
        mean_absolute_percent=sum(billed, Decimal(0)) / len(billed) if billed else None,
        largest_day=largest[0] if billed else "",
        largest_percent=dict(told)[largest[0]] if billed else None,
        unseen_by_ledger=_percent(
            sum(p.export for p in pairs if not p.ledger), sum(p.export for p in pairs)
        ),
        unseen_by_export=_percent(
            sum(p.ledger for p in pairs if not p.export), sum(p.ledger for p in pairs)
        ),
    )


def _percent(part: int, whole: int) -> Decimal | None:
    return Decimal(100 * part) / Decimal(whole) if whole else None


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def _floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
