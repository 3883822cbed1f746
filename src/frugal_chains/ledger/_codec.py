"""An `Attempt` as labels and numbers for a row, and as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._ids import pack_id, unpack_id
from frugal_chains.ledger._schema import ROW_COLUMNS
from frugal_chains.pricing import Free, Price, Priced, Unpriced
from frugal_chains.usage import COUNT_FIELDS, Usage

Labels = tuple[str, ...]
"""One value for each of `LABEL_COLUMNS`."""

_PLAIN_FIELDS = (
    "id", "operation_id", "at_us", "framework", "provider", "model", "model_asked", "purpose",
    "status", "error_kind", "streamed", "service_tier", "latency_s", "first_token_s", "note",
    "run_id", "parent_id", "thread_id",
)  # fmt: skip
_PRICE_FIELDS = (
    "nanos", "input_nanos", "cache_read_nanos", "cache_write_nanos", "output_nanos", "fee_nanos",
)  # fmt: skip
_NO_COST = (0, 0, 0, 0, 0, 0)


def labels_of(attempt: Attempt) -> Labels:
    """Every label of the attempt, as text."""
    price = attempt.price
    match price:
        case Priced():
            outcome, price_id, reason = "priced", price.price_id, ""
        case Free():
            outcome, price_id, reason = "free", price.price_id, ""
        case Unpriced():
            outcome, price_id, reason = "unpriced", "", price.reason
    return (
        *attempt[_FIRST_LABEL:_LAST_LABEL],  # type: ignore[arg-type]  # texts, all of them
        "1" if attempt.streamed else "",
        attempt.service_tier,
        attempt.usage.source,
        outcome,
        price_id,
        reason,
        tags_text(attempt.tags),
    )


# From `framework` to `error_kind`, the fields are labels as they are and in their order.
_FIRST_LABEL = Attempt._fields.index("framework")
_LAST_LABEL = Attempt._fields.index("error_kind") + 1
_PLAIN_LABELS = _LAST_LABEL - _FIRST_LABEL
_COUNTS = ROW_COLUMNS.index(COUNT_FIELDS[0])
_COSTS = _COUNTS + len(COUNT_FIELDS)
_SERIES = len(ROW_COLUMNS) - 1


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as canonical JSON, so that equal tags are one series; any other value as its text."""
    if not tags:
        return ""
    if {*map(type, tags.values()), *map(type, tags)} != {str}:
        tags = {str(name): str(value) for name, value in tags.items()}
    return _tags_text(tuple(tags.items()))


@lru_cache(maxsize=1024)
def _tags_text(tags: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def row_of(attempt: Attempt) -> tuple[Any, ...]:
    """One value for each of `ROW_COLUMNS` but the last, its series."""
    operation_id, run_id = attempt.operation_id, attempt.run_id
    operation = pack_id(operation_id)
    return (
        bytes.fromhex(attempt.id),
        operation,
        attempt.at_us,
        _us(attempt.latency_s),
        _us(attempt.first_token_s),
        operation if run_id == operation_id else pack_id(run_id),
        pack_id(attempt.parent_id),
        attempt.thread_id or None,
        attempt.note or None,
        decision_text(attempt.decision) if attempt.decision is not None else None,
        *sums_of(attempt),
    )


def sums_of(attempt: Attempt) -> tuple[int, ...]:
    """One value for each of `SUM_COLUMNS`: both tuples have their counts in that order."""
    price = attempt.price
    costs = price[:-1] if isinstance(price, Priced) else _NO_COST
    return (*attempt.usage[:-1], *costs)


def decision_text(decision: Mapping[str, Any]) -> str:
    """A decision as JSON; a value that JSON does not know becomes its text, so no row is lost."""
    return json.dumps(dict(decision), sort_keys=True, default=str)


def prints_text(prints: Mapping[str, Any]) -> str:
    """Fingerprints as JSON, as short as it gets: there may be one for every call."""
    return json.dumps(dict(prints), separators=(",", ":"), default=str)


def attempt_from_row(
    row: tuple[Any, ...], labels: Labels, prints: Mapping[str, Any] | None = None
) -> Attempt:
    """The attempt that `row_of` and `labels_of` were made of, with its fingerprints."""
    # By position, in the order of the columns: a million are read for one question.
    id_, operation, at_us, latency_us, first_us, run, parent, thread, note, decision = row[:_COUNTS]
    streamed, tier, source, outcome, price_id, reason, tags = labels[_PLAIN_LABELS:]
    price: Price
    if outcome == "priced":
        price = Priced._make((*row[_COSTS:_SERIES], price_id))
    else:
        price = Free(price_id=price_id) if outcome == "free" else Unpriced(reason=reason)
    usage: dict[str, Any] = dict(zip(COUNT_FIELDS, row[_COUNTS:_COSTS], strict=True))
    usage["source"] = source
    return Attempt._make(
        (
            id_.hex(),
            unpack_id(operation),
            at_us,
            *labels[:_PLAIN_LABELS],
            bool(streamed),
            tier,
            _s(latency_us),
            _s(first_us),
            Usage(**usage),
            price,
            note or "",
            unpack_id(run),
            unpack_id(parent),
            thread or "",
            dict(_tags_of(tags)) if tags else {},
            json_of(decision) if decision is not None else None,
            prints,
        )
    )


@lru_cache(maxsize=1024)
def _tags_of(text: str) -> dict[str, str]:
    return dict(json_of(text))


_decode = json.JSONDecoder().raw_decode


def json_of(text: str) -> Any:
    """`json.loads` of what was written here, without blanks around it: a million are read for one
    question, and the decoder alone takes two thirds of the time."""
    value, end = _decode(text)
    return value if end == len(text) else json.loads(text)


def attempt_to_json(attempt: Attempt) -> dict[str, Any]:
    """The attempt as plain JSON; `attempt_from_json` is its inverse."""
    plain: dict[str, Any] = {name: getattr(attempt, name) for name in _PLAIN_FIELDS}
    plain["usage"] = {
        name: count for name in COUNT_FIELDS if (count := getattr(attempt.usage, name))
    } | {"source": attempt.usage.source}
    plain["price"] = _price_to_json(attempt.price)
    plain["tags"] = dict(attempt.tags)
    decision = attempt.decision
    plain["decision"] = None if decision is None else json.loads(decision_text(decision))
    if attempt.prints is not None:
        plain["prints"] = dict(attempt.prints)
    return plain


def attempt_from_json(plain: Mapping[str, Any]) -> Attempt:
    """The attempt that `attempt_to_json` wrote."""
    price = dict(plain["price"])
    return Attempt(
        **{name: plain[name] for name in _PLAIN_FIELDS},
        usage=Usage(**plain["usage"]),
        price=_price(price, price),
        tags=plain["tags"],
        decision=plain["decision"],
        prints=plain.get("prints"),
    )


def _price_to_json(price: Price) -> dict[str, Any]:
    match price:
        case Priced():
            nanos = {name: getattr(price, name) for name in _PRICE_FIELDS}
            return {"outcome": "priced", "price_id": price.price_id, **nanos}
        case Free():
            return {"outcome": "free", "price_id": price.price_id}
        case Unpriced():
            return {"outcome": "unpriced", "unpriced_reason": price.reason}


def _price(label: Mapping[str, Any], nanos: Mapping[str, Any]) -> Price:
    if label["outcome"] == "priced":
        return Priced(**{name: nanos[name] for name in _PRICE_FIELDS}, price_id=label["price_id"])
    if label["outcome"] == "free":
        return Free(price_id=label["price_id"])
    return Unpriced(reason=label["unpriced_reason"])


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _s(microseconds_: int | None) -> float | None:
    return None if microseconds_ is None else microseconds_ / 1e6
