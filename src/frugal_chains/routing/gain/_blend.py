"""The gain model: several simple predictors, weighed by how well each predicts rows it never saw.

A prediction has two parts, and each predictor has a weight in both. The *level* is the mean over
candidates: how hard the question is. The *contrast* is what one candidate differs from that mean:
the gain. They are weighed apart because a predictor may know one and not the other. Weights are
found on out-of-fold predictions and are never negative, so that a predictor that is mere noise gets
none, and with little data the blend is little more than each candidate's mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.gain import _logistic as logistic
from frugal_chains.routing.gain._encode import SHAPE, Encoded, Encoder
from frugal_chains.routing.gain._logistic import Design, Logistic
from frugal_chains.routing.gain._neighbours import Neighbours
from frugal_chains.routing.gain._scores import Example, Scores
from frugal_chains.routing.gain._tasks import Tasks, chances, learn_trust, spread_over

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

PENALTIES: Final = (8.0, 4.0, 2.0)
"""Of the words' weights, strongest first; the one with the least out-of-fold loss is taken."""
_SHAPE_PENALTY: Final = 1.0
FOLDS: Final = 5
TEXT: Final = ("words", "shape", "tasks")
"""Predictors that need the question alone; `tasks` says nothing where rows named none."""
BOTH: Final = (*TEXT, "neighbours")
"""Predictors where there is an embedding: it tells tasks too."""
_WEIGHT_PENALTY: Final = 1e-3
"""Draws weights of predictors that say the same together, as part of their own sum of squares."""
_PRIOR_SPREAD: Final = 0.5
"""How far from the equal weight one may be before rows have said anything; weights are 0 to 1."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of each predictor, in the order of `TEXT` or `BOTH`."""

    level: Doubles
    contrast: Doubles


@dataclass(frozen=True, slots=True)
class BlendedGain:
    """A `GainModel` made of words, shape, tasks and, where rows had embeddings, neighbours."""

    names: tuple[str, ...]
    encoder: Encoder
    base: Doubles
    """Mean score of each candidate."""
    rows: int
    """How many rows it has learned from."""
    words: Logistic
    shape: Logistic
    tasks: Tasks | None
    neighbours: Neighbours | None
    by_text: Weights
    """Of the predictors of text alone;"""
    by_both: Weights | None
    """and of all of them, where there are embeddings."""

    @property
    def needs_embedding(self) -> bool:
        """Whether it was calibrated with embeddings."""
        return self.neighbours is not None

    def predict(self, question: str, embedding: Sequence[float] | None = None) -> Scores:
        """Predict each candidate's quality; without an embedding from the text alone."""
        encoded = self.encoder.encode(question)
        dense = None
        if self.neighbours is not None and embedding is not None:
            dense = np.asarray(embedding, dtype=np.float32)[None, :]
        row = self._predict([encoded], dense)[0]
        return Scores(dict(zip(self.names, row.tolist(), strict=True)))

    def predict_many(self, questions: Sequence[str], embeddings: Floats | None = None) -> Doubles:
        """Predict many questions at once, shape (questions, candidates)."""
        return self._predict([self.encoder.encode(question) for question in questions], embeddings)

    def distinct(self, question: str) -> str:
        """Return the part of a question that many calibration prompts do not share: embed this."""
        return self.encoder.distinct(question)

    def explain(
        self,
        question: str,
        embedding: Sequence[float] | None = None,
        *,
        stronger: str | None = None,
        cheaper: str | None = None,
    ) -> tuple[str, ...]:
        """Say why one candidate is expected to be better than another at this question.

        Without names: the best of all by its mean, beside the best of the others here.
        """
        scores = self.predict(question, embedding)
        strong = stronger or self.names[int(np.argmax(self.base))]
        others = [name for name in self.names if name != strong]
        cheap = cheaper or max(others, key=scores.__getitem__)
        encoded = self.encoder.encode(question)
        lines = [
            f"{strong} {scores[strong]:.2f}, {cheap} {scores[cheap]:.2f}: "
            f"gain {scores.gain(strong, cheap):+.2f}",
            *self._because_of_words(question, encoded, strong, cheap),
            *self._because_of_tasks(encoded, embedding),
        ]
        if embedding is not None:
            lines += self._because_of_neighbours(embedding, strong, cheap)
        return tuple(lines)

    def learned(self, examples: Sequence[Example]) -> BlendedGain:
        """Return the model after some more rows; the weights of the blend stay.

        Every predictor learns from each row: words by one online Newton step, tasks and the means
        by counting, neighbours by remembering.
        """
        if not examples:
            return self
        scores = score_table(examples, self.names)
        questions = [self.encoder.encode(example.prompt) for example in examples]
        known = ~np.isnan(scores)
        total = self.base * self.rows + np.where(known, scores, self.base).sum(axis=0)
        rows = self.rows + len(examples)
        base = total / rows
        neighbours = self.neighbours
        kept = [at for at, example in enumerate(examples) if example.embedding is not None]
        if neighbours is not None and kept:
            dense = np.array([examples[at].embedding for at in kept], dtype=np.float32)
            filled = np.where(known, scores, base)[kept]
            neighbours = neighbours.learned(dense, filled, [examples[at].prompt for at in kept])
        tasks = self.tasks
        if tasks is not None:
            tasks = tasks.learned(questions, scores, [example.task for example in examples])
        return replace(
            self,
            base=base,
            rows=rows,
            words=self.words.learned(questions, scores),
            tasks=tasks,
            neighbours=neighbours,
        )

    def _predict(self, questions: Sequence[Encoded], dense: Floats | None) -> Doubles:
        weights, asked = self.by_text, None
        if dense is not None and self.by_both is not None:
            weights, asked = self.by_both, dense
        parts = _parts(questions, asked, self.words, self.shape, self.tasks, self.neighbours)
        return np.clip(self.base + _mix(_less(parts, self.base), weights), 0.0, 1.0)

    def _because_of_words(
        self, question: str, encoded: Encoded, strong: str, cheap: str
    ) -> list[str]:
        one, other = self.names.index(strong), self.names.index(cheap)
        names = self.encoder.gram_names(question)
        difference = self.words.grams[encoded.ids, one] - self.words.grams[encoded.ids, other]
        pushes = list(
            zip((difference * encoded.values).tolist(), encoded.ids.tolist(), strict=True)
        )
        shape = logistic.scaled(encoded.shape) * (
            self.words.shape[:, one] - self.words.shape[:, other]
        )
        named = [(push, repr(names[at])) for push, at in pushes if at in names]
        named += list(zip(shape.tolist(), SHAPE, strict=True))
        named.sort(key=lambda each: (-abs(each[0]), each[1]))
        return [f"{name}: {push:+.2f}" for push, name in named[:5] if abs(push) >= 0.005]

    def _because_of_tasks(self, encoded: Encoded, embedding: Sequence[float] | None) -> list[str]:
        if self.tasks is None:
            return []
        dense = None
        if embedding is not None and self.neighbours is not None:
            dense = np.asarray(embedding, dtype=np.float32)[None, :]
        chances = self.tasks.posterior([encoded], dense)[0]
        order = np.argsort(-chances, kind="stable")[:2]
        return [
            f"{chances[at]:.0%} like the task {self.tasks.names[at]!r}"
            for at in order
            if chances[at] >= 0.1
        ]

    def _because_of_neighbours(
        self, embedding: Sequence[float], strong: str, cheap: str
    ) -> list[str]:
        if self.neighbours is None:
            return []
        one, other = self.names.index(strong), self.names.index(cheap)
        near = self.neighbours.nearest(np.asarray(embedding, dtype=np.float32), 3)
        scores, prompts = self.neighbours.scores, self.neighbours.prompts
        return [
            f"like {prompts[row]!r} (cosine {likeness:.2f}): gain "
            f"{scores[row, one] - scores[row, other]:+.2f}"
            for likeness, row in near
        ]


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
    by_text = _weigh(unseen.text, deviation)
    unseen_text = np.clip(unseen.base + _mix(unseen.text, by_text), 0.0, 1.0)
    by_both, unseen_both = None, unseen_text
    if unseen.both is not None:
        by_both = _weigh(unseen.both, deviation)
        unseen_both = np.clip(unseen.base + _mix(unseen.both, by_both), 0.0, 1.0)
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


def score_table(examples: Sequence[Example], names: Sequence[str]) -> Doubles:
    """Return scores, shape (rows, candidates); NaN where a candidate was not asked."""
    nan = float("nan")
    rows = [[example.scores.get(name, nan) for name in names] for example in examples]
    return np.array(rows, dtype=np.float64).reshape(len(examples), len(names))


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
    names = tuple(sorted({task for task in tasks if task}))
    evidence = np.zeros((3 if dense is not None else 2, count, len(names)))
    means = np.zeros((count, len(names), scores.shape[1])) if len(names) > 1 else None
    for held in group_folds(prompts, min(FOLDS, len(set(prompts))), seed):
        kept = np.setdiff1d(np.arange(count), held)
        encoder = Encoder.fit([prompts[at] for at in kept])
        questions = [encoder.encode(prompts[at]) for at in kept]
        asked = [encoder.encode(prompts[at]) for at in held]
        mean = np.nanmean(scores[kept], axis=0)
        base[held] = mean
        for penalty, model in _words(questions, scores[kept], PENALTIES).items():
            by_penalty[penalty][held] = [model.predict(each) for each in asked]
        shape = _shape(questions, scores[kept])
        parts[1, held] = [shape.predict(each) for each in asked] - mean
        ours = None if dense is None else dense[kept]
        kind = Tasks.fit(questions, scores[kept], [tasks[at] for at in kept], ours)
        if kind is not None and means is not None:
            theirs = None if dense is None else dense[held]
            found = kind.evidence(asked, theirs)
            evidence[:, held] = spread_over(found, kind.names, names)
            column = np.array([names.index(name) for name in kind.names])
            means[np.ix_(held, column)] = kind.means - mean
        near = _neighbours(ours, scores[kept], mean, [""] * len(kept))
        if near is not None and dense is not None:
            parts[3, held] = near.predict(dense[held]) - mean
    best = min(PENALTIES, key=lambda each: _loss(by_penalty[each], scores))
    parts[0] = by_penalty[best] - base
    trust = trust_dense = np.zeros(0)
    both = parts.copy()
    if means is not None:
        kinds = np.array([names.index(task) if task else -1 for task in tasks])
        named = np.flatnonzero(kinds >= 0)
        common = np.log(np.bincount(kinds[named], minlength=len(names)) / len(named))
        trust = learn_trust(evidence[:2, named], kinds[named], common)
        chance = chances(evidence[:2], trust, common)
        parts[2] = np.einsum("rt,rtm->rm", chance, means)
        if dense is not None:
            trust_dense = learn_trust(evidence[:, named], kinds[named], common)
            chance = chances(evidence, trust_dense, common)
            both[2] = np.einsum("rt,rtm->rm", chance, means)
            both[0] = parts[0]
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


def _parts(
    questions: Sequence[Encoded],
    dense: Floats | None,
    words: Logistic,
    shape: Logistic,
    tasks: Tasks | None,
    neighbours: Neighbours | None,
) -> list[Doubles | None]:
    """Return what each predictor says, in the order of `TEXT` or `BOTH`; None: it says nothing."""
    parts: list[Doubles | None] = [
        np.stack([words.predict(each) for each in questions]).astype(np.float64),
        np.stack([shape.predict(each) for each in questions]).astype(np.float64),
        None if tasks is None else tasks.posterior(questions, dense) @ tasks.means,
    ]
    if dense is not None and neighbours is not None:
        parts.append(neighbours.predict(dense).astype(np.float64))
    return parts


def _less(parts: Sequence[Doubles | None], base: Doubles) -> Doubles:
    """Return deviations from the base, shape (predictors, questions, candidates)."""
    size = next(len(part) for part in parts if part is not None)
    silent = np.zeros((size, len(base)))
    return np.stack([silent if part is None else part - base for part in parts])


def _mix(parts: Doubles, weights: Weights) -> Doubles:
    level = parts.mean(axis=-1, keepdims=True)
    mixed: Doubles = (
        weights.level[:, None, None] * level + weights.contrast[:, None, None] * (parts - level)
    ).sum(axis=0)
    return mixed


def _loss(predicted: Doubles, scores: Doubles) -> float:
    return float(np.nanmean((predicted - scores) ** 2))


def _weigh(parts: Doubles, wanted: Doubles) -> Weights:
    """Find the weights whose mix is nearest to what was wanted; NaN is not known."""
    known = ~np.isnan(wanted)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    target = np.where(known, wanted, 0.0)
    level = target.sum(axis=1, keepdims=True) / count
    inside = np.where(known, parts, 0.0)
    levels = inside.sum(axis=-1, keepdims=True) / count
    contrasts = np.where(known, parts - levels, 0.0)
    differing = np.where(known, wanted - level, 0.0)
    return Weights(
        level=_steady(levels.reshape(len(parts), -1).T, level.ravel()),
        contrast=_steady(contrasts.reshape(len(parts), -1).T, differing.ravel()),
    )


def _steady(features: Doubles, target: Doubles) -> Doubles:
    """Weights that data have to earn: between equal ones and the best ones of these rows.

    The best weights of a few rows are noise; equal ones for all predictors that have any are hard
    to beat (Bates and Granger 1969, and many after them), until there is much to learn from. So
    each weight has a normal prior around the equal one, and the rows' noise says how far to go.
    """
    best = non_negative(features, target)
    together = features @ (best > 0)
    energy = float(together @ together)
    equal = max(0.0, float(together @ target)) / energy if energy else 0.0
    noise = float(np.mean((target - features @ best) ** 2))
    pull = noise / _PRIOR_SPREAD**2
    toward: Doubles = np.where(best > 0, equal, 0.0)
    return non_negative(features, target, pull=pull, toward=toward)


def non_negative(
    features: Doubles, target: Doubles, *, pull: float = 0.0, toward: Doubles | None = None
) -> Doubles:
    """Least squares with weights that are not negative, by coordinate descent.

    `pull` is the strength of a ridge penalty on the distance from `toward`.
    """
    count = features.shape[1]
    square = features.T @ features + pull * np.eye(count)
    diagonal = np.diag(square) * (1 + _WEIGHT_PENALTY)
    right = features.T @ target + pull * (np.zeros(count) if toward is None else toward)
    weights = np.zeros(count)
    for _ in range(500):
        before = weights.copy()
        for at in np.flatnonzero(diagonal > 1e-12):
            rest = right[at] - square[at] @ weights + square[at, at] * weights[at]
            weights[at] = max(0.0, rest / diagonal[at])
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights
