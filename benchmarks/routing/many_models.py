"""Nine models, fourteen tasks: what a quality costs, out of fold.

Dollars are list prices for input tokens and an answer as long as `ANSWER_TOKENS`: the data hold no
usage. Scores of different metrics are averaged as they are, which is what every baseline here does
too; changes by task are beside them. `gpqa` prompts are never printed.

A router's frontier is drawn by one dial, what a dollar has to buy; a baseline's by mixing what it
has. Dollars at a quality are read off between the two nearest points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from _figures import Figure
from numpy.typing import NDArray

from frugal_chains.routing.gain import Example, fit_gain
from frugal_chains.tokens import TokenCounter
from routing.protocol import Interval, drawn, folds, in_figure, interval, load

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Index = NDArray[np.intp]

USD_PER_MILLION: Final[Mapping[str, float]] = {
    "codegemma-7b": 0.20,
    "gemma-2-9b-it": 0.10,
    "llama-3.1-8b-instruct": 0.20,
    "llama-3.1-nemotron-51b-instruct": 0.90,
    "llama-3.3-nemotron-super-49b-v1": 0.90,
    "llama3-chatqa-1.5-70b": 0.90,
    "llama3-chatqa-1.5-8b": 0.20,
    "mistral-7b-instruct-v0.3": 0.20,
    "qwen2.5-7b-instruct": 0.20,
}
"""Input and output alike; LLMRouter's `llm_candidates/default_llm.json` at 4e7a796942ce."""
ANSWER_TOKENS: Final = 100
"""Assumed for every model; with prices that are the same for input and output, another length
stretches all dollars and moves savings little."""
SPLIT: Final = "llmrouter_9model"
LEVELS: Final = (0.95, 0.98)
"""Parts of the best single model's quality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A data set of many models."""

    prompts: list[str]
    tasks: list[str]
    names: tuple[str, ...]
    scores: Doubles
    """Shape (rows, models)."""
    usd: Doubles
    """The same shape."""
    embeddings: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Dollars saved beside the best single model, at a part of its quality."""

    at: Mapping[float, Interval]


def read_pool(rows: Sequence[Mapping[str, Any]], embeddings: Floats | None = None) -> Pool:
    """Bring a split of `protocol.load` into arrays."""
    names = tuple(USD_PER_MILLION)
    count = TokenCounter().count_text
    tokens = np.array(
        [count(row["prompt"], model="gpt-4o").tokens for row in rows], dtype=np.float64
    )
    price = np.array([USD_PER_MILLION[name] for name in names]) / 1e6
    return Pool(
        prompts=[row["prompt"] for row in rows],
        tasks=[row["task"] for row in rows],
        names=names,
        scores=np.array([[row[f"score|{name}"] for name in names] for row in rows]),
        usd=(tokens + ANSWER_TOKENS)[:, None] * price,
        embeddings=embeddings,
    )


def out_of_fold(pool: Pool, *, k: int, seed: int) -> dict[str, Doubles]:
    """Predict every row's scores by models that did not see it, by router."""
    found: dict[str, Doubles] = {}
    for held in folds(pool.prompts, k, seed):
        kept = np.setdiff1d(np.arange(len(pool.prompts)), held)
        for name, values in _fold(pool, kept, held, seed).items():
            found.setdefault(name, np.zeros_like(pool.scores))[held] = values
    return found


def _fold(pool: Pool, kept: Index, held: Index, seed: int) -> dict[str, Doubles]:
    examples = [
        Example(
            prompt=pool.prompts[at],
            scores=dict(zip(pool.names, pool.scores[at].tolist(), strict=True)),
            task=pool.tasks[at],
            embedding=None if pool.embeddings is None else pool.embeddings[at].tolist(),
        )
        for at in kept.tolist()
    ]
    model = fit_gain(examples, pool.names, seed=seed).model
    asked = [pool.prompts[at] for at in held.tolist()]
    found = {"ours": model.predict_many(asked)}
    if pool.embeddings is not None:
        found["ours, embedder"] = model.predict_many(asked, pool.embeddings[held])
    tasks = np.array(pool.tasks)
    means = {task: pool.scores[kept][tasks[kept] == task].mean(axis=0) for task in set(pool.tasks)}
    found["task mean (given the task)"] = np.stack([means[task] for task in tasks[held]])
    return found


def saved(
    pool: Pool, predicted: Mapping[str, Doubles], *, draws: int, seed: int
) -> dict[str, Saved]:
    """Measure every router and baseline on the same bootstrap draws of the rows."""
    picks = {name: _frontier(scores, pool) for name, scores in predicted.items()}
    picks["oracle"] = _frontier(pool.scores, pool)
    singles = np.repeat(np.arange(len(pool.names))[:, None], len(pool.prompts), axis=1)
    picks["two singles mixed"] = singles
    rng, count = np.random.default_rng(seed), len(pool.prompts)
    weights = [np.full(count, 1 / count)]
    weights += [np.bincount(rng.integers(count, size=count), minlength=count) / count
                for _ in range(draws)]  # fmt: skip
    rows = np.arange(count)
    tables = {name: (pool.scores[rows, each], pool.usd[rows, each]) for name, each in picks.items()}
    found: dict[str, dict[float, list[float]]] = {
        name: {level: [] for level in LEVELS} for name in (*tables, "best cheaper single")
    }
    best = int(np.argmax(pool.scores.mean(axis=0)))
    for weight in weights:
        single_quality, single_usd = weight @ pool.scores, weight @ pool.usd
        for level in LEVELS:
            wanted = level * single_quality[best]
            for name, (quality, usd) in tables.items():
                spend = _dollars(quality @ weight, usd @ weight, wanted)
                found[name][level].append(1 - spend / single_usd[best])
            enough = single_usd[single_quality >= wanted].min()
            found["best cheaper single"][level].append(1 - enough / single_usd[best])
    return {
        name: Saved(at={level: interval(each[0], each[1:]) for level, each in levels.items()})
        for name, levels in found.items()
    }


def by_task(
    pool: Pool, predicted: Doubles, level: float, *, draws: int, seed: int
) -> dict[str, Interval]:
    """Mean score of each task beside the best single model's, where all of them reach a level.

    Scores of different metrics do not add up: a mean over tasks may hide one that has lost.
    """
    picks, rows = _frontier(predicted, pool), np.arange(len(pool.prompts))
    scores, usd = pool.scores[rows, picks], pool.usd[rows, picks]
    best = pool.scores[:, int(np.argmax(pool.scores.mean(axis=0)))]
    tasks = {task: np.array(pool.tasks) == task for task in sorted(set(pool.tasks))}
    found: dict[str, list[float]] = {task: [] for task in tasks}
    for weight in drawn(len(rows), draws, seed):
        reach = np.flatnonzero(scores @ weight >= level * (best @ weight))
        chosen = scores[reach[np.argmin(usd[reach] @ weight)]]
        for task, here in tasks.items():
            found[task].append(float(np.average((chosen - best)[here], weights=weight[here])))
    return {task: interval(each[0], each[1:]) for task, each in found.items()}


def paired(
    pool: Pool, one: Doubles, other: Doubles, level: float, *, draws: int, seed: int
) -> Interval:
    """What one router saves more than another, on the same draws."""
    ways = [_frontier(scores, pool) for scores in (one, other)]
    rows = np.arange(len(pool.prompts))
    tables = [(pool.scores[rows, each], pool.usd[rows, each]) for each in ways]
    best = int(np.argmax(pool.scores.mean(axis=0)))
    rng, count, found = np.random.default_rng(seed), len(rows), []
    for draw in range(draws + 1):
        sample = rng.integers(count, size=count) if draw else rows
        weight = np.bincount(sample, minlength=count) / count
        wanted = level * float(weight @ pool.scores[:, best])
        whole = float(weight @ pool.usd[:, best])
        spends = [_dollars(quality @ weight, usd @ weight, wanted) for quality, usd in tables]
        found.append((spends[1] - spends[0]) / whole)
    return interval(found[0], found[1:])


def _frontier(predicted: Doubles, pool: Pool, points: int = 120) -> Index:
    """The chosen column of each row at each setting of the dial, shape (settings, rows)."""
    scale = float(pool.usd.mean())
    dials = np.concatenate([[0.0], np.geomspace(1e-3, 10, points)]) / scale
    order = np.argsort(pool.usd.mean(axis=0), kind="stable")
    worth = predicted[:, order]
    picks: Index = order[
        np.stack([np.argmax(worth - dial * pool.usd[:, order], axis=1) for dial in dials])
    ]
    return picks


def _dollars(quality: Doubles, usd: Doubles, wanted: float) -> float:
    """The least dollars for a quality, mixing any two points of a frontier."""
    reach = quality >= wanted
    if not reach.any():
        return float("inf")
    least = float(usd[reach].min())
    for at in np.flatnonzero(~reach):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (wanted - quality[at]) / (quality[reach] - quality[at])
            mixed = usd[at] + share * (usd[reach] - usd[at])
        least = min(least, float(np.nanmin(mixed)))
    return least


def figures(data: Path, *, embeddings: Path | None, draws: int, seed: int) -> dict[str, Figure]:
    """Dollars saved by every router and baseline, and ours less the task mean."""
    dense = None
    if embeddings is not None and (embeddings / f"{SPLIT}.npy").exists():
        dense = np.asarray(np.load(embeddings / f"{SPLIT}.npy"), dtype=np.float32)
    pool = read_pool(load(SPLIT, data), dense)
    predicted = out_of_fold(pool, k=5, seed=seed)
    found = {}
    for name, each in saved(pool, predicted, draws=draws, seed=seed).items():
        for level, share in each.at.items():
            found[f"nine models, {name}: saved at {level:.0%}"] = in_figure(
                share, better="higher", unit="% of dollars", scale=100
            )
    means = predicted["task mean (given the task)"]
    changes = by_task(pool, predicted["ours"], LEVELS[-1], draws=draws, seed=seed)
    for task, change in changes.items():
        found[f"nine models, ours at {LEVELS[-1]:.0%}: {task} less the best single"] = in_figure(
            change, better="higher", unit="points of score", scale=100
        )
    for name in (router for router in predicted if router.startswith("ours")):
        for level in LEVELS:
            more = paired(pool, predicted[name], means, level, draws=draws, seed=seed)
            found[f"nine models, {name} less task mean: saved at {level:.0%}"] = in_figure(
                more, asked=0.0, better="higher", unit="points of dollars", scale=100
            )
    return found
