"""What conversations turn out to be like: how long they get, and how often tools are added."""

from __future__ import annotations

import threading
from typing import Final

from frugal_chains.compression.tools import Forecast

FORECAST: Final = Forecast(calls=10, growth_tokens=200, additions=2.0)
"""Of a conversation of which nothing is known. 120 of tau-bench's airline agent have 11 calls and
grow by 194 tokens a call (medians, o200k). Two additions are on the careful side: with one, 15 or
30 tools are pruned for conversations of four subjects, which then cost 4 to 6 % more than with all
tools left, at the prices of Claude Sonnet; with two they cost 4 to 7 % less (questions of BFCL)."""
_PRIOR: Final = 2
"""Conversations that the guess counts as, beside those that were seen."""


class Forecasts:
    """Learns from the conversations that it is told of. Safe for threads.

    Those that go on are counted as far as they have come, so many that begin at a time look short
    for a while: then what is warm is left rather than pruned.

    Args:
        given: The user's own, which nothing changes; None: begins with `FORECAST`.
    """

    def __init__(self, given: Forecast | None) -> None:
        self._given = given
        self._lock = threading.Lock()
        self._conversations = self._calls = self._growth_tokens = 0
        self._pruned = self._additions = 0

    def now(self) -> Forecast:
        """Of a conversation that begins."""
        if self._given is not None:
            return self._given
        guess = FORECAST
        with self._lock:
            later = self._calls - self._conversations
            return Forecast(
                calls=round((_PRIOR * guess.calls + later) / (_PRIOR + self._conversations)),
                growth_tokens=round(
                    (_PRIOR * guess.growth_tokens + self._growth_tokens) / (_PRIOR + later)
                ),
                additions=(_PRIOR * guess.additions + self._additions) / (_PRIOR + self._pruned),
            )

    def seen(self, *, begins: bool, pruned: bool, grown_tokens: int, added: bool) -> None:
        """A call was made.

        Args:
            begins: Whether it is the conversation's first.
            pruned: Whether tools are left out.
            grown_tokens: Since the call before.
            added: Whether tools were added that had been left out.
        """
        with self._lock:
            self._conversations += begins
            self._calls += 1
            self._growth_tokens += 0 if begins else grown_tokens
            self._pruned += begins and pruned
            self._additions += pruned and added
