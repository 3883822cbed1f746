"""Generators that LlamaIndex has handed out, and the code that runs inside them."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import AsyncGeneratorType, FrameType, GeneratorType
from typing import Any, TypeAlias, TypeGuard

from frugal_chains.tracking import Tracker

Stream: TypeAlias = "GeneratorType[Any, Any, Any] | AsyncGeneratorType[Any, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a stream was made."""

    span_id: str
    root_id: str
    trackers: Sequence[Tracker]
    tags: Mapping[str, Any]
    """Those of `instrument_tags`."""


def is_stream(result: Any) -> TypeGuard[Stream]:
    return isinstance(result, GeneratorType | AsyncGeneratorType)


class Streams:
    """The streams that are alive, by the frame they run in.

    A call may be made only when a stream is first read, from within its generator: by a wrapper
    (`CustomLLM.astream_chat`, `StructuredLLM.stream_chat`) or by a streaming query engine. Spans
    and context variables of the place where it was made are gone by then; the frame is not.
    """

    def __init__(self) -> None:
        self._by_frame: dict[int, tuple[weakref.ref[Any], Origin]] = {}

    def follow(self, stream: Stream, origin: Origin, gone: Callable[[str], object]) -> None:
        """Remember a stream until nobody holds it; then call `gone` with the id of its span."""
        frame_id = id(_frame_of(stream))
        known = self._by_frame.get(frame_id)
        if known is not None and known[0]() is stream:
            return  # an outer span hands on what an inner one made

        def forget(reference: object) -> None:
            found = self._by_frame.get(frame_id)
            if found is not None and found[0] is reference:
                del self._by_frame[frame_id]
            gone(origin.span_id)

        self._by_frame[frame_id] = weakref.ref(stream, forget), origin

    def around(self) -> Iterator[Origin]:
        """The origins of the streams that this code is run by, innermost first."""
        if not self._by_frame:
            return
        frame = inspect.currentframe()
        while frame is not None:
            found = self._by_frame.get(id(frame))
            # A stream that has ended has no frame, and another frame may have its old id.
            if found is not None and _frame_of(found[0]()) is frame:
                yield found[1]
            frame = frame.f_back


def _frame_of(stream: Stream | None) -> FrameType | None:
    if isinstance(stream, GeneratorType):
        return stream.gi_frame
    return stream.ag_frame if stream is not None else None
