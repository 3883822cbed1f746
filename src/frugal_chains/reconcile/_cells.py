"""Cells of an export as numbers and moments, whatever program has saved the file since."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from frugal_chains.money import nanos_from_usd

_GROUPED: Final = re.compile(r"-?\d{1,3}(?:([,.'\u00a0\u202f ])\d{3})(?:\1\d{3})*")
"""`1,234,567`, and the same with points, apostrophes or spaces."""
_ZERO_DECIMALS: Final = re.compile(r"(-?\d+)[.,]0+")
_EPOCH_S: Final = re.compile(r"\d{9,10}(?:[.,]0+)?")
_MOST_USD: Final = Decimal(10) ** 9


def whole_number(text: str) -> int:
    """A count. `3.0`, as spreadsheets save it, is 3; `3.000` is three thousand.

    Raises:
        ValueError: no whole number.
    """
    text = text.strip()
    if _GROUPED.fullmatch(text):
        return int(re.sub(r"[^\d-]", "", text))
    decimals = _ZERO_DECIMALS.fullmatch(text)
    return int(decimals[1] if decimals else text)


def usd_nanos(text: str, *, decimal_comma: bool = False) -> int:
    """An amount in USD as nano-USD, rounded half to even.

    Args:
        text: `0.0038`, `$1,250.00`, `0E-6176`; `1.250,00` is told by its last separator.
        decimal_comma: What a lone comma is where it could be either, as in `1,250`.

    Raises:
        ValueError: no amount, or one of a billion dollars and more.
    """
    text = text.strip().replace("$", "").replace("\u00a0", "").replace(" ", "")
    if "," in text and "." in text:
        comma_last = text.rfind(",") > text.rfind(".")
    else:
        comma_last = "," in text and (decimal_comma or not _GROUPED.fullmatch(text))
    text = text.replace(".", "").replace(",", ".") if comma_last else text.replace(",", "")
    try:
        usd = Decimal(text)
        if abs(usd) < _MOST_USD:  # NaN cannot be compared
            return nanos_from_usd(usd)
    except ArithmeticError as error:
        raise ValueError(text) from error
    raise ValueError(text)


@lru_cache(maxsize=4096)  # one for each bucket, in many rows
def moment_of_cell(text: str) -> datetime:
    """The aware UTC time in a cell: seconds since 1970 or ISO 8601. Raises `ValueError`.

    No zone is UTC: the names of the columns say so, or the seconds beside them do.
    """
    text = text.strip()
    if _EPOCH_S.fullmatch(text):
        return datetime.fromtimestamp(whole_number(text), UTC)
    at = datetime.fromisoformat(text.replace("/", "-"))
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def rounded_to_cents(nanos: int) -> bool:
    """Whether an amount has no more than two decimals."""
    return nanos % 10_000_000 == 0
