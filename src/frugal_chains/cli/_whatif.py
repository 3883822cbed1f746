"""`frugal whatif`: what levers would have saved, before any is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from frugal_chains.pricing import PriceBook
    from frugal_chains.replay import RecordedCall, Setup, WhatIf


_Traffic = Annotated[
    Path | None,
    typer.Argument(
        help="Recorded calls (.jsonl, .jsonl.gz) or a workload sheet (.toml). Without it: the "
        "ledger."
    ),
]
_SetupFile = Annotated[
    Path | None,
    typer.Option(
        "--setup",
        help="A TOML file with the levers to try: [memory], [compression], [routing.by_task], "
        "[prompt_cache], [batch]. Without it: memory, lossless compression and markers.",
    ),
]
_Route = Annotated[
    list[str] | None,
    typer.Option(
        help="A task and who should answer it: faq=openai:gpt-4o-mini. Repeat it for others."
    ),
]
_BatchTasks = Annotated[
    list[str] | None, typer.Option("--batch", help="A task that can wait hours. Repeat it.")
]
_Month = Annotated[
    float | None, typer.Option(min=0, help="For the projection. Without it: by the times.")
]
_Out = Annotated[
    Path | None, typer.Option(help="Write the recommended levers here, as a file for --setup.")
]
_Tasks = Annotated[
    bool, typer.Option("--tasks", help="What kinds of tasks there are, instead of a replay.")
]
_Prices = Annotated[
    Path | None, typer.Option(help="A prices.toml instead of the one that is found.")
]


def whatif(
    traffic: _Traffic = None,
    ledger: LedgerOption = None,
    setup: _SetupFile = None,
    route: _Route = None,
    batch: _BatchTasks = None,
    calls_a_month: _Month = None,
    prices: _Prices = None,
    out: _Out = None,
    since: Annotated[str | None, typer.Option(help="Of a ledger: an age or a time; UTC.")] = None,
    tasks: _Tasks = False,
    as_json: JsonOption = False,
) -> None:
    """Replay recorded traffic through other policies: each lever alone, in order, and the best.

    Nothing is sent. Exit code 0; 1: it cannot be read; 3: lines of a recording were skipped.

    Example: frugal whatif traffic.jsonl --route faq=openai:gpt-4o-mini --out frugal.toml
    """
    from frugal_chains.pricing import PriceBook

    first = moment(since, "--since")
    with plain_errors():
        book = PriceBook.load(prices)
        if traffic is not None and traffic.suffix == ".toml":
            _sheet(traffic, book, as_json=as_json)
            return
        wanted = _setup(setup, route or [], batch or [])
        skipped: list[str] = []
        with _calls(traffic, ledger, first, skipped) as calls:
            if tasks:
                _inventory(calls, book, as_json=as_json)
            else:
                found = _replayed(calls, wanted, book, calls_a_month, quiet=as_json)
                _write(out, found)
                _show(found, as_json=as_json)
    _tell(skipped)


def _write(out: Path | None, found: WhatIf) -> None:
    from frugal_chains.replay import setup_text

    if out is not None:
        out.write_text(setup_text(found.best), encoding="utf-8")


def _tell(skipped: list[str]) -> None:
    """Of lines that were no calls; what was printed is of the others."""
    from frugal_chains.replay.recorded import EXIT_SKIPPED

    for line in skipped:
        typer.echo(f"frugal: {line}", err=True)
    if skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _inventory(calls: Iterable[RecordedCall], book: PriceBook, *, as_json: bool) -> None:
    from frugal_chains.replay.inventory import inventory
    from frugal_chains.report import inventory_json, inventory_view

    facts = inventory(calls, book)
    if as_json:
        print_json(inventory_json(facts))
    else:
        screen = console()
        screen.print(inventory_view(facts, width=screen.width))


def _sheet(path: Path, book: PriceBook, *, as_json: bool) -> None:
    from frugal_chains.replay.sheet import read_sheet, sheet_bill
    from frugal_chains.report import sheet_json, sheet_view

    bill = sheet_bill(read_sheet(path), book)
    if as_json:
        print_json(sheet_json(bill))
    else:
        console().print(sheet_view(bill))


def _setup(path: Path | None, route: list[str], batch: list[str]) -> Setup:
    """What is to be tried: the file's levers, or the usual ones; and those of the options."""
    from frugal_chains.replay import (
        Batch,
        Compression,
        Marks,
        Memory,
        Routing,
        Setup,
        model_named,
        read_setup,
    )

    usual = Setup(memory=Memory(), compression=Compression(), prompt_cache=Marks())
    setup = usual if path is None else read_setup(path)
    if route:
        pairs = [each.partition("=")[::2] for each in route]
        wrong = [task for task, model in pairs if not (task and model)]
        if wrong:
            raise typer.BadParameter("expected TASK=PROVIDER:MODEL", param_hint="--route")
        setup = replace(
            setup, routing=Routing(by_task={task: model_named(model) for task, model in pairs})
        )
    return replace(setup, batch=Batch(tasks=frozenset(batch))) if batch else setup


@contextmanager
def _calls(
    path: Path | None, url: str | None, since: datetime | None, skipped: list[str]
) -> Iterator[Iterable[RecordedCall]]:
    """Recorded calls; what was skipped of a recording is told once they have been read."""
    if path is None:
        from frugal_chains.ledger import Ledger
        from frugal_chains.replay import ledger_calls

        with Ledger.open(url, read_only=True) as books:
            yield ledger_calls(books.attempts(since=since))
        return
    from frugal_chains.replay.recorded import read_recording

    recording = read_recording(path)
    try:
        yield recording
    finally:
        recording.close()
    for lines in recording.skipped:
        first = ", ".join(map(str, lines.first_lines))
        skipped.append(f"{lines.count:,} skipped: {lines.reason} (line {first})")


def _replayed(
    calls: Iterable[RecordedCall],
    setup: Setup,
    book: PriceBook,
    calls_a_month: float | None,
    *,
    quiet: bool,
) -> WhatIf:
    """With a count of the calls while it goes on, on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from frugal_chains.replay import what_if

    screen = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} calls"), TimeElapsedColumn())
    silent = quiet or not screen.is_terminal
    with Progress(
        "replaying", *columns, console=screen, transient=True, disable=silent
    ) as progress:
        task = progress.add_task("replay", total=None)
        return what_if(
            calls,
            setup,
            prices=book,
            now_us=int(now().timestamp() * 1e6),
            calls_a_month=calls_a_month,
            on_progress=lambda done: progress.update(task, completed=done),
        )


def _show(found: WhatIf, *, as_json: bool) -> None:
    from frugal_chains.report import whatif_json, whatif_view

    if as_json:
        print_json(whatif_json(found))
    else:
        console().print(whatif_view(found))
