"""LangChain's messages as a `History`, and what is sent of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from frugal_chains.dispatch.memory import History, SummaryRequest, Turn
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts
from frugal_chains.memory import Shown
from langchain_frugal._content import texts_of, with_texts
from langchain_frugal._facts import as_json, message_facts
from langchain_frugal._stand_ins import stands_for
from langchain_frugal._who import Who
from langchain_frugal.memory._keys import key_of

PINNED: Final = "frugal_pinned"
"""In `response_metadata`, of which no integration sends anything to a provider."""

Pin = Callable[[BaseMessage], bool]
_UNKNOWN: Final = Who()


def pinned(message: BaseMessage) -> BaseMessage:
    """A copy of a message that never leaves the context."""
    metadata = {**message.response_metadata, PINNED: True}
    return message.model_copy(update={"response_metadata": metadata})


def history_of(
    messages: Sequence[BaseMessage],
    *,
    head: RequestFacts | None = None,
    answers: Who = _UNKNOWN,
    pin: Pin | None = None,
    ids: bool = True,
) -> History:
    """A conversation as a memory decides on it.

    Args:
        messages: All of them, the question included. They are not copied.
        head: Tools, and a system prompt that is none of the messages.
        answers: Who will answer.
        pin: Which messages never leave the context, besides those of `pinned`.
        ids: Whether the ids of messages stay the same from call to call.
    """
    return History(
        keys=[key_of(message, ids=ids) for message in messages],
        message=lambda at: facts_at(messages, at),
        pinned=[at for at, message in enumerate(messages) if _is_pinned(message, pin)],
        head=head or RequestFacts(),
        model=answers.model,
        provider=answers.provider,
    )


def facts_at(messages: Sequence[BaseMessage], at: int) -> MessageFacts:
    """A message, with every call that a provider is told of."""
    message = messages[at]
    facts = message_facts(message)
    more = _other_calls(messages, at) if isinstance(message, AIMessage) else ()
    return replace(facts, tool_calls=(*facts.tool_calls, *more)) if more else facts


def sent(turn: Turn, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What a turn sends of these messages: the same objects, but for those that are shortened."""
    if not turn.changed:
        return [*messages]
    shown = shown_messages(turn.view, turn.shortened, messages)
    if not turn.recalled or turn.question is None:
        return shown
    places = [at for at, one in enumerate(turn.view) if one.position == turn.question]
    if places:
        shown.insert(places[-1] + 1, stands_for(turn.recalled))
    return shown


def asked(request: SummaryRequest, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages of a request for a summary."""
    shown = shown_messages(request.view, request.shortened, messages)
    return [*shown, HumanMessage(request.prompt)]


def shown_messages(
    view: Sequence[Shown], shortened: Sequence[tuple[int, str]], messages: Sequence[BaseMessage]
) -> list[BaseMessage]:
    """The messages of a view."""
    cut = dict(shortened)
    found: list[BaseMessage] = []
    for one in view:
        if one.segment is not None:
            found.append(stands_for(one.segment.text, one.segment.id))
        elif one.position is not None:
            message = messages[one.position]
            text = cut.get(one.position)
            found.append(message if text is None else _with_text(message, text))
    return found


def _is_pinned(message: BaseMessage, pin: Pin | None) -> bool:
    said = message.response_metadata
    return bool(said and said.get(PINNED)) or (pin is not None and bool(pin(message)))


def _with_text(message: BaseMessage, text: str) -> BaseMessage:
    content = cast(Any, message.content)
    texts = texts_of(content)
    if not texts:
        return message
    new = with_texts(content, [text, *("" for _ in texts[1:])])
    return message.model_copy(update={"content": new})


def _other_calls(messages: Sequence[BaseMessage], at: int) -> list[ToolCallFacts]:
    """Calls of OpenAI's older kind, and malformed ones that were answered all the same."""
    message = cast(AIMessage, messages[at])
    found: list[ToolCallFacts] = []
    if message.invalid_tool_calls:
        answered = set()
        for later in messages[at + 1 :]:
            if not isinstance(later, ToolMessage):
                break
            answered.add(later.tool_call_id)
        found += [
            ToolCallFacts(
                name=call.get("name") or "", arguments=call.get("args") or "", id=call["id"] or ""
            )
            for call in message.invalid_tool_calls
            if call.get("id") in answered
        ]
    function = message.additional_kwargs.get("function_call")
    if isinstance(function, dict) and not message.tool_calls:
        arguments = function.get("arguments")
        told = arguments if isinstance(arguments, str) else as_json(arguments)
        found.append(ToolCallFacts(name=str(function.get("name") or ""), arguments=told, id=""))
    return found
