"""Vectors of tools and questions, by LangChain's embedders or by a function of texts."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.embeddings import Embeddings

from frugal_chains.dispatch import TextVectors
from langchain_frugal._likeness import EmbedTexts


def vectors_of(embedder: Embeddings | EmbedTexts | None) -> TextVectors | None:
    """With `Embeddings`, questions are embedded as queries and tools as documents."""
    if embedder is None:
        return None
    if not isinstance(embedder, Embeddings):
        return TextVectors.of(embedder)
    embeddings = embedder

    def texts(given: Sequence[str]) -> Sequence[Sequence[float]]:
        return embeddings.embed_documents([*given])

    async def atexts(given: Sequence[str]) -> Sequence[Sequence[float]]:
        return await embeddings.aembed_documents([*given])

    return TextVectors(
        texts=texts, atexts=atexts, query=embeddings.embed_query, aquery=embeddings.aembed_query
    )
