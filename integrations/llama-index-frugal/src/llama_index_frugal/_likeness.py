"""How near texts are to a query, by LlamaIndex's embeddings or by a function of texts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from llama_index.core.base.embeddings.base import BaseEmbedding, mean_agg
from llama_index.core.schema import QueryBundle

from frugal_chains.dispatch import Likeness, cosines

EmbedTexts = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""A function of texts, such as `LocalEmbedder(layers=6)`."""

_asked_for: ContextVar[tuple[str, ...]] = ContextVar("frugal_embedding_strs", default=())


@contextmanager
def asked(bundle: QueryBundle | None) -> Iterator[str]:
    """The words of a query. Inside the block its embedding is that of its embedding strings, as a
    retriever's: where it has some of its own (HyDE), the mean over them."""
    strings = tuple(filter(None, bundle.embedding_strs)) if bundle is not None else ()
    token = _asked_for.set(strings)
    try:
        yield (bundle.query_str if bundle is not None else "") or "\n".join(strings)
    finally:
        _asked_for.reset(token)


def likeness_of(embedder: BaseEmbedding | EmbedTexts | None) -> Likeness | None:
    """With a `BaseEmbedding`, queries are embedded as queries and texts as texts, in batches."""
    if embedder is None:
        return None
    if isinstance(embedder, BaseEmbedding):  # which is a function as well, of nodes
        return _of_embedding(embedder)
    return _of_function(embedder)


def _of_embedding(embedding: BaseEmbedding) -> Likeness:
    def of(query: str, texts: Sequence[str]) -> Sequence[float]:
        strings = _strings(query)
        if not strings:
            return [0.0] * len(texts)
        asked = embedding.get_agg_embedding_from_queries(strings)
        return cosines(asked, embedding.get_text_embedding_batch([*texts]))

    async def aof(query: str, texts: Sequence[str]) -> Sequence[float]:
        strings = _strings(query)
        if not strings:
            return [0.0] * len(texts)
        asked = await embedding.aget_agg_embedding_from_queries(strings)
        return cosines(asked, await embedding.aget_text_embedding_batch([*texts]))

    return Likeness(of=of, aof=aof)


def _of_function(embed: EmbedTexts) -> Likeness:
    def of(query: str, texts: Sequence[str]) -> Sequence[float]:
        strings = _strings(query)
        if not strings:
            return [0.0] * len(texts)
        found = embed([*strings, *texts])
        asked = mean_agg([[*vector] for vector in found[: len(strings)]])
        return cosines(asked, found[len(strings) :])

    async def aof(query: str, texts: Sequence[str]) -> Sequence[float]:
        return await asyncio.to_thread(of, query, texts)

    return Likeness(of=of, aof=aof)


def _strings(query: str) -> list[str]:
    """What is embedded; nothing where nothing is asked."""
    return list(_asked_for.get()) or ([query] if query else [])
