"""Views of a history that were handed out: the same history is the same view."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_frugal._stand_ins import is_ours
from langchain_frugal.memory._keys import key_of

_SEEN: Final = 8
"""Views that were handed out last: of runs that may still be under way."""
_NAMED: Final = "cmp-"
"""Begins the id of a segment: a summary of somebody else's is a message like any other."""


class _View(NamedTuple):
    keys: tuple[str, ...]
    """Of the history that it is of."""
    messages: list[BaseMessage]


class Views:
    """Of one history. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[_View] = []

    def of(self, keys: Sequence[str]) -> list[BaseMessage] | None:
        """The view that was handed out of this very history."""
        with self._lock:
            found = self._found(keys)
            if found is None:
                return None
            self._seen.remove(found)
            self._seen.append(found)  # the last one is that of the history as it is
            return found.messages

    def hand_out(self, keys: Sequence[str], messages: list[BaseMessage]) -> list[BaseMessage]:
        """Remember a view; another thread's of the same history goes before it."""
        with self._lock:
            first = self._found(keys)
            if first is not None:
                return first.messages
            self._seen.append(_View(tuple(keys), messages))
            del self._seen[:-_SEEN]
        return messages

    def new_in(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What of these is not from a view.

        `RunnableWithMessageHistory` adds what is behind as many messages as are handed out at the
        end of its run; if another run has been compacted meanwhile, these are fewer than it began
        with, and it would add old messages again.
        """
        own = [message for message in messages if not _is_segment(message)]
        with self._lock:
            now = len(self._seen[-1].messages) if self._seen else 0
            for view in self._seen[:-1]:
                again = [one for one in view.messages[now:] if not _is_segment(one)]
                # Behind old messages a run has a question and an answer; what is nothing but old
                # words is somebody who says them again.
                if 0 < len(again) < len(own) and _keys(again) == _keys(own[: len(again)]):
                    return own[len(again) :]
        return own

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()

    def _found(self, keys: Sequence[str]) -> _View | None:
        return next((one for one in self._seen if one.keys == tuple(keys)), None)


def _is_segment(message: BaseMessage) -> bool:
    return is_ours(message) and str(message.id).startswith(_NAMED)


def _keys(messages: Sequence[BaseMessage]) -> list[str]:
    return [key_of(message) for message in messages]
