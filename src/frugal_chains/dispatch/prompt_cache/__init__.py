"""The prompt cache at work: markers for each request, for both adapters."""

from frugal_chains.dispatch.prompt_cache._blocks import PromptBlock
from frugal_chains.dispatch.prompt_cache._keeper import CacheKeeper

__all__ = ["CacheKeeper", "PromptBlock"]
