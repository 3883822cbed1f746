"""`TextVectors`: an embedder of a framework, for the choice of tools."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

Vector = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextVectors:
    """How a framework's embedder makes vectors: of tools, all at once, and of a question."""

    texts: Callable[[Sequence[str]], Sequence[Vector]]
    atexts: Callable[[Sequence[str]], Awaitable[Sequence[Vector]]]
    query: Callable[[str], Vector]
    aquery: Callable[[str], Awaitable[Vector]]

    @classmethod
    def of(cls, embed: Callable[[Sequence[str]], Sequence[Vector]]) -> Self:
        """Of a function of texts, such as `frugal_chains.local.LocalEmbedder`."""

        def query(text: str) -> Vector:
            return embed([text])[0]

        async def atexts(texts: Sequence[str]) -> Sequence[Vector]:
            return await asyncio.to_thread(embed, texts)

        async def aquery(text: str) -> Vector:
            return await asyncio.to_thread(query, text)

        return cls(texts=embed, atexts=atexts, query=query, aquery=aquery)
