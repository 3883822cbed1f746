"""The way back from a log's forms: one has it, the other says that it has not."""

from __future__ import annotations

import pytest

from frugal_chains.compression.shape import (
    FOLDED,
    GROUPED,
    ShapeError,
    fold_log,
    group_logs,
    restore,
)

LOG = "".join(
    f"2026-01-01 00:00:{n % 60:02d} INFO worker {n % 4} took job {n * 37} in {n % 9} ms\n"
    for n in range(120)
)


def test_a_folded_log_comes_back_to_the_byte() -> None:
    folded = fold_log(LOG, len)
    assert (folded.form, folded.lossless) == (FOLDED, True)
    assert len(folded.text) < len(LOG)
    assert restore(folded.text, folded.form) == LOG


def test_a_grouped_log_has_no_way_back() -> None:
    grouped = group_logs(LOG, len)
    assert (grouped.form, grouped.lossless) == (GROUPED, False)
    with pytest.raises(ShapeError, match="keep the original"):
        restore(grouped.text, grouped.form)
