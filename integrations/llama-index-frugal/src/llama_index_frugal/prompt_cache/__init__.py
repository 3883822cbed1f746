"""Prompt caching for LlamaIndex: markers that its LLM classes lose, where they pay."""

from llama_index_frugal.prompt_cache._llm import cached_llm

__all__ = ["cached_llm"]
