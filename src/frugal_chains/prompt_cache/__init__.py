"""Prompt cache: where a request is marked for the provider's cache, and why a cache was missed.

Pure: decisions are functions of blocks, the provider's rules and prices.
"""

__all__: list[str] = []
