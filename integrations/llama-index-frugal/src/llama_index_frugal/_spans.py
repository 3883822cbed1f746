"""Open spans: which call is made inside which, and the objects they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from frugal_chains.tracking import Tracker
from llama_index_frugal._streams import Origin


class Span:
    """One function that LlamaIndex is running."""

    __slots__ = (
        "arguments", "batches", "gated", "id", "instance", "origins", "parent", "root_id",
        "trackers",
    )  # fmt: skip

    def __init__(
        self,
        id_: str,
        parent: Span | None = None,
        instance: Any = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.id = id_
        self.parent = parent
        self.root_id: str = parent.root_id if parent else id_
        self.instance = instance
        self.arguments: Mapping[str, Any] = arguments or {}
        self.trackers: Sequence[Tracker] | None = None
        """Whom its calls are reported to; None until somebody asked."""
        self.origins: Sequence[Origin] = ()
        """The streams that it is run by, innermost first."""
        self.batches = 0
        """Batches of texts that were embedded in it so far."""
        self.gated = False
        """Whether a budget's gate was put up at `instance` for it."""

    @property
    def parent_id(self) -> str:
        return self.parent.id if self.parent else ""

    @property
    def origin_tags(self) -> Mapping[str, Any]:
        """LlamaIndex's tags of the place where the stream was made that it is run by."""
        return self.origins[0].tags if self.origins else {}

    def above(self) -> Iterator[Span]:
        """The spans around this one, innermost first."""
        span = self.parent
        while span is not None:
            yield span
            span = span.parent


class SpanTree:
    """The open spans of a process, by id. Safe for threads: every step is one dict operation.

    A parent counts only while it is open. `Workflow.run` leaves its span id behind in the context
    of its caller (llama-index-instrumentation 0.6.0, `Dispatcher.span`, the branch for futures), so
    later calls of that caller name a parent that has long ended.
    """

    def __init__(self) -> None:
        self._open: dict[str, Span] = {}

    def enter(
        self, id_: str, parent_id: str | None, instance: Any, arguments: Mapping[str, Any]
    ) -> Span:
        parent = self._open.get(parent_id) if parent_id else None
        span = self._open[id_] = Span(id_, parent, instance, arguments)
        return span

    def leave(self, id_: str) -> Span | None:
        return self._open.pop(id_, None)

    def get(self, id_: str) -> Span | None:
        return self._open.get(id_)

    def clear(self) -> None:
        self._open.clear()
