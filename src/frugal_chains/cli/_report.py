"""`frugal report`: what the books say."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json
from frugal_chains.cli._waiting import take_in_what_waits
from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frugal_chains.ledger import Ledger, PeriodBooks, Totals
    from frugal_chains.pricing import PriceBook
    from frugal_chains.report import ReportFacts
    from frugal_chains.report.levers import NextLever
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
    from frugal_chains.report.levers import lever_json, lever_lines

    first, last = moment(since, "--since"), moment(until, "--until")
    if first and last and first >= last:
        raise typer.BadParameter(f"{since} is not before --until {until}", param_hint="--since")
    with plain_errors():
        if html is not None:
            _write_page(html, ledger, first, last, baseline_model, budget or [])
            return
        facts, days, lever = _read_books(ledger, by or [], first, last, baseline_model)
    alerts = find_alerts(alert_facts(facts, now=now(), days=days))
    if as_json:
        also = {"next_lever": lever_json(lever), "alerts": alerts_json(alerts)}
        print_json({**report_json(facts), **also})
    else:
        screen = console()
        screen.print(report_view(facts, width=screen.width, encoding=screen.encoding))
        coded = screen.encoding
        for line in (*lever_lines(lever, coded), *alert_lines(alerts, coded)):
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
    from frugal_chains.report.html import budget_of, html_page, lever_of, page_facts, write_page

    try:
        limits = [budget_of(text) for text in budgets]
    except (FrugalError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from error
    book = _prices()
    savings = _savings(baseline_model, book)
    take_in_what_waits(url)
    with Ledger.open(url, read_only=True) as books:
        lever = _lever(books, since, until, book)
        page = page_facts(
            books, now=now(), since=since, until=until, book=book, budgets=limits,
            savings=savings, lever=None if lever is None else lever_of(lever),
        )  # fmt: skip
    write_page(path, html_page(page))
    typer.echo(f"written: {path}", err=True)


def _read_books(
    url: str | None,
    by: list[str],
    since: datetime | None,
    until: datetime | None,
    baseline_model: str,
) -> tuple[ReportFacts, Sequence[Totals], NextLever | None]:
    """What the report says, its bill by day and model, and the lever that comes next."""
    from frugal_chains.ledger import Ledger
    from frugal_chains.report import CACHE_DAYS, grouping, questions, recent_since, report_facts
    from frugal_chains.report.alerts import DAY_MODELS

    book = _prices()
    savings = _savings(baseline_model, book)
    take_in_what_waits(url)
    with Ledger.open(url, read_only=True) as books:
        tags = books.tag_names()
        wanted = grouping(by, tags)
        asked = (*questions(wanted, tags), DAY_MODELS)
        answers, effects, saved = books.read_period(
            lambda period: (
                dict(zip(asked, period.totals_together(asked), strict=True)),
                period.effect_totals(("lever",)),
                savings(period),
            ),
            since,
            until,
        )
        recent = recent_since(answers[("day",)], since)
        estimated = any(line.estimated for line in answers[()])
        facts = report_facts(
            answers,
            by=wanted,
            ledger=books.url,
            since=since,
            until=until,
            notes=books.estimated_notes(since=since, until=until) if estimated else (),
            waiting=books.store.inbox_files(),
            effects=effects,
            cache_days=books.totals(CACHE_DAYS, since=recent, until=until) if recent else (),
            book=book,
            savings=saved,
        )
        return facts, answers[DAY_MODELS], _lever(books, since, until, book)


def _savings(
    baseline_model: str, book: PriceBook | None
) -> Callable[[PeriodBooks], Waterfall | None]:
    """Reads the waterfall; None where no lever has done anything: it is a pass over the period."""
    from frugal_chains.savings import Baseline, period_waterfall

    if baseline_model and book is not None:
        price = book.explain(baseline_model)
        if price.outcome == "unpriced":
            raise typer.BadParameter(price.reason, param_hint="--baseline-model")

    def read(books: PeriodBooks) -> Waterfall | None:
        if not books.effect_totals(()) and not books.has_decisions():
            return None
        return period_waterfall(books, baseline=Baseline(model=baseline_model), book=book)

    return read


def _lever(
    books: Ledger, since: datetime | None, until: datetime | None, book: PriceBook | None
) -> NextLever | None:
    """None where there is nothing to replay, or no prices to do it with."""
    from frugal_chains.report.levers import next_lever

    if book is None:
        return None
    return next_lever(books, book=book, now=now(), since=since, until=until)


def _prices() -> PriceBook | None:
    """None where the user's prices cannot be read: the doctor says so, and a report needs none."""
    from frugal_chains.pricing import PriceBook

    try:
        return PriceBook.load()
    except (FrugalError, OSError):
        return None
