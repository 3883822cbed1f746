"""`Compacts`: the requests of one LLM, each as the next one of its conversation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple

from llama_index.core.base.llms.types import ChatMessage

from frugal_chains.dispatch.memory import (
    Compactor,
    History,
    MemoryStates,
    SummaryRequest,
    Turn,
    head_key,
)
from frugal_chains.memory import MemoryState
from llama_index_frugal._about import is_large
from llama_index_frugal._around import around
from llama_index_frugal._request import chat_facts, longest_ttl
from llama_index_frugal.memory._asking import Asks, Prefix, Put, Steps, adriven, driven
from llama_index_frugal.memory._messages import Head, Pin, asked, history_of, sent
from llama_index_frugal.memory._steps import with_steps

_ONLY_ONCE: Final = ("tool_choice", "response_format", "stream_options")
"""Options of a request that a summary of its conversation is not asked with."""


class View(list[ChatMessage]):
    """What is sent of a request. Some LLM classes answer one method by another (`CustomLLM.achat`
    by `chat`): what they hand on has been decided about."""


class Compacts:
    """What of each request is sent. Safe for threads and tasks.

    Args:
        compactor: Decides.
        model: Who answers.
        provider: Of the model.
        asks: Another LLM for summaries; None: the one that answers, if any.
        pin: Which messages never leave.
    """

    def __init__(
        self, compactor: Compactor, model: str, provider: str, asks: Asks | None, pin: Pin | None
    ) -> None:
        self._compactor, self._asks, self._pin = compactor, asks, pin
        self._model, self._provider = model, provider
        self._states = MemoryStates()

    def __deepcopy__(self, memo: object) -> Compacts:
        return self

    def view(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], llm: Any, chat: Any
    ) -> View:
        """What is sent of a request.

        Args:
            messages: Of the request.
            options: Of the call: its tools stand in front of the messages.
            llm: Who answers.
            chat: Asks it, with messages and options, without compacting them.
        """
        if isinstance(messages, View):
            return messages
        with self._turn(messages, options, llm) as (steps, _):
            return View(driven(steps, self._put("", messages, options, chat)))

    async def aview(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], llm: Any, achat: Any
    ) -> View:
        """As `view`."""
        if isinstance(messages, View):
            return messages
        with self._turn(messages, options, llm) as (steps, large):
            put = self._put("a", messages, options, achat)
            return View(await adriven(steps, put, large=large))

    # -- parts ---------------------------------------------------------------------------------

    def _place(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], llm: Any
    ) -> _Place:
        facts = replace(chat_facts((), options, llm), cache_ttl=longest_ttl(messages, options, llm))
        history = history_of(
            messages,
            head=Head(facts, head_key(facts)),
            model=self._model,
            provider=self._provider,
            pin=self._pin,
        )
        history = with_steps(history, messages)
        names = _names(history.keys)
        for before in range(len(names), 0, -1):
            state = self._states.get(names[before - 1])
            if state != MemoryState():
                return _Place(history, names, before, state)
        return _Place(history, names, 0, MemoryState())

    @contextmanager
    def _turn(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], llm: Any
    ) -> Iterator[tuple[Steps[list[ChatMessage]], bool]]:
        """The steps, and whether they take long."""
        place = self._place(messages, options, llm)
        large = self._compactor.may_wait or is_large(messages[place.state.end :])
        with self._states.turn(place.name) as free:
            yield self._viewed(place, messages, anew=free and not place.known), large

    def _viewed(
        self, place: _Place, messages: Sequence[ChatMessage], *, anew: bool
    ) -> Steps[list[ChatMessage]]:
        if not anew:
            return sent(self._compactor.shown(place.history, place.state), messages)
        outside = around()
        turn = yield from self._compactor.turn(
            place.history,
            place.state,
            conversation=place.names[0][:12] if place.names else "",
            operation_id=outside.operation_id,
            trackers=outside.trackers,
        )
        if turn.reason != "off":  # else nothing could be decided
            self._keep(place, turn)
        return sent(turn, messages)

    def _put(
        self,
        prefix: Prefix,
        messages: Sequence[ChatMessage],
        options: Mapping[str, Any],
        chat: Any,
    ) -> Put:
        if self._asks is not None:
            return self._asks.put(prefix, messages)
        return lambda request: chat(asked(request, messages), **_aside(request, options))

    def _keep(self, place: _Place, turn: Turn) -> None:
        self._states.put(place.name, MemoryState(), turn.state)
        # What a request in the middle of a turn ended with is asked for once. A conversation may
        # begin again at a question: of what came after it agents may have kept something else.
        if place.before and place.history.message(place.before - 1).role == "tool":
            self._states.forget(place.names[place.before - 1])


class _Place(NamedTuple):
    """Where a request stands in its conversation."""

    history: History
    names: Sequence[str]
    """Of the request's beginnings, by their number of messages, from one on."""
    before: int
    """With so many messages it begins as an earlier one; 0: there is none."""
    state: MemoryState
    """After that one."""

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""

    @property
    def known(self) -> bool:
        """Whether the very same was asked before."""
        return 0 < self.before == len(self.names)


def _names(keys: Sequence[str]) -> list[str]:
    running, names = hashlib.blake2b(digest_size=16), []
    for key in keys:
        running.update(f"{len(key)}:{key}".encode("utf-8", "replace"))
        names.append(running.copy().hexdigest())
    return names


def _aside(request: SummaryRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a request for a summary: with the same tools, or it is not in the cache."""
    if request.kind == "flat":
        return {}
    return {name: value for name, value in options.items() if name not in _ONLY_ONCE}
