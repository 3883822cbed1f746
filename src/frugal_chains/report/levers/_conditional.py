"""What levers would save at most of which a ledger cannot say whether they will do: whether a
cheaper model is good enough, whether a call can wait. Sums are enough for that, no replay is
needed: every call stays as it was, but for its price."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from frugal_chains.pricing import PriceBook, Priced
from frugal_chains.report.levers._days import Days, Line
from frugal_chains.report.levers._facts import Move

LEAST_CALLS: Final = 20
"""Answers of a model that make it one which this application uses."""
_ANSWERS: Final = frozenset(("answer", "retry"))


def find_move(days: Days, book: PriceBook, now_us: int) -> Move | None:
    """Of the dearest task and model for which a cheaper one could stand in; None: there is none.

    Args:
        days: What is spent.
        book: For what other models would cost.
        now_us: The time of its prices, microseconds since 1970.
    """
    used: Counter[tuple[str, str]] = Counter()
    spent: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in _answers(days.lines):
        used[line.provider, line.model] += line.calls
        spent[line.task, line.provider, line.model].append(line)
    ranked = sorted(spent.items(), key=lambda item: (-sum(line.nanos for line in item[1]), item[0]))
    for (task, provider, model), lines in ranked:
        known = {m for (p, m), calls in used.items() if p == provider and calls >= LEAST_CALLS}
        dearest = max(lines, key=lambda line: line.nanos)
        to = _cheapest(dearest, {model, *known}, book, now_us)
        if task and to not in ("", model):
            return Move(task=task, provider=provider, model=model, to=to)
    return None


def moved_nanos(days: Days, move: Move, book: PriceBook, now_us: int) -> int:
    """What these days would have cost less with the move; below 0: more."""
    saved = 0
    for line in _answers(days.lines):
        if line.task == move.task:
            cost = _cost(line, book, now_us, model=move.to, provider=move.provider)
            saved += 0 if cost is None else line.nanos - cost
    return saved


def batched_nanos(days: Days, tasks: Collection[str], book: PriceBook, now_us: int) -> int:
    """What these days would have cost less, had the calls of these tasks waited for a batch, where
    their provider has a price of one."""
    saved = 0
    for line in days.lines:
        if line.task in tasks and line.tier == "standard":
            cost = _cost(line, book, now_us, model=line.model, provider=line.provider, tier="batch")
            saved += 0 if cost is None else max(0, line.nanos - cost)
    return saved


def _answers(lines: Iterable[Line]) -> Iterable[Line]:
    return (line for line in lines if line.purpose in _ANSWERS and line.tier == "standard")


def _cheapest(line: Line, models: Iterable[str], book: PriceBook, now_us: int) -> str:
    """The model at whose price such calls cost least; of equal ones the first by name, and their
    own before others. Empty: no price is known."""
    costs = {}
    for model in sorted(models, key=lambda name: (name != line.model, name)):
        cost = _cost(line, book, now_us, model=model, provider=line.provider)
        if cost is not None:
            costs[model] = cost
    return min(costs, key=lambda model: costs[model], default="")


def _cost(
    line: Line, book: PriceBook, now_us: int, *, model: str, provider: str, tier: str = "standard"
) -> int | None:
    price = book.price_at(now_us, line.mean, model=model, provider=provider or None, tier=tier)
    return price.nanos * line.calls if isinstance(price, Priced) else None
