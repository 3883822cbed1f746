"""Local: a small real model served on loopback (extra `local`)."""

from frugal_chains.local._model import MODEL_NAME, LocalModel

__all__ = ["MODEL_NAME", "LocalModel"]
