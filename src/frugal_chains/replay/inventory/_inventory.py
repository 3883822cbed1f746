"""`inventory`: what kinds of tasks there are, how many calls, tokens and how much money each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from frugal_chains.ledger import Attempt, microseconds
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._ledger import TASK_TAGS
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay.inventory._grouping import MAX_GROUPS, Grouped, Grouping
from frugal_chains.replay.inventory._look import Looks, is_left_out
from frugal_chains.replay.inventory._place import Place, Places
from frugal_chains.replay.inventory._tally import Sums, Tally
from frugal_chains.replay.inventory._thresholds import CLASSES, SIGNALS, TaskClass, classified
from frugal_chains.tokens import TokenCounter

GroupKind = Literal["task", "prompt", "none", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Of the whole inventory, 0 to 1; None: of nothing."""

    calls: float | None
    tokens: float | None
    """Of input and output together."""
    money: float | None
    """Of what could be priced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroup:
    """The calls of one task, or of one kind of prompt."""

    kind: GroupKind
    """`task`: told by its tag; `prompt`: by its system prompt, tools and first words; `none`: by
    nothing; `other`: all groups beyond the largest ones."""
    name: str
    """The tag. For the others a name that quotes nothing: `like line 17` is the group of the call
    in line 17 of the recording, and of others like it."""
    sums: Sums
    shares: Shares
    models: tuple[tuple[str, int], ...]
    """Calls by model, most first."""
    medians: tuple[tuple[str, int | None], ...]
    """By signal of `THRESHOLDS`; None: no call knows it. Right to 1 in 16."""
    input_p90: int | None
    output_p90: int | None
    task_class: TaskClass
    """By size and shape, not by measured quality."""
    reason: str

    def median(self, signal: str) -> int | None:
        return dict(self.medians)[signal]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTotals:
    """All groups of one class."""

    task_class: TaskClass
    groups: int
    sums: Sums
    shares: Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The tasks of recorded calls. Groups are in the order of their money, then of their calls."""

    total: Sums
    groups: tuple[TaskGroup, ...]
    classes: tuple[ClassTotals, ...]
    """Simple, moderate, complex: all three, in this order."""
    untagged: int
    """Calls without a task tag."""
    left_out: int
    """Embeddings and answers from a cache: they are in no sum."""
    in_other: int
    """Groups that are counted in `other`; at least so many where `more_groups` is true."""
    more_groups: bool


def inventory(
    calls: Iterable[RecordedCall | Attempt],
    book: PriceBook,
    *,
    key: bytes | None = None,
    tags: Sequence[str] = TASK_TAGS,
    counter: TokenCounter | None = None,
    at: datetime | None = None,
) -> Inventory:
    """Group calls by task and class, in one pass and in bounded memory.

    Calls with a task tag are grouped by it, others by a keyed hash of what their prompts begin
    with: tools, answer schema, system prompt, and the user's first words where several calls share
    them. The order of the calls changes nothing, but for the names of groups beyond the first
    few thousand.

    Args:
        calls: Of a recording, of a ledger, or of both.
        book: Prices those that have no price yet.
        key: Of the hashes, 16 bytes or more; None: a new one, as they are not shown.
        tags: Names of an attempt's tags that say its task, the first one that is there wins.
        counter: Counts tokens where the recording has no usage.
        at: When calls without a time are priced; None: now.
    """
    at_us = None if at is None else microseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
    looks = Looks(book, counter, at_us)
    places = Places(key or os.urandom(16), tags)
    grouping = Grouping()
    left_out = untagged = 0
    for call in calls:
        if is_left_out(call):
            left_out += 1
            continue
        place = places.of(call)
        untagged += place.kind != "task"
        grouping.tally(place, places.rank).add(looks.of(call))
    return _inventory(grouping.groups(MAX_GROUPS), untagged, left_out)


def _inventory(grouped: Grouped, untagged: int, left_out: int) -> Inventory:
    total = sum((tally.done() for _, tally in grouped.groups), Sums())
    groups = [_group(place, tally, total) for place, tally in grouped.groups]
    groups.sort(key=_dearest_first)
    return Inventory(
        total=total,
        groups=tuple(groups),
        classes=tuple(_class_totals(class_, groups, total) for class_ in CLASSES),
        untagged=untagged,
        left_out=left_out,
        in_other=grouped.in_other,
        more_groups=grouped.more,
    )


def _dearest_first(group: TaskGroup) -> tuple[int, int, int, str]:
    return -group.sums.nanos, -group.sums.calls, -group.sums.tokens, group.name


def _group(place: Place | None, tally: Tally, total: Sums) -> TaskGroup:
    medians = [histogram.quantile(50) for histogram in tally.seen]
    task_class, reason = classified(medians)
    sums = tally.done()
    p90 = {
        name: histogram.quantile(90) for name, histogram in zip(SIGNALS, tally.seen, strict=True)
    }
    return TaskGroup(
        kind="other" if place is None else _KINDS[place.kind],
        name=_name(place, tally),
        sums=sums,
        shares=_shares(sums, total),
        models=tuple(sorted(tally.models.items(), key=lambda each: (-each[1], each[0]))),
        medians=tuple(zip(SIGNALS, medians, strict=True)),
        input_p90=p90["input_tokens"],
        output_p90=p90["output_tokens"],
        task_class=task_class,
        reason=reason,
    )


_KINDS: Final[dict[str, GroupKind]] = {"task": "task", "prompt": "prompt", "none": "none"}


def _name(place: Place | None, tally: Tally) -> str:
    if place is None:
        return "other"
    named = {"task": place.name, "prompt": _like(tally), "none": "no task named"}[place.kind]
    return f"{named} ({place.purpose})" if place.purpose else named


def _like(tally: Tally) -> str:
    line, attempt = tally.example or (0, "")
    if line:
        return f"like line {line}"
    return f"like attempt {attempt}" if attempt else "one kind of prompt"


def _class_totals(class_: TaskClass, groups: Iterable[TaskGroup], total: Sums) -> ClassTotals:
    mine = [group.sums for group in groups if group.task_class == class_]
    sums = sum(mine, Sums())
    return ClassTotals(task_class=class_, groups=len(mine), sums=sums, shares=_shares(sums, total))


def _shares(part: Sums, whole: Sums) -> Shares:
    return Shares(
        calls=_share(part.calls, whole.calls),
        tokens=_share(part.tokens, whole.tokens),
        money=_share(part.nanos, whole.nanos),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
