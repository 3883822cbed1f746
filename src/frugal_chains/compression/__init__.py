"""Compression: fewer input tokens to an exact budget, nothing important lost."""

from frugal_chains.compression._budget import ContextBudget, budget_tokens
from frugal_chains.compression._fewest import fewest_that_pay
from frugal_chains.compression._label import written_label
from frugal_chains.compression._pays import Ahead, Verdict, pays, pays_rewriting

__all__ = [
    "Ahead",
    "ContextBudget",
    "Verdict",
    "budget_tokens",
    "fewest_that_pay",
    "pays",
    "pays_rewriting",
    "written_label",
]
