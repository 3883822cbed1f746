"""Compression: fewer input tokens to an exact budget, nothing important lost."""

from frugal_chains.compression._budget import ContextBudget, budget_tokens

__all__ = ["ContextBudget", "budget_tokens"]
