"""Requests as blocks in the provider's order, each with the place that it has among LangChain's
tools and messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.tools import BaseTool

from frugal_chains.dispatch import PromptBlock
from frugal_chains.providers import CacheControls, tokenizer_facts
from langchain_frugal._stand_ins import is_ours
from langchain_frugal._tool_words import MARKER, ToolWords
from langchain_frugal.prompt_cache._blocks import (
    WHOLE,
    can_mark_tool,
    parts_of,
    schema_block,
    tool_text,
)
from langchain_frugal.prompt_cache._forms import BEDROCK, Form, ttl_in

Volatile = Callable[[BaseMessage], bool]
"""Whether a message, or a system message with one block of the system prompt, will have changed by
the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a block stands among the objects of a request."""

    where: Literal["tools", "messages"]
    item: int
    """Of the tool, or of the message."""
    part: int = WHOLE
    """Of the block in the message's content."""


@dataclass(frozen=True, slots=True)
class Read:
    """The blocks of a request, and their places."""

    blocks: tuple[PromptBlock, ...]
    places: tuple[Place, ...]
    may_reorder: bool
    """The blocks of the system prompt stand in one message."""
    tail_marked: bool = False
    """The marker beside the messages is that of the last block, which has none of its own."""


class RequestReader:
    """Reads requests, tools once. Safe for threads.

    Args:
        volatile: The caller's word on what changes.
    """

    def __init__(self, volatile: Volatile | None = None) -> None:
        self._volatile, self._words = volatile, ToolWords()

    def read(
        self,
        tools: Sequence[Any],
        messages: Sequence[BaseMessage],
        *,
        form: Form,
        controls: CacheControls,
        model: str,
        schema: str = "",
        tail_marker: Any = None,
        in_place: bool = False,
    ) -> Read:
        """The blocks of a request.

        Args:
            tools: As they are bound.
            messages: The system prompt among them.
            form: Of the integration.
            controls: Of the provider.
            model: Who answers: what its images cost.
            schema: Of an answer that is asked for as one more tool.
            tail_marker: The caller's, for the last block of all (`cache_control` beside them).
            in_place: System messages inside the history are sent where they stand.
        """
        media = tokenizer_facts(model).image_tokens
        found = [*self._tools(tools, form, controls)]
        if schema:
            found.append((schema_block(schema), Place(where="tools", item=len(tools))))
        leading = _leading(messages)
        for at, message in enumerate(messages):
            system = isinstance(message, SystemMessage) and (at < leading or not in_place)
            kind: Literal["system", "message"] = "system" if system else "message"
            each = parts_of(message, form, controls, kind, media)
            later = at + 1 < len(messages)
            name = "" if system else f"message {at - leading + 1}"
            found += [(self._told(replace(block, name=name), message, part, later), Place(
                where="messages", item=at, part=part)) for block, part in each]  # fmt: skip
        found.sort(key=lambda pair: ("tools", "system", "message").index(pair[0].kind))
        ttl = ttl_in(tail_marker, controls)
        tail_marked = bool(found and ttl) and not found[-1][0].marker
        if tail_marked:
            block, place = found[-1]
            found[-1] = (replace(block, marker=ttl), place)
        items = {place.item for block, place in found if block.kind == "system"}
        return Read(
            blocks=tuple(block for block, _ in found),
            places=tuple(place for _, place in found),
            may_reorder=len(items) == 1,
            tail_marked=tail_marked,
        )

    # -- parts ---------------------------------------------------------------------------------

    def _tools(
        self, tools: Sequence[Any], form: Form, controls: CacheControls
    ) -> Iterator[tuple[PromptBlock, Place]]:
        for at, tool in enumerate(tools):
            given = (tool.extras or {}) if isinstance(tool, BaseTool) else tool
            if isinstance(given, Mapping) and BEDROCK in given:
                continue  # it stands for no tool; the one before it is marked
            extras = given if isinstance(given, Mapping) else {}
            facts = self._words.facts(tool) if isinstance(tool, BaseTool) else None
            text, name = tool_text(tool, facts, extras)
            behind = tools[at + 1] if form == "bedrock" and at + 1 < len(tools) else None
            own = behind.get(BEDROCK) if isinstance(behind, Mapping) else extras.get(MARKER)
            block = PromptBlock(
                kind="tools",
                text=text,
                name=name,
                marker=ttl_in(own, controls),
                markable=can_mark_tool(tool, extras, form),
            )
            yield block, Place(where="tools", item=at)

    def _told(
        self, block: PromptBlock, message: BaseMessage, part: int, later: bool
    ) -> PromptBlock:
        """With what the caller and the memory say of it."""
        if is_ours(message):
            # A summary has an id and stays; recalled text has none, and goes with its question.
            block = replace(block, segment=bool(message.id), volatile=not message.id and not later)
        if self._volatile is None:
            return block
        asked = message
        if block.kind == "system" and part != WHOLE:
            asked = message.model_copy(update={"content": [message.content[part]]})
        return replace(block, volatile=True) if self._volatile(asked) else block


def _leading(messages: Sequence[BaseMessage]) -> int:
    """How many system messages stand at the beginning."""
    return next(
        (at for at, each in enumerate(messages) if not isinstance(each, SystemMessage)),
        len(messages),
    )
