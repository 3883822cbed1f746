"""Nearest neighbours: what the candidates won on the calibration questions most like this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

SIZE: Final = 80
"""Fewer see more detail and more noise; what 40 or 160 predict differs little."""
_LEAST_PART: Final = 4
"""Never more than this part of the rows are neighbours: of 200 rows, 50."""
_SHARPNESS: Final = 6.0
"""A neighbour's weight grows e-fold with each 1/6 of cosine."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The calibration questions' embeddings and scores."""

    centre: Floats
    """Mean of the embeddings: what all questions share is taken off before cosines."""
    vectors: Floats
    """Centred, of length 1; shape (rows, dimensions)."""
    scores: Floats
    """Shape (rows, candidates); the mean of the candidate where it was not asked."""
    prompts: tuple[str, ...]
    """Beginnings of the questions, for explanations."""

    @classmethod
    def fit(cls, embeddings: Floats, scores: Doubles, prompts: Sequence[str]) -> Neighbours:
        """From embeddings, shape (rows, dimensions), and scores without NaN."""
        centre = embeddings.mean(axis=0)
        vectors = _unit(embeddings - centre)
        return cls(centre, vectors, scores.astype(np.float32), tuple(map(_beginning, prompts)))

    def predict(self, embeddings: Floats) -> Floats:
        """Mean score of the neighbours, the nearer the heavier, shape (rows, candidates)."""
        likeness = _unit(embeddings - self.centre) @ self.vectors.T
        size = min(SIZE, max(1, len(self.vectors) // _LEAST_PART))
        near = np.argpartition(-likeness, size - 1, axis=1)[:, :size]
        weight = np.exp(_SHARPNESS * np.take_along_axis(likeness, near, axis=1))
        weight /= weight.sum(axis=1, keepdims=True)
        found: Floats = np.einsum("rk,rkm->rm", weight, self.scores[near])
        return found

    def nearest(self, embedding: Floats, count: int) -> list[tuple[float, int]]:
        """The most alike rows, best first, with their cosine."""
        likeness = (_unit((embedding - self.centre)[None, :]) @ self.vectors.T)[0]
        order = np.argsort(-likeness, kind="stable")[:count]
        return [(float(likeness[row]), int(row)) for row in order]

    def learned(self, embeddings: Floats, scores: Doubles, prompts: Sequence[str]) -> Neighbours:
        """Return the model with some more rows. The centre stays: old cosines stay true."""
        return replace(
            self,
            vectors=np.concatenate([self.vectors, _unit(embeddings - self.centre)]),
            scores=np.concatenate([self.scores, scores.astype(np.float32)]),
            prompts=self.prompts + tuple(map(_beginning, prompts)),
        )


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _beginning(prompt: str) -> str:
    return " ".join(prompt[:200].split())[:80]
