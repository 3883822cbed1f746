"""How near texts are to a query, by LangChain's embedders or by a function of texts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from langchain_core.embeddings import Embeddings

from frugal_chains.dispatch import Likeness, cosines

EmbedTexts = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""A function of texts, such as `LocalEmbedder(layers=6)`."""


def likeness_of(embedder: Embeddings | EmbedTexts | None) -> Likeness | None:
    """With `Embeddings`, queries are embedded as queries and texts as documents."""
    if embedder is None:
        return None
    return _of_embeddings(embedder) if isinstance(embedder, Embeddings) else _of_function(embedder)


def _of_embeddings(embeddings: Embeddings) -> Likeness:
    def of(query: str, texts: Sequence[str]) -> Sequence[float]:
        return cosines(embeddings.embed_query(query), embeddings.embed_documents([*texts]))

    async def aof(query: str, texts: Sequence[str]) -> Sequence[float]:
        asked = await embeddings.aembed_query(query)
        return cosines(asked, await embeddings.aembed_documents([*texts]))

    return Likeness(of=of, aof=aof)


def _of_function(embed: EmbedTexts) -> Likeness:
    def of(query: str, texts: Sequence[str]) -> Sequence[float]:
        asked, *found = embed([query, *texts])
        return cosines(asked, found)

    async def aof(query: str, texts: Sequence[str]) -> Sequence[float]:
        return await asyncio.to_thread(of, query, texts)

    return Likeness(of=of, aof=aof)
