"""`Likeness`: what an embedder of a framework says of texts, for both adapters."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How a framework's embedder tells how near texts are to a query: one cosine for each."""

    of: Callable[[str, Sequence[str]], Sequence[float]]
    aof: Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]


def cosines(query: Sequence[float], texts: Sequence[Sequence[float]]) -> list[float]:
    """Of a vector with each of some others; 0 for a vector without length."""
    own = math.sqrt(math.fsum(x * x for x in query))
    found = []
    for vector in texts:
        length = own * math.sqrt(math.fsum(x * x for x in vector))
        dot = math.fsum(x * y for x, y in zip(query, vector, strict=True))
        found.append(dot / length if length else 0.0)
    return found
