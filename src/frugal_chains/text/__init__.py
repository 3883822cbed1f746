"""Text: what several levers look at. Sentences, terms, BM25, and what must never be cut."""

from frugal_chains.text._atoms import Atom, atoms
from frugal_chains.text._bm25 import bm25, bm25_of_counts, inverse_frequencies, term_counts
from frugal_chains.text._sentences import Span, sentences
from frugal_chains.text._terms import LEAST_STEM, UNSPACED, content_terms, stem, terms, words

__all__ = [
    "LEAST_STEM",
    "UNSPACED",
    "Atom",
    "Span",
    "atoms",
    "bm25",
    "bm25_of_counts",
    "content_terms",
    "inverse_frequencies",
    "sentences",
    "stem",
    "term_counts",
    "terms",
    "words",
]
