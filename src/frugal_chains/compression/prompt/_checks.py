"""What is refused before anything is decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from frugal_chains.errors import PromptError


def not_negative(**values: float) -> None:
    """Refuse a number that is negative or not finite."""
    _each(values, lambda v: v >= 0, "0 or more")


def in_unit(**values: float) -> None:
    """Refuse a number outside 0 to 1."""
    _each(values, lambda v: 0 <= v <= 1, "from 0 to 1")


def _each(values: Mapping[str, float], holds: Callable[[float], bool], expected: str) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and holds(value)):
            raise PromptError(f"{name} is {value}; expected {expected}")
