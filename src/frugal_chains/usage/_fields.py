"""`Fields`: a defensive view of one raw usage, whatever it is made of.

Usage arrives as JSON dicts, SDK objects (pydantic, proto-plus, dataclasses) and mixtures of both,
from servers that get types wrong. Reading must never raise into the user's call, so every look-up
here answers None for absent and every count answers an int >= 0, with a note of what was wrong.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import partial
from numbers import Real
from typing import Any, Final

MAX_COUNT: Final = 10**12
"""No request uses a trillion tokens. Larger numbers are junk, and a million of them would overflow
the 64-bit sums of a ledger."""

_LEAVES: Final = (str, bytes, int, float, list, tuple, type(None))
"""Values without fields of their own: asking them for attributes would find methods."""

_NOTHING: Final[Mapping[str, Any]] = {}


def getter_of(raw: object) -> Callable[[str], Any]:
    """A function from a name to the value `raw` holds under it, None when it holds none."""
    if type(raw) is dict:
        return raw.get
    try:
        if isinstance(raw, _LEAVES):
            return _NOTHING.get
        if hasattr(type(raw), "__pydantic_fields__"):
            # Asking a pydantic model for a field it lacks costs 2 us, and most are asked in vain.
            return {**vars(raw), **(getattr(raw, "__pydantic_extra__", None) or {})}.get
    except Exception:
        return _NOTHING.get
    return partial(_ask, raw)


def _ask(raw: object, name: str) -> Any:
    """The value under `name` in any mapping or on any object; never raises."""
    try:
        return raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)
    except Exception:
        # A foreign property may raise anything: genai_prices.Usage.__getattr__ raises ValueError.
        return None


def count_of(value: object) -> tuple[int, str]:
    """`value` as a count, and what is wrong with it ("" when nothing).

    12, 12.0 and "12" are 12. 12.5 is 13, noted: a count is never rounded down. None is 0, as an
    absent field is. Booleans, NaN, negatives and anything else are 0, noted.
    """
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value, ""
    if value is None:
        return 0, ""
    number = _number(value)
    if not 0 <= number <= MAX_COUNT:  # also when NaN
        return 0, f"{_show(value)} is not a count, read as 0"
    whole = math.ceil(number)
    return whole, "" if whole == number else f"{_show(value)} is not whole, read as {whole}"


def _number(value: object) -> float:
    """`value` as a number, exact up to `MAX_COUNT` and beyond; NaN when it is none."""
    try:
        if isinstance(value, (Real, Decimal, str)) and not isinstance(value, bool):
            return float(value)
    except Exception:  # too large, or a foreign number whose conversion may raise anything
        pass
    return math.nan


def _show(value: object) -> str:
    """A short text of `value`; never raises, whatever its `__repr__` does."""
    try:
        return reprlib.repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def _entries(value: object) -> Sequence[object]:
    """The entries of a list-like value; none of anything else."""
    try:
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return list(value)
    except Exception:  # a foreign sequence may raise anything
        pass
    return ()


class Fields:
    """Named values of one raw usage, or of one part of it. Parts share the list of problems."""

    __slots__ = ("_path", "_plain", "get", "problems")

    def __init__(self, raw: object, problems: list[str] | None = None, path: str = "") -> None:
        self.get = getter_of(raw)
        self._plain = raw if type(raw) is dict else None
        self._path = path
        self.problems: list[str] = [] if problems is None else problems

    def has(self, *names: str) -> bool:
        """Whether any of `names` is there and not None."""
        for name in names:  # noqa: SIM110  # a generator took a quarter of the reading's time
            if self.get(name) is not None:
                return True
        return False

    def lacks(self, names: frozenset[str]) -> bool:
        """Whether it is plain to see that none of many names is there: one look instead of many."""
        return self._plain is not None and names.isdisjoint(self._plain)

    def part(self, *names: str) -> Fields:
        """The nested value under the first of `names` that is there; empty fields when none is."""
        for name in names:
            value = self.get(name)
            if value is not None:
                return Fields(value, self.problems, f"{self._path}{name}.")
        return Fields(None, self.problems)

    def items(self, *names: str) -> Iterator[Fields]:
        """The entries of the lists under `names`."""
        for name in names:
            for entry in _entries(self.get(name)):
                yield Fields(entry, self.problems, f"{self._path}{name}[].")

    def texts(self, *names: str) -> list[str]:
        """The texts, without empty ones, in the lists under `names`."""
        entries = (entry for name in names for entry in _entries(self.get(name)))
        return [entry for entry in entries if isinstance(entry, str) and entry]

    def count(self, *names: str) -> int:
        """The count under `names`, several spellings of one quantity: the largest, 0 if none."""
        largest = 0
        for name in names:
            value = self.get(name)
            if value is None:
                continue
            count, problem = count_of(value)
            if problem:
                self.problems.append(f"{self._path}{name}: {problem}")
            largest = max(largest, count)
        return largest

    def word(self, *names: str) -> str:
        """The first text under `names`, lower case; an enum's name; "" when there is none."""
        for name in names:
            value = self.get(name)
            text = value.name if isinstance(value, Enum) else value
            if isinstance(text, str) and text:
                return text.lower()
        return ""
