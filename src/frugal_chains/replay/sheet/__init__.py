"""Workload sheets: what so many calls a month cost, before there are any to record."""

from frugal_chains.replay.sheet._amounts import Amount, exact_decimal
from frugal_chains.replay.sheet._bill import (
    ClaimCheck,
    Factor,
    Interval,
    Line,
    Part,
    SheetBill,
    WorkloadBill,
)
from frugal_chains.replay.sheet._cost import sheet_bill
from frugal_chains.replay.sheet._read import read_sheet
from frugal_chains.replay.sheet._sheet import (
    BASELINE,
    Claim,
    Classifier,
    Entry,
    Shape,
    Sheet,
    Tokens,
    Workload,
)

__all__ = [
    "BASELINE",
    "Amount",
    "Claim",
    "ClaimCheck",
    "Classifier",
    "Entry",
    "Factor",
    "Interval",
    "Line",
    "Part",
    "Shape",
    "Sheet",
    "SheetBill",
    "Tokens",
    "Workload",
    "WorkloadBill",
    "exact_decimal",
    "read_sheet",
    "sheet_bill",
]
