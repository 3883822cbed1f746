"""The ledger beside a provider's export, for machines."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.reconcile import Difference, Line, Reconciliation, Spread
from frugal_chains.report._money import exact_text


def reconcile_json(found: Reconciliation, *, within_percent: Decimal) -> dict[str, Any]:
    """Stable keys; money as exact decimals in text, percent as numbers rounded to four decimals."""
    return {
        "provider": found.provider,
        "files": list(found.files),
        "first_day": found.first_day,
        "last_day": found.last_day,
        "measures": list(found.measures),
        "judged": list(found.judged),
        "within_percent": float(within_percent),
        "within": found.within(within_percent),
        "total": _differences(found.total),
        "days": [{"day": line.day, **_differences(line)} for line in found.days],
        "models": [_model(line) for line in found.models],
        "cells": [{"day": line.day, **_model(line)} for line in found.cells],
        "error_bar": {measure: _spread(spread) for measure, spread in found.spreads.items()},
        "reasons": [
            {"kind": reason.kind, "text": reason.text, "attempts": reason.attempts}
            for reason in found.reasons
        ],
    }


def _model(line: Line) -> dict[str, Any]:
    return {"model": line.model or None, "names": list(line.names), **_differences(line)}


def _differences(line: Line) -> dict[str, Any]:
    return {measure: _difference(measure, found) for measure, found in line.differences.items()}


def _difference(measure: str, found: Difference) -> dict[str, Any]:
    def amount(value: int) -> int | str:
        return exact_text(usd_from_nanos(value)) if measure == "usd" else value

    return {
        "export": amount(found.export),
        "ledger": amount(found.ledger),
        "difference": amount(found.amount),
        "percent": _number(found.percent),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "mean_absolute_percent_by_day": _number(spread.mean_absolute_percent),
        "largest_day": spread.largest_day or None,
        "largest_percent": _number(spread.largest_percent),
        "unseen_by_ledger_percent": _number(spread.unseen_by_ledger),
        "unseen_by_export_percent": _number(spread.unseen_by_export),
    }


def _number(percent: Decimal | None) -> float | None:
    return None if percent is None else round(float(percent), 4)
