"""Figures and names as the page has them. Everything from outside goes through `name` or through
the template, which escapes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.report._money import plain_text
from frugal_chains.report.html._facts import Unit

NAME_CHARS: Final = 120
CHART_CHARS: Final = 32
_STEPS: Final = ((10_000_000_000, 2), (100_000_000, 4), (1_000_000, 6))
"""Nano-USD of the bill from which so many decimals are enough."""
_MOST_DECIMALS: Final = 9
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip


class Money:
    """Amounts with as many decimals as the bill needs, all the same."""

    def __init__(self, bill_nanos: int) -> None:
        enough = (d for least, d in _STEPS if abs(bill_nanos) >= least or not bill_nanos)
        self.decimals = next(enough, _MOST_DECIMALS)
        self._unit = Decimal(1).scaleb(-self.decimals)

    def text(self, nanos: int | None) -> str:
        """Rounded half to even; what is more than nothing never looks like nothing."""
        if nanos is None:
            return "unknown"
        usd = usd_from_nanos(nanos)
        rounded = usd.quantize(self._unit, rounding=ROUND_HALF_EVEN)
        if nanos and not rounded:
            sign = "-" if nanos < 0 else ""
            return f"{sign}<${self._unit:f}"
        sign = "-" if rounded < 0 else ""
        return f"{sign}${abs(rounded):,f}"

    def signed(self, nanos: int | None) -> str:
        """`+$1.00` for what is added."""
        return f"+{self.text(nanos)}" if nanos is not None and nanos > 0 else self.text(nanos)


def exact(nanos: int) -> str:
    return usd_text(usd_from_nanos(nanos))


def about(nanos: int) -> str:
    """An average, to three digits: `$0.00752`."""
    return exact(round(nanos, 3 - len(str(abs(nanos)))))


def axis_money(usd: float) -> str:
    """A round number at an axis: `$0`, `$2.5`, `$0.00002`, `$1,200`."""
    digits = f"{abs(usd):,.9f}".rstrip("0").rstrip(".")
    return f"{'-' if usd < 0 else ''}${digits}"


def name(text: str, most: int = NAME_CHARS) -> str:
    """A name from outside on one line: nothing that turns or hides text, no longer than `most`."""
    shown = plain_text(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def chart_name(text: str) -> str:
    return name(text, CHART_CHARS)


def seconds(value: float) -> str:
    """`85 ms`, `1.24 s`, `2 min 5 s`."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 99.95:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes:,} min {rest} s"


def bucket(text: str, unit: Unit) -> str:
    """`20 Nov`, `15:00`, `Nov 2026`, `2026`, as an axis has them."""
    if unit == "hour":
        return f"{text[-2:]}:00"
    if unit == "year":
        return text
    if unit == "month":
        return f"{_MONTHS[int(text[5:7]) - 1]} {text[:4]}"
    day = date.fromisoformat(text)
    return f"{day.day} {_MONTHS[day.month - 1]}"


def long_bucket(text: str, unit: Unit) -> str:
    """In full, as a table has them."""
    return {"hour": f"{text.replace('T', ' ')}:00", "week": f"week of {text}"}.get(unit, text)


def time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    shown = [name(each) for each in names]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
