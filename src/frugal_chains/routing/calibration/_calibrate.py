"""`calibrate`: from a log to a gain model, a threshold, and an honest opinion of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import CalibrationError
from frugal_chains.routing.calibration._choice import choose
from frugal_chains.routing.calibration._log import LEAST_PROMPTS, CalibrationLog, read_log
from frugal_chains.routing.calibration._report import Line, Report, lines, ways
from frugal_chains.routing.calibration._target import QualityFloor, Target
from frugal_chains.routing.calibration._threshold import Rows, Threshold, threshold
from frugal_chains.routing.gain import (
    BlendedGain,
    Embedder,
    Example,
    distinct_prompts,
    fit_gain,
    group_folds,
)

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A gain model with the threshold that meets a target."""

    model: BlendedGain
    exchange: float
    """What one unit of cost has to win in quality; see `choose`."""
    costs: Mapping[str, float]
    """Mean cost of a request by model, in `unit`."""
    unit: str
    """`USD`, or `strong calls` where nothing is known of costs."""
    best: str
    """The best single model: what routing is measured against, and what stands in for it."""
    report: Report

    def choose(
        self,
        question: str,
        embedding: Sequence[float] | None = None,
        *,
        costs: Mapping[str, float] | None = None,
    ) -> str:
        """Return the model for one question.

        Args:
            question: The text that makes the request differ from others.
            embedding: Of the question, where the model has learned from embeddings.
            costs: What this request would cost by model, where it is known better than the mean.
        """
        return choose(self.model.predict(question, embedding), costs or self.costs, self.exchange)


def calibrate(
    rows: Iterable[Mapping[str, Any]] | CalibrationLog,
    target: Target,
    *,
    costs: Mapping[str, float] | None = None,
    embedder: Embedder | None = None,
    embeddings: Sequence[Sequence[float]] | None = None,
    seed: int = 0,
) -> Calibration:
    """Fit a gain model and choose its threshold.

    Args:
        rows: A log, or its rows: prompt, model, score, and where known task and cost_usd.
        target: A `QualityFloor`, a `SpendLimit` or a `StrongShare`.
        costs: Mean cost of a request by model, in USD, where the log has no `cost_usd`. Without
            either the better of two models costs 1 and the other 0; more than two need costs.
        embedder: Embeds what is distinct of each prompt: see `distinct_prompts`.
        embeddings: Or the vectors of that, in the order of the log's prompts.
        seed: Of the folds and of the bootstrap.

    Raises:
        CalibrationError: the log, the costs or the target cannot be used; says which row and why.
    """
    log = rows if isinstance(rows, CalibrationLog) else read_log(rows)
    fitted = fit_gain(_examples(log, embedder, embeddings), log.models, seed=seed)
    complete = _complete(log)
    price, unit = _prices(log, costs)
    judged = Rows(
        scores=log.scores[complete],
        costs=_row_costs(log.costs_usd[complete], price, costs is None),
        price=price,
    )
    point = threshold(fitted.unseen[complete], judged, target)
    by_length = _length_only(log, seed)[complete]
    measured = lines(ways(judged, log.models, point.picks, by_length), seed)
    recommended, reasons = _verdict(measured, point, target, judged, log.models)
    return Calibration(
        model=fitted.model,
        exchange=point.exchange,
        costs=dict(zip(log.models, price.tolist(), strict=True)),
        unit=unit,
        best=log.models[judged.best],
        report=Report(
            target=str(target),
            unit=unit,
            rows=len(complete),
            lines=measured,
            recommended=recommended,
            reasons=reasons,
        ),
    )


def _examples(
    log: CalibrationLog,
    embedder: Embedder | None,
    embeddings: Sequence[Sequence[float]] | None,
) -> list[Example]:
    """The rows to learn from, with vectors where there are any: those given, or the embedder's."""
    if embedder is not None and embeddings is None:
        embeddings = log.embedded(embedder, distinct_prompts(log.prompts))
    if embeddings is not None and len(embeddings) != len(log.prompts):
        raise CalibrationError(
            f"{len(embeddings)} embeddings for {len(log.prompts)} prompts; give one for each"
        )
    return log.examples(embeddings)


def _complete(log: CalibrationLog) -> Index:
    """The prompts that every model has answered: only there can all be compared."""
    complete = np.flatnonzero(np.isfinite(log.scores).all(axis=1))
    if len(complete) < LEAST_PROMPTS:
        raise CalibrationError(
            f"{len(complete)} prompts were answered by all {len(log.models)} models; at "
            f"least {LEAST_PROMPTS} are needed to compare them. Leave out models with few rows"
        )
    return complete


def _prices(log: CalibrationLog, costs: Mapping[str, float] | None) -> tuple[Doubles, str]:
    if costs is not None:
        missing = [name for name in log.models if name not in costs]
        if missing:
            raise CalibrationError(f"no cost for {', '.join(missing)}; give one for every model")
        price = np.array([float(costs[name]) for name in log.models])
        if not (np.isfinite(price).all() and (price >= 0).all()):
            raise CalibrationError("costs have to be numbers, 0 or more")
        return price, "USD"
    known = np.isfinite(log.costs_usd)
    if known.any(axis=0).all():
        return np.nanmean(np.where(known, log.costs_usd, np.nan), axis=0), "USD"
    if known.any():
        # A model whose cost is unknown is not free: it would win every comparison.
        unknown = np.flatnonzero(~known.any(axis=0)).tolist()
        names = [log.models[at] for at in unknown]
        raise CalibrationError(
            f"no row of {', '.join(names)} has cost_usd while other models have it; add it, or "
            "pass costs="
        )
    if len(log.models) > 2:
        raise CalibrationError(
            f"{len(log.models)} models and no costs: with more than two there is no order to "
            "choose by. Add cost_usd to the rows, or pass costs={model: USD}"
        )
    means = np.nanmean(log.scores, axis=0)
    return (means == means.max()).astype(np.float64), "strong calls"


def _row_costs(costs: Doubles, price: Doubles, from_log: bool) -> Doubles:
    shown = np.broadcast_to(price, costs.shape)
    return np.where(np.isfinite(costs), costs, shown) if from_log else shown.copy()


def _length_only(log: CalibrationLog, seed: int) -> Doubles:
    """Scores predicted from the length of the prompt alone: a parabola for each model."""
    size = np.log1p([len(prompt) for prompt in log.prompts])
    spread = size.std() or 1.0
    size = (size - size.mean()) / spread
    design = np.stack([np.ones_like(size), size, size**2], axis=1)
    out = np.zeros_like(log.scores)
    for held in group_folds(log.prompts, 5, seed):
        kept = np.setdiff1d(np.arange(len(size)), held)
        for column, target in enumerate(log.scores.T):
            rows = kept[np.isfinite(target[kept])]
            used = design[rows]
            square = used.T @ used + 1e-6 * np.eye(3)
            out[held, column] = design[held] @ np.linalg.solve(square, used.T @ target[rows])
    return out


def _verdict(
    measured: Sequence[Line], point: Threshold, target: Target, rows: Rows, models: Sequence[str]
) -> tuple[bool, tuple[str, ...]]:
    """Whether routing earns its place: it beats every single model of its spend, and chance."""
    by_name = {line.name.split(" (")[0]: line for line in measured}
    single, mix = by_name["best cheap single"], by_name["random mix of two, same spend"]
    against = []
    if not point.reached:
        against.append(f"no threshold reaches {target} with confidence")
    if isinstance(target, QualityFloor):
        floor = target.per_row(rows.scores, rows.cheapest, rows.best).mean()
        enough = [
            at
            for at in np.argsort(rows.price, kind="stable")
            if rows.scores[:, at].mean() >= floor
            and rows.price[at] <= measured[0].spend.value * (1 + 1e-9)
        ]
        if enough:
            against.append(f"{models[enough[0]]} alone reaches the floor for no more")
    if single.behind.low <= 0:
        against.append(
            f"it does not beat the {single.name} for sure: it gains {single.behind.value:+.3f} "
            f"[{single.behind.low:+.3f}, {single.behind.high:+.3f}]"
        )
    if mix.behind.low <= 0:
        against.append(
            "it knows no more than chance: beside a random mix of the same spend it gains "
            f"{mix.behind.value:+.3f} [{mix.behind.low:+.3f}, {mix.behind.high:+.3f}]"
        )
    if against:
        return False, tuple(against)
    saved = 1 - measured[0].spend.value / (by_name["best single"].spend.value or math.nan)
    return True, (
        f"it gains {single.behind.value:+.3f} [{single.behind.low:+.3f}, "
        f"{single.behind.high:+.3f}] on the {single.name} and costs {saved:.0%} less than the "
        "best single model",
    )
