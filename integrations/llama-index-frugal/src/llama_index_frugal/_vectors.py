"""Vectors of texts and questions, by LlamaIndex's embeddings or by a function of texts."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding

from frugal_chains.dispatch import TextVectors
from llama_index_frugal._likeness import EmbedTexts


def vectors_of(embedder: BaseEmbedding | EmbedTexts | None) -> TextVectors | None:
    """With an embedding of LlamaIndex's, questions are embedded as queries and others as texts."""
    if embedder is None:
        return None
    if not isinstance(embedder, BaseEmbedding):
        return TextVectors.of(embedder)
    return TextVectors(
        texts=lambda texts: embedder.get_text_embedding_batch([*texts]),
        atexts=lambda texts: embedder.aget_text_embedding_batch([*texts]),
        query=embedder.get_query_embedding,
        aquery=embedder.aget_query_embedding,
    )
