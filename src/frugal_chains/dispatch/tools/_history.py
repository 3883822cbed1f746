"""What a conversation tells of its tools: what is asked, which were called, which were found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from frugal_chains.compression.tools import Offered, ToolIndex, ToolRequest, find_tools
from frugal_chains.facts import MessageFacts, RequestFacts

LATER: Final = "Look again: what fits is among the tools you have now."
"""Answers `find_tool` where the tools are not at hand: the next request finds them."""
_FOUND: Final = "Now available: "
"""As `compression.tools.answer` begins where something was found; names follow."""


def tool_request(
    request: RequestFacts,
    index: ToolIndex,
    *,
    offered: Offered | None,
    forced: Collection[str],
    after_tokens: int,
    vector: Sequence[float] | None,
) -> ToolRequest:
    """The facts of a request that a plan looks at."""
    asked = [each.text for each in request.messages if each.role == "user" and each.text]
    own = index.find_tool.name
    called = (call.name for each in request.messages for call in each.tool_calls)
    return ToolRequest(
        query=asked[-1] if asked else "",
        before=tuple(asked[:-1]),
        instructions="\n".join(each.text for each in request.messages if each.role == "system"),
        used=tuple(dict.fromkeys(name for name in called if name != own)),
        forced=tuple(forced),
        found=tuple(dict.fromkeys(_found(request.messages, index))),
        offered=offered,
        after_tokens=after_tokens,
        vector=vector,
    )


def question_of(request: RequestFacts) -> str:
    """What the user has asked last."""
    texts = (each.text for each in reversed(request.messages) if each.role == "user" and each.text)
    return next(texts, "")


def is_answer_to_search(request: RequestFacts, name: str) -> bool:
    """Whether this request was only made because the one before had asked for a tool."""
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role == "tool" and last.name == name


def _found(messages: Sequence[MessageFacts], index: ToolIndex) -> Iterator[str]:
    """The names that answers of `find_tool` gave, or that its calls would find now."""
    own = index.find_tool.name
    tasks: dict[str, str] = {}
    for message in messages:
        tasks |= {call.id: call.arguments for call in message.tool_calls if call.name == own}
        if message.role != "tool":
            continue
        if message.name != own and message.tool_call_id not in tasks:
            continue
        if message.text.startswith(_FOUND):
            yield from message.text.removeprefix(_FOUND).split(", ")
        elif message.text.startswith(LATER):
            task = tasks.get(message.tool_call_id, "")
            yield from (index.tools[number].name for number in find_tools(task, index))
