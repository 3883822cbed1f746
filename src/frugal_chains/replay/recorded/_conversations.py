"""Which calls continue one another, where the recording does not say."""

from __future__ import annotations

from typing import Any, Final

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.replay.recorded._content import word
from frugal_chains.replay.recorded._recent import Recent

REMEMBERED: Final = 32_768
"""Ends of conversations that are remembered at least; the oldest are forgotten beyond that, and a
call that continues one of those starts a new conversation."""


class Conversations:
    """Tells conversations by what their requests repeat, in bounded memory.

    A request continues an earlier one to the same model if it begins with all its messages and its
    answer, or, where the answer was sent back in other words (stripped, without its thinking), with
    all its messages and something else the assistant says. A request of OpenAI's responses may
    name the response that it continues instead.

    A system prompt that differs from call to call hides this; so does a history that was
    compacted. Only hashes of this process are kept.
    """

    __slots__ = ("_ends", "_ids")

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._ends: Recent[str] = Recent(2 * remembered)  # one with the answer, one without
        self._ids: Recent[str] = Recent(remembered)

    def of(
        self,
        request: RequestFacts | None,
        answer: MessageFacts | None,
        *,
        model: str,
        line: int,
        response_id: object = None,
        previous_id: object = None,
    ) -> str:
        """The conversation of a call: that of the call it continues, else a new one."""
        found = self._ids.get(hash(previous_id)) if word(previous_id) else None
        hashes: list[int] = []
        if request is not None:
            hashes = _rolling(model, request.messages)
            found = found or self._continued(hashes, request.messages)
        name = found or f"from line {line}"
        if word(response_id):
            self._ids.put(hash(response_id), name)
        if hashes:
            self._remember(hashes[-1], answer, name)
        return name

    def _continued(self, hashes: list[int], messages: tuple[MessageFacts, ...]) -> str | None:
        """The conversation whose end is the longest beginning of these messages."""
        ends = self._ends
        for count in range(len(messages) - 1, 0, -1):
            found = ends.get(hash((hashes[count - 1], True)))
            if found is None and messages[count].role == "assistant":
                found = ends.get(hashes[count - 1])
            if found is not None:
                return found
        return None

    def _remember(self, whole: int, answer: MessageFacts | None, name: str) -> None:
        self._ends.put(whole, name)
        if answer is not None:
            answered = hash((whole, _shape(answer)))
            self._ends.put(hash((answered, True)), name)


def _rolling(model: str, messages: tuple[MessageFacts, ...]) -> list[int]:
    """The hash of the first message, of the first two, and so on."""
    rolling, made = hash(model), []
    for message in messages:
        rolling = hash((rolling, _shape(message)))
        made.append(rolling)
    return made


def _shape(message: MessageFacts) -> tuple[Any, ...]:
    calls = message.tool_calls
    if not calls and not message.tool_call_id:
        return message.role, message.text, message.images
    named = tuple((call.id, call.name, call.arguments) for call in calls)
    return message.role, message.text, message.images, message.tool_call_id, named
