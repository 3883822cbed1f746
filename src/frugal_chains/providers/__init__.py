"""Provider facts: tables with source and date."""

from frugal_chains.providers._model_names import bare_model_name, model_family
from frugal_chains.providers._names import LOCAL_PROVIDERS, PROVIDER_IDS, provider_id
from frugal_chains.providers._output_caps import max_output_tokens
from frugal_chains.providers._tokenizers import TokenizerFacts, tokenizer_facts

__all__ = [
    "LOCAL_PROVIDERS",
    "PROVIDER_IDS",
    "TokenizerFacts",
    "bare_model_name",
    "max_output_tokens",
    "model_family",
    "provider_id",
    "tokenizer_facts",
]
