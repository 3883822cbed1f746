"""What a calibration is worth, beside what costs no thought: data first, text last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.calibration._choice import frontier, taken
from frugal_chains.routing.calibration._threshold import Rows

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way to choose models, on the calibration rows."""

    name: str
    quality: Interval
    """Mean score."""
    spend: Interval
    """Mean cost of a request."""
    strong_share: float
    """Of calls to the best single model."""
    behind: Interval
    """Quality of the routed choice minus this one's, on the same draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The routed choice beside its baselines, and whether to use it."""

    target: str
    unit: str
    """Of spend."""
    rows: int
    lines: tuple[Line, ...]
    """The routed choice first."""
    recommended: bool
    reasons: tuple[str, ...]
    """Why, or why not."""

    def text(self) -> str:
        """A table for a terminal."""
        wide = max(len(line.name) for line in self.lines)
        head = f"{'':{wide}}{'quality':>23}{self.unit + ' a request':>33}{'strong':>8}"
        body = [
            f"{line.name:{wide}}{_shown(line.quality, '.3f'):>23}{_shown(line.spend, '.4g'):>33}"
            f"{line.strong_share:>8.1%}{_shown(line.behind, '+.3f') if at else '':>26}"
            for at, line in enumerate(self.lines)
        ]
        verdict = "Routing is recommended" if self.recommended else "Routing is not recommended"
        return "\n".join(
            (
                f"Target: {self.target}. {self.rows} prompts; intervals are 95 %.",
                f"{head}{'routed gains':>26}",
                *body,
                f"{verdict}: {'; '.join(self.reasons)}.",
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to choose, as what it gave and cost on each row."""

    name: str
    quality: Doubles
    spend: Doubles
    strong: Doubles

    @classmethod
    def of(cls, name: str, rows: Rows, picks: Index) -> Way:
        """From the chosen column of each row."""
        return cls(
            name=name,
            quality=taken(rows.scores, picks),
            spend=taken(rows.costs, picks),
            strong=(picks == rows.best).astype(np.float64),
        )

    @classmethod
    def always(cls, name: str, rows: Rows, model: int) -> Way:
        """One model for every row."""
        return cls.of(name, rows, np.full(len(rows.scores), model))


def ways(rows: Rows, models: Sequence[str], routed: Index, by_length: Doubles) -> list[Way]:
    """Return the routed choice and its baselines, each at no more than its spend where it can be.

    Args:
        rows: What happened.
        models: Their names.
        routed: The chosen column of each row.
        by_length: Out-of-fold scores predicted from prompt length alone.
    """
    found = Way.of("routed", rows, routed)
    spend = float(found.spend.mean())
    return [
        found,
        _at_spend("length only, same spend", rows, by_length, spend),
        _mixed(rows, spend),
        Way.always(f"cheapest single ({models[rows.cheapest]})", rows, rows.cheapest),
        Way.always(f"best cheap single ({models[_cheap(rows, spend)]})", rows, _cheap(rows, spend)),
        Way.always(f"best single ({models[rows.best]})", rows, rows.best),
        _at_spend("oracle, same spend", rows, _hindsight(rows), spend),
    ]


def lines(found: Sequence[Way], seed: int) -> tuple[Line, ...]:
    """Measure the ways on the same bootstrap draws; the first is the routed one."""
    count = len(found[0].quality)
    rng = np.random.default_rng(seed)
    quality = np.stack([way.quality for way in found], axis=1)
    spend = np.stack([way.spend for way in found], axis=1)
    qualities, spends = np.empty((DRAWS, len(found))), np.empty((DRAWS, len(found)))
    for draw in range(DRAWS):
        weight = np.bincount(rng.integers(count, size=count), minlength=count) / count
        qualities[draw], spends[draw] = weight @ quality, weight @ spend
    behind = quality[:, :1] - quality
    return tuple(
        Line(
            name=way.name,
            quality=_interval(quality[:, at], qualities[:, at]),
            spend=_interval(spend[:, at], spends[:, at]),
            strong_share=float(way.strong.mean()),
            behind=_interval(behind[:, at], qualities[:, 0] - qualities[:, at]),
        )
        for at, way in enumerate(found)
    )


def _interval(rows: Doubles, draws: Doubles) -> Interval:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value=float(rows.mean()), low=float(low), high=float(high))


def _cheap(rows: Rows, spend: float) -> int:
    """The best single model that costs no more than this, or the cheapest."""
    affordable = rows.price <= spend * (1 + 1e-9)
    means = np.where(affordable, rows.scores.mean(axis=0), -1.0)
    return int(np.argmax(means)) if affordable.any() else rows.cheapest


def _at_spend(name: str, rows: Rows, predicted: Doubles, spend: float) -> Way:
    """The best choices by some prediction whose real spend is no higher than this."""
    line = frontier(predicted, rows.price)
    fits = np.flatnonzero(taken(rows.costs, line.picks).mean(axis=1) <= spend * (1 + 1e-9))
    return Way.of(name, rows, line.picks[fits[0] if len(fits) else -1])


def _hindsight(rows: Rows) -> Doubles:
    """The true scores, with a trace that tells equal rows apart: else all of them or none change
    sides at one threshold."""
    trace = (np.arange(len(rows.scores)) * 0.6180339887) % 1
    return rows.scores + 1e-6 * trace[:, None] * rows.price / (rows.price.max() or 1)


def _mixed(rows: Rows, spend: float) -> Way:
    """Two single models at random, the pair and the share that are best for this spend."""
    quality = rows.scores.mean(axis=0)
    best = (float("-inf"), 0, 0, 0.0)
    for one in range(len(quality)):
        for other in range(len(quality)):
            low, high = rows.price[one], rows.price[other]
            if low > spend * (1 + 1e-9) or high < low:
                continue
            share = min(1.0, (spend - low) / (high - low)) if high > low else 0.0
            expected = quality[one] + share * (quality[other] - quality[one])
            best = max(best, (float(expected), one, other, max(0.0, float(share))))
    _, one, other, share = best
    parts = [Way.always("", rows, one), Way.always("", rows, other)]
    return Way(
        name="random mix of two, same spend",
        quality=(1 - share) * parts[0].quality + share * parts[1].quality,
        spend=(1 - share) * parts[0].spend + share * parts[1].spend,
        strong=(1 - share) * parts[0].strong + share * parts[1].strong,
    )


def _shown(each: Interval, form: str) -> str:
    return f"{each.value:{form}} [{each.low:{form}}, {each.high:{form}}]"
