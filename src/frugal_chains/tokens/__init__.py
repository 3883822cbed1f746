"""Tokens: exact counts where possible, estimates that say so where not."""

from frugal_chains.tokens._calibration import Calibration
from frugal_chains.tokens._count import Method, TokenCount, worst_case_tokens
from frugal_chains.tokens._counter import TokenCounter
from frugal_chains.tokens._encodings import (
    EncodingSource,
    RankSource,
    available_encodings,
    default_rank_sources,
)

__all__ = [
    "Calibration",
    "EncodingSource",
    "Method",
    "RankSource",
    "TokenCount",
    "TokenCounter",
    "available_encodings",
    "default_rank_sources",
    "worst_case_tokens",
]
