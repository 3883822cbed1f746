"""`Lengths`: how many more calls conversations have, learned from those that are over."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

from frugal_chains.errors import MemoryPlanError

LEAST_SEEN: Final = 20
"""Conversations that must have come so far before anything is said: the mean of 20 exponentially
distributed lengths has a standard error of 22 %."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Calls of past conversations, in ascending order. Make it with `Lengths.of`."""

    calls: tuple[int, ...] = ()
    _sums: tuple[int, ...] = ()
    """Of the first so many."""

    @classmethod
    def of(cls, calls: Iterable[int]) -> Self:
        """From the number of model calls of each conversation.

        Raises:
            MemoryPlanError: a number below 1.
        """
        ordered = tuple(sorted(calls))
        if ordered and ordered[0] < 1:
            raise MemoryPlanError(f"a conversation of {ordered[0]} calls: expected 1 or more")
        return cls(ordered, tuple(accumulate(ordered, initial=0)))

    def expected_more(self, calls: int) -> float | None:
        """Further calls of a conversation that has had so many, on average of those that had more
        or as many; None: too few of them are known.

        Args:
            calls: This one included.
        """
        first = bisect_right(self.calls, calls - 1)
        longer = len(self.calls) - first
        if longer < LEAST_SEEN:
            return None
        return (self._sums[-1] - self._sums[first]) / longer - calls
