"""Fitting a gain model: every predictor out of fold first, then the weights, then on all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.gain import _logistic as logistic
from frugal_chains.routing.gain._blend import BOTH, TEXT, BlendedGain
from frugal_chains.routing.gain._encode import Encoded, Encoder
from frugal_chains.routing.gain._logistic import Design, Logistic
from frugal_chains.routing.gain._neighbours import Neighbours
from frugal_chains.routing.gain._scores import Example, score_table
from frugal_chains.routing.gain._tasks import Tasks, chances, learn_trust, spread_over
from frugal_chains.routing.gain._weigh import mixed_by, weigh

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

PENALTIES: Final = (8.0, 4.0, 2.0)
"""Of the words' weights, strongest first; the one with the least out-of-fold loss is taken."""
_SHAPE_PENALTY: Final = 1.0
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and what its predictors said of each calibration row without having seen it."""

    model: BlendedGain
    unseen: Doubles
    """Out-of-fold predictions, shape (rows, candidates)."""
    unseen_text: Doubles
    """The same without embeddings."""


def fit_gain(examples: Sequence[Example], names: Sequence[str], *, seed: int = 0) -> Fitted:
    """Fit a model, its weights chosen by cross-validation inside the rows.

    Args:
        examples: At least two prompts for each fold; embeddings on all rows or on none.
        names: The candidates.
        seed: Deals the rows out into folds.
    """
    scores = score_table(examples, names)
    prompts = [example.prompt for example in examples]
    tasks = [example.task for example in examples]
    dense = None
    if all(example.embedding is not None for example in examples):
        dense = np.array([example.embedding for example in examples], dtype=np.float32)
    unseen = _out_of_fold(prompts, scores, tasks, dense, seed)
    deviation = scores - unseen.base
    by_text = weigh(unseen.text, deviation)
    unseen_text = np.clip(unseen.base + mixed_by(unseen.text, by_text), 0.0, 1.0)
    by_both, unseen_both = None, unseen_text
    if unseen.both is not None:
        by_both = weigh(unseen.both, deviation)
        unseen_both = np.clip(unseen.base + mixed_by(unseen.both, by_both), 0.0, 1.0)
    encoder = Encoder.fit(prompts)
    questions = [encoder.encode(prompt) for prompt in prompts]
    mean = np.nanmean(scores, axis=0)
    kind = Tasks.fit(questions, scores, tasks, dense)
    if kind is not None:
        kind = replace(kind, trust=unseen.trust, trust_dense=unseen.trust_dense)
    model = BlendedGain(
        names=tuple(names),
        encoder=encoder,
        base=mean,
        rows=len(examples),
        words=_words(questions, scores, (unseen.penalty,))[unseen.penalty],
        shape=_shape(questions, scores),
        tasks=kind,
        neighbours=_neighbours(dense, scores, mean, prompts),
        by_text=by_text,
        by_both=by_both,
    )
    return Fitted(model, unseen_both, unseen_text)


def group_folds(prompts: Sequence[str], count: int, seed: int) -> list[Index]:
    """Deal rows out into folds at random; rows of one prompt share a fold."""
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts])
    fold = (np.random.default_rng(seed).permutation(len(numbers)) % count)[group]
    return [np.flatnonzero(fold == number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Unseen:
    """What the predictors said of rows they had not learned from, less the base."""

    text: Doubles
    """Shape (predictors, rows, candidates), in the order of `TEXT`;"""
    both: Doubles | None
    """in that of `BOTH`."""
    base: Doubles
    """Each candidate's mean in the other folds, shape (rows, candidates)."""
    penalty: float
    trust: Doubles
    trust_dense: Doubles


class _UnseenTasks:
    """What the evidence says of the tasks of rows that were not learned from, fold by fold."""

    def __init__(self, tasks: Sequence[str], kinds: int, candidates: int) -> None:
        """Args:
        tasks: Of each row; empty where it names none.
        kinds: Of evidence: n-grams and shape, and the embedding where there is one.
        """
        self._names = names = tuple(sorted({task for task in tasks if task}))
        self._number = np.array([names.index(task) if task else -1 for task in tasks])
        self._evidence = np.zeros((kinds, len(tasks), len(names)))
        self._means = np.zeros((len(tasks), len(names), candidates))

    def hold(self, rows: Index, kind: Tasks, evidence: Doubles, mean: Doubles) -> None:
        """Keep what the model of the other rows says of these, less the candidates' `mean`."""
        self._evidence[:, rows] = spread_over(evidence, kind.names, self._names)
        column = np.array([self._names.index(name) for name in kind.names])
        self._means[np.ix_(rows, column)] = kind.means - mean

    def trusted(self, kinds: int) -> tuple[Doubles, Doubles]:
        """The trust in the first so many kinds of evidence, and what the tasks then predict: the
        mean over those a row may be of, shape (rows, candidates)."""
        named = np.flatnonzero(self._number >= 0)
        of_named = self._number[named]
        common = np.log(np.bincount(of_named, minlength=len(self._names)) / len(named))
        trust = learn_trust(self._evidence[:kinds, named], of_named, common)
        chance = chances(self._evidence[:kinds], trust, common)
        return trust, np.einsum("rt,rtm->rm", chance, self._means)


def _out_of_fold(
    prompts: Sequence[str],
    scores: Doubles,
    tasks: Sequence[str],
    dense: Floats | None,
    seed: int,
) -> _Unseen:
    count = len(prompts)
    parts = np.zeros((len(BOTH), *scores.shape))
    by_penalty: Mapping[float, Doubles] = {each: np.zeros_like(scores) for each in PENALTIES}
    base = np.zeros_like(scores)
    unseen_tasks = None
    if len(set(tasks) - {""}) > 1:
        unseen_tasks = _UnseenTasks(tasks, 2 if dense is None else 3, scores.shape[1])
    for held in group_folds(prompts, min(FOLDS, len(set(prompts))), seed):
        kept = np.setdiff1d(np.arange(count), held)
        encoder = Encoder.fit([prompts[at] for at in kept])
        questions = [encoder.encode(prompts[at]) for at in kept]
        asked = [encoder.encode(prompts[at]) for at in held]
        ours, theirs = (None, None) if dense is None else (dense[kept], dense[held])
        base[held] = mean = np.nanmean(scores[kept], axis=0)
        for penalty, model in _words(questions, scores[kept], PENALTIES).items():
            by_penalty[penalty][held] = [model.predict(each) for each in asked]
        shape = _shape(questions, scores[kept])
        parts[1, held] = [shape.predict(each) for each in asked] - mean
        kind = Tasks.fit(questions, scores[kept], [tasks[at] for at in kept], ours)
        if kind is not None and unseen_tasks is not None:
            unseen_tasks.hold(held, kind, kind.evidence(asked, theirs), mean)
        near = _neighbours(ours, scores[kept], mean, [""] * len(kept))
        if near is not None and theirs is not None:
            parts[3, held] = near.predict(theirs) - mean
    best = min(PENALTIES, key=lambda each: _loss(by_penalty[each], scores))
    parts[0] = by_penalty[best] - base
    both = parts.copy()
    trust = trust_dense = np.zeros(0)
    if unseen_tasks is not None:
        trust, parts[2] = unseen_tasks.trusted(2)
        if dense is not None:
            trust_dense, both[2] = unseen_tasks.trusted(3)
    return _Unseen(
        text=parts[: len(TEXT)],
        both=None if dense is None else both,
        base=base,
        penalty=best,
        trust=trust,
        trust_dense=trust_dense,
    )


def _words(
    questions: Sequence[Encoded], scores: Doubles, penalties: Sequence[float]
) -> dict[float, Logistic]:
    design = Design.of(questions)
    found: dict[float, Logistic] = {}
    weights = None
    for penalty in penalties:
        weights, curvature = logistic.fit(design, scores, penalty, weights)
        found[penalty] = logistic.pack(design, weights, curvature, penalty)
    return found


def _shape(questions: Sequence[Encoded], scores: Doubles) -> Logistic:
    design = Design.of(questions, grams=False)
    return logistic.pack(design, *logistic.fit(design, scores, _SHAPE_PENALTY), _SHAPE_PENALTY)


def _neighbours(
    dense: Floats | None, scores: Doubles, mean: Doubles, prompts: Sequence[str]
) -> Neighbours | None:
    if dense is None:
        return None
    return Neighbours.fit(dense, np.where(np.isnan(scores), mean, scores), prompts)


def _loss(predicted: Doubles, scores: Doubles) -> float:
    return float(np.nanmean((predicted - scores) ** 2))
