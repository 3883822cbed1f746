"""Replay: recorded traffic and workload sheets through the policies that run live."""

from frugal_chains.replay._bill import ReplayBill
from frugal_chains.replay._cache import CacheSplit, PromptPart, SimulatedCache
from frugal_chains.replay._ledger import TASK_TAGS, ledger_calls
from frugal_chains.replay._lists import what_if_lists
from frugal_chains.replay._replay import Replayed, replay
from frugal_chains.replay._setup import (
    LEVERS,
    Batch,
    Compression,
    LeverName,
    Marks,
    Memory,
    Routing,
    Setup,
)
from frugal_chains.replay._setup_file import (
    SETUP_KEYS,
    model_named,
    parse_setup,
    read_setup,
    setup_text,
)
from frugal_chains.replay._setup_keys import Value
from frugal_chains.replay._sweep import MAX_POINTS, Sweep, SweepPoint, parse_sweep, sweep
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay._whatif import LeverOutlook, WhatIf, what_if

__all__ = [
    "LEVERS",
    "MAX_POINTS",
    "SETUP_KEYS",
    "TASK_TAGS",
    "Batch",
    "CacheSplit",
    "Compression",
    "LeverName",
    "LeverOutlook",
    "Marks",
    "Memory",
    "PromptPart",
    "RecordedCall",
    "ReplayBill",
    "Replayed",
    "Routing",
    "Setup",
    "SimulatedCache",
    "Sweep",
    "SweepPoint",
    "Value",
    "WhatIf",
    "ledger_calls",
    "model_named",
    "parse_setup",
    "parse_sweep",
    "read_setup",
    "replay",
    "setup_text",
    "sweep",
    "what_if",
    "what_if_lists",
]
