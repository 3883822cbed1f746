"""The prompt cache at work: markers for each request, and a word on what was not read, for both
adapters."""

from frugal_chains.dispatch.prompt_cache._blocks import PromptBlock
from frugal_chains.dispatch.prompt_cache._keeper import CacheKeeper
from frugal_chains.dispatch.prompt_cache._miss import CacheMiss
from frugal_chains.dispatch.prompt_cache._misses import MissWatch

__all__ = ["CacheKeeper", "CacheMiss", "MissWatch", "PromptBlock"]
