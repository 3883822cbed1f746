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

_REACH: Final = 2.0
"""Neighbours are twice the root of the rows: 77 of 1,500, 200 of 10,000. A root lets both the
noise and the distance of the farthest fall as rows are added; between one and three times it
little changes."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The calibration questions' embeddings and scores."""

    vectors: Floats
    """Of length 1; shape (rows, dimensions)."""
    scores: Floats
    """Shape (rows, candidates); the mean of the candidate where it was not asked."""
    prompts: tuple[str, ...]
    """Beginnings of the questions, for explanations."""

    @classmethod
    def fit(cls, embeddings: Floats, scores: Doubles, prompts: Sequence[str]) -> Neighbours:
        """From embeddings, shape (rows, dimensions), and scores without NaN."""
        return cls(_unit(embeddings), scores.astype(np.float32), tuple(map(_beginning, prompts)))

    def predict(self, embeddings: Floats) -> Doubles:
        """Mean score of the neighbours, the nearer the heavier, shape (rows, candidates).

        Weights fall with the squared distance to none at that of the first row left out
        (Epanechnikov's kernel, as wide as the rows around are thin): no scale of distances is
        assumed, which differ from embedder to embedder.
        """
        likeness = _unit(embeddings) @ self.vectors.T
        count = likeness.shape[1]
        if count == 1:
            return np.repeat(self.scores, len(likeness), axis=0).astype(np.float64)
        size = min(count - 1, max(1, round(_REACH * count**0.5)))
        near = np.argpartition(-likeness, size, axis=1)
        edge = np.take_along_axis(likeness, near[:, size : size + 1], axis=1)
        near = near[:, :size]
        # Squared distances of vectors of length 1 are 2 - 2 cosines. Equal ones keep a weight.
        weight = np.take_along_axis(likeness, near, axis=1) - edge + 1e-6
        weight /= weight.sum(axis=1, keepdims=True)
        found: Doubles = np.einsum("rk,rkm->rm", weight, self.scores[near]).astype(np.float64)
        return found

    def nearest(self, embedding: Floats, count: int) -> list[tuple[float, int]]:
        """The most alike rows, best first, with their cosine."""
        likeness = (_unit(embedding[None, :]) @ self.vectors.T)[0]
        order = np.argsort(-likeness, kind="stable")[:count]
        return [(float(likeness[row]), int(row)) for row in order]

    def learned(self, embeddings: Floats, scores: Doubles, prompts: Sequence[str]) -> Neighbours:
        """Return the model with some more rows."""
        return replace(
            self,
            vectors=np.concatenate([self.vectors, _unit(embeddings)]),
            scores=np.concatenate([self.scores, scores.astype(np.float32)]),
            prompts=self.prompts + tuple(map(_beginning, prompts)),
        )


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _beginning(prompt: str) -> str:
    return " ".join(prompt[:200].split())[:80]
