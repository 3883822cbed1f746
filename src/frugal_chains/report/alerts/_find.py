"""`find_alerts`: what stands out, the most serious first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from frugal_chains.report.alerts._facts import Alert, AlertFacts, Thresholds
from frugal_chains.report.alerts._pace import budget_alerts
from frugal_chains.report.alerts._shares import (
    drop_alerts,
    error_alerts,
    repeat_alerts,
    unpriced_alerts,
)
from frugal_chains.report.alerts._spike import spike_alerts

_RULES: Final[tuple[Callable[[AlertFacts, Thresholds], Iterator[Alert]], ...]] = (
    budget_alerts,
    spike_alerts,
    drop_alerts,
    error_alerts,
    unpriced_alerts,
    repeat_alerts,
)
_ORDER: Final = ("serious", "warning")
_DEFAULTS: Final = Thresholds()


def find_alerts(facts: AlertFacts, limits: Thresholds = _DEFAULTS) -> tuple[Alert, ...]:
    """Every alert the facts give: serious ones first, then in the order of the rules."""
    found = [alert for rule in _RULES for alert in rule(facts, limits)]
    return tuple(sorted(found, key=lambda alert: _ORDER.index(alert.severity)))
