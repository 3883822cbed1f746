"""Prompt cache: markers where they pay, in agents, chains and routers; why a cache was missed."""

from typing import TYPE_CHECKING, Any

from frugal_chains.dispatch.prompt_cache import CacheMiss
from langchain_frugal.prompt_cache._model import cached

if TYPE_CHECKING:
    from langchain_frugal.prompt_cache._middleware import PromptCacheMiddleware

__all__ = ["CacheMiss", "PromptCacheMiddleware", "cached"]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which is optional.
    if name == "PromptCacheMiddleware":
        from langchain_frugal.prompt_cache._middleware import PromptCacheMiddleware

        return PromptCacheMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
