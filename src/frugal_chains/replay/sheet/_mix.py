"""The shares of a mix: they add to 1, or one model takes the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from frugal_chains.replay.sheet._amounts import Amount, exact_decimal
from frugal_chains.replay.sheet._checks import REST
from frugal_chains.replay.sheet._merge import broken
from frugal_chains.replay.sheet._tables import BROKEN, WHERE, Reader


def with_shares(reader: Reader, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their shares: of a single model it may be left out."""
    if len(rows) == 1 and "share" not in rows[0]:
        return [{"share": Amount.fixed(1), **rows[0]}]
    for row in rows:
        if "share" not in row:
            reader.complain(
                row[WHERE], f'share is missing; expected a share of the calls, or "{REST}"'
            )
    shares = [row.get("share", BROKEN) for row in rows]
    if not broken(*shares) and (wrong := _wrong_sum(rows)):
        # A scenario without models of its own has the sheet's: named where they stand.
        reader.complain(rows[0][WHERE][:-1], f"model shares: {wrong}")
    return [{"share": BROKEN, **row} for row in rows]


def _wrong_sum(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with the shares together; empty: nothing."""
    given = {row[WHERE][-1]: row["share"] for row in rows}
    fixed = {name: share for name, share in given.items() if share != REST}
    total = sum((share.high for share in fixed.values()), Fraction(0))
    listed = ", ".join(f"{name} {amount_text(share)}" for name, share in fixed.items())
    rests = len(given) - len(fixed)
    over, missing = plain_number(total - 1), plain_number(1 - total)
    if rests > 1:
        return f'expected "{REST}" once, got it {rests} times'
    if rests:
        nothing = f'{over} too much: nothing is left for "{REST}"'
        return f"the others add to {plain_number(total)}, {nothing} ({listed})" if total > 1 else ""
    if any(share.is_range for share in fixed.values()):
        return f'a share that is a range needs one model with share = "{REST}" ({listed})'
    if total == 1:
        return ""
    gap = f"{over} too much" if total > 1 else f"{missing} is missing"
    return f"add to {plain_number(total)}, not to 1: {gap} ({listed})"


def amount_text(amount: Amount) -> str:
    if not amount.is_range:
        return plain_number(amount.likely)
    return f"[{', '.join(map(plain_number, (amount.low, amount.likely, amount.high)))}]"


def plain_number(value: Fraction) -> str:
    return f"{exact_decimal(value):,f}"
