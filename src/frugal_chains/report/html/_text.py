"""Figures and names as the page has them. Everything from outside goes through `name` or through
the template, which escapes."""

from __future__ import annotations

from collections import Counter
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
_MOST_MINUTES: Final = 120
_AXIS_UNITS: Final = ((10**9, "B"), (10**6, "M"))
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
    """A round number at an axis: `$0`, `$2.5`, `$0.00002`, `$1,200`, `$1.5M`."""
    size, unit = next((each for each in _AXIS_UNITS if abs(usd) >= each[0]), (1, ""))
    digits = f"{abs(usd) / size:,.9f}".rstrip("0").rstrip(".")
    return f"{'-' if usd < 0 else ''}${digits}{unit}"


def name(text: str, most: int = NAME_CHARS) -> str:
    """A name from outside on one line: nothing that turns or hides text, no longer than `most`."""
    shown = plain_text(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def told_apart(models: Sequence[tuple[str, str]]) -> list[str]:
    """Names of models, by provider and model: with the provider where several serve one."""
    counts = Counter(model for _, model in models)
    return [
        f"{model or '(no model)'} ({provider or 'no provider'})" if counts[model] > 1 else model
        for provider, model in models
    ]


def chart_name(text: str) -> str:
    return name(text, CHART_CHARS)


def seconds(value: float) -> str:
    """`<1 ms`, `85 ms`, `1.24 s`, `2 min 5 s`, `3 h 20 min`."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.0005 or not value else "<1 ms"
    if value < 99.95:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < _MOST_MINUTES:
        return f"{minutes:,} min {rest} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours:,} h {minutes} min"


def bucket(text: str, unit: Unit, *, years: bool = False) -> str:
    """`20 Nov`, `15:00`, `Nov 2026`, `2026`, as an axis has them; `20 Nov 26` where `years` is
    set."""
    if unit == "hour":
        return f"{text[-2:]}:00"
    if unit == "year":
        return text
    if unit == "month":
        return f"{_MONTHS[int(text[5:7]) - 1]} {text[:4]}"
    day = date.fromisoformat(text)
    return f"{day.day} {_MONTHS[day.month - 1]}{f' {day:%y}' if years else ''}"


def long_bucket(text: str, unit: Unit) -> str:
    """In full, as a table has them."""
    return {"hour": f"{text.replace('T', ' ')}:00", "week": f"week of {text}"}.get(unit, text)


def that(text: str, unit: Unit) -> str:
    """A bucket in a sentence that has named the unit: `the dearest week was ...`."""
    return f"that of {text}" if unit == "week" else long_bucket(text, unit)


def time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    shown = [name(each) for each in names]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
