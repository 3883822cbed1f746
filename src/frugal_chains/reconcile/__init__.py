"""Reconcile: the ledger beside what a provider's console says was used and billed."""

from frugal_chains.reconcile._compare import LEDGER_QUESTION, reconcile, whole_days
from frugal_chains.reconcile._export import UsageExport
from frugal_chains.reconcile._facts import (
    JUDGED,
    MEASURES,
    Difference,
    Line,
    Reason,
    Reconciliation,
    Spread,
)
from frugal_chains.reconcile._formats import FORMATS, Format
from frugal_chains.reconcile._names import model_key
from frugal_chains.reconcile._read import read_export

__all__ = [
    "FORMATS",
    "JUDGED",
    "LEDGER_QUESTION",
    "MEASURES",
    "Difference",
    "Format",
    "Line",
    "Reason",
    "Reconciliation",
    "Spread",
    "UsageExport",
    "model_key",
    "read_export",
    "reconcile",
    "whole_days",
]
