"""The words of conversations, indexed as they grow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, overload

from frugal_chains.dispatch.memory._history import History
from frugal_chains.facts import MessageFacts
from frugal_chains.memory import RecallIndex

_REMEMBERED: Final = 64
"""Conversations whose words are indexed; about 100 kB for 1,000 messages each."""


class RecallIndexes:
    """One index for each of the conversations that were asked about last. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, Indexed] = OrderedDict()

    def of(self, history: History) -> Indexed:
        """By the first message: conversations that begin alike take turns with one index."""
        with self._lock:
            found = self._indexes.setdefault(history.keys[0], Indexed())
            self._indexes.move_to_end(history.keys[0])
            if len(self._indexes) > _REMEMBERED:
                self._indexes.popitem(last=False)
            return found

    def forget(self, history: History) -> None:
        """The index of a conversation."""
        with self._lock:
            self._indexes.pop(history.keys[0], None)


@dataclass(slots=True)
class Indexed:
    """An index, and what it is of: one at a time, by `with`."""

    index: RecallIndex = field(default_factory=RecallIndex)
    keys: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Indexed:
        self.lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def up_to_date(self, history: History, end: int) -> RecallIndex:
        """The index of all messages before `end`; only new ones are read."""
        same = 0
        for mine, theirs in zip(self.keys, history.keys[:end], strict=False):
            if mine != theirs:
                break
            same += 1
        if same < len(self.keys):
            self.index.truncate(same)
            del self.keys[same:]
        self.index.add(history.message(at) for at in range(same, end))
        self.keys += history.keys[same:end]
        return self.index


class Messages(Sequence[MessageFacts]):
    """The messages of a history, each read when it is asked for."""

    def __init__(self, history: History) -> None:
        self._history = history

    def __len__(self) -> int:
        return len(self._history.keys)

    @overload
    def __getitem__(self, at: int) -> MessageFacts: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[MessageFacts]: ...
    def __getitem__(self, at: int | slice) -> MessageFacts | Sequence[MessageFacts]:
        if isinstance(at, slice):
            return [self._history.message(one) for one in range(*at.indices(len(self)))]
        return self._history.message(range(len(self))[at])
