"""Budgets: limits on money that hold for threads, tasks and processes alike."""

from frugal_chains.budgets._budget import Budget, BudgetState, OnExceeded, Per
from frugal_chains.budgets._guard import BudgetGuard

__all__ = ["Budget", "BudgetGuard", "BudgetState", "OnExceeded", "Per"]
