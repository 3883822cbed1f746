"""What was seen lately, in bounded memory."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A table that keeps the last `size` entries at least, and twice as many at most.

    Two generations: when the younger one is full, it becomes the older and the older is forgotten.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[int, Value] = {}
        self._old: dict[int, Value] = {}

    def get(self, key: int) -> Value | None:
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def put(self, key: int, value: Value) -> None:
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[key] = value
