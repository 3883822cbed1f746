"""Copies that share nothing that can change with what they were made from."""

from __future__ import annotations

import copy
from typing import Any


def own_copy(value: Any) -> Any:
    """A deep copy; of a dict that cannot be copied, the parts that can.

    A part without a copy (a lock, a connection, nesting beyond Python's recursion limit) is shared:
    a document with such metadata is still a document.
    """
    try:
        return copy.deepcopy(value)
    except Exception:
        if type(value) is not dict:
            return value
    return {key: _copied_or_shared(part) for key, part in value.items()}


def _copied_or_shared(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value
