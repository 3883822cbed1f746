"""How a router between a weak and a strong model is measured: RouteLLM's protocol.

A router scores every request; the share `s` of requests with the highest scores goes to the strong
model. The *gap* is the strong model's mean score minus the weak one's, and what a share of calls
wins of it is the *recovered* part.

- APGR: the area under the recovered part over the share of strong calls, 0 to 1. Random is .5.
- CPT50, CPT80: the share of strong calls, in per cent, that first recovers 50 or 80 % of the gap.

As in RouteLLM (`evals/benchmarks.py`, `evals/evaluate.py`), the curve has eleven points, one at
each tenth of the calls, and is straight between them. Two things differ, both where that code is
not defined: requests with equal scores are taken in expectation over their order (it takes all of
them at once, so rules that give few distinct scores have no curve there), and a level is reached
where the curve first crosses it (`np.interp` there assumes that a curve never falls).

A threshold that was chosen on other requests is *carried* to unseen ones. What it recovers there
stands beside what was asked for, and its strong calls beside the fewest that reach as much in
hindsight: by the same scores, with the unseen requests looked at.

Intervals are percentiles of a bootstrap over the requests. A difference of two routers is paired:
both are measured on the same draw. Several seeds of one router are averaged inside every draw, so
that an interval is about the requests and not about the luck of a split.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from _figures import Figure
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "routing"
"""Where the development splits are looked for, beside the repository."""
TENTHS: Final[Array] = np.linspace(0.0, 1.0, 11)
METRICS: Final = ("apgr", "cpt50", "cpt80")
"""The columns of a measured row, in this order."""
_CHUNK: Final = 64
"""Bootstrap draws held in memory at once: 64 x 14,000 requests are 7 MB."""


class DataAbsent(Exception):
    """The splits are not where they were looked for."""


def load(name: str, data: Path = DATA) -> list[dict[str, Any]]:
    """Read the rows of one split: `routellm_mmlu`, `routellm_gsm8k` or `llmrouter_9model`."""
    path = data / name / "data.jsonl.gz"
    if not path.exists():
        raise DataAbsent(
            f"no routing data at {path}: name the folder that holds {name}/ with --data"
        )
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return rows


def folds(prompts: Sequence[str], k: int, seed: int) -> list[Index]:
    """Deal the rows out into `k` random folds; rows with the same prompt share one.

    Returns:
        The row numbers of each fold, ascending.
    """
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts])
    fold_of_group = np.random.default_rng(seed).permutation(len(numbers)) % k
    fold = fold_of_group[group]
    return [np.flatnonzero(fold == number) for number in range(k)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One router's figures."""

    apgr: Interval
    cpt50: Interval
    """Per cent of calls."""
    cpt80: Interval
    """Per cent of calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Routers measured on the same requests and on the same draws."""

    routers: Mapping[str, Measured]
    versus: Mapping[tuple[str, str], Measured]
    """(router, reference) -> the router's figures minus the reference's."""


def curve(scores: ArrayLike, gains: ArrayLike) -> Array:
    """Return the recovered part of the gap at each tenth of strong calls, shape (11,).

    Args:
        scores: The router's score per request; a higher one goes to the strong model first.
        gains: The strong model's score minus the weak one's, per request.
    """
    ends, order = _ranks(np.asarray(scores, dtype=np.float64))
    ordered = np.asarray(gains, dtype=np.float64)[order]
    recovered: Array = _curves(np.ones((1, len(order))), ends, ordered)[0]
    return recovered


def measure(scores: ArrayLike, gains: ArrayLike) -> tuple[float, float, float]:
    """Return (APGR, CPT50, CPT80) of one router."""
    apgr, cpt50, cpt80 = _figures(curve(scores, gains)[None, :])[0]
    return float(apgr), float(cpt50), float(cpt80)


def compare(
    scores: Mapping[str, Sequence[ArrayLike]],
    gains: ArrayLike,
    *,
    versus: Sequence[tuple[str, str]] = (),
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Measure routers with intervals, and the differences of the named pairs.

    Args:
        scores: By router, one array of scores per seed; a router without luck has one.
        gains: The strong model's score minus the weak one's, per request.
        versus: Pairs (router, reference).
        draws: How many bootstrap draws.
        seed: Of the draws.
    """
    gain = np.asarray(gains, dtype=np.float64)
    count = len(gain)
    ranks = {
        name: [_ranks(np.asarray(each, dtype=np.float64)) for each in seeds]
        for name, seeds in scores.items()
    }
    # The first "draw" takes every request once: the figures themselves.
    found: dict[str, list[Array]] = {name: [] for name in scores}
    rng = np.random.default_rng(seed)
    taken: list[Array] = [np.ones((1, count))]
    left = draws
    while left:
        size = min(_CHUNK, left)
        left -= size
        taken.append(rng.multinomial(count, np.full(count, 1 / count), size).astype(np.float64))
    for weights in taken:
        for name, seeds in ranks.items():
            each = [
                _figures(_curves(weights[:, order], ends, gain[order])) for ends, order in seeds
            ]
            found[name].append(np.mean(each, axis=0))
    rows = {name: np.concatenate(chunks) for name, chunks in found.items()}
    return Comparison(
        routers={name: _measured(each) for name, each in rows.items()},
        versus={(a, b): _measured(rows[a] - rows[b]) for a, b in versus},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a threshold from elsewhere did with unseen requests."""

    rows: Index
    """Which of all requests these are."""
    scores: Array
    """Of these requests; the higher ones go to the strong model first."""
    strong: NDArray[np.bool_]
    """Which of them the threshold sends to the strong model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What carried thresholds reach, as means over the splits."""

    recovered: Interval
    """Part of the gap."""
    reached: Interval
    """Share of the splits that recover what was asked for."""
    excess: Interval
    """Strong calls beyond the fewest in hindsight, as a share of the requests."""


def carried(
    splits: Sequence[Chosen], gains: ArrayLike, level: float, *, draws: int, seed: int = 0
) -> Carried:
    """Measure carried thresholds; the requests they were chosen on are not drawn anew.

    Args:
        splits: Each with its own threshold and its own unseen requests.
        gains: The strong model's score minus the weak one's, of all requests.
        level: The part of the gap that was asked for.
        draws: How many bootstrap draws.
        seed: Of the draws.
    """
    gain = np.asarray(gains, dtype=np.float64)
    found = np.array(
        [
            np.mean([_carried(split, gain, weight, level) for split in splits], axis=0)
            for weight in drawn(len(gain), draws, seed)
        ]
    )
    recovered, reached, excess = (interval(each[0], each[1:]) for each in found.T)
    return Carried(recovered=recovered, reached=reached, excess=excess)


def _carried(split: Chosen, gains: Array, weight: Array, level: float) -> tuple[float, ...]:
    order = np.argsort(-split.scores, kind="stable")
    counts = weight[split.rows][order]
    won = counts * gains[split.rows][order]
    strong = split.strong[order]
    recovered = won[strong].sum() / won.sum()
    fewest = np.cumsum(counts)[np.argmax(np.cumsum(won) >= level * won.sum())]
    return (
        float(recovered),
        float(recovered >= level),
        float((counts[strong].sum() - fewest) / counts.sum()),
    )


def drawn(count: int, draws: int, seed: int) -> Iterator[Array]:
    """How often each request counts: first every one once, then in each bootstrap draw."""
    rng = np.random.default_rng(seed)
    yield np.ones(count)
    for _ in range(draws):
        yield rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64)


def in_figure(
    found: Interval,
    *,
    better: Literal["higher", "lower"],
    unit: str,
    asked: float | None = None,
    scale: float = 1.0,
) -> Figure:
    """Return a figure of the results file, with its interval."""
    return Figure(
        value=scale * found.value,
        better=better,
        unit=unit,
        asked=asked,
        low=scale * found.low,
        high=scale * found.high,
    )


def interval(value: float, draws: ArrayLike) -> Interval:
    """Return a figure with the middle 95 % of its draws."""
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), (0.025, 0.975))
    return Interval(value=float(value), low=float(low), high=float(high))


def _ranks(scores: Array) -> tuple[Index, Index]:
    """Return where each group of equal scores ends, and the order from high to low."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1), order


def _curves(weights: Array, ends: Index, gains: Array) -> Array:
    """Return the recovered part at each tenth, shape (draws, 11).

    `weights` (draws, requests) and `gains` are in the router's order. Between the ends of two
    groups of equal scores the curve is straight: their expectation over any order.
    """
    calls = np.cumsum(weights, axis=1)[:, ends]
    won = np.cumsum(weights * gains, axis=1)[:, ends]
    # A draw without any gap has no curve: nan, which shows in the interval.
    shares = calls / calls[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        recovered = won / won[:, -1:]
    return np.stack(
        [
            np.interp(TENTHS, np.append(0.0, share), np.append(0.0, part))
            for share, part in zip(shares, recovered, strict=True)
        ]
    )


def _figures(curves: Array) -> Array:
    """Return APGR, CPT50 and CPT80 of each curve, shape (draws, 3)."""
    apgr = np.trapezoid(curves, TENTHS, axis=1)
    return np.stack([apgr, _crossing(curves, 0.5), _crossing(curves, 0.8)], axis=1)


def _crossing(curves: Array, level: float) -> Array:
    """Return the share of calls, in per cent, where each curve first reaches `level`."""
    # A curve starts at 0 and ends at 1, so there is always a first point that reaches it.
    after = np.argmax(curves >= level, axis=1)
    rows = np.arange(len(curves))
    low, high = curves[rows, after - 1], curves[rows, after]
    share = TENTHS[after - 1] + (level - low) / (high - low) * 0.1
    return np.asarray(100 * share)


def _measured(rows: Array) -> Measured:
    """Read the first row as the figures, and the others as their draws."""
    figures = [interval(rows[0, column], rows[1:, column]) for column in range(len(METRICS))]
    return Measured(apgr=figures[0], cpt50=figures[1], cpt80=figures[2])
