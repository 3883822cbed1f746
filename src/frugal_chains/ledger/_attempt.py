"""`Attempt`: one row per request that reached a provider, or would have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from frugal_chains.pricing import Price, Unpriced
from frugal_chains.usage import Usage

Purpose = Literal["answer", "draft", "summary", "classify", "retry", "embed", "judge"]
Status = Literal["ok", "error", "aborted", "cached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to a provider: what it used, what it cost, and on whose behalf.

    Tokens, cost and status are facts of this attempt alone; what the user asked for is an
    operation, and may hold several attempts (drafts, retries, fallbacks).
    """

    id: str
    """32 hex digits, a UUIDv7 of the start: sorts by time."""
    operation_id: str
    """Groups the attempts made for one request of the application. By default the root run."""
    at: datetime
    """When the call started; aware, UTC."""
    framework: str
    """`langchain`, `llama_index`, or the caller's own word."""
    provider: str
    """In genai-prices' spelling where it is known there (`openai`, `anthropic`, `aws`, ...)."""
    model: str
    """The model that answered; the one asked for when no answer came."""
    model_asked: str = ""
    purpose: Purpose = "answer"
    status: Status = "ok"
    error_kind: str = ""
    """`rate_limit`, `timeout`, `invalid_request`, ... when `status` is `error`; how it was given up
    (`cancelled`, `closed`, `lost`, `lease_expired`) when `aborted`."""
    streamed: bool = False
    service_tier: str = "standard"
    latency_s: float | None = None
    """Start to end, by a monotonic clock; None when no end was seen."""
    first_token_s: float | None = None
    usage: Usage = field(default_factory=Usage)
    price: Price = field(default_factory=lambda: Unpriced(reason="not priced"))
    note: str = ""
    """Why the usage is not the provider's word, or what the user could change to get it."""
    run_id: str = ""
    """The framework's own id of this call, to join with its traces."""
    parent_id: str = ""
    """The framework's id of the enclosing run or span."""
    thread_id: str = ""
    """The conversation, where the framework names one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    """What a lever decided for this attempt, as plain JSON."""

    @property
    def cost_usd(self) -> Decimal | None:
        """Exact USD, or None when unpriced."""
        return self.price.cost_usd

    @property
    def unpriced_reason(self) -> str | None:
        return self.price.reason if isinstance(self.price, Unpriced) else None
