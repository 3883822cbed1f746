"""Extraction: of what was found, the part that a query needs, within an exact budget."""

from frugal_chains.compression.extract._choose import Count
from frugal_chains.compression.extract._extract import Extraction, extract, sections, untouched
from frugal_chains.compression.extract._manifest import Dropped, dropped
from frugal_chains.compression.extract._passage import Kind, Passage

__all__ = [
    "Count",
    "Dropped",
    "Extraction",
    "Kind",
    "Passage",
    "dropped",
    "extract",
    "sections",
    "untouched",
]
