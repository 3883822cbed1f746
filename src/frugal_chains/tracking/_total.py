"""`RunningTotal`: what a block of code has spent so far."""

from __future__ import annotations

import threading
from collections import deque
from decimal import Decimal

from frugal_chains.ledger import Attempt
from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.usage import COUNT_FIELDS, Usage

ADD_UP_EVERY = 256


class RunningTotal:
    """Counts the attempts reported to one tracker; safe to read at any time from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a collected stream may report in the middle of adding up
        self._nanos = 0
        self._attempts = 0
        self._unpriced = 0
        self._estimated = 0
        self._counts = [0] * len(COUNT_FIELDS)
        self._recent: deque[tuple[int, Attempt]] = deque()

    def add(self, attempt: Attempt, *, replaces: Attempt | None = None) -> None:
        """Count an attempt; `replaces` is what was counted for this call before its late end."""
        # Adding up costs more than keeping: it is done when somebody asks, or now and then.
        if replaces is not None:
            self._recent.append((-1, replaces))
        self._recent.append((1, attempt))
        if len(self._recent) >= ADD_UP_EVERY:
            self._add_up()

    def _add_up(self) -> None:
        with self._lock:
            while self._recent:
                sign, attempt = self._recent.popleft()
                nanos, usage = attempt.price.nanos, attempt.usage
                self._attempts += sign
                self._nanos += sign * (nanos or 0)
                self._unpriced += sign * (nanos is None)
                self._estimated += sign * (usage.source != "provider")
                for index, count in enumerate(usage[:-1]):
                    if count:
                        self._counts[index] += sign * count

    @property
    def cost_usd(self) -> Decimal:
        """Exact USD of the priced attempts; read it together with `unpriced`."""
        self._add_up()
        return usd_from_nanos(self._nanos)

    @property
    def attempts(self) -> int:
        self._add_up()
        return self._attempts

    @property
    def unpriced(self) -> int:
        """Attempts whose cost is unknown and missing from `cost_usd`."""
        self._add_up()
        return self._unpriced

    @property
    def estimated(self) -> int:
        """Attempts whose usage is not, or not wholly, the provider's word."""
        self._add_up()
        return self._estimated

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        self._add_up()
        with self._lock:
            counts = dict(zip(COUNT_FIELDS, self._counts, strict=True))
            doubtful = {0: "provider", self._attempts: "estimated"}.get(self._estimated, "mixed")
        return Usage(**counts, source=doubtful)  # type: ignore[arg-type]  # a UsageSource

    def __str__(self) -> str:
        doubts = [
            f"{count} {word}"
            for count, word in ((self.unpriced, "unpriced"), (self.estimated, "estimated"))
            if count
        ]
        aside = f" ({', '.join(doubts)})" if doubts else ""
        return f"{usd_text(self.cost_usd)} for {self._attempts} attempts{aside}"

    def __repr__(self) -> str:
        return f"RunningTotal({self})"
