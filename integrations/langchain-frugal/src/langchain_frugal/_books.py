"""Whose books a run is written to, and under which operation."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.callbacks.base import BaseCallbackHandler

from frugal_chains.tracking import Tracker
from langchain_frugal._handler import CostCallbackHandler


def trackers_of(handlers: Iterable[BaseCallbackHandler]) -> tuple[Tracker, ...]:
    """Whose books a call is written to, and whose budgets hold for it."""
    return tuple(dict.fromkeys(h.tracker for h in handlers if isinstance(h, CostCallbackHandler)))


def operation_of(manager: BaseCallbackManager) -> str:
    """The operation that the calls of a run will belong to; empty: one of their own."""
    if manager.parent_run_id is None:
        return ""
    handlers = (h for h in manager.handlers if isinstance(h, CostCallbackHandler))
    return next((h._root_of(manager.parent_run_id).hex for h in handlers), "")
