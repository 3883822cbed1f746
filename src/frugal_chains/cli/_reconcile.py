"""`frugal reconcile`: the ledger beside what the provider's console says."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json

if TYPE_CHECKING:
    from frugal_chains.ledger import Ledger
    from frugal_chains.reconcile import Reconciliation, UsageExport

_EDGE: Final = timedelta(minutes=5)
"""A call that starts so long before midnight may be billed on the next day."""

_Files = Annotated[
    list[Path],
    typer.Argument(
        help="The console's CSV: OpenAI's completions_usage_*.csv and cost_*.csv, Anthropic's "
        "claude_api_tokens_*.csv and claude_api_cost_*.csv. Usage and cost together, if you have "
        "both."
    ),
]
_Provider = Annotated[
    str | None, typer.Option(help="openai or anthropic. Without it: told by the columns.")
]
_Since = Annotated[
    str | None, typer.Option(help="An age (7d) or a time (2026-11-01), UTC. Only whole days count.")
]
_Until = Annotated[str | None, typer.Option(help="The same; the moment itself is left out.")]
_Within = Annotated[
    float, typer.Option(min=0, help="Percent of the export by which totals may differ.")
]


def reconcile(
    files: _Files,
    provider: _Provider = None,
    ledger: LedgerOption = None,
    since: _Since = None,
    until: _Until = None,
    within: _Within = 2.5,
    as_json: JsonOption = False,
) -> None:
    """The ledger beside a provider's usage export: what differs, by how much, and why.

    Exit code 0: cost and tokens are within the tolerance; 3: they are not; 1: a file or the ledger
    cannot be read.

    Example: frugal reconcile completions_usage_2026-11-01_2026-11-30.csv --within 1
    """
    from frugal_chains.ledger import Ledger
    from frugal_chains.reconcile import read_export
    from frugal_chains.report import reconcile_json, reconcile_view

    if provider not in (None, "openai", "anthropic"):
        raise typer.BadParameter(
            f"{provider!r} is not openai or anthropic", param_hint="--provider"
        )
    period = moment(since, "--since"), moment(until, "--until")
    tolerance = Decimal(str(within))
    with plain_errors():
        export = read_export(files, provider=provider)
        with Ledger.open(ledger, read_only=True) as books:
            found = _compared(export, books, period)
    if as_json:
        print_json(reconcile_json(found, within_percent=tolerance))
    else:
        screen = console()
        screen.print(reconcile_view(found, within_percent=tolerance, width=screen.width))
    if not found.within(tolerance):
        raise typer.Exit(3)


def _compared(
    export: UsageExport, books: Ledger, period: tuple[datetime | None, datetime | None]
) -> Reconciliation:
    from frugal_chains.reconcile import LEDGER_QUESTION, reconcile, whole_days

    days = whole_days(export, since=period[0], until=period[1])
    first = next(books.attempts(provider=export.provider), None)
    return reconcile(
        export,
        books.totals(LEDGER_QUESTION, *days),
        days=days,
        now=now(),
        ledger_begins=None if first is None else first.at,
        edge_attempts=sum(_before(books, edge, export.provider) for edge in days),
        waiting=len(books.store.inbox_files()),
    )


def _before(books: Ledger, edge: datetime, provider: str) -> int:
    lines = books.totals(["provider"], edge - _EDGE, edge)
    return sum(line.attempts for line in lines if line.key["provider"] == provider)
