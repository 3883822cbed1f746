"""Calls that one `generate([...])` announces together, and what becomes of them together.

Langchain-core (1.7 to 1.8, language_models/chat_models.py and llms.py) announces all calls of a
batch before it sends the first, and then speaks of some of them only:

- a start that a handler refuses ends the batch: nothing is sent, nothing more is said;
- chat models, `generate`: the first failure ends it. The answers before it are dropped without an
  end event, the messages after it are never sent;
- text models: one request for all. Its usage stands on the first result, and `{}` on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

_REMEMBERED_BATCHES: Final = 1_000
_REMEMBERED_CALLS: Final = 10_000
"""More are of batches that never ended: a refusal by somebody else's handler, say."""


class Batch:
    """The calls of one batch, in the order they were announced."""

    __slots__ = ("counted", "is_chat", "keys", "options", "refused", "stops_at_failure")

    def __init__(self, options: Any, is_chat: bool) -> None:
        self.options = options
        self.keys: dict[str, None] = {}
        self.refused = False
        self.is_chat = is_chat
        self.stops_at_failure = False
        self.counted = False
        """Whether the usage of all its calls has been booked, on the first of them."""

    def before(self, key: str) -> Iterator[str]:
        for other in self.keys:
            if other == key:
                return
            yield other

    def after(self, key: str) -> Iterator[str]:
        keys = iter(self.keys)
        for other in keys:
            if other == key:
                yield from keys


class Batches:
    """The batches whose calls are under way. Safe for threads: one batch is one caller's."""

    def __init__(self) -> None:
        self.under_way: dict[str, Batch] = {}
        """The batch of each call that has not ended."""
        self._announcing: dict[int, Batch] = {}

    def announce(self, key: str, more: Mapping[str, Any], is_chat: bool) -> Batch | None:
        """The batch of a call that starts; None for one that was announced before.

        `more` is what LangChain says beside: the `batch_size`, and the batch's `options`.
        """
        # Every `generate` makes its own `options` and hands the same ones to all its starts, in
        # whichever task they are: who shares them is one batch, whatever else is going on.
        options = more.get("options")
        if options is None or key in self.under_way:
            return None
        batch = self._announcing.get(id(options))
        if batch is None:
            batch = self._announcing[id(options)] = Batch(options, is_chat)
            forget_oldest(self._announcing, _REMEMBERED_BATCHES)
        batch.keys[key] = None
        if not batch.refused:
            self.under_way[key] = batch
            forget_oldest(self.under_way, _REMEMBERED_CALLS)
        if len(batch.keys) >= more["batch_size"]:
            self._announcing.pop(id(options), None)
        return batch

    def refuse(self, batch: Batch) -> None:
        """One of its starts was refused. Text models in a loop go on announcing the others."""
        batch.refused = True
        if batch.is_chat:
            self._announcing.pop(id(batch.options), None)

    def take(self, key: str) -> Batch | None:
        """The batch of a call that has ended, which is then no longer under way."""
        return self.under_way.pop(key, None)


def forget_oldest(kept: MutableMapping[Any, Any], limit: int) -> None:
    """Keep at most `limit` entries, the newest."""
    if len(kept) > limit:
        with suppress(RuntimeError, StopIteration):  # another thread was faster
            kept.pop(next(iter(kept)), None)
