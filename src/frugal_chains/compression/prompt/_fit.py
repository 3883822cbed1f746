"""How much fits: the real count of the joined text decides, asked for a few times only."""

from __future__ import annotations

from collections.abc import Callable

Count = Callable[[str], int]
"""Tokens of a text."""


def most_that_fit(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` found to fit, by halving; 0 is not asked and always fits.

    `fits` should hold for all numbers below one that fits; where it does not (tokens merge across
    a seam), what is returned fits all the same.
    """
    if most <= 0 or fits(most):
        return max(most, 0)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low
