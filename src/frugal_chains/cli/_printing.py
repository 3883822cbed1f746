"""How commands print what they found, and what went wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):  # a name outside the encoding must not end the report
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, markup=False, emoji=False)


def print_json(document: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


@contextmanager
def plain_errors() -> Iterator[None]:
    """What went wrong in one sentence, with the way out, and exit code 1."""
    try:
        yield
    except (FrugalError, OSError) as error:  # such as a folder that may not be looked into
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"frugal: {message}", err=True)
    raise typer.Exit(1)
