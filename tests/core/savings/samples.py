"""Attempts and effects for the savings tests, with round prices to reckon with by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from frugal_chains.ledger import Attempt, Effect, microseconds, new_id
from frugal_chains.pricing import Price, PriceBook, Priced, Unpriced
from frugal_chains.usage import Usage

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
OPERATION = "0123456789abcdef0123456789abcdef"
PRICES = """
[[price]]
provider = "acme"
model = "small"
input = 1
cache_read = 0.1
output = 4

[[price]]
provider = "acme"
model = "big"
input = 10
cache_read = 1
output = 40
"""
"""USD for 1,000,000 tokens: a token of `small` costs 1,000 nanos in, 100 cached, 4,000 out; one of
`big` ten times as much."""
USAGE = Usage(input_tokens=1_000, cache_read_tokens=600, output_tokens=50)
"""Of `small` 400 x 1,000 + 600 x 100 + 50 x 4,000 = 660,000 nanos; of `big` 6,600,000."""
SMALL_NANOS, BIG_NANOS = 660_000, 6_600_000


def book(folder: Any) -> PriceBook:
    path = folder / "prices.toml"
    path.write_text(PRICES, encoding="utf-8")
    return PriceBook.load(path)


def attempt(
    after_s: float = 0.0,
    *,
    nanos: int | None = SMALL_NANOS,
    operation: str = OPERATION,
    **fields: Any,
) -> Attempt:
    """An attempt of `small`, that long after noon; `nanos` None leaves it unpriced."""
    at_us = microseconds(NOON + timedelta(seconds=after_s))
    price: Price = Unpriced(reason="no list has it")
    if nanos is not None:
        price = Priced(nanos=nanos, output_nanos=nanos, price_id="list 1")
    facts: dict[str, Any] = {
        "id": new_id(at_us), "operation_id": operation, "at_us": at_us, "framework": "langchain",
        "provider": "acme", "model": "small", "usage": USAGE, "price": price,
    }  # fmt: skip
    return Attempt(**facts | fields)


def routed(
    after_s: float = 0.0,
    *,
    chosen: str = "cheap",
    step: str = "",
    to: str = "",
    **fields: Any,
) -> Attempt:
    """An attempt that a decision between `cheap` (small) and `dear` (big) sent to `chosen`, or in
    the course of it to `to`, and why."""
    decision: dict[str, Any] = {
        "action": "call", "reason": "gain", "candidate": chosen, "tier": "gatekeeper",
        "escalation": [] if not step or step.startswith("fallback") else ["dear"],
        "expected_nanos": {"cheap": 700_000, "dear": 7_000_000},
    }  # fmt: skip
    decision |= fields.pop("routing", {})
    if step:
        decision["step"] = {"candidate": to or chosen, "why": step}
    if (to or chosen) == "dear":
        fields = {"model": "big", "nanos": BIG_NANOS} | fields
    return attempt(after_s, decision={"routing": decision}, **fields)


def effect(lever: str, net_nanos: int | None, **fields: Any) -> Effect:
    facts: dict[str, Any] = {
        "operation_id": OPERATION, "at": NOON, "lever": lever, "tokens_before": 1_000,
        "tokens_after": 600, "exact": True, "net_nanos": net_nanos,
    }  # fmt: skip
    return Effect(**facts | fields)
