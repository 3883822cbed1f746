"""`frugal cache`: why prompts were not read from the provider's cache."""

from __future__ import annotations

from typing import Annotated

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption, moment
from frugal_chains.cli._printing import console, plain_errors, print_json

_Since = Annotated[
    str | None, typer.Option(help="An age (7d, 24h, 30m, 2w) or a time (2026-11-01); UTC.")
]
_Until = Annotated[str | None, typer.Option(help="The same; the moment itself is left out.")]
_Model = Annotated[str | None, typer.Option(help="Only requests to this model.")]
_Thread = Annotated[str | None, typer.Option(help="Only the conversation of this thread_id.")]


def cache(
    ledger: LedgerOption = None,
    since: _Since = None,
    until: _Until = None,
    model: _Model = None,
    thread: _Thread = None,
    as_json: JsonOption = False,
) -> None:
    """Why prompts were not read from the provider's cache: what changed, since when, the cost.

    Needs fingerprints of the requests, which track_cost(fingerprints=True) keeps; no text is kept.
    Exit code 0, also without any; 1: the ledger cannot be read.

    Example: frugal cache --since 7d --model claude-sonnet-4-5
    """
    from frugal_chains.ledger import Ledger
    from frugal_chains.report import cache_misses, misses_json, misses_view

    first, last = moment(since, "--since"), moment(until, "--until")
    if first and last and first >= last:
        raise typer.BadParameter(f"{since} is not before --until {until}", param_hint="--since")
    with plain_errors(), Ledger.open(ledger, read_only=True) as books:
        found = cache_misses(books, since=first, until=last, model=model, thread_id=thread)
    if as_json:
        print_json(misses_json(found))
    else:
        console().print(misses_view(found))
