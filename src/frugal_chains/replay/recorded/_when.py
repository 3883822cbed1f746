"""Times and amounts of money as recordings write them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from frugal_chains.money import nanos_from_usd

_UNITS_US: Final = ((10**11, 1_000_000.0), (10**14, 1_000.0), (10**17, 1.0), (10**20, 0.001))
"""Numbers below the first are seconds, the next milliseconds, microseconds and nanoseconds: 10^11
seconds is the year 5138, 10^11 milliseconds is 1973."""
_EARLIEST_US: Final = 1_262_304_000_000_000  # 2010-01-01: nothing was served before
_LATEST_US: Final = 4_102_444_800_000_000  # 2100-01-01
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_USD: Final = 10**6


def microseconds_of(value: object) -> int | None:
    """A moment in microseconds since 1970; None for what is no moment from 2010 to 2099.

    ISO text, with or without a zone (UTC then), or seconds, milliseconds, microseconds or
    nanoseconds since 1970 as a number or as text.
    """
    if isinstance(value, str):
        at_us = _of_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at_us = _of_number(value)
    else:
        return None
    return at_us if at_us is not None and _EARLIEST_US <= at_us < _LATEST_US else None


def _of_number(number: float) -> int | None:
    for limit, factor in _UNITS_US:
        if 0 < number < limit:
            if isinstance(number, int) and factor >= 1:
                return number * int(factor)
            return round(number * factor)
    return None


def _of_text(text: str) -> int | None:
    if text[4:5] == "-":
        return _of_iso(text.strip())
    try:  # before ISO: digits of milliseconds may read as a date without its signs
        number = float(text)
    except ValueError:
        return _of_iso(text.strip())
    return _of_number(int(number) if number.is_integer() else number)


def _of_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def nanos_of(value: object) -> int | None:
    """USD as nano-USD; None for what is no number, 0 or less, or more than a request can cost.

    0 is not taken at its word: loggers write it where they know no price.
    """
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        usd = Decimal(str(value))
        return nanos_from_usd(usd) if 0 < usd < _MAX_USD else None
    except (ArithmeticError, ValueError):
        return None
