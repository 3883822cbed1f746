"""Messages as each model takes them: what another provider left in a history is made harmless."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM

_TAKE_CACHE_POINTS: Final = frozenset({"Anthropic", "BedrockConverse", "RoutingLLM"})
"""Classes that understand `CachePoint` blocks (llama-index-llms-anthropic 0.12.3,
-bedrock-converse 0.14). Others raise `ValueError: Unsupported content block type`; to them a cache
point means nothing, as OpenAI and Gemini cache by themselves."""
_TAKE_ARGUMENTS_AS_TEXT: Final = frozenset({"OpenAI", "OpenAIResponses", "RoutingLLM"})
"""Classes that take the arguments of a tool call as the JSON text that OpenAI sends. Others hand
them to their provider as they are, and Anthropic refuses a text."""
_MARKS: Final = ("signature", "id")
"""What a provider puts on its own reasoning, to know it again: Anthropic's `signature`, the `id`
of OpenAI's responses."""
_MOST: Final = 10_000


class Authors:
    """Who has thought what: reasoning is bound to the model that wrote it. Safe for threads.

    The oldest are forgotten; reasoning of an unknown author goes to any model of the kind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_thought: OrderedDict[str, str] = OrderedDict()

    def remember(self, message: ChatMessage, candidate: str) -> None:
        for thought in filter(_is_thought, message.blocks):
            with self._lock:
                self._by_thought[_key(thought)] = candidate
                if len(self._by_thought) > _MOST:
                    self._by_thought.popitem(last=False)

    def of(self, thought: Any) -> str:
        """Empty: nobody knows."""
        with self._lock:
            return self._by_thought.get(_key(thought), "")


def as_taken(
    messages: Sequence[ChatMessage], llm: LLM, candidate: str, authors: Authors
) -> list[ChatMessage]:
    """A new list of what `llm` understands of these messages; a message that is whole is itself.

    Some LLM classes append to the list they are given (`OpenAI._prepare_chat_with_tools`), and a
    request may be put to several.
    """
    classes = {cls.__name__ for cls in type(llm).__mro__}

    def kept(message: ChatMessage) -> Iterator[Any]:
        for block in message.blocks:
            kind = getattr(block, "block_type", "")
            if kind == "cache" and not classes & _TAKE_CACHE_POINTS:
                continue
            if kind == "thinking" and not _is_understood(block, classes, authors, candidate):
                continue
            if kind == "tool_call" and not classes & _TAKE_ARGUMENTS_AS_TEXT:
                yield _with_arguments_read(block)
            else:
                yield block

    taken = []
    for message in messages:
        blocks = list(kept(message))
        if len(blocks) == len(message.blocks) and all(map(_is, blocks, message.blocks)):
            taken.append(message)
        elif blocks:
            taken.append(message.model_copy(update={"blocks": blocks}))
    return taken


def _is(one: object, other: object) -> bool:
    return one is other


def _is_thought(block: Any) -> bool:
    return getattr(block, "block_type", "") == "thinking"


def _is_understood(thought: Any, classes: set[str], authors: Authors, candidate: str) -> bool:
    author = authors.of(thought)
    if author and "RoutingLLM" not in classes:
        return author == candidate
    # Anthropic refuses reasoning without its own signature; OpenAI's classes leave all of it out.
    return "Anthropic" not in classes or bool(thought.additional_information.get("signature"))


def _key(thought: Any) -> str:
    marks = (thought.additional_information.get(name) for name in _MARKS)
    return next((str(mark) for mark in marks if mark), thought.content or "")


def _with_arguments_read(call: Any) -> Any:
    if not isinstance(call.tool_kwargs, str):
        return call
    try:
        arguments = json.loads(call.tool_kwargs or "{}")
    except ValueError:
        return call
    return call.model_copy(update={"tool_kwargs": arguments}) if _is_object(arguments) else call


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
