"""What `frugal whatif` replays: recorded calls, the setups that are tried, and price lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from frugal_chains.cli._waiting import take_in_what_waits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from frugal_chains.pricing import PriceBook
    from frugal_chains.replay import RecordedCall, Setup, Value


def setup_of(path: Path | None, route: list[str], batch: list[str]) -> Setup:
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


def price_lists(paths: Sequence[Path]) -> list[tuple[str, PriceBook]]:
    """Each by its name; the one that is found where none is named."""
    from frugal_chains.pricing import PriceBook

    return [(str(path), PriceBook.load(path)) for path in paths] or [("", PriceBook.load())]


def grid_of(texts: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """Values to try, by keys of the setup's file."""
    from frugal_chains.errors import ReplayError
    from frugal_chains.replay import parse_sweep

    try:
        return parse_sweep(texts)
    except ReplayError as error:
        raise typer.BadParameter(str(error), param_hint="--sweep") from error


@contextmanager
def calls_of(
    path: Path | None, url: str | None, since: datetime | None, skipped: list[str]
) -> Iterator[Iterable[RecordedCall]]:
    """Recorded calls; what was skipped of a recording is told once they have been read."""
    if path is None:
        from frugal_chains.ledger import Ledger
        from frugal_chains.replay import ledger_calls

        take_in_what_waits(url)
        with Ledger.open(url, read_only=True) as books:
            yield ledger_calls(books.attempts(since=since))
            for file in books.store.inbox_files():
                typer.echo(f"frugal: not in it: attempts that wait in {file}", err=True)
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


@contextmanager
def counted(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A count of the calls while a replay goes on, on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    screen = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} calls"), TimeElapsedColumn())
    silent = quiet or not screen.is_terminal
    with Progress(
        "replaying", *columns, console=screen, transient=True, disable=silent
    ) as progress:
        task = progress.add_task("replay", total=None)
        yield lambda done: progress.update(task, completed=done)
