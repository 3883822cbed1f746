"""Routers that decide before any model is asked: MMLU and GSM8K, out of fold.

Every row is scored by a model that was fitted without it (five folds, several seeds). Beside ours:
the length of the prompt, a hashed linear model on the same n-grams, and on MMLU the mean gain of
the row's true domain, which our router is never told. `tasks=False` fits without domains as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from _figures import Figure
from numpy.typing import NDArray

from frugal_chains.routing.calibration import QualityFloor, calibrate, read_log
from frugal_chains.routing.gain import BlendedGain, Example, fit_gain
from routing.protocol import Chosen, Comparison, carried, compare, folds, in_figure, load

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Index = NDArray[np.intp]

FOLDS = 5
NAMES = ("weak", "strong")
_LINEAR_BUCKETS = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A data set of two models."""

    prompts: list[str]
    weak: Doubles
    strong: Doubles
    domains: list[str]
    embeddings: Floats | None = None

    @property
    def gains(self) -> Doubles:
        """What the strong model wins on each row."""
        return self.strong - self.weak

    def examples(self, rows: Index, *, tasks: bool) -> list[Example]:
        """Some rows as a gain model learns them."""
        return [
            Example(
                prompt=self.prompts[at],
                scores={"weak": float(self.weak[at]), "strong": float(self.strong[at])},
                task=self.domains[at] if tasks else "",
                embedding=None if self.embeddings is None else self.embeddings[at].tolist(),
            )
            for at in rows.tolist()
        ]


@dataclass(slots=True)
class Unseen:
    """Each router's scores of rows it did not see, one array for each seed."""

    scores: dict[str, list[Doubles]] = field(default_factory=dict)

    def put(self, router: str, seed: int, rows: Index, values: Doubles, count: int) -> None:
        """Keep the scores of one fold."""
        seeds = self.scores.setdefault(router, [])
        while len(seeds) <= seed:
            seeds.append(np.full(count, np.nan))
        seeds[seed][rows] = values


def read_pair(rows: Sequence[Mapping[str, Any]], embeddings: Floats | None = None) -> Pair:
    """Bring a split of `protocol.load` into arrays."""
    return Pair(
        prompts=[row["prompt"] for row in rows],
        weak=np.array([row["weak"] for row in rows], dtype=np.float64),
        strong=np.array([row["strong"] for row in rows], dtype=np.float64),
        domains=[row.get("domain", "") for row in rows],
        embeddings=embeddings,
    )


def out_of_fold(pair: Pair, *, seeds: int, labels: int | None = None) -> Unseen:
    """Score every row by models that did not see it.

    Args:
        pair: The data.
        seeds: How many ways the rows are dealt out.
        labels: Learn from no more than so many rows of the other folds.
    """
    found, count = Unseen(), len(pair.prompts)
    sizes = np.log1p([len(prompt) for prompt in pair.prompts])
    known_domains = any(pair.domains)
    for seed in range(seeds):
        for held in folds(pair.prompts, FOLDS, seed):
            kept = np.setdiff1d(np.arange(count), held)
            if labels is not None:
                kept = np.random.default_rng(seed).permutation(kept)[:labels]
            for router, values in _fold(pair, kept, held, known_domains, seed).items():
                found.put(router, seed, held, values, count)
    found.scores["length"] = [sizes]
    return found


def _fold(
    pair: Pair, kept: Index, held: Index, known_domains: bool, seed: int
) -> dict[str, Doubles]:
    asked = [pair.prompts[at] for at in held.tolist()]
    model = fit_gain(pair.examples(kept, tasks=True), NAMES, seed=seed).model
    found = {"ours": _gain(model, asked)}
    if pair.embeddings is not None:
        found["ours, embedder"] = _gain(model, asked, pair.embeddings[held])
    found["hashed linear"] = hashed_linear(pair, kept, held)
    if known_domains:
        bare = fit_gain(
            replace(pair, embeddings=None).examples(kept, tasks=False), NAMES, seed=seed
        )
        found["ours, no domains in the log"] = _gain(bare.model, asked)
        found["known domain"] = domain_prior(pair, kept, held)
    return found


def _gain(model: BlendedGain, asked: Sequence[str], embeddings: Floats | None = None) -> Doubles:
    scores = model.predict_many(asked, embeddings)
    return np.asarray(scores[:, 1] - scores[:, 0])


def domain_prior(pair: Pair, kept: Index, held: Index) -> Doubles:
    """Mean gain of the row's true domain, ten rows of the overall mean added to each."""
    gains, overall = pair.gains, float(pair.gains[kept].mean())
    sums: dict[str, list[float]] = {}
    for at in kept.tolist():
        sums.setdefault(pair.domains[at], []).append(float(gains[at]))
    means = {name: (sum(each) + 10 * overall) / (len(each) + 10) for name, each in sums.items()}
    return np.array([means.get(pair.domains[at], overall) for at in held.tolist()])


def hashed_linear(pair: Pair, kept: Index, held: Index) -> Doubles:
    """The plain baseline: stochastic gradient descent on hashed words and pairs, squared error."""
    rng, weights = np.random.default_rng(0), np.zeros(_LINEAR_BUCKETS)
    found = {at: _hashed(pair.prompts[at]) for at in (*kept.tolist(), *held.tolist())}
    gains, overall = pair.gains, float(pair.gains[kept].mean())
    for step in (0.5, 0.25, 0.12):
        for at in rng.permutation(kept).tolist():
            ids = found[at]
            error = gains[at] - overall - weights[ids].sum() / np.sqrt(len(ids))
            np.add.at(weights, ids, step * error / np.sqrt(len(ids)))
    return np.array([weights[found[at]].sum() / np.sqrt(len(found[at])) for at in held.tolist()])


def _hashed(prompt: str) -> Index:
    cut = prompt.lower().split()
    grams = cut + [f"{one} {other}" for one, other in pairwise(cut)]
    return np.unique([crc32(gram.encode()) % _LINEAR_BUCKETS for gram in grams or [""]])


def measured(found: Unseen, pair: Pair, *, draws: int, seed: int) -> Comparison:
    """Measure all routers, and each of ours beside every baseline."""
    references = [name for name in found.scores if not name.startswith("ours")]
    ours = [name for name in found.scores if name.startswith("ours")]
    versus = [(one, other) for one in ours for other in references]
    return compare(found.scores, pair.gains, versus=versus, draws=draws, seed=seed)


def carried_thresholds(pair: Pair, *, floor: float, seeds: int) -> list[Chosen]:
    """Calibrate on a random half for a part of the gap, and let it choose for the other half."""
    return [_carried(pair, floor, seed) for seed in range(seeds)]


def _carried(pair: Pair, floor: float, seed: int) -> Chosen:
    learned, unseen = folds(pair.prompts, 2, seed)
    rows = [
        {"prompt": pair.prompts[at], "model": name, "score": float(scores[at]),
         "task": pair.domains[at]}
        for at in learned.tolist()
        for name, scores in (("weak", pair.weak), ("strong", pair.strong))
    ]  # fmt: skip
    result = calibrate(
        read_log(rows), QualityFloor(of_gap=floor), costs={"weak": 0.0, "strong": 1.0}, seed=seed
    )
    predicted = result.model.predict_many([pair.prompts[at] for at in unseen.tolist()])
    column = {name: at for at, name in enumerate(result.model.names)}
    gain = predicted[:, column["strong"]] - predicted[:, column["weak"]]
    return Chosen(rows=unseen, scores=gain, strong=gain > result.exchange)


def fit_seconds(pair: Pair) -> float:
    """How long fitting on all rows takes, in seconds."""
    start = time.perf_counter()
    fit_gain(pair.examples(np.arange(len(pair.prompts)), tasks=True), NAMES)
    return time.perf_counter() - start


def load_embeddings(folder: Path | None, name: str) -> Floats | None:
    """Read stored embeddings of a split, in the order of its rows; None where there are none."""
    path = None if folder is None else folder / f"{name}.npy"
    if path is None or not path.exists():
        return None
    return np.asarray(np.load(path), dtype=np.float32)


def figures(
    data: Path, *, embeddings: Path | None, seeds: int, draws: int, seed: int
) -> dict[str, Figure]:
    """Every pre-call figure that is asked for, and the baselines beside it.

    Args:
        data: The folder of the splits.
        embeddings: A folder with `<split>.npy`; without one the embedder's figures are left out.
        seeds: How many ways the rows are dealt out.
        draws: Of the bootstrap.
        seed: Of the bootstrap.
    """
    mmlu = read_pair(load("routellm_mmlu", data), load_embeddings(embeddings, "routellm_mmlu"))
    gsm8k = read_pair(load("routellm_gsm8k", data), load_embeddings(embeddings, "routellm_gsm8k"))
    found: dict[str, Figure] = {}
    runs: tuple[tuple[str, Pair, int | None, Mapping[str, float]], ...] = (
        ("mmlu", mmlu, None, {"ours": 0.66, "ours, embedder": 0.70}),
        ("mmlu 1,500 labels", mmlu, 1500, {"ours": 0.63}),
        ("gsm8k", gsm8k, None, {}),
    )
    for name, pair, labels, asked in runs:
        result = measured(
            out_of_fold(pair, seeds=seeds, labels=labels), pair, draws=draws, seed=seed
        )
        found |= _apgr(name, result, asked)
    for floor in (0.5, 0.8, 0.95):
        chosen = carried_thresholds(mmlu, floor=floor, seeds=seeds)
        there = carried(chosen, mmlu.gains, floor, draws=draws, seed=seed)
        key = f"mmlu floor {floor:.0%} of the gap"
        found[f"{key}: recovered beside asked"] = in_figure(
            there.recovered, asked=1.0, better="higher", unit="ratio", scale=1 / floor
        )
        found[f"{key}: reached"] = in_figure(
            there.reached, better="higher", unit="% of splits", scale=100
        )
        found[f"{key}: more strong calls than hindsight"] = in_figure(
            there.excess, asked=10.0, better="lower", unit="points", scale=100
        )
    return found


def _apgr(name: str, result: Comparison, asked: Mapping[str, float]) -> dict[str, Figure]:
    found = {}
    for router, each in result.routers.items():
        key = f"{name}, {router}"
        found[f"{key}: APGR"] = in_figure(
            each.apgr, asked=asked.get(router), better="higher", unit="APGR"
        )
        found[f"{key}: CPT50"] = in_figure(each.cpt50, better="lower", unit="% of calls")
        found[f"{key}: CPT80"] = in_figure(each.cpt80, better="lower", unit="% of calls")
    for (router, reference), each in result.versus.items():
        # Never below prompt length, and never below the domain that our router is not told.
        least = 0.0 if router == "ours" and reference in ("length", "known domain") else None
        found[f"{name}, {router} less {reference}: APGR"] = in_figure(
            each.apgr, asked=least, better="higher", unit="APGR"
        )
    return found
