"""`Compacts`: the requests of one LLM, each as the next one of its conversation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from llama_index.core.base.llms.types import ChatMessage

from frugal_chains.dispatch.memory import (
    Compactor,
    Flow,
    History,
    MemoryStates,
    SummaryRequest,
    Turn,
    head_key,
)
from frugal_chains.memory import MemoryState
from frugal_chains.tracking import decided
from llama_index_frugal._about import is_large
from llama_index_frugal._around import around
from llama_index_frugal._request import chat_facts, longest_ttl
from llama_index_frugal.memory._asking import Asks, adriven, driven, note, text_of
from llama_index_frugal.memory._messages import Head, Pin, asked, history_of, sent
from llama_index_frugal.memory._steps import with_steps

_ONLY_ONCE: Final = ("tool_choice", "response_format", "stream_options")
"""Options of a request that a summary of its conversation is not asked with."""


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
    ) -> list[ChatMessage]:
        """What is sent of a request.

        Args:
            messages: Of the request.
            options: Of the call: its tools stand in front of the messages.
            llm: Who answers.
            chat: Asks it, with messages and options, without compacting them.
        """
        place = self._place(messages, options, llm)
        with self._states.turn(place.name) as free:
            if place.known or not free:
                return sent(self._compactor.shown(place.history, place.state), messages)

            def ask(request: SummaryRequest) -> str | BaseException:
                if self._asks is not None:
                    return self._asks(request, messages)
                try:
                    with decided(note(request), purpose="summary"):
                        return text_of(chat(asked(request, messages), **_aside(request, options)))
                except Exception as error:
                    return error

            turn = driven(self._flow(place), ask)
            self._keep(place, turn)
        return sent(turn, messages)

    async def aview(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], llm: Any, achat: Any
    ) -> list[ChatMessage]:
        """As `view`."""
        place = self._place(messages, options, llm)
        with self._states.turn(place.name) as free:
            if place.known or not free:
                return sent(self._compactor.shown(place.history, place.state), messages)

            async def ask(request: SummaryRequest) -> str | BaseException:
                if self._asks is not None:
                    return await self._asks.ask(request, messages)
                try:
                    with decided(note(request), purpose="summary"):
                        given = asked(request, messages)
                        return text_of(await achat(given, **_aside(request, options)))
                except Exception as error:
                    return error

            large = self._compactor.may_wait or is_large(messages[place.state.end :])
            turn = await adriven(self._flow(place), ask, large=large)
            self._keep(place, turn)
        return sent(turn, messages)

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

    def _flow(self, place: _Place) -> Flow:
        outside = around()
        return self._compactor.turn(
            place.history,
            place.state,
            conversation=place.names[0][:12] if place.names else "",
            operation_id=outside.operation_id,
            trackers=outside.trackers,
        )

    def _keep(self, place: _Place, turn: Turn) -> None:
        if turn.reason == "off":  # nothing could be decided
            return
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
