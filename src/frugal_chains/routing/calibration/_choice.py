"""Choosing a model by what its quality costs, and what a choice was worth in hindsight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

_POINTS = 400
"""Thresholds tried between "always the cheapest" and "always the best": a quarter point each."""


def choose(scores: Mapping[str, float], costs: Mapping[str, float], exchange: float) -> str:
    """Return the candidate whose quality is worth its cost.

    Args:
        scores: Predicted quality, 0 to 1, by candidate.
        costs: What one request costs, in any one unit, by candidate.
        exchange: The quality that one unit of cost has to buy. 0 takes the best at any cost; with
            two candidates that cost 0 and 1 it is the least gain that is worth the stronger one.

    Of equal ones the cheaper is taken, then the first by name.
    """
    return min(scores, key=lambda name: (exchange * costs[name] - scores[name], costs[name], name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What each of many thresholds would have chosen for the rows."""

    exchanges: Doubles
    """Ascending: from the dearest choices to the cheapest."""
    picks: Index
    """Column of the chosen model, shape (thresholds, rows)."""


def frontier(scores: Doubles, costs: Doubles) -> Frontier:
    """Try thresholds on predicted scores, shape (rows, models), with one cost for each model."""
    order = np.argsort(costs, kind="stable")
    scores, costs = scores[:, order], costs[order]
    ratios = [
        (scores[:, dear] - scores[:, cheap]) / (costs[dear] - costs[cheap])
        for dear in range(len(costs))
        for cheap in range(dear)
        if costs[dear] > costs[cheap]
    ]
    found = np.concatenate(ratios) if ratios else np.zeros(1)
    # Between more than two models a negative threshold would prefer what is dear and worse.
    if len(costs) > 2:
        found = found[found > 0] if (found > 0).any() else np.zeros(1)
    exchanges = np.unique(np.quantile(found, np.linspace(0, 1, _POINTS)))
    edge = np.abs(exchanges).max() or 1.0
    ends = ([-2 * edge] if len(costs) == 2 else [0.0], [2 * edge])
    exchanges = np.unique(np.concatenate([ends[0], exchanges, ends[1]]))
    # Columns stand from cheap to dear, and argmax takes the first of equal ones: the cheaper.
    picks = np.stack([np.argmax(scores - each * costs, axis=1) for each in exchanges])
    return Frontier(exchanges=exchanges, picks=order[picks])


def taken(table: Doubles, picks: Index) -> Doubles:
    """Return each row's entry in the chosen column; `picks` has shape (..., rows)."""
    rows = np.arange(table.shape[0])
    entries: Doubles = table[rows, picks]
    return entries
