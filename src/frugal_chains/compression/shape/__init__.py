"""Shape: the same payload in fewer tokens. JSON as an outline, and forms that only a reader needs.

Choose with `shape`, go back with `restore`; fold what repeats with `fold_duplicates`.
"""

from frugal_chains.compression.shape._choose import (
    FORMS,
    LOSSLESS_FORMS,
    MAX_CHARS,
    READER_FORMS,
    restore,
    shape,
)
from frugal_chains.compression.shape._duplicates import (
    Folded,
    fold_duplicates,
    unfold_duplicates,
)
from frugal_chains.compression.shape._shaped import ORIGINAL, Shaped, ShapeError

__all__ = [
    "FORMS",
    "LOSSLESS_FORMS",
    "MAX_CHARS",
    "ORIGINAL",
    "READER_FORMS",
    "Folded",
    "ShapeError",
    "Shaped",
    "fold_duplicates",
    "restore",
    "shape",
    "unfold_duplicates",
]
