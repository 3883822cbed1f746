"""`frugal watch`: a running application, live."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from frugal_chains.cli._options import LedgerOption, now
from frugal_chains.cli._printing import console, plain_errors

if TYPE_CHECKING:
    from rich.console import Console

    from frugal_chains.ledger import Ledger
    from frugal_chains.report import WatchedLimit, WatchFacts

_EVERY: Final = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)s?")
_SHORTEST_S: Final = 0.1

_Every = Annotated[str, typer.Option(help="Seconds between two looks: 1s, 0.5s, 10.")]
_Budget = Annotated[
    list[str] | None,
    typer.Option(
        help="A limit in USD to show what is left of: 20/day, per hour, month or lifetime. Repeat "
        "it. A ledger keeps what budgets have spent, not their limits."
    ),
]


def watch(ledger: LedgerOption = None, every: _Every = "1s", budget: _Budget = None) -> None:
    """A running application, live: spend, calls, failures and the last calls, without texts.

    It only reads, and ends with Ctrl-C. Where the output is no terminal, one look is printed after
    the other. Exit code 0; 1: the ledger cannot be read.

    Example: frugal watch --every 2s --budget 20/day
    """
    from frugal_chains.ledger import Ledger

    every_s, limits = _seconds(every), _limits(budget or [])
    with plain_errors(), Ledger.open(ledger, read_only=True) as books:
        try:
            _show(console(), _Looks(books, limits).next, every_s=every_s, wait=time.sleep)
        except KeyboardInterrupt:
            return


def _show(
    screen: Console,
    look: Callable[[], WatchFacts],
    *,
    every_s: float,
    wait: Callable[[float], None],
) -> None:
    """One look after the other, until `wait` is interrupted."""
    from rich.live import Live

    from frugal_chains.report import watch_view

    if not screen.is_terminal:
        while True:
            screen.print(watch_view(look(), width=screen.width), "")
            wait(every_s)
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(watch_view(look(), width=screen.width), refresh=True)
            wait(every_s)


class _Looks:
    """Looks at a ledger. One that cannot be read for a moment shows what was seen before."""

    def __init__(self, books: Ledger, limits: Sequence[WatchedLimit]) -> None:
        self._books = books
        self._limits = limits
        self._last: WatchFacts | None = None

    def next(self) -> WatchFacts:
        from frugal_chains.errors import LedgerUnavailable
        from frugal_chains.report import watch_facts

        try:
            self._last = watch_facts(self._books, now=now(), limits=self._limits)
        except LedgerUnavailable:
            if self._last is None:
                raise
            return replace(self._last, note="the ledger is busy: this is the look before")
        return self._last


def _seconds(text: str) -> float:
    found = _EVERY.fullmatch(text)
    if found is None or float(found[1]) < _SHORTEST_S:
        raise typer.BadParameter(
            f"{text!r} is no time of at least {_SHORTEST_S}s", param_hint="--every"
        )
    return float(found[1])


def _limits(texts: Sequence[str]) -> list[WatchedLimit]:
    from frugal_chains.report import budget_of

    try:
        return [budget_of(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from error
