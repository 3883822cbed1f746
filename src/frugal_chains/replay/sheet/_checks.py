"""What a value of a sheet may be. Each check says what it expected, so that the message can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from frugal_chains.replay.sheet._amounts import Amount

MAX_DECIMALS = 9
MAX_DIGITS = 18
_MAX_SHOWN = 60
REST = "rest"


class Wrong(Exception):
    """A value is not what was expected."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of value."""

    expected: str
    read: Callable[[Any, str], Any]
    """Takes the value and where it stands; raises `Wrong`, with a text of its own or none."""


def shown(value: Any) -> str:
    """A value for a message: short, whatever was written."""
    if isinstance(value, list):
        text = f"[{', '.join(shown(item) for item in value[:4])}{', ...' if value[4:] else ''}]"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = repr(value[: _MAX_SHOWN + 1])
    else:
        text = "a table" if isinstance(value, dict) else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def number(
    lowest: int, highest: int, *, unit: str, whole: bool = False, ranged: bool = True
) -> Check:
    """A number within bounds, or `[low, likely, high]` of such numbers."""
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} of {unit} from {lowest:,} to {highest:,}"

    def one(value: Any) -> Fraction:
        exact = Decimal(value) if type(value) is int else value
        if type(exact) is not Decimal or not exact.is_finite():
            raise Wrong
        if not lowest <= exact <= highest:
            raise Wrong
        places = -int(exact.as_tuple().exponent)
        if places > MAX_DECIMALS or len(exact.as_tuple().digits) > MAX_DIGITS:
            raise Wrong(f"{expected}, of at most {MAX_DECIMALS} decimals")
        if whole and exact != exact.to_integral_value():
            raise Wrong
        return Fraction(exact) if exact else Fraction(0)  # of 0e999999 too

    def read(value: Any, where: str) -> Amount:
        if not isinstance(value, list):
            return Amount.fixed(one(value))
        if not ranged:
            raise Wrong(f"{expected}; a range is not possible here")
        if len(value) != 3:
            raise Wrong(f"{expected}, or a range [low, likely, high] of three such numbers")
        low, likely, high = map(one, value)
        if not low <= likely <= high:
            raise Wrong("a range in order, low <= likely <= high")
        return Amount(low=low, likely=likely, high=high, key=where if low != high else "")

    return Check(expected, read)


def share_or_rest() -> Check:
    share = number(0, 1, unit="calls as a share")
    expected = f'{share.expected}, or "{REST}" for what the other models leave'

    def read(value: Any, where: str) -> Any:
        return REST if value == REST else share.read(value, where)

    return Check(expected, read)


def words(longest: int) -> Check:
    expected = f"a text of 1 to {longest:,} characters"

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise Wrong
        return " ".join(value.split())

    return Check(expected, read)


def one_of(*names: str) -> Check:
    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise Wrong
        return value

    return Check(f"one of {', '.join(names)}", read)


def _day(value: Any, where: str) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Wrong
    return value


DAY = Check("a date such as 2026-11-20, without quotes", _day)
