"""How often which number was seen, in bounded memory: what quantiles are read off.

Numbers below 16 have a class of their own; above, every doubling has 16 classes. A quantile is the
mean of its class, so it is right to 1 in 16, and exact where the class holds one number only.
Counts and sums are integers: the order changes nothing.
"""

from __future__ import annotations

_PER_DOUBLING_BITS = 4
_PER_DOUBLING = 1 << _PER_DOUBLING_BITS


class Histogram:
    """Counts and sums by class."""

    __slots__ = ("_counts", "_sums")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._sums: dict[int, int] = {}

    def add(self, number: int) -> None:
        """Count a number of 0 or more."""
        class_ = _class_of(number)
        self._counts[class_] = self._counts.get(class_, 0) + 1
        self._sums[class_] = self._sums.get(class_, 0) + number

    def merge(self, other: Histogram) -> None:
        """Take in all that another one has seen."""
        for class_, count in other._counts.items():
            self._counts[class_] = self._counts.get(class_, 0) + count
            self._sums[class_] = self._sums.get(class_, 0) + other._sums[class_]

    def quantile(self, percent: int) -> int | None:
        """The number that `percent` of those seen did not pass; None: none was seen."""
        wanted = -(-sum(self._counts.values()) * percent // 100)
        passed = 0
        for class_ in sorted(self._counts):
            passed += self._counts[class_]
            if passed >= wanted:
                return self._sums[class_] // self._counts[class_]
        return None


def _class_of(number: int) -> int:
    if number < _PER_DOUBLING:
        return number
    doublings = number.bit_length() - 1 - _PER_DOUBLING_BITS
    return (doublings << _PER_DOUBLING_BITS) + (number >> doublings)
