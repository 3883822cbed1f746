"""What is said of a workload sheet: arithmetic, shares and claims in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.replay.sheet import ClaimCheck, Line, Part, exact_decimal
from frugal_chains.report._money import plain_text

_ROLES: Mapping[str, str] = {
    "answer": "",
    "escalation": "asked again: ",
    "classifier": "classifier: ",
}
_CENTI = Decimal("0.01")
_FIGURES: Mapping[str, str] = {
    "cost_usd": "a month",
    "saved_usd": "saved a month",
    "saved_share": "saved",
    "usd_per_mtok": "per 1M tokens",
    "share_of_input": "of the input price",
}
_BUCKETS: Mapping[str, str] = {
    "cache_read": "reads",
    "cache_write_5m": "short writes",
    "cache_write_1h": "long writes",
}


def number_text(value: Fraction) -> str:
    """Exact, with separators: `3,250,000`, `0.65`."""
    whole, _, decimals = f"{exact_decimal(value):,f}".partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def percent_text(share: Fraction) -> str:
    """With up to two decimals; `0%` and `100%` mean exactly that."""
    percent = (exact_decimal(share) * 100).quantize(_CENTI, rounding=ROUND_HALF_EVEN)
    if share and not percent:
        return "<0.01%" if share > 0 else "-<0.01%"
    if percent == 100 and share != 1:
        return ">99.99%" if share < 1 else ">100%"
    whole, _, decimals = f"{percent:,f}".partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}%" if decimals else f"{whole}%"


def nanos_text(nanos: Fraction | int) -> str:
    return usd_text(usd_from_nanos(int(nanos)))


def part_text(part: Part) -> str:
    """Who is asked, and how many calls that are."""
    tier = "" if part.tier == "standard" else f", {part.tier} tier"
    task = f", {plain_text(part.task)}" if part.task else ""
    name = f"{_ROLES[part.role]}{plain_text(part.model)}{task}{tier}"
    if len(part.factors) == 1:
        return f"{name}: {number_text(part.calls)} calls"
    steps = " x ".join(f"{number_text(value)} {of}" for value, of in part.factors)
    return f"{name}: {steps} = {number_text(part.calls)} calls"


def line_text(line: Line) -> str:
    """`4,000,000 calls x 800 tokens x $2.50 / 1M = $8,000.00`."""
    price, cost = usd_text(line.usd), nanos_text(line.nanos)
    if line.bucket == "request":
        return f"{number_text(line.calls)} calls x {price} / 1,000 = {cost}"
    calls, tokens = number_text(line.calls), f"{line.tokens:,} tokens"
    return f"{calls} calls x {tokens} x {price} / 1M = {cost}"


def claim_text(check: ClaimCheck) -> str:
    """A claim, the claimed figure and the real one, in plain words."""
    claim = check.claim
    said = plain_text(claim.text).rstrip(".")
    claimed = _figure(claim.figure, claim.claimed)
    if check.real is None:
        return f"{said}. Claimed: {claimed}. It cannot be checked: {plain_text(check.reason)}."
    real = _real(check, check.real)
    return f"{said}. Claimed: {claimed}. {real}{_others(check)}{_price_of(check)}"


def _figure(figure: str, value: Fraction) -> str:
    return f"{_amount(figure, value)} {_FIGURES[figure]}"


def _amount(figure: str, value: Fraction) -> str:
    is_share = figure in ("saved_share", "share_of_input")
    return percent_text(value) if is_share else usd_text(exact_decimal(value))


def _real(check: ClaimCheck, real: Fraction) -> str:
    claim = check.claim
    found = f"It is {_figure(claim.figure, real)}"
    if check.interval:
        low, high = (_amount(claim.figure, end) for end in check.interval)
        found += f", between {low} and {high}"
    if check.verdict == "wrong" and claim.figure in ("cost_usd", "saved_usd"):
        gap = _amount(claim.figure, abs(real - claim.claimed))
        found += f", {gap} {'more' if real > claim.claimed else 'less'}"
    return f"{found}."


def _others(check: ClaimCheck) -> str:
    listed = ", ".join(
        f"{_BUCKETS[bucket]} {percent_text(share)}" for bucket, share in check.others
    )
    return f" Also of this cache: {listed} of the input price." if listed else ""


def _price_of(check: ClaimCheck) -> str:
    claim = check.claim
    if check.price_of is None:
        return ""
    price, other = _amount(claim.figure, check.price_of), plain_text(claim.price_of)
    if check.price_of == claim.claimed:
        return f" {price} is the price of {other}."
    return f" Of {other} it is {price}."
