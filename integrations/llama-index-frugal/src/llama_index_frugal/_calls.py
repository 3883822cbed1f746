"""The open calls of a recorder, and what may happen to each: begin, admit, end, fail, withdraw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, Final

from frugal_chains.errors import wordless
from frugal_chains.ledger import Status
from frugal_chains.pricing import Unpriced
from frugal_chains.tracking import CallEnd, CallStart, Tracker
from frugal_chains.usage import Usage
from llama_index_frugal._gate import is_wrapper
from llama_index_frugal._refusal import refused_before_sending
from llama_index_frugal._response import Answer, failed

logger = logging.getLogger("llama_index_frugal")

_NOT_HELD: Final = "budget not held: the model was called without asking its rate_limiter"
_MOST_LEFT_BEHIND: Final = 4096
_ANY_USAGE: Final = Usage(input_tokens=1, output_tokens=1)
_UNREADABLE: Final = "the response could not be read: see the log"


class Call:
    """One open call, reported to one or more trackers."""

    __slots__ = (
        "admitted", "answer", "asked", "cached", "event", "has_budgets", "instance", "start",
        "streamed", "texts", "trackers",
    )  # fmt: skip

    def __init__(
        self, start: CallStart, trackers: Sequence[Tracker], instance: Any, event: Any = None
    ) -> None:
        self.start = start
        self.event = event
        """What announced it, of an LLM's call."""
        self.trackers = trackers
        self.has_budgets = any(tracker.guard.budgets for tracker in trackers)
        self.instance = instance
        self.answer = Answer()
        self.texts: list[str] = []
        """Of an embedding: what is embedded."""
        self.cached: frozenset[str] | None = frozenset()
        """Those of `texts` that the embedding's cache had; None when that is not known."""
        self.asked = False
        """Whether its gate has asked for it."""
        self.admitted = False
        """Whether its worst case is held."""
        self.streamed = False

    @property
    def key(self) -> str:
        return self.start.key


class Calls:
    """The open calls of LLMs and embeddings.

    An LLM's call has the key of its span. Calls of a method that LlamaIndex's callbacks decorate,
    but that has no span of its own, share the span around it, or have none at all: those beside
    the first have a key of their own.
    """

    def __init__(self) -> None:
        self._open: dict[str, Call] = {}
        self._beside: dict[str | None, list[Call]] = {}
        self._left_behind: dict[str, Call] = {}
        self._warned: set[str] = set()

    def in_span(self, span_id: str | None) -> Sequence[Call]:
        """The open calls of LLMs in a span, oldest first; those without a span for None."""
        first = self._open.get(span_id) if span_id is not None else None
        beside = self._beside.get(span_id, ()) if self._beside else ()
        return (first, *beside) if first is not None else beside

    def of(self, event: Any) -> Call | None:
        """The open call that an event goes on with: of several in its span the one that asked the
        same, and of several that did the newest, since no event tells that an older one failed."""
        calls = self.in_span(event.span_id)
        if len(calls) < 2:
            return calls[0] if calls else None
        newest = reversed(calls)
        return next((call for call in newest if _asks_the_same(call.event, event)), calls[-1])

    def begin(self, call: Call) -> None:
        self._open[call.key] = call
        if call.event is not None and call.key != call.event.span_id:
            self._beside.setdefault(call.event.span_id, []).append(call)
            if call.event.span_id is None:
                self.leave_behind(call)
        for tracker in call.trackers:
            tracker.begin(call.start, reserve=False)

    def admit(self, call: Call) -> None:
        """Hold the worst case of a call in its budgets.

        A wrapper that has a price is held as any model: it may make the call itself, and when an
        inner call begins instead, what it holds is given back. One without a price
        (`StructuredLLM`, most of `CustomLLM`) could only be refused, so its inner call alone is
        held. A model without a price that holds no other model is refused.

        Raises:
            BudgetExceeded: there is no room. The call is still to be withdrawn.
        """
        if needs_no_model(call.instance):
            return
        # Trackers of one ledger share the call, and the first of them holds for all.
        asking = {t.ledger: t for t in reversed(call.trackers) if t.guard.budgets}
        if not all(_has_price(call.start, t) for t in asking.values()) and is_wrapper(
            call.instance
        ):
            return
        call.admitted = True
        for tracker in asking.values():
            tracker.reserve(call.key)

    def end(self, call: Call, read: Callable[[], CallEnd], *, status: Status = "ok") -> None:
        """Book a call with what `read` finds; with `status` alone when it cannot read."""
        self._forget(call)
        try:
            end = read()
        except Exception as error:
            logger.error(
                "a response could not be read; its usage is estimated", exc_info=wordless(error)
            )
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
        self._forget(call)
        for tracker in call.trackers:
            tracker.withdraw(call.key)

    def leave_behind(self, call: Call) -> None:
        """Keep a call whose span has ended, or that has none: its stream may still be read. But if
        it failed, and somebody caught that, no event tells: the oldest are given up in time."""
        self._left_behind[call.key] = call
        if len(self._left_behind) > _MOST_LEFT_BEHIND:
            oldest = next(iter(self._left_behind.values()))
            self.end(oldest, lambda: CallEnd(status="aborted", error_kind="lost"))

    def _forget(self, call: Call) -> None:
        self._open.pop(call.key, None)
        if self._left_behind:
            self._left_behind.pop(call.key, None)
        beside = self._beside.get(call.event.span_id) if self._beside and call.event else None
        if beside is not None and call in beside:
            beside.remove(call)
            if not beside:
                self._beside.pop(call.event.span_id, None)

    def _warn_not_held(self, model: str) -> None:
        if model not in self._warned:
            self._warned.add(model)
            logger.warning("%s: %s", model, _NOT_HELD)


def needs_no_model(instance: Any) -> bool:
    """Whether an LLM answers by itself, for nothing: at the gate of a router."""
    return getattr(type(instance), "answers_without_a_model", False) is True


def _asks_the_same(start: Any, event: Any) -> bool:
    """Whether two events are of one request, which LlamaIndex hands to both."""
    if (prompt := getattr(start, "prompt", None)) is not None:
        return bool(prompt == getattr(event, "prompt", None))
    asked, told = start.messages, getattr(event, "messages", ())
    return len(asked) == len(told) and all(map(is_, asked, told))


def _has_price(start: CallStart, tracker: Tracker) -> bool:
    price = tracker.prices.price(
        _ANY_USAGE, model=start.model, provider=start.provider, tier=start.service_tier
    )
    return not isinstance(price, Unpriced)
