"""What several commands take: options, and moments as users write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

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


def now() -> datetime:
    return datetime.now(UTC)


def moment(text: str | None, option: str) -> datetime | None:
    """What an option says of time. Raises `typer.BadParameter`, which names the option."""
    from frugal_chains.report import moment_of

    try:
        return None if text is None else moment_of(text, now=now())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
