"""`RunningTotal`: what a block of code has spent so far."""

from __future__ import annotations

import threading
from decimal import Decimal

from frugal_chains.ledger import Attempt
from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.usage import COUNT_FIELDS, Usage


class RunningTotal:
    """Counts the attempts reported to one tracker; safe to read at any time from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nanos = 0
        self._attempts = 0
        self._unpriced = 0
        self._estimated = 0
        self._counts = [0] * len(COUNT_FIELDS)
        self._recent: list[tuple[int, Usage]] = []

    def add(self, attempt: Attempt, *, replaces: Attempt | None = None) -> None:
        """Count an attempt; `replaces` is what was counted for this call before its late end."""
        with self._lock:
            if replaces is not None:
                self._count(replaces, sign=-1)
            self._count(attempt, sign=1)
            # Adding usages costs more than keeping them: add when asked, or now and then.
            if len(self._recent) >= 256:
                self._fold()

    def _count(self, attempt: Attempt, *, sign: int) -> None:
        self._attempts += sign
        self._nanos += sign * (attempt.price.nanos or 0)
        self._unpriced += sign * (attempt.price.nanos is None)
        self._estimated += sign * (attempt.usage.source != "provider")
        self._recent.append((sign, attempt.usage))

    def _fold(self) -> None:
        for sign, usage in self._recent:
            for index, name in enumerate(COUNT_FIELDS):
                self._counts[index] += sign * int(getattr(usage, name))
        self._recent.clear()

    @property
    def cost_usd(self) -> Decimal:
        """Exact USD of the priced attempts; read it together with `unpriced`."""
        return usd_from_nanos(self._nanos)

    @property
    def attempts(self) -> int:
        return self._attempts

    @property
    def unpriced(self) -> int:
        """Attempts whose cost is unknown and missing from `cost_usd`."""
        return self._unpriced

    @property
    def estimated(self) -> int:
        """Attempts whose usage is not, or not wholly, the provider's word."""
        return self._estimated

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        with self._lock:
            self._fold()
            counts = dict(zip(COUNT_FIELDS, self._counts, strict=True))
            doubtful = {0: "provider", self._attempts: "estimated"}.get(self._estimated, "mixed")
        return Usage(**counts, source=doubtful)  # type: ignore[arg-type]  # a UsageSource

    def __str__(self) -> str:
        doubts = [
            f"{count} {word}"
            for count, word in ((self._unpriced, "unpriced"), (self._estimated, "estimated"))
            if count
        ]
        aside = f" ({', '.join(doubts)})" if doubts else ""
        return f"{usd_text(self.cost_usd)} for {self._attempts} attempts{aside}"

    def __repr__(self) -> str:
        return f"RunningTotal({self})"
