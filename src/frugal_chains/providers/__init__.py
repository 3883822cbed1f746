"""Provider facts: tables with source and date."""

from frugal_chains.providers._cache_control_table import cache_controls
from frugal_chains.providers._cache_controls import CacheControls, Control, Level, Matching
from frugal_chains.providers._cache_rules import (
    HIGHEST_MIN_TOKENS,
    CacheRule,
    cache_rule,
    read_tokens,
)
from frugal_chains.providers._model_names import bare_model_name, is_bedrock_id, model_family
from frugal_chains.providers._names import LOCAL_PROVIDERS, PROVIDER_IDS, ROUTERS, provider_id
from frugal_chains.providers._output_caps import max_output_tokens
from frugal_chains.providers._tokenizers import TokenizerFacts, tokenizer_facts

__all__ = [
    "HIGHEST_MIN_TOKENS",
    "LOCAL_PROVIDERS",
    "PROVIDER_IDS",
    "ROUTERS",
    "CacheControls",
    "CacheRule",
    "Control",
    "Level",
    "Matching",
    "TokenizerFacts",
    "bare_model_name",
    "cache_controls",
    "cache_rule",
    "is_bedrock_id",
    "max_output_tokens",
    "model_family",
    "provider_id",
    "read_tokens",
    "tokenizer_facts",
]
