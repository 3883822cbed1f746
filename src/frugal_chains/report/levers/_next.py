"""`next_lever_of`: from a replay, and what the last days cost, to the lever that comes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from frugal_chains.ledger import moment
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import LeverName, ReplayBill, Replayed, Setup
from frugal_chains.report.alerts._words import amount
from frugal_chains.report.levers._conditional import batched_nanos, find_move, moved_nanos
from frugal_chains.report.levers._days import Days
from frugal_chains.report.levers._facts import LeverGain, Move, NextLever
from frugal_chains.report.levers._trial import Trial

LEAST_SHARE: Final = 0.01
"""Of the bill: less is not worth a change."""
LEAST_CALLS: Final = 20
"""Below, nothing is told."""
MOST_ERROR: Final = 0.05
"""Of the bill: a simulation that is farther from what was paid tells nothing."""
_NAMES: Final = {"memory": "memory", "prompt_cache": "prompt cache markers"}


def alone(setup: Setup) -> list[Setup]:
    """What to replay: no lever, then each of the setup with no other."""
    return [setup.only(), *(setup.only(name) for name in setup.on)]


def next_lever_of(
    found: Replayed, trial: Trial, days: Days, *, book: PriceBook, now_us: int
) -> NextLever:
    """The lever with the largest saving that is sure, and what others would save at most.

    Args:
        found: The replay of `alone(trial.setup)`, of calls that have times.
        trial: What was replayed.
        days: What a month costs, by model: shares that the replay has found are taken of it.
        book: Prices.
        now_us: Their time, microseconds since 1970.
    """
    before = found.bills[0]
    sure = sorted(_sure(found, trial, days), key=lambda gain: -gain.nanos)
    why = how_off(before, found.recorded) or ("" if sure else _why_none(before, trial))
    move = None if "routing" in trial.in_use else find_move(days, book, now_us)
    return NextLever(
        trial=trial,
        first=moment(found.first_us or 0),
        last=moment(found.last_us or 0),
        of=max(days.attempts, trial.calls),
        days=days.passed,
        bill_nanos=round(days.nanos * days.factor),
        best=None if why else sure[0],
        why_none=why,
        conditional=tuple(
            sorted(_conditional(trial, days, move, book, now_us), key=lambda gain: -gain.nanos)
        ),
        move=move,
        unpriced=days.unpriced,
    )


# -- simulated ---------------------------------------------------------------------------------


def _sure(found: Replayed, trial: Trial, days: Days) -> Iterator[LeverGain]:
    before, *others = found.bills
    for lever, own in zip(trial.setup.on, others, strict=True):
        saved, spread = before.nanos - own.nanos, before.spread_nanos(less=own)
        if spread is None or saved <= spread:
            continue
        nanos = sum(
            nanos * (1 - own.by_model.get(model, 0) / before.by_model[model])
            for model, nanos in days.by_model.items()
            if before.by_model.get(model)
        )
        gain = _gain(lever, nanos, days, spread_share=spread / saved)
        if gain is not None:
            yield gain


def _gain(
    lever: LeverName, nanos: float, days: Days, *, spread_share: float | None = None
) -> LeverGain | None:
    """None: not worth a change.

    Args:
        lever: Which.
        nanos: Saved of these days.
        days: Of which a month is told.
        spread_share: Half of the 95 % interval, of what is saved.
    """
    if not 0 < nanos >= LEAST_SHARE * days.nanos:
        return None
    month = nanos * days.factor
    return LeverGain(
        lever=lever,
        nanos=round(month),
        share=nanos / days.nanos,
        spread_nanos=None if spread_share is None else month * spread_share,
    )


def how_off(before: ReplayBill, recorded: ReplayBill) -> str:
    """Why nothing can be told from a simulation of these calls; empty: it is near their bill."""
    more = before.unpriced - recorded.unpriced
    if more:
        return f"the price list knows no price of {more:,} calls that have cost something"
    off = abs(before.nanos - recorded.nanos)
    if off <= MOST_ERROR * recorded.nanos:
        return ""
    return (
        f"these calls cost {amount(recorded.nanos)} and are simulated at {amount(before.nanos)}: "
        "nothing is told from that"
    )


def _why_none(before: ReplayBill, trial: Trial) -> str:
    if not before.nanos:
        return "no call that was looked at has cost anything that is known"
    if not trial.conversations:
        return (
            "no call says which conversation it belongs to (thread_id): memory and prompt cache "
            "markers cannot be told"
        )
    tried = [_NAMES[name] for name in trial.setup.on]
    if not tried:
        return "memory and prompt cache markers are at work already"
    if before.spread_nanos() is None:
        return "there are too few conversations to tell"
    names = f"neither {' nor '.join(tried)} would" if tried[1:] else f"{tried[0]} would not"
    return f"{names} have saved {LEAST_SHARE:.0%} of the bill for sure"


# -- on a condition ----------------------------------------------------------------------------


def _conditional(
    trial: Trial, days: Days, move: Move | None, book: PriceBook, now_us: int
) -> Iterator[LeverGain]:
    if days.attempts < LEAST_CALLS:
        return
    moved = 0 if move is None else moved_nanos(days, move, book, now_us)
    batched = batched_nanos(days, trial.waiting, book, now_us)
    for gain in (_gain("routing", moved, days), _gain("batch", batched, days)):
        if gain is not None:
            yield gain
