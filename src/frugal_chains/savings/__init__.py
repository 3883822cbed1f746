"""Savings: what an application would have paid, step by step down to what it did pay."""

from frugal_chains.savings._baseline import Baseline, candidate_models
from frugal_chains.savings._books import has_levers, ledger_waterfall, period_waterfall
from frugal_chains.savings._operation import operation_waterfall
from frugal_chains.savings._step import LEVERS, OVERHEADS, Step, StepKind
from frugal_chains.savings._waterfall import Waterfall, summed

__all__ = [
    "LEVERS",
    "OVERHEADS",
    "Baseline",
    "Step",
    "StepKind",
    "Waterfall",
    "candidate_models",
    "has_levers",
    "ledger_waterfall",
    "operation_waterfall",
    "period_waterfall",
    "summed",
]
