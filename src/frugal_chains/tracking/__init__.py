"""Tracking: what both adapters do with a call, from its start to its row in the ledger."""

from typing import TYPE_CHECKING, Any

from frugal_chains.tracking._ambient import (
    budgets_around,
    current_tracker,
    fingerprints_around,
    use_tracker,
)
from frugal_chains.tracking._call import CallEnd, CallStart
from frugal_chains.tracking._effects import report_effect
from frugal_chains.tracking._errors import ErrorFacts, classify_error
from frugal_chains.tracking._lever import current_lever, decided
from frugal_chains.tracking._operation import Operation, current_operation, operation
from frugal_chains.tracking._prices import shared_prices
from frugal_chains.tracking._settings import cache_settings
from frugal_chains.tracking._shared import shared_ledger
from frugal_chains.tracking._threads import carry
from frugal_chains.tracking._total import RunningTotal
from frugal_chains.tracking._tracker import Tracker

if TYPE_CHECKING:
    from frugal_chains.tracking._prints import read_prints
    from frugal_chains.tracking._watch import CallWatch

__all__ = [
    "CallEnd",
    "CallStart",
    "CallWatch",
    "ErrorFacts",
    "Operation",
    "RunningTotal",
    "Tracker",
    "budgets_around",
    "cache_settings",
    "carry",
    "classify_error",
    "current_lever",
    "current_operation",
    "current_tracker",
    "decided",
    "fingerprints_around",
    "operation",
    "read_prints",
    "report_effect",
    "shared_ledger",
    "shared_prices",
    "use_tracker",
]


def __getattr__(name: str) -> Any:
    # It needs asyncio, which takes as long to import as a fifth of this library.
    if name == "CallWatch":
        from frugal_chains.tracking._watch import CallWatch

        return CallWatch
    if name == "read_prints":  # few keep fingerprints
        from frugal_chains.tracking._prints import read_prints

        return read_prints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
