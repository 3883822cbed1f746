"""Figures as text: money exactly, shares and counts without hiding what is small."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

_COUNT_UNITS = ((10**3, "k"), (10**6, "M"), (10**9, "B"))


def exact_text(usd: Decimal) -> str:
    """The same number for machines: `0.000132`, `1250`; no exponent, no trailing zeros."""
    whole, _, decimals = f"{usd:f}".partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def share_text(part: int, whole: int) -> str:
    """A share in percent. `0%` and `100%` mean exactly that; `-` means a share of nothing."""
    if whole == 0:
        return "-"
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    permille = (part * 2000 + whole) // (2 * whole)
    if permille == 0:
        return "<0.1%"
    if permille >= 1000:
        return ">99.9%"
    return f"{permille // 10}.{permille % 10}%"


def count_text(count: int) -> str:
    """A count for a narrow column: exact below 10,000, else to a tenth of its unit: `12.3k`."""
    if count < 10_000:
        return f"{count:,}"
    rounded = [((count * 20 + size) // (2 * size), unit) for size, unit in _COUNT_UNITS]
    tenths, unit = next((pair for pair in rounded if pair[0] < 10_000), rounded[-1])
    return f"{tenths / 10:,.1f}{unit}"


def aligned(texts: Sequence[str]) -> list[str]:
    """Amounts padded on both sides so that their decimal points stand below each other."""
    decimals = max((len(text.partition(".")[2]) for text in texts if "." in text), default=0)
    ended = [
        text + " " * (decimals - len(text.partition(".")[2])) if "." in text else text
        for text in texts
    ]
    width = max(map(len, ended), default=0)
    return [text.rjust(width) for text in ended]


def plain_text(text: str) -> str:
    """A name from outside, safe to print: a terminal would obey its control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
