"""From baseline to bill, as lines of the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.report._layout import add_amounts, indented, name_table, title
from frugal_chains.report._money import share_text
from frugal_chains.savings import Step, Waterfall

BAR_CELLS: Final = 24
_NAMES: Final = {
    "routing": "routing, cascade",
    "prompt_cache": "prompt cache",
    "response_cache": "response cache",
    "other": "other levers",
}
"""Of steps whose own name says less."""


class _Line(NamedTuple):
    name: str
    amount: str
    share: str
    bar: str
    style: str = ""


def savings_view(found: Waterfall, *, width: int, encoding: str = "utf-8") -> RenderableType:
    """The waterfall alone, to be printed on a console of `width` columns in `encoding`."""
    ascii_only = not encoding.startswith("utf")  # as rich sees it, for its boxes
    _, *lines = savings_lines(found, width=width, ascii_only=ascii_only)  # the first is empty
    return Group(*lines)


def savings_lines(
    found: Waterfall | None, *, width: int, ascii_only: bool
) -> Iterable[RenderableType]:
    """Baseline, one line for each step, bill; below it how much of that is known, and how. Nothing
    where no lever has done anything."""
    if found is None:
        return
    lines = list(_lines(found, ascii_only=ascii_only))
    yield ""
    yield title("From baseline to bill: + is saved, - is lost")
    grid = name_table(["step"])
    amounts = add_amounts(grid, "amount", [line.amount for line in lines])
    shares = [line.share.rjust(max(5, *(len(each.share) for each in lines))) for line in lines]
    grid.add_column("share".rjust(len(shares[0])), no_wrap=True)
    figures = [amounts, shares]
    used = max(cell_len(line.name) for line in lines)
    used += sum(2 + len(column[0]) for column in figures)
    if used + 2 + BAR_CELLS <= width:
        grid.add_column("", no_wrap=True)
        figures.append([line.bar for line in lines])
    for line, *cells in zip(lines, *figures, strict=True):
        if line.name == "bill":
            grid.add_section()
        grid.add_row(*map(Text, (line.name, *cells)), style=line.style)
    yield grid
    for text in savings_sentences(found):
        yield indented(text)


def _lines(found: Waterfall, *, ascii_only: bool) -> Iterator[_Line]:
    bars = iter(_bars(found, ascii_only=ascii_only))
    whole = found.baseline_nanos
    yield _Line("baseline", _end(found, whole), share_of(whole, whole), next(bars), "bold")
    for step in found.steps:
        share = "-" if step.nanos is None else share_of(step.nanos, whole)
        yield _Line(_NAMES.get(step.name, step.name), _amount(step), share, next(bars))
    bill = found.bill_nanos
    yield _Line("bill", _end(found, bill), share_of(bill, whole), next(bars), "bold")


def _end(found: Waterfall, nanos: int) -> str:
    return "unpriced" if found.bill_usd is None else usd_text(usd_from_nanos(nanos))


def _amount(step: Step) -> str:
    if step.usd is None:
        return "unknown"
    return f"+{usd_text(step.usd)}" if step.usd > 0 else usd_text(step.usd)


def share_of(nanos: int, whole: int) -> str:
    """A signed share of the baseline in percent; `-` where that is nothing, or below."""
    if whole <= 0:
        return "-"
    if abs(nanos) <= whole:
        text = share_text(abs(nanos), whole)
    else:
        permille = (abs(nanos) * 2000 + whole) // (2 * whole)
        text = f"{permille // 10:,}.{permille % 10}%"
    return f"-{text}" if nanos < 0 else text


def _bars(found: Waterfall, *, ascii_only: bool) -> Iterator[str]:
    """Each amount where it lies between nothing and the highest of them: a step begins where the
    one before it has ended. What is below nothing has no room."""
    saved, lost = ("#", "=") if ascii_only else ("█", "░")
    levels = [found.baseline_nanos]
    for step in found.steps:
        levels.append(levels[-1] - (step.nanos or 0))
    most = max(levels)
    yield _bar(0, levels[0], most, saved)
    for before, after in pairwise(levels):
        yield _bar(after, before, most, saved if after < before else lost)
    yield _bar(0, found.bill_nanos, most, saved)


def _bar(one: int, other: int, most: int, cell: str) -> str:
    low, high = sorted((max(0, one), max(0, other)))
    if low == high or most <= 0:
        return ""
    start = min(low * BAR_CELLS // most, BAR_CELLS - 1)
    return " " * start + cell * max(1, -(-high * BAR_CELLS // most) - start)


def savings_sentences(found: Waterfall) -> Iterator[str]:
    """How much of the steps is known, and how."""
    if found.operations:
        yield _coverage(found)
    modelled, moved = found.moved_nanos
    yield (
        f"modelled: {share_text(modelled, moved)} of the amounts of steps are computed from "
        "prices, the others are read off bills"
    )
    unknown = list(_unknown(found))
    if unknown:
        yield f"unknown: {', '.join(unknown)}; they are in no amount"
    if found.loose_effects:
        yield (
            f"of no operation with an attempt here: {_count(found.loose_effects, 'effect')}; they "
            "are in the steps"
        )


def _coverage(found: Waterfall) -> str:
    return (
        f"coverage: {share_text(found.covered_nanos, found.bill_nanos)} of the bill, "
        f"{share_text(found.covered_operations, found.operations)} of operations "
        f"({found.covered_operations:,} of {found.operations:,}) have an effect or a decision"
    )


def _unknown(found: Waterfall) -> Iterator[str]:
    levers = [step for step in found.steps if step.kind == "lever"]
    if found.unknown_effects:
        whose = [(step.name, step.unknown_effects) for step in levers]
        yield f"{_count(found.unknown_effects, 'effect')} ({_each(whose)})"
    if found.unknown_attempts:
        whose = [(step.name, step.unknown_attempts) for step in levers]
        yield f"{_count(found.unknown_attempts, 'attempt')} ({_each(whose)})"
    if found.unpriced:
        yield f"{_count(found.unpriced, 'unpriced attempt')}"


def _each(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_NAMES.get(name, name)} {count:,}" for name, count in counts if count)


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
