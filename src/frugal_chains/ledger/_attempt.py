"""`Attempt`: one row per request that reached a provider, or would have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from frugal_chains.ledger._ids import moment
from frugal_chains.pricing import Price, Unpriced
from frugal_chains.usage import Usage

Purpose = Literal["answer", "draft", "summary", "classify", "retry", "embed", "judge"]
Status = Literal["ok", "error", "aborted", "cached"]

_NO_USAGE: Final = Usage()
_NOT_PRICED: Final = Unpriced(reason="not priced")
_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class Attempt(NamedTuple):
    """One request to a provider: what it used, what it cost, and on whose behalf.

    A named tuple because one is made for every call, and a frozen dataclass of as many fields takes
    four times as long to make. Construct it by field names, and change it with `_replace`.

    Tokens, cost and status are facts of this attempt alone; what the user asked for is an
    operation, and may hold several attempts (drafts, retries, fallbacks).
    """

    id: str
    """32 hex digits, a UUIDv7 of the start: sorts by time."""
    operation_id: str
    """Groups the attempts made for one request of the application. By default the root run."""
    at_us: int
    """When the call started, in microseconds since 1970; `at` is the same as a date."""
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
    usage: Usage = _NO_USAGE
    price: Price = _NOT_PRICED
    note: str = ""
    """Why the usage is not the provider's word, or what the user could change to get it."""
    run_id: str = ""
    """The framework's own id of this call, to join with its traces."""
    parent_id: str = ""
    """The framework's id of the enclosing run or span."""
    thread_id: str = ""
    """The conversation, where the framework names one."""
    tags: Mapping[str, str] = _NO_TAGS
    decision: Mapping[str, Any] | None = None
    """What a lever decided for this attempt, as plain JSON."""
    prints: Mapping[str, Any] | None = None
    """Fingerprints of the request, where they are asked for: keyed hashes and sizes, no text."""

    @property
    def at(self) -> datetime:
        """When the call started; aware, UTC."""
        return moment(self.at_us)

    @property
    def cost_usd(self) -> Decimal | None:
        """Exact USD, or None when unpriced."""
        return self.price.cost_usd

    @property
    def unpriced_reason(self) -> str | None:
        return self.price.reason if isinstance(self.price, Unpriced) else None
