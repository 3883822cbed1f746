"""Ledger: the books, and the only input and output of the core."""

from frugal_chains.ledger._attempt import Attempt, Purpose, Status
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json
from frugal_chains.ledger._effect import Effect, EffectKind, EffectTotals
from frugal_chains.ledger._ids import microseconds, moment, new_id
from frugal_chains.ledger._inbox import DAMAGED, left_behind
from frugal_chains.ledger._ledger import DEFAULT_URL, Ledger, ledger_path, shown_url
from frugal_chains.ledger._meters import (
    Claim,
    Meter,
    MeterFacts,
    MeterState,
    Refusal,
    rolling_window,
)
from frugal_chains.ledger._read import LABEL_DIMENSIONS, TIME_DIMENSIONS
from frugal_chains.ledger._reserve import Reservation
from frugal_chains.ledger._store import (
    AttemptFilter,
    Coverage,
    EffectFilter,
    Followed,
    FollowedLabels,
    Health,
    PeriodBooks,
    Store,
    as_followed,
)
from frugal_chains.ledger._totals import Totals

__all__ = [
    "DAMAGED",
    "DEFAULT_URL",
    "LABEL_DIMENSIONS",
    "TIME_DIMENSIONS",
    "Attempt",
    "AttemptFilter",
    "Claim",
    "Coverage",
    "Effect",
    "EffectFilter",
    "EffectKind",
    "EffectTotals",
    "Followed",
    "FollowedLabels",
    "Health",
    "Ledger",
    "Meter",
    "MeterFacts",
    "MeterState",
    "PeriodBooks",
    "Purpose",
    "Refusal",
    "Reservation",
    "Status",
    "Store",
    "Totals",
    "as_followed",
    "attempt_from_json",
    "attempt_to_json",
    "ledger_path",
    "left_behind",
    "microseconds",
    "moment",
    "new_id",
    "rolling_window",
    "shown_url",
]
