"""The `frugal` command: looks at the books, the prices and the installation.

It adds nothing of its own to them. `report` alone may write to a ledger: it first takes in the
attempts that a killed process left beside it, as any application that opens the ledger would.

Exit codes: 0; 1 when something cannot be read, has no price or is broken; 2 for wrong arguments.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from rich.console import Console

    from frugal_chains.pricing import ServiceTier
    from frugal_chains.report import DoctorFacts, LedgerFacts, PriceFacts, ReportFacts
    from frugal_chains.routing.calibration import Calibration, Target
    from frugal_chains.routing.cascade import CascadeFit
    from frugal_chains.usage import Usage

main = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What the LLM calls of an application cost, why, and what routing would save.",
)

LedgerOption = Annotated[
    str | None,
    typer.Option(
        help="sqlite:///relative.db, sqlite:////absolute.db or a path. Without it: "
        "$FRUGAL_LEDGER, else frugal.db in this folder.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON: stable keys, exact decimals as text.")
]


@main.command()
def report(
    ledger: LedgerOption = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="One table by this instead of the usual ones: model, provider, purpose, status, "
            "day, hour, another label, or a tag. Repeat it to combine."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="An age (7d, 24h, 30m, 2w) or a time (2026-11-01); UTC.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="The same; the moment itself is left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What was spent: by model, by feature, by day.

    Exit code 0, also without any attempt in the period; 1: the ledger cannot be read.

    Example: frugal report --since 7d --by model --by feature
    """
    from frugal_chains.report import report_json, report_view

    first, last = _moment(since, "--since"), _moment(until, "--until")
    if first and last and first >= last:
        raise typer.BadParameter(f"{since} is not before --until {until}", param_hint="--since")
    with _plain_errors():
        facts = _read_report(ledger, by or [], first, last)
    if as_json:
        _print_json(report_json(facts))
    else:
        console = _console()
        console.print(report_view(facts, width=console.width, encoding=console.encoding))


@main.command()
def prices(
    model: Annotated[str, typer.Argument(help="As in your code or as a provider answered it.")],
    provider: Annotated[
        str | None, typer.Option(help="Where it is served; told from the model where possible.")
    ] = None,
    tier: Annotated[
        str, typer.Option(help="standard, batch, flex, priority or fast.")
    ] = "standard",
    at: Annotated[
        str | None, typer.Option(help="Another moment than now, such as 2026-01-31; UTC.")
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option("--input", help="Price these input tokens, cached ones included.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option("--output", help="Output tokens, reasoning included.")
    ] = None,
    cache_read: Annotated[
        int | None, typer.Option(help="Input tokens read from the provider's cache.")
    ] = None,
    cache_write_5m: Annotated[
        int | None, typer.Option(help="Input tokens written to it, for the short time to live.")
    ] = None,
    cache_write_1h: Annotated[int | None, typer.Option(help="The same, for the long one.")] = None,
    web_searches: Annotated[
        int | None, typer.Option(help="Searches by the provider's own tool.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What a model costs, and where that price comes from. Exit code 1: it has no price.

    Example: frugal prices claude-sonnet-4-5 --tier batch --input 10000 --output 500
    """
    from frugal_chains.pricing import TIERS
    from frugal_chains.report import prices_json, prices_view

    named = next((known for known in TIERS if known == tier), None)
    if named is None:
        raise typer.BadParameter(f"{tier!r} is none of {', '.join(TIERS)}", param_hint="--tier")
    with _plain_errors():
        usage = _usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=cache_read,
            cache_write_5m_tokens=cache_write_5m,
            cache_write_1h_tokens=cache_write_1h,
            web_searches=web_searches,
        )
        facts = _read_prices(model, provider, named, _moment(at, "--at") or _now(), usage)
    if as_json:
        _print_json(prices_json(facts))
    else:
        _console().print(prices_view(facts))
    if facts.unpriced:
        raise typer.Exit(1)


@main.command()
def doctor(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """What is installed, what is exact, whether the ledger is sound, and what to fix.

    Exit code 1: something is broken. Warnings alone leave it at 0.

    Example: frugal doctor --ledger sqlite:////var/lib/app/frugal.db
    """
    from frugal_chains.report import diagnose, doctor_json, doctor_view

    facts = _read_installation(ledger)
    findings = diagnose(facts)
    if as_json:
        _print_json(doctor_json(facts, findings))
    else:
        _console().print(doctor_view(findings))
    if any(finding.level == "broken" for finding in findings):
        raise typer.Exit(1)


@main.command()
def calibrate(
    log: Annotated[
        Path,
        typer.Argument(
            help="Rows of prompt, model and score (0 to 1), and where known task and cost_usd: "
            ".jsonl or .csv, also .gz. With --ledger rows may have run_id instead of model."
        ),
    ],
    quality: Annotated[
        float | None,
        typer.Option(help="Target: this part of the best model's quality, as cheap as can be."),
    ] = None,
    spend: Annotated[
        float | None, typer.Option(help="Target: at most so many USD a request, as good as can be.")
    ] = None,
    strong_share: Annotated[
        float | None, typer.Option(help="Target: the best model gets at most this share of calls.")
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=USD a request, where the log has no cost_usd. Repeat it."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Rows of prompt, answer, score and stronger_score: learn which answers of the "
            "cheaper model a cascade gives up for a stronger one's, for the same target."
        ),
    ] = None,
    ledger: LedgerOption = None,
    embedder: Annotated[
        bool, typer.Option(help="Learn from meanings too, with the local embedder (semantic).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the policy here, for load_policy(...).")
    ] = None,
    anyway: Annotated[
        bool, typer.Option(help="Write routing and cascade although not recommended.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of folds and intervals.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """What routing would gain on your own traffic, and the threshold for a target.

    Without a target: 98 % of the best model's quality. With --answers also a cascade's validator
    and its limit. Exit code 1: nothing can be learned from a log, or routing is not recommended.

    Example: frugal calibrate answers.jsonl --quality 0.98 --out routing.frugal
    """
    from frugal_chains.dispatch import read_rows, save_calibration
    from frugal_chains.local import LocalEmbedder
    from frugal_chains.routing import calibration

    with _plain_errors():
        found = calibration.calibrate(
            read_rows(log, ledger=ledger),
            _target(quality, spend, strong_share),
            costs=_costs(cost or []),
            embedder=LocalEmbedder() if embedder else None,
            seed=seed,
        )
        cascade = _cascade(answers, quality, spend, strong_share, seed)
        kept = cascade if cascade is not None and (cascade.recommended or anyway) else None
        written = out is not None and (found.report.recommended or anyway)
        if out is not None and written:
            learned = () if kept is None else (kept.validator, kept.limit.max_p_wrong)
            save_calibration(out, found, *learned)
    if as_json:
        _print_json(_calibration_json(found, cascade, str(out) if written else ""))
    else:
        print(found.report.text() + ("" if cascade is None else f"\n{cascade.text()}"))
        if out is not None:
            part = "" if cascade is None else f", with{'out' if kept is None else ''} the cascade"
            print(f"Written to {out}{part}." if written else f"{out} is not written: see --anyway.")
    if not found.report.recommended:
        raise typer.Exit(1)


# -- reading: everything below the commands that touches a file, a clock or the environment -------


def _read_report(
    url: str | None, by: list[str], since: datetime | None, until: datetime | None
) -> ReportFacts:
    from frugal_chains.ledger import Ledger
    from frugal_chains.report import grouping, questions, report_facts

    _take_in_what_waits(url)
    with Ledger.open(url, read_only=True) as books:
        tags = books.tag_names()
        wanted = grouping(by, tags)
        asked = questions(wanted, tags)
        answers = dict(zip(asked, books.totals_together(asked, since, until), strict=True))
        estimated = any(line.estimated for line in answers[()])
        return report_facts(
            answers,
            by=wanted,
            ledger=books.url,
            since=since,
            until=until,
            notes=books.estimated_notes(since=since, until=until) if estimated else (),
            waiting=books.store.inbox_files(),
            effects=books.effect_totals(since=since, until=until),
        )


def _take_in_what_waits(url: str | None) -> None:
    """Book what a killed process left behind, where this one may; the report says what stays."""
    from frugal_chains.ledger import DEFAULT_URL, Ledger, ledger_path, left_behind

    path = ledger_path(url or os.environ.get("FRUGAL_LEDGER") or DEFAULT_URL)
    if path is not None and os.path.exists(path) and left_behind(path):
        with suppress(FrugalError):
            Ledger.open(url).close()


def _target(quality: float | None, spend: float | None, strong_share: float | None) -> Target:
    """The one target that was asked for. Raises `CalibrationError` on numbers that are none."""
    from frugal_chains.routing.calibration import QualityFloor, SpendLimit, StrongShare

    asked = [name for name, value in
             (("--quality", quality), ("--spend", spend), ("--strong-share", strong_share))
             if value is not None]  # fmt: skip
    if len(asked) > 1:
        raise typer.BadParameter("only one target at a time", param_hint=" and ".join(asked))
    if spend is not None:
        return SpendLimit(per_request=spend)
    if strong_share is not None:
        return StrongShare(share=strong_share)
    return QualityFloor(of_best=0.98 if quality is None else quality)


def _costs(texts: list[str]) -> dict[str, float] | None:
    costs = {}
    for text in texts:
        model, equals, usd = text.rpartition("=")
        try:
            costs[model] = float(usd)
        except ValueError:
            equals = ""
        if not equals or not model:
            raise typer.BadParameter(f"{text!r} is not MODEL=USD", param_hint="--cost")
    return costs or None


def _cascade(
    answers: Path | None, of_best: float | None, usd: float | None, share: float | None, seed: int
) -> CascadeFit | None:
    from frugal_chains.dispatch import read_rows
    from frugal_chains.routing.cascade import fit_cascade

    if answers is None:
        return None
    rows = read_rows(answers)
    return fit_cascade(rows, of_best=of_best, usd_per_request=usd, share=share, seed=seed)


def _calibration_json(
    found: Calibration, cascade: CascadeFit | None, written_to: str
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(found.report),
        "exchange": found.exchange,
        "costs": dict(found.costs),
        "best": found.best,
        "cascade": None if cascade is None else cascade.to_json(),
        "written_to": written_to,
    }


def _usage(**asked: int | None) -> Usage | None:
    """The tokens asked about, or None when there are none. Raises `UsageError`."""
    from frugal_chains.usage import Usage

    counts: dict[str, Any] = {name: count for name, count in asked.items() if count is not None}
    return Usage(**counts) if counts else None


def _read_prices(
    model: str, provider: str | None, tier: ServiceTier, at: datetime, usage: Usage | None
) -> PriceFacts:
    from frugal_chains.pricing import PriceBook, find_price_file
    from frugal_chains.report import PriceFacts

    path = find_price_file()
    book = PriceBook.load(path)
    charge = (
        None
        if usage is None
        else book.price(usage, model=model, provider=provider, tier=tier, at=at)
    )
    return PriceFacts(
        asked=model,
        price=book.explain(model, provider, tier=tier, at=at),
        standard=book.explain(model, provider, at=at),
        history=book.history(model, provider, tier=tier, at=at),
        price_file=str(path or ""),
        usage=usage,
        charge=charge,
    )


def _read_installation(ledger: str | None) -> DoctorFacts:
    from frugal_chains.pricing import PriceBook, find_price_file
    from frugal_chains.report import WATCHED, DoctorFacts
    from frugal_chains.tokens import available_encodings

    path, price_error = None, ""
    try:
        path = find_price_file()
        PriceBook.load(path)
    except (FrugalError, OSError) as error:
        price_error = str(error)
    return DoctorFacts(
        versions=_versions(WATCHED),
        encodings={name: found.source for name, found in available_encodings().items()},
        price_file=str(path or ""),
        price_error=price_error,
        ledger=_read_ledger(ledger),
    )


def _versions(packages: tuple[str, ...]) -> Mapping[str, str]:
    """The installed ones; nothing is imported."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _read_ledger(url: str | None) -> LedgerFacts:
    from frugal_chains.ledger import DEFAULT_URL, Ledger, ledger_path
    from frugal_chains.report import LedgerFacts

    named = os.environ.get("FRUGAL_LEDGER")
    chosen_by = "--ledger" if url else "$FRUGAL_LEDGER" if named else "the default"
    url = url or named or DEFAULT_URL
    path, exists, health, error = None, True, None, ""
    try:
        path = ledger_path(url)
        exists = path is None or _is_there(path)
        if exists:
            with Ledger.open(url, read_only=True) as books:
                health = books.store.health()
    except (FrugalError, OSError) as problem:
        error = str(problem)
    return LedgerFacts(
        url=url,
        chosen_by=chosen_by,
        exists=exists,
        writable=path is None or _writable(path),
        health=health,
        error=error,
    )


def _is_there(path: Path) -> bool:
    """An empty file is no ledger yet: the first tracked call makes it one."""
    return path.exists() and path.stat().st_size > 0


def _writable(path: Path) -> bool:
    """Whether a ledger can be written there: SQLite also makes files beside it."""
    folder = next(parent for parent in path.parents if os.path.exists(parent))
    return os.access(folder, os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK))


def _now() -> datetime:
    return datetime.now(UTC)


def _moment(text: str | None, option: str) -> datetime | None:
    from frugal_chains.report import moment_of

    try:
        return None if text is None else moment_of(text, now=_now())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


# -- printing --------------------------------------------------------------------------------------


def _console() -> Console:
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):  # a name outside the encoding must not end the report
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, markup=False, emoji=False)


def _print_json(document: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What went wrong in one sentence, with the way out, and exit code 1."""
    try:
        yield
    except (FrugalError, OSError) as error:  # such as a folder that may not be looked into
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"frugal: {message}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    main()
