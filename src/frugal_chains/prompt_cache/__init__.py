"""Prompt cache: where a request is marked for the provider's cache, and why a cache was missed.

Pure: decisions are functions of blocks, the provider's rules and prices.
"""

from frugal_chains.errors import CachePlanError
from frugal_chains.prompt_cache._compare import Change, Difference, first_difference
from frugal_chains.prompt_cache._diagnose import diagnose
from frugal_chains.prompt_cache._diagnosis import Cause, Diagnosis, SentRequest
from frugal_chains.prompt_cache._facts import CacheBlock, Traffic
from frugal_chains.prompt_cache._key import prompt_cache_key
from frugal_chains.prompt_cache._layout import positions, static_first
from frugal_chains.prompt_cache._plan import CacheMarker, CachePlan, plan_breakpoints
from frugal_chains.prompt_cache._prints import (
    BlockPrint,
    BlockText,
    MessagesPrint,
    RequestPrint,
    fingerprints,
)
from frugal_chains.prompt_cache._stored import from_json, to_json
from frugal_chains.prompt_cache._terms import terms_by_ttl
from frugal_chains.prompt_cache._theirs import TheirReason, read_reason

__all__ = [
    "BlockPrint",
    "BlockText",
    "CacheBlock",
    "CacheMarker",
    "CachePlan",
    "CachePlanError",
    "Cause",
    "Change",
    "Diagnosis",
    "Difference",
    "MessagesPrint",
    "RequestPrint",
    "SentRequest",
    "TheirReason",
    "Traffic",
    "diagnose",
    "fingerprints",
    "first_difference",
    "from_json",
    "plan_breakpoints",
    "positions",
    "prompt_cache_key",
    "read_reason",
    "static_first",
    "terms_by_ttl",
    "to_json",
]
