"""The task inventory: recorded calls by task, with their size, their price and their class."""

from frugal_chains.replay.inventory._grouping import MAX_GROUPS
from frugal_chains.replay.inventory._inventory import (
    ClassTotals,
    GroupKind,
    Inventory,
    Shares,
    TaskGroup,
    inventory,
)
from frugal_chains.replay.inventory._tally import Sums
from frugal_chains.replay.inventory._thresholds import THRESHOLDS, TaskClass, Threshold

__all__ = [
    "MAX_GROUPS",
    "THRESHOLDS",
    "ClassTotals",
    "GroupKind",
    "Inventory",
    "Shares",
    "Sums",
    "TaskClass",
    "TaskGroup",
    "Threshold",
    "inventory",
]
