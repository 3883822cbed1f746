"""Answers that are on the books already, so that one that is handed on again is not paid twice."""

from __future__ import annotations

import weakref
from typing import Any, Final

from frugal_chains.tracking import CallEnd
from frugal_chains.usage import Usage

_MOST: Final = 4096
"""Answers that are remembered: the oldest are forgotten first."""
_NOTE: Final = "the answer of an earlier call, from a cache or handed on by a wrapper"


class BookedAnswers:
    """Remembers answers as long as somebody holds them, and no longer.

    An LLM that keeps its own answers returns the very object that it got from its provider, and so
    does a wrapper whose inner call ran where its span could not be seen. A new call makes a new
    object: a cache that stores copies is not noticed, and no new call is taken for a cached one.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], Usage]] = {}

    def judge(self, end: CallEnd, response: Any) -> CallEnd:
        """`end` as it is of a new answer; `cached` when this answer has been booked before."""
        if end.reading is None or end.status != "ok":
            return end  # without usage, nothing tells an old answer from a constant
        usage, mark = end.reading.usage, _mark_of(response)
        known = self._known.get(id(mark))
        if known is not None and known[0]() is mark and known[1] == usage:
            return CallEnd(status="cached", model=end.model, note=_NOTE)
        self._remember(mark, usage)
        return end

    def _remember(self, mark: Any, usage: Usage) -> None:
        place = id(mark)

        def forget(reference: object, known: Any = self._known) -> None:
            found = known.get(place)
            if found is not None and found[0] is reference:
                del known[place]

        try:
            self._known[place] = weakref.ref(mark, forget), usage
        except TypeError:
            return
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)), None)


def _mark_of(response: Any) -> Any:
    """What tells one answer from another: the provider's, where it can be referred to weakly, as
    `complete` puts the answer of `chat` into a response of its own."""
    raw = getattr(response, "raw", None)
    return response if raw is None or isinstance(raw, dict | list | type) else raw
