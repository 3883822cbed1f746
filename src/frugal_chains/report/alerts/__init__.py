"""Alerts: what in a report wants a person's eye, decided from facts and thresholds alone."""

from frugal_chains.report.alerts._facts import (
    Alert,
    AlertFacts,
    BudgetSpend,
    DayBill,
    RepeatShare,
    Severity,
    Thresholds,
)
from frugal_chains.report.alerts._find import find_alerts
from frugal_chains.report.alerts._report import DAY_MODELS, alert_facts
from frugal_chains.report.alerts._terminal import alert_lines, alerts_json

__all__ = [
    "DAY_MODELS",
    "Alert",
    "AlertFacts",
    "BudgetSpend",
    "DayBill",
    "RepeatShare",
    "Severity",
    "Thresholds",
    "alert_facts",
    "alert_lines",
    "alerts_json",
    "find_alerts",
]
