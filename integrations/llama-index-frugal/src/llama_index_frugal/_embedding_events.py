"""Embedding events in, calls out: usage is estimated, since no event carries it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from frugal_chains.tracking import CallEnd, Tracker
from llama_index_frugal._calls import Call, Calls
from llama_index_frugal._refusal import refused_before_sending
from llama_index_frugal._request import embedding_start
from llama_index_frugal._spans import Span

booked_elsewhere: ContextVar[bool] = ContextVar("frugal_booked_elsewhere", default=False)
"""Set while a `TrackedEmbedding`, which books its own calls, runs the embedding it wraps."""

_ARGUMENTS: Final = ("texts", "text", "query")
"""Of `get_text_embedding_batch`, `get_text_embedding` and `get_query_embedding`."""
_COLLECTION: Final = "embeddings"
"""Where `BaseEmbedding` keeps its cache (llama-index-core 0.14.25 `base/embeddings/base.py`)."""
_ONE_LINE: Final = frozenset({"OpenAIEmbedding", "AzureOpenAIEmbedding"})
"""They send line breaks as spaces (llama-index-embeddings-openai 0.7.0 `base.py`)."""
_PARTLY_CACHED: Final = "{hits} of {texts} texts came from the embedding cache"
_MAYBE_CACHED: Final = "some of the texts may have come from the embedding cache"


class EmbeddingEvents:
    """The open batches of each span: the events of a batch are paired by their order."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._batches: dict[str, deque[Call]] = {}

    def open_in(self, span_id: str) -> Sequence[Call]:
        """The open batches of a span, oldest first."""
        return self._batches.get(span_id, ())

    def started(self, event: Any, span: Span, trackers: Sequence[Tracker]) -> None:
        for outer in span.above():
            for call in self._batches.pop(outer.id, ()):
                self._calls.withdraw(call)
        if booked_elsewhere.get() or _books_its_calls(event, span):
            return
        batches = self._batches.setdefault(span.id, deque())
        texts = _texts_of(span, batch=span.batches)
        call = Call(
            embedding_start(
                f"{span.id}#{span.batches}" if batches else span.id,
                event.model_dict,
                lambda: as_sent(texts, event.model_dict),
                root_id=span.root_id,
                parent_id=span.parent_id,
                tags={**span.origin_tags, **event.tags},
            ),
            trackers,
            span.instance,
        )
        call.texts, call.cached = texts, _cached(span, texts)
        span.batches += 1
        batches.append(call)
        self._calls.begin(call)

    def ended(self, event: Any) -> None:
        batches = self._batches.get(event.span_id)
        if not batches:
            return
        call = batches.popleft()
        if not batches:
            del self._batches[event.span_id]
        call.texts[:] = [text for text in event.chunks if text not in (call.cached or ())]
        self._calls.end(call, lambda: _end_of(call, len(event.chunks)))

    def failed(self, span_id: str, error: BaseException | None) -> None:
        """One batch has failed. Those sent beside it go on, but nobody waits for their end."""
        batches = self._batches.pop(span_id, deque())
        refused = error is not None and refused_before_sending(error)
        if len(batches) == 1:
            self._calls.fail(batches[0], error)
            return
        for number, call in enumerate(batches):
            if call.has_budgets and not call.admitted:
                self._calls.withdraw(call)
            elif number == 0 and not refused:
                self._calls.fail(call, error)
            else:
                self._calls.end(call, lambda: CallEnd(status="aborted", error_kind="lost"))


def _books_its_calls(event: Any, span: Span) -> bool:
    """Whether a `TrackedEmbedding` announces the call, which may be a subclass by any name."""
    if span.instance is None:
        return bool(event.model_dict.get("class_name") == "TrackedEmbedding")
    return bool(getattr(type(span.instance), "books_its_calls", False))


def as_sent(texts: Sequence[str], model_dict: Mapping[str, Any]) -> Sequence[str]:
    """The texts as the embedding's class sends them."""
    if model_dict.get("class_name") in _ONE_LINE:
        return [text.replace("\n", " ") for text in texts]
    return texts


def _end_of(call: Call, texts: int) -> CallEnd:
    if call.cached is None:
        return CallEnd(note=_MAYBE_CACHED)
    hits = texts - len(call.texts)
    if texts and hits == texts:
        return CallEnd(status="cached")
    return CallEnd(note=_PARTLY_CACHED.format(hits=hits, texts=texts) if hits else "")


def _texts_of(span: Span, *, batch: int) -> list[str]:
    """The texts of one batch of the method that runs in `span`; empty if unknown."""
    for name in _ARGUMENTS:
        value = span.arguments.get(name)
        if isinstance(value, str):
            return [value]
        if isinstance(value, Sequence):
            size = getattr(span.instance, "embed_batch_size", len(value))
            return list(value[batch * size : (batch + 1) * size])
    return []


def _cached(span: Span, texts: Sequence[str]) -> frozenset[str] | None:
    """Those of `texts` that the embedding's cache has; None if asking it would take a network."""
    cache = getattr(span.instance, "embeddings_cache", None)
    if not cache:
        return frozenset()
    if not any(cls.__name__ == "MutableMappingKVStore" for cls in type(cache).__mro__):
        return None
    return frozenset(t for t in texts if cache.get(key=t, collection=_COLLECTION) is not None)
