"""frugal_chains: cut the LLM bill of a LangChain or LlamaIndex application, and prove it."""

from frugal_chains.budgets import Budget
from frugal_chains.errors import BudgetExceeded, FrugalError
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import operation
from frugal_chains.usage import Usage

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "BudgetExceeded",
    "FrugalError",
    "Ledger",
    "PriceBook",
    "Usage",
    "__version__",
    "operation",
]
