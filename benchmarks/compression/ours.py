"""Our own compressor, as the benchmark runs it: this is the place where it is plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from compression.peers import Vectors
from compression.protocol import SEPARATOR, Contender, Count, Passage
from frugal_chains.compression import extract as library
from frugal_chains.compression.payload import LEAST_TOKENS, fit_payload

OURS: Final = "ours"
WITH_EMBEDDER: Final = "ours, embedder"
"""The names that numbers are asked of."""
_TIMED: Final = 20
"""Prompts that the embedder is timed on."""


def contenders(vectors: Vectors) -> list[Contender]:
    """Without a model, and with the local embedder.

    Args:
        vectors: The embedder; it remembers what it has embedded, so time is taken of another one.
    """
    return [
        Contender(name=OURS, compress=_Ours(), sets=("nq20", "qmsum", "kv75")),
        Contender(
            name=OURS,
            compress=_payload,
            sets=("taubench",),
            note=f"outputs below {LEAST_TOKENS} tokens are left as they are",
        ),
        Contender(
            name=WITH_EMBEDDER,
            compress=_Ours(vectors),
            sets=("nq20",),
            timed=_Ours(Vectors(keep=False)),
            timed_prompts=_TIMED,
        ),
    ]


def _payload(
    query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
) -> list[str]:
    """A tool's output as it enters a conversation: denser first, then fewer fields."""
    (passage,) = passages
    found = fit_payload(passage.text, query=query, budget_tokens=budget_tokens, count=count)
    return [found.text]


@dataclass(frozen=True, slots=True)
class _Ours:
    vectors: Vectors | None = None

    def __call__(
        self, query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> list[str]:
        given = [library.Passage(label=each.label, text=each.text) for each in passages]
        found = library.extract(
            query,
            given,
            budget_tokens=budget_tokens,
            count=count,
            likeness=self._likeness(query, given),
            joiner=SEPARATOR,
        )
        return [text or "" for text in found.texts]

    def _likeness(self, query: str, passages: Sequence[library.Passage]) -> list[float] | None:
        if self.vectors is None:
            return None
        asked = np.array(self.vectors(query))
        return [float(asked @ self.vectors(text)) for text in library.sections(passages)]
