"""Local: a small real model served on loopback (extra `local`), an embedder (`semantic`), and
LLMLingua-2 (`llmlingua`)."""

from frugal_chains.local._embedder import EMBEDDING_DIMENSIONS, LocalEmbedder
from frugal_chains.local._lingua import LLMLingua2
from frugal_chains.local._model import MODEL_NAME, LocalModel

__all__ = ["EMBEDDING_DIMENSIONS", "MODEL_NAME", "LLMLingua2", "LocalEmbedder", "LocalModel"]
