"""The open calls of a recorder, and what may happen to each: begin, admit, end, fail, withdraw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from frugal_chains.ledger import Status
from frugal_chains.tracking import CallEnd, CallStart, Tracker
from llama_index_frugal._gate import is_wrapper
from llama_index_frugal._refusal import refused_before_sending
from llama_index_frugal._response import Answer, failed

logger = logging.getLogger("llama_index_frugal")

_NOT_HELD: Final = "budget not held: the model was called without asking its rate_limiter"
_UNREADABLE: Final = "the response could not be read: see the log"


class Call:
    """One open call, reported to one or more trackers."""

    __slots__ = (
        "admitted", "answer", "cached", "has_budgets", "is_wrapper", "start", "streamed", "texts",
        "trackers",
    )  # fmt: skip

    def __init__(self, start: CallStart, trackers: Sequence[Tracker], instance: Any) -> None:
        self.start = start
        self.trackers = trackers
        self.has_budgets = any(tracker.guard.budgets for tracker in trackers)
        self.is_wrapper = self.has_budgets and is_wrapper(instance)
        self.answer = Answer()
        self.texts: list[str] = []
        """Of an embedding: what is embedded."""
        self.cached: frozenset[str] | None = frozenset()
        """Those of `texts` that the embedding's cache had; None when that is not known."""
        self.admitted = False
        self.streamed = False

    @property
    def key(self) -> str:
        return self.start.key


class Calls:
    """Open calls by key."""

    def __init__(self) -> None:
        self._open: dict[str, Call] = {}
        self._warned: set[str] = set()

    def get(self, key: str) -> Call | None:
        return self._open.get(key)

    def begin(self, call: Call) -> None:
        self._open[call.key] = call
        for tracker in call.trackers:
            tracker.begin(call.start, reserve=False)

    def admit(self, call: Call) -> None:
        """Hold the worst case of a call in its budgets; of a wrapper that is its inner call's.

        Raises:
            BudgetExceeded: there is no room. The call is still to be withdrawn.
        """
        if call.is_wrapper:
            return
        call.admitted = True
        # Trackers of one ledger share the call, and the first of them holds for all.
        asking = {t.ledger: t for t in reversed(call.trackers) if t.guard.budgets}
        for tracker in asking.values():
            tracker.reserve(call.key)

    def end(self, call: Call, read: Callable[[], CallEnd], *, status: Status = "ok") -> None:
        """Book a call with what `read` finds; with `status` alone when it cannot read."""
        self._open.pop(call.key, None)
        try:
            end = read()
        except Exception:
            logger.exception("a response could not be read; its usage is estimated")
            end = CallEnd(status=status, output_text=call.answer.text, note=_UNREADABLE)
        if end.status == "ok" and call.has_budgets and not call.admitted:
            self._warn_not_held(call.start.model)
            end = end._replace(note="; ".join(filter(None, [end.note, _NOT_HELD])))
        for tracker in call.trackers:
            tracker.end(call.key, end)

    def fail(self, call: Call, error: BaseException | None) -> None:
        """Book a call that failed or was given up; forget one that was refused before it was sent.

        Without an error the stream of the call was dropped.
        """
        if error is not None and refused_before_sending(error):
            self.withdraw(call)
        else:
            self.end(
                call,
                lambda: failed(error, call.answer, provider=call.start.provider),
                status="error",
            )

    def withdraw(self, call: Call) -> None:
        """Forget a call that was never sent by itself."""
        self._open.pop(call.key, None)
        for tracker in call.trackers:
            tracker.withdraw(call.key)

    def _warn_not_held(self, model: str) -> None:
        if model not in self._warned:
            self._warned.add(model)
            logger.warning("%s: %s", model, _NOT_HELD)
