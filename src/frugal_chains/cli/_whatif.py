"""`frugal whatif`: what levers would have saved, before any is switched on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import typer

from frugal_chains.cli import _whatif_options as options
from frugal_chains.cli._options import JsonOption, LedgerOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json
from frugal_chains.cli._whatif_input import calls_of, counted, grid_of, price_lists, setup_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from frugal_chains.pricing import PriceBook
    from frugal_chains.replay import RecordedCall, Setup, Value

EXIT_UNPRICED: Final = 1
_Given: TypeAlias = Mapping[str, object]
"""Options by their names."""


def whatif(
    traffic: options.Traffic = None,
    ledger: LedgerOption = None,
    setup: options.SetupFile = None,
    route: options.Route = None,
    batch: options.BatchTasks = None,
    sweep: options.Sweeps = None,
    calls_a_month: options.Month = None,
    prices: options.Prices = None,
    out: options.Out = None,
    since: options.Since = None,
    tasks: options.Tasks = False,
    as_json: JsonOption = False,
) -> None:
    """Replay recorded traffic through other policies: each lever alone, in order, and the best.

    Nothing is sent. Exit code 0; 1: it cannot be read, or a workload sheet has a model without a
    price, which is printed all the same; 3: lines of a recording were skipped.

    Example: frugal whatif traffic.jsonl --route faq=openai:gpt-4o-mini --out frugal.toml
    """
    first = moment(since, "--since")
    given: _Given = {
        "--setup": setup, "--route": route, "--batch": batch, "--sweep": sweep, "--out": out,
        "--tasks": tasks, "--since": since, "--ledger": ledger, "--calls-a-month": calls_a_month,
    }  # fmt: skip
    with plain_errors():
        lists = price_lists(prices or [])
        if traffic is not None and traffic.suffix == ".toml":
            _refuse(given, given, "a workload sheet has no calls to replay")
            _sheet(traffic, lists, as_json=as_json)
            return
        _check(given, is_file=traffic is not None, several=len(lists) > 1)
        wanted = setup_of(setup, route or [], batch or [])
        grid = grid_of(sweep or [])
        skipped: list[str] = []
        with calls_of(traffic, ledger, first, skipped) as calls:
            if tasks:
                _inventory(calls, lists[0][1], as_json=as_json)
            else:
                found = _replay(calls, wanted, grid, lists, calls_a_month, quiet=as_json)
                _write(out, found.recommended)
                _show(found.view, found.document, as_json=as_json)
    _tell(skipped)


class _Found(NamedTuple):
    """Of a replay."""

    view: RenderableType
    document: dict[str, Any]
    recommended: Setup | None
    """None: each price list has its own."""


def _check(given: _Given, *, is_file: bool, several: bool) -> None:
    """That the options go together."""
    if is_file:
        _refuse(given, ("--since", "--ledger"), "goes with a ledger, and a recording is given")
    if given["--tasks"]:
        _refuse(given, ("--sweep", "--out"), "does not go with --tasks, which replays nothing")
    if several:
        # What is best at one list need not be at another: one file cannot say both.
        _refuse(given, ("--sweep", "--out", "--tasks"), "takes one price list: give --prices once")


def _refuse(given: _Given, names: Iterable[str], why: str) -> None:
    wrong = [name for name in names if given[name]]
    if wrong:
        raise typer.BadParameter(why, param_hint=", ".join(wrong))


def _replay(
    calls: Iterable[RecordedCall],
    setup: Setup,
    grid: Mapping[str, Sequence[Value]],
    lists: Sequence[tuple[str, PriceBook]],
    calls_a_month: float | None,
    *,
    quiet: bool,
) -> _Found:
    """One pass over the calls, with a count of them on a terminal."""
    with counted(quiet=quiet) as on_progress:
        how = {
            "now_us": int(now().timestamp() * 1e6),
            "calls_a_month": calls_a_month,
            "on_progress": on_progress,
        }
        if len(lists) > 1:
            return _compared(calls, setup, lists, how)
        if grid:
            return _swept(calls, setup, grid, lists[0][1], how)
        return _tried(calls, setup, lists[0][1], how)


def _tried(
    calls: Iterable[RecordedCall], setup: Setup, book: PriceBook, how: Mapping[str, Any]
) -> _Found:
    from frugal_chains.replay import what_if
    from frugal_chains.report import whatif_json, whatif_view

    found = what_if(calls, setup, prices=book, **how)
    return _Found(whatif_view(found), whatif_json(found), found.best)


def _swept(
    calls: Iterable[RecordedCall],
    setup: Setup,
    grid: Mapping[str, Sequence[Value]],
    book: PriceBook,
    how: Mapping[str, Any],
) -> _Found:
    from frugal_chains.replay import sweep
    from frugal_chains.report import sweep_json, sweep_view

    found = sweep(calls, setup, grid, prices=book, **how)
    return _Found(sweep_view(found), sweep_json(found), found.recommended)


def _compared(
    calls: Iterable[RecordedCall],
    setup: Setup,
    lists: Sequence[tuple[str, PriceBook]],
    how: Mapping[str, Any],
) -> _Found:
    from frugal_chains.replay import what_if_lists
    from frugal_chains.report import lists_json, lists_view

    replays = what_if_lists(calls, setup, [book for _, book in lists], **how)
    named = [(name, found) for (name, _), found in zip(lists, replays, strict=True)]
    return _Found(lists_view(named), lists_json(named), None)


def _write(out: Path | None, recommended: Setup | None) -> None:
    from frugal_chains.replay import setup_text

    if out is not None and recommended is not None:
        out.write_text(setup_text(recommended), encoding="utf-8")


def _show(view: RenderableType, document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        console().print(view)


def _tell(skipped: Sequence[str]) -> None:
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
    _show(inventory_view(facts, width=console().width), inventory_json(facts), as_json=as_json)


def _sheet(path: Path, lists: Sequence[tuple[str, PriceBook]], *, as_json: bool) -> None:
    from frugal_chains.replay.sheet import read_sheet, sheet_bill
    from frugal_chains.report import sheet_json, sheet_view

    sheet = read_sheet(path)
    (name, bill), *others = named = [(name, sheet_bill(sheet, book)) for name, book in lists]
    view = sheet_view(bill, others, name=name)
    _show(view, sheet_json(bill, named if others else ()), as_json=as_json)
    unpriced = {
        part.model for _, each in named for load in each.workloads for part in load.unpriced
    }
    if unpriced:
        listed = ", ".join(sorted(map(repr, unpriced)))
        typer.echo(f"frugal: no price for {listed}: totals with it are not known", err=True)
        raise typer.Exit(EXIT_UNPRICED)
