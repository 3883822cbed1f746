"""Forecasts of how long answers get, learned from answers that came."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

_STEPS_PER_OCTAVE: Final = 4
"""Counts are kept in classes that grow by a fifth each: a quantile is right to a tenth."""
_ENOUGH: Final = 8
"""Fewer answers than this say nothing about the next one."""
_REMEMBERED: Final = 4_000
"""Beyond so many answers the old ones count half as much, so that a forecast follows a change."""


class OutputForecasts:
    """Quantiles of output tokens, by candidate or by whatever key the caller has.

    Not for several threads at once. A decision gets `expected`, a plain mapping.
    """

    def __init__(self, counts: Mapping[str, Mapping[int, float]] | None = None) -> None:
        self._counts: dict[str, Counter[int]] = {
            key: Counter(dict(classes)) for key, classes in (counts or {}).items()
        }

    @classmethod
    def of(cls, answers: Iterable[tuple[str, int]]) -> OutputForecasts:
        """From pairs of key and output tokens, as a ledger's attempts give them."""
        made = cls()
        for key, tokens in answers:
            made.observe(key, tokens)
        return made

    def observe(self, key: str, tokens: int) -> None:
        """Learn from one answer."""
        counts = self._counts.setdefault(key, Counter())
        counts[_class_of(tokens)] += 1
        if counts.total() > _REMEMBERED:
            for each in counts:
                counts[each] /= 2  # type: ignore[assignment]

    def expected(self) -> dict[str, int]:
        """The mean of each key that has enough answers, in tokens."""
        return {
            key: round(sum(_middle(c) * n for c, n in counts.items()) / counts.total())
            for key, counts in self._counts.items()
            if counts.total() >= _ENOUGH
        }

    def quantile(self, key: str, share: float) -> int | None:
        """The length that a share of the answers did not pass; None: too few answers."""
        counts = self._counts.get(key)
        if counts is None or counts.total() < _ENOUGH:
            return None
        wanted, passed = share * counts.total(), 0.0
        for each in sorted(counts):
            passed += counts[each]
            if passed >= wanted:
                return round(_middle(each))
        return round(_middle(max(counts)))

    def to_json(self) -> dict[str, dict[str, float]]:
        """Plain JSON; `from_json` is its inverse."""
        return {k: {str(c): n for c, n in counts.items()} for k, counts in self._counts.items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Mapping[str, float]]) -> OutputForecasts:
        return cls({k: {int(c): n for c, n in counts.items()} for k, counts in plain.items()})


def _class_of(tokens: int) -> int:
    return 0 if tokens < 1 else 1 + round(math.log2(tokens) * _STEPS_PER_OCTAVE)


def _middle(number: int) -> float:
    return 0.0 if number == 0 else 2 ** ((number - 1) / _STEPS_PER_OCTAVE)
