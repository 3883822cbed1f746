"""From tables that were read to workloads: what belongs together is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from frugal_chains.replay.sheet._amounts import Amount
from frugal_chains.replay.sheet._checks import REST
from frugal_chains.replay.sheet._keys import LEVERS, PARTS
from frugal_chains.replay.sheet._merge import broken, merged_shape
from frugal_chains.replay.sheet._mix import amount_text, plain_number, with_shares
from frugal_chains.replay.sheet._sheet import Classifier, Entry, Shape, Workload
from frugal_chains.replay.sheet._tables import BROKEN, WHERE, Reader, Where

_NONE = Amount.fixed(0)
_ALL = Amount.fixed(1)


def workload(reader: Reader, table: Mapping[str, Any], *, name: str, note: str) -> Workload | None:
    """One workload of what its tables say; None when something is wrong with it."""
    rows = table.get("model")
    if not isinstance(rows, list):  # complained about; what else is wrong is said all the same
        _shape(reader, table.get("shape", {}), {}, ())
        _classifier(reader, table.get("classifier"))
        return None
    mix = with_shares(reader, rows)
    entries = [_entry(reader, table, row) for row in mix]
    classifier = _classifier(reader, table.get("classifier"))
    calls = table.get("calls", BROKEN)
    if broken(calls, classifier, *(entry or BROKEN for entry in entries)):
        return None
    return Workload(
        name=name,
        note=note,
        calls=calls,
        entries=tuple(entry for entry in entries if entry),
        classifier=classifier,
    )


def _entry(reader: Reader, above: Mapping[str, Any], row: Mapping[str, Any]) -> Entry | None:
    where = row[WHERE]
    own = {key: value for key, value in above.items() if key in LEVERS} | dict(row)
    shape = _shape(reader, above.get("shape", {}), row.get("shape", {}), where)
    levers = [own.get(key) for key in ("share", "name", *LEVERS)]
    fine = [_tier_fits(reader, own, above, row), _escalation_fits(reader, own, where)]
    if shape is None or not all(fine) or broken(*levers, *row.values()):
        return None
    if not _cache_fits(reader, own, shape, (row if "cache_hit_rate" in row else above)[WHERE]):
        return None
    return Entry(
        model=own["name"],
        provider=own.get("provider"),
        task=own.get("task", ""),
        share=None if own["share"] == REST else own["share"],
        shape=shape,
        tier=own.get("tier", "standard"),
        cache_hit_rate=own.get("cache_hit_rate"),
        cache_writes=own.get("cache_writes", "5m"),
        batch_share=own.get("batch_share", _NONE),
        retry_rate=own.get("retry_rate", _NONE),
        escalation_rate=own.get("escalation_rate", _NONE),
        escalates_to=own.get("escalates_to", ""),
        escalates_to_provider=own.get("escalates_to_provider"),
    )


def _cache_fits(reader: Reader, own: Mapping[str, Any], shape: Shape, where: Where) -> bool:
    given = shape.static_tokens is not None or shape.static_share is not None
    if "cache_hit_rate" in own and not given:
        reader.complain(
            where,
            "cache_hit_rate without a beginning that a cache can hold; expected static_tokens or "
            "static_share in the shape (static_tokens = 0: it has none)",
        )
    return given or "cache_hit_rate" not in own


def _tier_fits(
    reader: Reader, own: Mapping[str, Any], above: Mapping[str, Any], row: Mapping[str, Any]
) -> bool:
    batch, tier = own.get("batch_share"), own.get("tier", "standard")
    if tier is BROKEN or tier == "standard" or not isinstance(batch, Amount) or not batch.high:
        return True
    reader.complain(
        (row if "batch_share" in row else above)[WHERE],
        f"batch_share {amount_text(batch)} with tier {tier}: batches are a tier of their own; "
        "expected one of the two",
    )
    return False


def _escalation_fits(reader: Reader, own: Mapping[str, Any], where: Where) -> bool:
    missing = {"escalation_rate", "escalates_to"} - own.keys()
    if len(missing) == 1:
        (key,) = missing
        (other,) = {"escalation_rate", "escalates_to"} - missing
        reader.complain(where, f"{key} is missing; expected it beside {other}")
    elif "escalates_to_provider" in own and missing:
        reader.complain(where, "escalates_to_provider without escalates_to")
        return False
    return len(missing) != 1


def _shape(reader: Reader, above: Any, own: Any, where: Where) -> Shape | None:
    """The shape of a model's calls: its own keys, then its workload's."""
    if broken(above, own) or not all([_alone(reader, above), _alone(reader, own)]):
        return None
    table = merged_shape(above, own)
    inputs = {key: table[key] for key in ("input_tokens", *PARTS) if key in table}
    at = own.get(WHERE, where)
    if not inputs:
        reader.complain(at, f"expected input_tokens in [shape], or {', '.join(PARTS)}")
    if "output_tokens" not in table:
        reader.complain(at, "expected output_tokens in [shape]")
    if not inputs or "output_tokens" not in table or broken(*table.values()):
        return None
    shape = Shape(
        inputs=inputs,
        output_tokens=table["output_tokens"],
        static_tokens=table.get("static_tokens"),
        static_share=table.get("static_share"),
    )
    return shape if _sizes_fit(reader, shape, own.get(WHERE) or above[WHERE]) else None


def _alone(reader: Reader, table: Mapping[str, Any]) -> bool:
    """Two ways to say one thing do not stand in one table."""
    parts = [key for key in PARTS if key in table]
    twice = [
        text
        for text, both in (
            (f"input_tokens beside {', '.join(parts)}", "input_tokens" in table and parts),
            (
                "static_tokens beside static_share",
                {"static_tokens", "static_share"} <= table.keys(),
            ),
        )
        if both
    ]
    for text in twice:
        reader.complain(table[WHERE], f"{text}; expected one or the other")
    return not twice


def _sizes_fit(reader: Reader, shape: Shape, where: Where) -> bool:
    shortest = sum((part.low for part in shape.inputs.values()), Fraction(0))
    if not shortest:
        reader.complain(where, "a call without input: expected at least 1 token")
        return False
    if shape.static_tokens and shape.static_tokens.high > shortest:
        reader.complain(
            where,
            f"static_tokens {amount_text(shape.static_tokens)} is more than the shortest input, "
            f"{plain_number(shortest)} tokens",
        )
        return False
    return True


def _classifier(reader: Reader, table: Any) -> Any:
    """The classifier; None when there is none, `BROKEN` when it is wrong."""
    if table is None or broken(table):
        return table
    missing = [key for key in ("model", "input_tokens") if key not in table]
    for key in missing:
        reader.complain(table[WHERE], f"{key} is missing")
    if missing or broken(*table.values()):
        return BROKEN
    return Classifier(
        model=table["model"],
        provider=table.get("provider"),
        input_tokens=table["input_tokens"],
        output_tokens=table.get("output_tokens", _NONE),
        share=table.get("share", _ALL),
    )
