"""What in a conversation is compressed, and for which question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_frugal._content import is_marked, texts_of, with_texts, words_of
from langchain_frugal.compression._parts import Parts

Split = Callable[[str], Parts]


class Piece(NamedTuple):
    """The context of one message."""

    at: int
    """The message's place in the conversation."""
    texts: tuple[str, ...]
    """Of its blocks; of a human message, the last one without what is asked."""
    query: str
    before: str = ""
    """Of the last text: what stands around the context, and stays."""
    after: str = ""


def pieces_of(
    messages: Sequence[BaseMessage], select: Callable[[BaseMessage], bool], split: Split
) -> list[Piece]:
    """Of the messages behind the last cache marker, those selected, in order."""
    frozen = max((at for at, message in enumerate(messages) if is_marked(message)), default=-1)
    query = next((_asks(m, split) for m in messages if isinstance(m, HumanMessage)), "")
    calls: dict[str, str] = {}
    found: list[Piece] = []
    for at, message in enumerate(messages):
        if isinstance(message, HumanMessage):
            query = _asks(message, split)
        if isinstance(message, AIMessage):
            calls |= {call["id"]: words_of(call) for call in message.tool_calls if call["id"]}
        if at > frozen and select(message) and (texts := texts_of(message.content)):
            piece = _piece(at, message, texts, query, calls, split)
            if any(piece.texts):
                found.append(piece)
    return found


def with_piece(message: BaseMessage, piece: Piece, texts: Sequence[str]) -> BaseMessage:
    """The message with other texts of its context."""
    *others, last = texts
    new = [*others, piece.before + last + piece.after]
    content = cast(Any, message.content)
    return message.model_copy(update={"content": with_texts(content, new)})


def _piece(
    at: int, message: BaseMessage, texts: Sequence[str], query: str, calls: dict[str, str],
    split: Split,
) -> Piece:  # fmt: skip
    if isinstance(message, HumanMessage):
        *others, last = texts
        parts = split(last)
        before, context, after = (
            last[: parts.start], last[parts.start : parts.end], last[parts.end :]
        )  # fmt: skip
        return Piece(at, (*others, context), parts.query, before, after)
    if isinstance(message, ToolMessage):
        query = "\n".join(filter(None, (query, calls.get(message.tool_call_id, ""))))
    return Piece(at, tuple(texts), query)


def _asks(message: BaseMessage, split: Split) -> str:
    texts = texts_of(cast(Any, message.content))
    return split(texts[-1]).query if texts else ""
