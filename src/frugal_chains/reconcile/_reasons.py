"""What is known to make ledger and export differ, without looking at any call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from frugal_chains.ledger import Totals
from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.reconcile._export import UsageExport
from frugal_chains.reconcile._facts import JUDGED, Line, Reason
from frugal_chains.reconcile._names import model_key

_CANCELS: Final = 5
"""Two days cancel where their sum is less than a fifth of the smaller of the two."""
_MOST_NAMES: Final = 5
_HALF_CENT_NANOS: Final = 5_000_000


def reasons(
    export: UsageExport,
    lines: Sequence[Totals],
    *,
    cells: Sequence[Line],
    days: Sequence[Line],
    first: datetime,
    last: datetime,
    now: datetime,
    ledger_begins: datetime | None,
    edge_attempts: int,
    waiting: int,
) -> tuple[Reason, ...]:
    """What may explain a difference, of the ledger first, then of the export, then of time."""
    ours = [line for line in lines if line.key["provider"] == export.provider]
    return (
        *_of_attempts(export, ours),
        *_of_embeddings(export, ours),
        *_of_models(export, lines, cells),
        *_of_export(export),
        *_of_time(export, days, first, last, now, ledger_begins, edge_attempts),
        *_of_files(waiting),
    )


_Picks = Callable[[Totals], bool]
_ATTEMPTS: Final[tuple[tuple[str, _Picks, str], ...]] = (
    (
        "unpriced",
        lambda line: line.key["outcome"] == "unpriced",
        "attempts without a price: {:,}. Their tokens are compared, their cost is missing from the "
        "ledger",
    ),
    (
        "estimated",
        lambda line: line.key["usage_source"] != "provider",
        "attempts with usage that is not, or not wholly, the provider's word: {:,}",
    ),
    (
        "aborted",
        lambda line: line.key["status"] == "aborted",
        "attempts that were given up: {:,}. What the provider billed for them is not known here",
    ),
    (
        "errors",
        lambda line: line.key["status"] == "error",
        "attempts that ended in an error: {:,}. They are not counted as requests",
    ),
    (
        "cached",
        lambda line: line.key["status"] == "cached",
        "attempts answered from a response cache: {:,}. They never reached the provider and are "
        "left out",
    ),
    (
        "tools",
        lambda line: bool(
            line.usage.web_searches or line.usage.code_executions or line.usage.file_searches
        ),
        "attempts with server-side tools, at most: {:,}. The ledger adds their fees to the model "
        "that asked, exports may tell them apart",
    ),
)
_OF_COST: Final = ("unpriced", "tools")
"""Reasons that make only costs differ."""


def _of_attempts(export: UsageExport, ours: Sequence[Totals]) -> Iterator[Reason]:
    for kind, picks, text in _ATTEMPTS:
        count = sum(line.attempts for line in ours if picks(line))
        if count and (kind not in _OF_COST or "usd" in export.measures):
            yield Reason(kind=kind, text=text.format(count), attempts=count)


def _of_embeddings(export: UsageExport, ours: Sequence[Totals]) -> Iterator[Reason]:
    embeds = sum(line.attempts for line in ours if line.key["purpose"] == "embed")
    if embeds and not export.tells("embed") and len(export.measures) > ("usd" in export.measures):
        yield Reason(
            kind="embeddings",
            text=f"attempts that embed: {embeds:,}. OpenAI exports their tokens in a file of their "
            "own (embeddings_usage_*.csv), which was not given: they are left out",
            attempts=embeds,
        )


def _of_models(
    export: UsageExport, lines: Sequence[Totals], cells: Sequence[Line]
) -> Iterator[Reason]:
    if not export.by_model:
        yield Reason(
            kind="not by model",
            text="the export does not tell models apart: only days are compared",
        )
        return
    measure = next(measure for measure in JUDGED if measure in export.measures)
    theirs = {c.model for c in cells if c.differences[measure].export}
    ours = {c.model for c in cells if any(d.ledger for d in c.differences.values())}
    if only := sorted(theirs - ours):
        yield Reason(
            kind="not in ledger",
            text=f"the ledger has nothing of {_some(only)}: calls outside this application, or "
            "that are not tracked",
        )
    if only := sorted(ours - theirs):
        yield Reason(
            kind="not in export",
            text=f"the export has nothing of {_some(only)}: another project, workspace or key, or "
            "not billed yet",
        )
    elsewhere = [
        line
        for line in lines
        if line.key["provider"] != export.provider and model_key(line.key["model"]) in theirs
    ]
    if count := sum(line.attempts for line in elsewhere):
        through = ", ".join(sorted({line.key["provider"] or "(none)" for line in elsewhere}))
        yield Reason(
            kind="other providers",
            text=f"attempts of the same models through {through}: {count:,}. They are left out",
            attempts=count,
        )


def _of_export(export: UsageExport) -> Iterator[Reason]:
    if export.cent_rows and "usd" in export.measures:
        most = usd_text(usd_from_nanos(export.cent_rows * _HALF_CENT_NANOS))
        yield Reason(
            kind="rounding",
            text=f"the export rounds {export.cent_rows:,} amounts to the cent: up to {most} of the "
            "difference",
        )
    if export.credits_nanos:
        credit = usd_text(usd_from_nanos(-export.credits_nanos))
        yield Reason(
            kind="credits", text=f"credits of {credit} in the export are no usage, and left out"
        )
    if export.left_out_days:
        yield Reason(
            kind="files",
            text=f"days that no file, or not every kind, covers: {export.left_out_days:,}. They "
            "are left out",
        )


def _of_time(
    export: UsageExport,
    days: Sequence[Line],
    first: datetime,
    last: datetime,
    now: datetime,
    ledger_begins: datetime | None,
    edge_attempts: int,
) -> Iterator[Reason]:
    if export.offset_s:
        hours = f"{export.offset_s // 3600:02d}:{export.offset_s // 60 % 60:02d}"
        yield Reason(
            kind="time zone",
            text=f"days of the export begin at {hours} UTC, those of the ledger at 00:00",
        )
    if ledger_begins is not None and ledger_begins > first:
        yield Reason(
            kind="ledger begins",
            text=f"the ledger's first attempt is of {ledger_begins:%Y-%m-%d %H:%M} UTC, the "
            f"comparison begins {first:%Y-%m-%d} 00:00",
        )
    if now < last + timedelta(days=1):
        yield Reason(
            kind="not settled",
            text=f"{last - timedelta(days=1):%Y-%m-%d} is not over, or only just: providers add "
            "usage for hours",
        )
    if edge_attempts:
        yield Reason(
            kind="edges",
            text=f"attempts that began minutes before the period or its end: {edge_attempts:,}. "
            "The ledger books them by their start",
            attempts=edge_attempts,
        )
    if shifted := [f"{a.day} and {b.day}" for a, b in pairwise(days) if _cancel(a, b)]:
        yield Reason(
            kind="shifted",
            text=f"the differences of {_some(shifted)} cancel each other: calls around midnight, "
            "or days of another time zone",
        )


def _of_files(waiting: int) -> Iterator[Reason]:
    if waiting:
        yield Reason(
            kind="waiting",
            text=f"files with attempts that are not in the ledger yet: {waiting:,}. frugal report "
            "takes them in",
        )


def _cancel(one: Line, other: Line) -> bool:
    """Whether what one day has too much is what the next has too little."""
    measure = next(m for m in JUDGED if m in one.differences)
    a, b = one.differences[measure].amount, other.differences[measure].amount
    return a * b < 0 and abs(a + b) * _CANCELS < min(abs(a), abs(b))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
