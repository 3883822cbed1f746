"""`frugal export`: attempts as files, totals for Prometheus."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugal_chains.cli._options import LedgerOption, moment, now
from frugal_chains.cli._printing import plain_errors

if TYPE_CHECKING:
    from frugal_chains.ledger import Ledger

_Csv = Annotated[Path | None, typer.Option("--csv", help="Write one row for each attempt here.")]
_Parquet = Annotated[
    Path | None,
    typer.Option("--parquet", help="The same as Parquet; needs the extra parquet."),
]
_Prometheus = Annotated[
    int | None,
    typer.Option(
        "--prometheus", min=0, max=65535, help="Serve totals on this port until Ctrl-C; 0: any."
    ),
]
_Host = Annotated[
    str, typer.Option(help="Where to serve: this machine alone, unless you say otherwise.")
]
_Since = Annotated[
    str | None, typer.Option(help="An age (7d, 24h, 30m, 2w) or a time (2026-11-01); UTC.")
]
_Until = Annotated[
    str | None, typer.Option(help="The same; the moment itself is left out. Without it: now.")
]


def export(
    csv: _Csv = None,
    parquet: _Parquet = None,
    prometheus: _Prometheus = None,
    host: _Host = "127.0.0.1",
    ledger: LedgerOption = None,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Attempts as CSV or Parquet, or totals for Prometheus to scrape.

    A file is whole or not there. It has tags and ids of conversations, no prompts. Exit code 0; 1:
    the ledger cannot be read, or the file not be written.

    Example: frugal export --parquet attempts.parquet --since 30d
    """
    files = [(path, kind) for path, kind in ((csv, "csv"), (parquet, "parquet")) if path]
    if prometheus is None and not files:
        raise typer.BadParameter("say which", param_hint="--csv, --parquet or --prometheus")
    if prometheus is not None and (files or since or until):
        raise typer.BadParameter("serves totals of all time, alone", param_hint="--prometheus")
    first, last = moment(since, "--since"), moment(until, "--until") or now()
    if first and first >= last:
        raise typer.BadParameter(f"{since} is not before --until", param_hint="--since")
    with plain_errors():
        if prometheus is not None:
            _serve(ledger, host, prometheus)
        for path, kind in files:
            rows = _write(ledger, path, kind, first, last)
            typer.echo(f"{rows:,} {'attempt' if rows == 1 else 'attempts'} written to {path}")


def _write(
    ledger: str | None, path: Path, kind: str, since: datetime | None, until: datetime
) -> int:
    from frugal_chains.export import write_csv, write_parquet
    from frugal_chains.ledger import Ledger

    write = {"csv": write_csv, "parquet": write_parquet}[kind]
    with Ledger.open(ledger, read_only=True) as books:
        attempts = books.attempts(since=since, until=until)
        with _progress(books, path, since, until) as progress:
            rows = write(attempts, path, progress=progress)
        for file in books.store.inbox_files():
            typer.echo(
                f"not in it: attempts that wait in {file}; frugal report takes them in", err=True
            )
        return rows


@contextmanager
def _progress(
    books: Ledger, path: Path, since: datetime | None, until: datetime
) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal; nothing where errors go to a file."""
    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import Progress

    total = sum(line.attempts for line in books.totals((), since, until))
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(path.name, total=total)
        yield lambda rows: bars.update(task, completed=rows)


def _serve(ledger: str | None, host: str, port: int) -> None:
    from frugal_chains.export import PrometheusEndpoint
    from frugal_chains.ledger import Ledger

    with (
        Ledger.open(ledger, read_only=True) as books,
        PrometheusEndpoint(books, host=host, port=port) as endpoint,
    ):
        typer.echo(f"serving {endpoint.url}; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
