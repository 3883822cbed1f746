"""ChatMessages as a memory's decisions see them, and decisions as lists of ChatMessages."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import Any, Final, NamedTuple, TypeAlias

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock

from frugal_chains.dispatch.memory import History, SummaryRequest, Turn, message_key
from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.memory import Segment, Shown
from llama_index_frugal._request import message_facts

PINNED: Final = "frugal_pinned"
"""In `additional_kwargs` of a message that never leaves the context."""
_SAID_IN: Final = {"text": "text", "thinking": "content", "tool_call": "tool_kwargs"}
"""The field of a block that a key is made of, by `block_type`; other blocks are only counted."""
_TEXTS: Final = ("text", "thinking", "citable", "citation")
"""Blocks whose words are in `MessageFacts.text`, so that a shortened text stands for them."""

Pin: TypeAlias = Callable[[ChatMessage], bool]
Facts: TypeAlias = Callable[[ChatMessage], MessageFacts]


def pinned(message: ChatMessage) -> ChatMessage:
    """A copy of a message that no memory of ours takes out of the context.

        memory.put(pinned(ChatMessage("My allergies: nuts, shellfish.")))

    Raises:
        MemoryPlanError: its tool calls stand in `additional_kwargs`, which OpenAI's class sends
            with everything that is in there.
    """
    if "tool_calls" in message.additional_kwargs or "function_call" in message.additional_kwargs:
        raise MemoryPlanError("a message with tool calls is pinned by pin= of the memory instead")
    more = {**message.additional_kwargs, PINNED: True}
    return message.model_copy(update={"additional_kwargs": more})


class Head(NamedTuple):
    """What stands in front of the messages, and its name."""

    facts: RequestFacts
    key: str


def history_of(
    messages: Sequence[ChatMessage],
    *,
    head: Head,
    model: str = "",
    provider: str = "",
    pin: Pin | None = None,
    facts: Facts = message_facts,
) -> History:
    """A conversation for a `Compactor`. A thousand messages that were seen before take 2 ms.

    Args:
        messages: All of them; not changed as long as the history is used.
        head: Tools, and a system prompt that is none of the messages.
        model: Who will answer.
        provider: Of the model.
        pin: Which messages never leave, besides those of `pinned`.
        facts: Reads one message.
    """
    key = KEYS.of
    return History(
        keys=[key(message) for message in messages],
        message=lambda at: facts(messages[at]),
        pinned=[at for at, message in enumerate(messages) if _is_pinned(message, pin)],
        head=head.facts,
        head_key=head.key,
        model=model,
        provider=provider,
    )


def sent(turn: Turn, messages: Sequence[ChatMessage], without: int | None = None) -> list[Any]:
    """What is sent of these messages: the same objects, but for those that had to be cut.

    Args:
        turn: A decision about them.
        messages: Those of its history.
        without: Position of one that the caller adds by itself; recalled text comes in its place.
    """
    shortened = dict(turn.shortened)
    found: list[ChatMessage] = []
    for one in turn.view:
        if one.position is None or one.position != without:
            found.append(_native(one, messages, shortened))
        if turn.recalled and one.position is not None and one.position == turn.question:
            found.append(ChatMessage(turn.recalled, role=MessageRole.USER))
    return found


def asked(request: SummaryRequest, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """A request for a summary as messages, without the head."""
    shortened = dict(request.shortened)
    shown = [_native(one, messages, shortened) for one in request.view]
    return [*shown, ChatMessage(request.prompt, role=MessageRole.USER)]


def segment_message(segment: Segment) -> ChatMessage:
    """A segment as it is sent. A user's message: a system message would be moved to the front by
    some providers' classes, and the cache with it."""
    return ChatMessage(segment.text, role=MessageRole.USER)


def _native(one: Shown, messages: Sequence[ChatMessage], shortened: dict[int, str]) -> ChatMessage:
    if one.segment is not None:
        return segment_message(one.segment)
    assert one.position is not None, "what is shown is a message or a segment"
    message = messages[one.position]
    text = shortened.get(one.position)
    return message if text is None else _with_text(message, text)


def _with_text(message: ChatMessage, text: str) -> ChatMessage:
    """A copy that says this instead; images, tool calls and cache points stay."""
    rest = [b for b in message.blocks if getattr(b, "block_type", "") not in _TEXTS]
    return message.model_copy(update={"blocks": [TextBlock(text=text), *rest]})


def _is_pinned(message: ChatMessage, pin: Pin | None) -> bool:
    return bool(message.additional_kwargs.get(PINNED)) or (pin is not None and bool(pin(message)))


class Keys:
    """Keys of messages, each made once for as long as nobody changes the message.

    LlamaIndex has no ids for messages, and agents write into them: the state of an agent goes into
    the last one. So a key is of the content, and known again by the very objects of the content.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, tuple[object, ...], str]] = {}

    def of(self, message: ChatMessage) -> str:
        """What tells a message from another one."""
        name, content = id(message), tuple(_content(message))
        known = self._known.get(name)
        if known is not None and known[0]() is message and _same(known[1], content):
            return known[2]
        key = message_key(message_facts(message))
        self._known[name] = (weakref.ref(message, self._forgets(name)), content, key)
        return key

    def _forgets(self, name: int) -> Callable[[object], None]:
        known = self._known

        def forget(gone: object) -> None:
            held = known.get(name)
            if held is not None and held[0] is gone:
                known.pop(name, None)

        return forget


KEYS: Final = Keys()
"""Of all messages of this process, as long as they live: about 500 bytes each."""


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))


def _content(message: ChatMessage) -> Iterator[object]:
    """The objects that a message's content consists of."""
    more = message.additional_kwargs
    yield message.role
    if more:
        yield more.get("tool_calls")
        yield more.get("tool_call_id")
        yield more.get("name")
    for block in message.blocks:
        yield block
        field = _SAID_IN.get(getattr(block, "block_type", ""))
        if field is not None:
            yield getattr(block, field, None)
