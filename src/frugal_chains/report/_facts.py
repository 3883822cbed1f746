"""`ReportFacts`: what a report says, decided from the ledger's totals alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from frugal_chains.ledger import (
    DAMAGED,
    LABEL_DIMENSIONS,
    TIME_DIMENSIONS,
    EffectTotals,
    Totals,
)
from frugal_chains.pricing import PriceBook
from frugal_chains.report._cache import CACHES, ModelCache, model_caches
from frugal_chains.savings import Waterfall
from frugal_chains.usage import Usage

Question = tuple[str, ...]
"""What `Ledger.totals` is asked to group by."""

WHOLE: Question = ()
MODELS: Question = ("model",)
DAYS: Question = ("day",)
REASONS: Question = ("provider", "model", "unpriced_reason")
OUTCOMES: Question = ("status", "error_kind")

PREFERRED_TAG = "feature"
MAX_TAG_VALUES = 12
"""A tag with more values names individuals (users, threads), not parts of an application."""
NOTHING = Totals(key={}, attempts=0, operations=0, usage=Usage(), nanos=0, unpriced=0, estimated=0)
MAX_ROWS = 20
MAX_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Totals by `by`. Its rows sum to the whole report."""

    by: Question
    rows: tuple[Totals, ...]
    limit: int | None = None
    """Rows worth a line of their own on a screen, days counted from the last; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedModel:
    """A model with attempts whose cost is unknown."""

    provider: str
    model: str
    attempts: int
    reasons: tuple[str, ...]
    """The most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """Everything a report shows, exact; how it looks is decided elsewhere."""

    ledger: str
    since: datetime | None
    until: datetime | None
    days: tuple[str, str] | None
    """First and last day with an attempt, UTC; None without any."""
    total: Totals
    tables: tuple[Table, ...]
    unpriced: tuple[UnpricedModel, ...]
    outcomes: tuple[Totals, ...]
    """Attempts that did not end well or were answered from a cache, by status and error kind."""
    notes: tuple[tuple[str, int], ...]
    """Why usage was estimated and what to do about it, with the number of attempts."""
    waiting: tuple[str, ...]
    """Files whose attempts are not in the ledger yet, and so not in this report."""
    damaged: tuple[str, ...]
    """Files with attempts that could not be taken in, and are missing until a person looks."""
    effects: tuple[EffectTotals, ...] = ()
    """What each lever did, the one that kept out most tokens first."""
    caches: tuple[ModelCache, ...] = ()
    """What each model read from its provider's prompt cache, the one with the most input first."""
    savings: Waterfall | None = None
    """From what would have been paid to what was; None: no lever has done anything."""


def grouping(by: Sequence[str], tags: Sequence[str]) -> Question:
    """What the user asked for, every name once and in one spelling: a tag goes by its name alone,
    by `tag:<name>` only where a label of that name exists."""
    return tuple(dict.fromkeys(_spelled(name, tags) for name in by))


def _spelled(name: str, tags: Sequence[str]) -> str:
    tag = name.removeprefix("tag:")
    return tag if tag in tags and not _is_label(tag) else name


def _is_label(name: str) -> bool:
    return name in LABEL_DIMENSIONS or name in TIME_DIMENSIONS


def questions(by: Sequence[str], tags: Sequence[str]) -> tuple[Question, ...]:
    """What to ask the ledger: the user's own `grouping`, or the default tables."""
    wanted = (tuple(by),) if by else (MODELS, *(grouping([f"tag:{tag}"], tags) for tag in tags))
    return tuple(dict.fromkeys((WHOLE, *wanted, DAYS, REASONS, OUTCOMES, CACHES)))


def report_facts(
    answers: Mapping[Question, Sequence[Totals]],
    *,
    by: Sequence[str] = (),
    ledger: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    notes: Sequence[tuple[str, int]] = (),
    waiting: Sequence[str] = (),
    effects: Sequence[EffectTotals] = (),
    cache_days: Sequence[Totals] = (),
    book: PriceBook | None = None,
    savings: Waterfall | None = None,
) -> ReportFacts:
    """The report over the ledger's answers to `questions`, and its `effect_totals` by lever; all
    zeros when there is no attempt.

    Args:
        answers: By question.
        by: What the user asked for.
        ledger: Its url.
        since: Of the period asked for.
        until: Its end.
        notes: Why usage was estimated.
        waiting: Files whose attempts are not in the answers.
        effects: Of levers.
        cache_days: The answer to `CACHE_DAYS`, from `recent_since` on: since when less is read from
            a prompt cache. Without it that is not told.
        book: The prices of what was not read from one. Without it no amount is given.
        savings: Of the same period; None where no lever has done anything.
    """
    days = [line.key["day"] for line in answers[DAYS]]
    return ReportFacts(
        ledger=ledger,
        since=since,
        until=until,
        days=(min(days), max(days)) if days else None,
        total=answers[WHOLE][0] if answers[WHOLE] else NOTHING,
        tables=tuple(
            Table(by=question, rows=tuple(answers[question]), limit=limit)
            for question, limit in _shown(answers, by)
        ),
        unpriced=_unpriced(answers[REASONS]),
        outcomes=tuple(line for line in answers[OUTCOMES] if line.key["status"] != "ok"),
        notes=tuple(notes),
        waiting=tuple(file for file in waiting if not file.endswith(DAMAGED)),
        damaged=tuple(file for file in waiting if file.endswith(DAMAGED)),
        effects=tuple(effects),
        caches=model_caches(answers[CACHES], cache_days, book=book, last_day=max(days, default="")),
        savings=savings,
    )


def _shown(
    answers: Mapping[Question, Sequence[Totals]], by: Sequence[str]
) -> Iterable[tuple[Question, int | None]]:
    """The tables to show, each with its limit."""
    if by:
        return ((tuple(by), None),)
    values = {
        question: _values(lines)
        for question, lines in answers.items()
        if question and not _is_label(question[0])
    }
    preferred: Question = (PREFERRED_TAG,)
    few = [question for question, count in values.items() if 0 < count <= MAX_TAG_VALUES]
    tags = [preferred] if values.get(preferred) else few
    return ((MODELS, MAX_ROWS), *((tag, MAX_ROWS) for tag in tags), (DAYS, MAX_DAYS))


def _values(rows: Sequence[Totals]) -> int:
    return sum(1 for row in rows if any(row.key.values()))


def _unpriced(lines: Sequence[Totals]) -> tuple[UnpricedModel, ...]:
    found: dict[tuple[str, str], list[Totals]] = {}
    for line in sorted(lines, key=lambda line: -line.unpriced):
        if line.unpriced:
            found.setdefault((line.key["provider"], line.key["model"]), []).append(line)
    models = [
        UnpricedModel(
            provider=provider,
            model=model,
            attempts=sum(line.unpriced for line in group),
            reasons=tuple(line.key["unpriced_reason"] for line in group),
        )
        for (provider, model), group in found.items()
    ]
    return tuple(sorted(models, key=lambda m: (-m.attempts, m.provider, m.model)))


def summed(rows: Iterable[Totals], key: Mapping[str, str]) -> Totals:
    """One line over many, exact: integers are added, so order does not matter."""
    rows = tuple(rows)
    usage = rows[0].usage
    for row in rows[1:]:
        usage += row.usage
    return Totals(
        key=key,
        attempts=sum(row.attempts for row in rows),
        operations=sum(row.operations for row in rows),
        usage=usage,
        nanos=sum(row.nanos for row in rows),
        unpriced=sum(row.unpriced for row in rows),
        estimated=sum(row.estimated for row in rows),
    )


def known_cost_usd(line: Totals) -> Decimal | None:
    """The cost of a line; None when not one of its attempts could be priced."""
    return None if line.unpriced and line.attempts == line.unpriced else line.cost_usd
