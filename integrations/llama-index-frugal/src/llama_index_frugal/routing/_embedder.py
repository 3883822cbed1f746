"""LlamaIndex's embeddings for decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llama_index.core.base.embeddings.base import BaseEmbedding

from frugal_chains.dispatch import EmbeddingModel
from frugal_chains.providers import provider_id
from frugal_chains.routing.gain import Embedder
from llama_index_frugal._embedding import TrackedEmbedding


def text_embedder(embedding: BaseEmbedding) -> Callable[[Sequence[str]], list[list[float]]]:
    """An embedding as signals and gain models take one:

    SimilarTo.embedded(examples, text_embedder(OpenAIEmbedding()), at_least=0.8)
    """
    return lambda texts: embedding.get_text_embedding_batch(list(texts))


def embedding_model(embedding: BaseEmbedding | Embedder) -> EmbeddingModel:
    """How it embeds the question of a decision: as a text, as `text_embedder` does."""
    if not isinstance(embedding, BaseEmbedding):
        return EmbeddingModel.of(embedding)
    model, provider = _named(embedding)
    return EmbeddingModel(
        embed=embedding.get_text_embedding,
        aembed=embedding.aget_text_embedding,
        model=model,
        provider=provider,
    )


def _named(embedding: BaseEmbedding) -> tuple[str, str]:
    """The names of its model and provider; none where a cache of its own may save a call."""
    while isinstance(embedding, TrackedEmbedding):
        embedding = embedding.embedding
    if embedding.embeddings_cache is not None:
        return "", ""
    return embedding.model_name, provider_id(embedding.class_name())
