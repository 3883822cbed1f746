"""How LangChain's `Embeddings` embed the question of a decision."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.embeddings import Embeddings

from frugal_chains.dispatch import EmbeddingModel
from frugal_chains.routing.gain import Embedder
from langchain_frugal._embeddings import TrackedEmbeddings


def embedding_model(embeddings: Embeddings | Embedder) -> EmbeddingModel:
    """As a document and not as a query: that is how calibrations and examples are embedded."""
    if not isinstance(embeddings, Embeddings):
        return EmbeddingModel.of(embeddings)

    def embed(text: str) -> Sequence[float]:
        return embeddings.embed_documents([text])[0]

    async def aembed(text: str) -> Sequence[float]:
        return (await embeddings.aembed_documents([text]))[0]

    # It knows where classes keep the name of their model.
    named = (
        embeddings if isinstance(embeddings, TrackedEmbeddings) else TrackedEmbeddings(embeddings)
    )
    return EmbeddingModel(embed=embed, aembed=aembed, model=named.model, provider=named.provider)
