"""The columns of an exported attempt. They are only ever added to, at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from frugal_chains.ledger import Attempt
from frugal_chains.money import usd_from_nanos
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.usage import COUNT_FIELDS

Kind = Literal["text", "integer", "seconds", "flag", "moment", "usd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value of an attempt. None is an empty cell, and null in Parquet: it is not known."""

    name: str
    kind: Kind
    """`moment`: aware, UTC, to the microsecond; `usd`: an exact Decimal of nine decimals."""
    read: Callable[[Attempt], Any]
    about: str


def _outcome(attempt: Attempt) -> str:
    match attempt.price:
        case Priced():
            return "priced"
        case Free():
            return "free"
        case Unpriced():
            return "unpriced"


def _part(name: str) -> Callable[[Attempt], int | None]:
    """A part of the cost in nano-USD: 0 where the attempt is free, None where it has no price."""

    def read(attempt: Attempt) -> int | None:
        price = attempt.price
        return None if isinstance(price, Unpriced) else getattr(price, name, 0)

    return read


def _count(name: str) -> Callable[[Attempt], int]:
    def read(attempt: Attempt) -> int:
        count: int = getattr(attempt.usage, name)
        return count

    return read


def _tags(attempt: Attempt) -> str:
    return json.dumps(dict(attempt.tags), sort_keys=True, ensure_ascii=False, default=str)


def _decision(attempt: Attempt) -> str | None:
    if attempt.decision is None:
        return None
    return json.dumps(dict(attempt.decision), sort_keys=True, ensure_ascii=False, default=str)


def _field(name: str, kind: Kind, about: str) -> Column:
    def read(attempt: Attempt) -> Any:
        return getattr(attempt, name)

    return Column(name=name, kind=kind, read=read, about=about)


def _column(name: str, kind: Kind, read: Callable[[Attempt], Any], about: str) -> Column:
    return Column(name=name, kind=kind, read=read, about=about)


_COSTS: Final = {
    "cost_nanos": ("nanos", "the whole cost; empty when unpriced, 0 when free"),
    "input_cost_nanos": ("input_nanos", "input outside the cache"),
    "cache_read_cost_nanos": ("cache_read_nanos", "input read from the provider's cache"),
    "cache_write_cost_nanos": ("cache_write_nanos", "input written to it"),
    "output_cost_nanos": ("output_nanos", "output"),
    "fee_cost_nanos": ("fee_nanos", "server-side tools billed by use"),
}

COLUMNS: Final = (
    _field("id", "text", "of the attempt: 32 hex digits, sorts by time"),
    _field("operation_id", "text", "groups the attempts of one request of the application"),
    _field("run_id", "text", "the framework's id of this call"),
    _field("parent_id", "text", "the framework's id of what encloses it"),
    _field("thread_id", "text", "the conversation"),
    _column("started_at", "moment", lambda a: a.at, "UTC"),
    _field("framework", "text", "`langchain`, `llama_index` or the caller's own word"),
    _field("provider", "text", "in genai-prices' spelling"),
    _field("model", "text", "that answered"),
    _field("model_asked", "text", "where another was asked for"),
    _field("purpose", "text", "answer, draft, summary, classify, retry, embed or judge"),
    _field("status", "text", "ok, error, aborted or cached"),
    _field("error_kind", "text", "of an error, or how it was given up"),
    _field("streamed", "flag", "whether the answer was streamed"),
    _field("service_tier", "text", "standard, batch, flex, priority"),
    _field("latency_s", "seconds", "start to end"),
    _field("first_token_s", "seconds", "start to the first token"),
    *(_column(name, "integer", _count(name), "usage") for name in COUNT_FIELDS),
    _column("usage_source", "text", lambda a: a.usage.source, "provider, estimated or mixed"),
    _column("price_outcome", "text", _outcome, "priced, free or unpriced"),
    *(_column(name, "integer", _part(part), about) for name, (part, about) in _COSTS.items()),
    _column(
        "cost_usd",
        "usd",
        lambda a: None if a.price.nanos is None else usd_from_nanos(a.price.nanos),
        "`cost_nanos` in USD, exact",
    ),
    _column("price_id", "text", lambda a: getattr(a.price, "price_id", ""), "the price list"),
    _column("unpriced_reason", "text", lambda a: a.unpriced_reason or "", "why there is no price"),
    _field("note", "text", "why usage is not the provider's word"),
    _column("tags", "text", _tags, "a JSON object"),
    _column("decision", "text", _decision, "what a lever decided, as JSON; empty without one"),
)
"""In this order. Fingerprints of requests are not exported: their key is the ledger's."""
