"""Local: a small real model served on loopback (extra `local`), and an embedder (`semantic`)."""

from frugal_chains.local._embedder import EMBEDDING_DIMENSIONS, LocalEmbedder
from frugal_chains.local._model import MODEL_NAME, LocalModel

__all__ = ["EMBEDDING_DIMENSIONS", "MODEL_NAME", "LocalEmbedder", "LocalModel"]
