"""Shape: the same payload in fewer tokens. JSON as an outline, and forms that only a reader needs.

Choose with `shape`, go back with `restore`; fold what repeats with `fold_duplicates`. Logs have
their own: `group_logs` for readers, `fold_log` without loss.
"""

from frugal_chains.compression.shape._choose import (
    FORMS,
    LOSSLESS_FORMS,
    MAX_CHARS,
    READER_FORMS,
    checked_lossless,
    restore,
    shape,
)
from frugal_chains.compression.shape._duplicates import (
    Folded,
    fold_duplicates,
    reads_like_reference,
    unfold_duplicates,
)
from frugal_chains.compression.shape._logs import group_logs
from frugal_chains.compression.shape._logs_fold import fold_log, unfold_log
from frugal_chains.compression.shape._logs_result import FOLDED, GROUPED, ShapedLog
from frugal_chains.compression.shape._shaped import ORIGINAL, Count, Shaped
from frugal_chains.errors import ShapeError

__all__ = [
    "FOLDED",
    "FORMS",
    "GROUPED",
    "LOSSLESS_FORMS",
    "MAX_CHARS",
    "ORIGINAL",
    "READER_FORMS",
    "Count",
    "Folded",
    "ShapeError",
    "Shaped",
    "ShapedLog",
    "checked_lossless",
    "fold_duplicates",
    "fold_log",
    "group_logs",
    "reads_like_reference",
    "restore",
    "shape",
    "unfold_duplicates",
    "unfold_log",
]
