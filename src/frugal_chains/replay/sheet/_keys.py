"""Every key of a sheet, table by table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from frugal_chains.pricing import BUCKETS, TIERS
from frugal_chains.replay.sheet._checks import DAY, Check, number, one_of, share_or_rest, words

MAX_CALLS = 1_000_000_000_000
MAX_TOKENS = 100_000_000
_MAX_USD = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """`[name]`: its keys, and those that must be there."""

    keys: Mapping[str, Spec]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """`[[name]]`: an array of tables; `named` is the key by which a message calls a row."""

    row: Table
    named: str


Spec: TypeAlias = Check | Table | Rows

_NAME = words(200)
_TEXT = words(4_000)
_TOKENS = number(0, MAX_TOKENS, unit="tokens", whole=True)
_SHARE = number(0, 1, unit="calls as a share")

LEVERS: Mapping[str, Check] = {
    "tier": one_of(*(tier for tier in TIERS if tier != "batch")),
    "cache_hit_rate": _SHARE,
    "cache_writes": one_of("5m", "1h", "input"),
    "batch_share": _SHARE,
    "retry_rate": number(0, 10, unit="paid retries for each call"),
}
"""A model's own win over its scenario's, and these over the sheet's."""
PARTS = ("system_tokens", "history_tokens", "retrieved_tokens", "question_tokens")
"""Of the input; or `input_tokens`, which is all of it."""
SHAPE = Table(
    dict.fromkeys(("input_tokens", *PARTS, "output_tokens", "static_tokens"), _TOKENS)
    | {"static_share": number(0, 1, unit="the input as a share")}
)
MODEL = Table(
    {
        "name": _NAME,
        "provider": _NAME,
        "task": _NAME,
        "share": share_or_rest(),
        "shape": SHAPE,
        "escalation_rate": _SHARE,
        "escalates_to": _NAME,
        "escalates_to_provider": _NAME,
        **LEVERS,
    },
    required=("name",),
)
CLASSIFIER = Table({
    "model": _NAME,
    "provider": _NAME,
    "input_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "share": _SHARE,
})  # fmt: skip
_WORKLOAD: Mapping[str, Spec] = {
    "note": _TEXT,
    "calls": number(1, MAX_CALLS, unit="calls a month", whole=True),
    **LEVERS,
    "shape": SHAPE,
    "model": Rows(MODEL, "name"),
    "classifier": CLASSIFIER,
}
SCENARIO = Table({"name": _NAME, "based_on": _NAME, **_WORKLOAD}, required=("name",))
_PRICE = number(0, 1_000_000, unit="USD per 1,000,000 tokens", ranged=False)
FIGURES: Mapping[str, Check] = {
    "cost_usd": number(0, _MAX_USD, unit="USD a month", ranged=False),
    "saved_usd": number(-_MAX_USD, _MAX_USD, unit="USD a month", ranged=False),
    "saved_share": number(-1_000, 1, unit="the baseline as a share", ranged=False),
    "usd_per_mtok": _PRICE,
    "share_of_input": number(0, 1_000, unit="the input price as a share", ranged=False),
}
PRICE_FIGURES = ("usd_per_mtok", "share_of_input")
CLAIM = Table(
    {
        "text": _TEXT,
        "source": _TEXT,
        "scenario": _NAME,
        "model": _NAME,
        "provider": _NAME,
        "bucket": one_of(*BUCKETS),
        "tier": one_of(*TIERS),
        "price_of": _NAME,
        **FIGURES,
    },
    required=("text",),
)
SHEET = Table(
    {
        "title": _NAME,
        "prices_on": DAY,
        **_WORKLOAD,
        "scenario": Rows(SCENARIO, "name"),
        "claim": Rows(CLAIM, "text"),
    },
    required=("prices_on", "calls", "model"),
)
