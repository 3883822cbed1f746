"""Words: those of least weight go, by what a model says of each, to an exact budget."""

from frugal_chains.compression.words._drop import Dropped, drop_words
from frugal_chains.compression.words._then import extract_then_words
from frugal_chains.compression.words._units import UNSPACED, WordScore, WordScorer

__all__ = [
    "UNSPACED",
    "Dropped",
    "WordScore",
    "WordScorer",
    "drop_words",
    "extract_then_words",
]
