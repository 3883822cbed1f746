"""Context at work: what was found for a query, and what tools returned, brought to a budget."""

from frugal_chains.dispatch.context._context import Compressed, ContextCompressor
from frugal_chains.dispatch.context._likeness import Likeness, cosines
from frugal_chains.dispatch.context._originals import FETCH_DESCRIPTION, FETCH_ORIGINAL, kept_in
from frugal_chains.dispatch.context._payload import PayloadCompressor, Prefix

__all__ = [
    "FETCH_DESCRIPTION",
    "FETCH_ORIGINAL",
    "Compressed",
    "ContextCompressor",
    "Likeness",
    "PayloadCompressor",
    "Prefix",
    "cosines",
    "kept_in",
]
