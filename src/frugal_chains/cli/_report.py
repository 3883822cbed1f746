"""`frugal report`: what the books say."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json
from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frugal_chains.ledger import Ledger, Totals
    from frugal_chains.pricing import PriceBook
    from frugal_chains.report import ReportFacts
    from frugal_chains.savings import Waterfall

_By = Annotated[
    list[str] | None,
    typer.Option(
        help="One table by this instead of the usual ones: model, provider, purpose, status, "
        "day, hour, another label, or a tag. Repeat it to combine."
    ),
]
_Since = Annotated[
    str | None, typer.Option(help="An age (7d, 24h, 30m, 2w) or a time (2026-11-01); UTC.")
]
_Until = Annotated[str | None, typer.Option(help="The same; the moment itself is left out.")]
_Html = Annotated[
    Path | None,
    typer.Option("--html", help="Write one self-contained page here instead (extra `report`)."),
]
_Budget = Annotated[
    list[str] | None,
    typer.Option("--budget", help="For the page: 500/month, 20/day/tenant. Repeat it."),
]
_BaselineModel = Annotated[
    str,
    typer.Option(
        help="The model that would have answered what was routed, such as gpt-4o or acme/big. "
        "Without it: of each request the dearest candidate."
    ),
]


def report(
    ledger: LedgerOption = None,
    by: _By = None,
    since: _Since = None,
    until: _Until = None,
    baseline_model: _BaselineModel = "",
    html: _Html = None,
    budget: _Budget = None,
    as_json: JsonOption = False,
) -> None:
    """What was spent: by model, by feature, by day.

    Exit code 0, also without any attempt in the period; 1: the ledger cannot be read.

    Example: frugal report --since 7d --by model --by feature
    """
    from frugal_chains.report import report_json, report_view
    from frugal_chains.report.alerts import alert_facts, alert_lines, alerts_json, find_alerts

    first, last = moment(since, "--since"), moment(until, "--until")
    if first and last and first >= last:
        raise typer.BadParameter(f"{since} is not before --until {until}", param_hint="--since")
    with plain_errors():
        if html is not None:
            _write_page(html, ledger, first, last, baseline_model, budget or [])
            return
        facts, days = _read_books(ledger, by or [], first, last, baseline_model)
    alerts = find_alerts(alert_facts(facts, now=now(), days=days))
    if as_json:
        print_json({**report_json(facts), "alerts": alerts_json(alerts)})
    else:
        screen = console()
        screen.print(report_view(facts, width=screen.width, encoding=screen.encoding))
        for line in alert_lines(alerts, screen.encoding):
            screen.print(line)


def _write_page(
    path: Path,
    url: str | None,
    since: datetime | None,
    until: datetime | None,
    baseline_model: str,
    budgets: list[str],
) -> None:
    from frugal_chains.ledger import Ledger
    from frugal_chains.report.html import (
        budget_of,
        html_page,
        page_facts,
        waterfall_of,
        write_page,
    )

    try:
        limits = [budget_of(text) for text in budgets]
    except (FrugalError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from error
    _take_in_what_waits(url)
    with Ledger.open(url, read_only=True) as books:
        book = _prices()
        found = _savings(books, since, until, baseline_model, book)
        page = page_facts(
            books, now=now(), since=since, until=until, book=book, budgets=limits,
            waterfall=None if found is None else waterfall_of(found),
        )  # fmt: skip
    write_page(path, html_page(page))
    typer.echo(f"written: {path}", err=True)


def _read_books(
    url: str | None,
    by: list[str],
    since: datetime | None,
    until: datetime | None,
    baseline_model: str,
) -> tuple[ReportFacts, Sequence[Totals]]:
    """What the report says, and its bill by day and model."""
    from frugal_chains.ledger import Ledger
    from frugal_chains.report import CACHE_DAYS, grouping, questions, recent_since, report_facts

    _take_in_what_waits(url)
    with Ledger.open(url, read_only=True) as books:
        tags = books.tag_names()
        wanted = grouping(by, tags)
        asked = questions(wanted, tags)
        answers = dict(zip(asked, books.totals_together(asked, since, until), strict=True))
        recent = recent_since(answers[("day",)], since)
        estimated = any(line.estimated for line in answers[()])
        book = _prices()
        days = books.totals(("day", "model"), since=since, until=until)
        facts = report_facts(
            answers,
            by=wanted,
            ledger=books.url,
            since=since,
            until=until,
            notes=books.estimated_notes(since=since, until=until) if estimated else (),
            waiting=books.store.inbox_files(),
            effects=books.effect_totals(since=since, until=until),
            cache_days=books.totals(CACHE_DAYS, since=recent, until=until) if recent else (),
            book=book,
            savings=_savings(books, since, until, baseline_model, book),
        )
        return facts, days


def _savings(
    books: Ledger,
    since: datetime | None,
    until: datetime | None,
    baseline_model: str,
    book: PriceBook | None,
) -> Waterfall | None:
    """None where no lever has done anything: it is a pass over the whole period."""
    from frugal_chains.savings import has_levers, ledger_waterfall

    if baseline_model and book is not None:
        price = book.explain(baseline_model)
        if price.outcome == "unpriced":
            raise typer.BadParameter(price.reason, param_hint="--baseline-model")
    if not has_levers(books, since, until):
        return None
    return ledger_waterfall(books, since, until, book=book, baseline_model=baseline_model)


def _prices() -> PriceBook | None:
    """None where the user's prices cannot be read: the doctor says so, and a report needs none."""
    from frugal_chains.pricing import PriceBook

    try:
        return PriceBook.load()
    except (FrugalError, OSError):
        return None


def _take_in_what_waits(url: str | None) -> None:
    """Book what a killed process left behind, where this one may; the report says what stays."""
    from frugal_chains.ledger import DEFAULT_URL, Ledger, ledger_path, left_behind

    path = ledger_path(url or os.environ.get("FRUGAL_LEDGER") or DEFAULT_URL)
    if path is not None and os.path.exists(path) and left_behind(path):
        with suppress(FrugalError):
            Ledger.open(url).close()
