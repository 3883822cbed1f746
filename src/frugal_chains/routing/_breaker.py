"""Circuit breakers: a model that keeps failing is left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_OPENS_AFTER: Final = 3
"""Failures in a row that open the circuit; tenacity-like libraries and pybreaker use 3 to 5."""
_FIRST_PAUSE_S: Final = 15.0
_LONGEST_PAUSE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The state of one candidate's circuit. Times are seconds of one monotonic clock.

    Open: the candidate is not asked. When the pause is over one call tries it (half open): its
    success closes the circuit, its failure opens it for twice as long.
    """

    failures: int = 0
    """In a row."""
    open_until_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S

    def is_open(self, now_s: float) -> bool:
        return now_s < self.open_until_s

    def failed(self, now_s: float, *, retry_after_s: float | None = None) -> Breaker:
        """After a failure that says something about the model or its provider, not the request.

        `retry_after_s` is the provider's own word, which opens the circuit at once.
        """
        failures = self.failures + 1
        if retry_after_s is not None:
            return replace(self, failures=failures, open_until_s=now_s + retry_after_s)
        if failures < _OPENS_AFTER:
            return replace(self, failures=failures)
        longer_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)
        return Breaker(failures=failures, open_until_s=now_s + self.pause_s, pause_s=longer_s)

    def succeeded(self) -> Breaker:
        return Breaker()
