"""Parts of a state from plain data: every field must be there, and of its type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

T = TypeVar("T")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "str": _is_text,
    "int": _is_count,
    "float": lambda value: _is_number(value) and value >= 0,
    "float | None": lambda value: value is None or _is_number(value),
    "tuple[int, ...]": lambda value: all(map(_is_count, value)),
    "Ends": lambda value: all(_is_count(at) and _is_number(used) for at, used in value),
    "tuple[tuple[str, int], ...]": lambda value: all(
        _is_text(key) and _is_count(to) for key, to in value
    ),
}
"""By the annotation of a field; parts of a state are checked where they are made."""


def from_plain(made: type[T], data: Any) -> T:
    """One part of a state.

    Raises:
        KeyError: a field is missing.
        TypeError: there is another one, or a value does not fit; the message does not show it.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{made.__name__} is of type {type(data).__name__}")
    for field in fields(made):  # type: ignore[arg-type]
        value, fits = data[field.name], _FITS.get(str(field.type))
        if fits is not None and not fits(value):
            raise TypeError(f"{made.__name__}.{field.name} has no value that it may have")
    return made(**data)
