"""Messages as LangChain has them, and a chat model with a script."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult

from memory.protocol import Block, Call, Role
from memory.recorder import Recorder
from memory.tokens import count

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "human": "user",
    "ai": "assistant",
    "tool": "tool",
}


def message_of(block: Block) -> BaseMessage:
    """A message as LangChain has it, with an id of its own."""
    unique = str(uuid.uuid4())
    match block.role:
        case "system":
            return SystemMessage(block.text, id=unique)
        case "user":
            return HumanMessage(block.text, id=unique)
        case "tool":
            return ToolMessage(block.text, tool_call_id=block.answers, id=unique)
    calls = [
        {"name": call.name, "args": json.loads(call.arguments), "id": call.id}
        for call in block.calls
    ]
    return AIMessage(block.text, tool_calls=calls, id=unique)


def calls_of(message: BaseMessage) -> tuple[Call, ...]:
    if not isinstance(message, AIMessage):
        return ()
    return tuple(
        Call(each["id"] or "", each["name"], json.dumps(each["args"]))
        for each in message.tool_calls
    )


def count_messages(messages: Any) -> int:
    """Tokens of one message or of several, exactly."""
    given = [messages] if isinstance(messages, BaseMessage) else list(messages)
    return sum(
        count(each.text) + sum(count(f"{c.name} {c.arguments}") for c in calls_of(each))
        for each in given
    )


class Scripted(BaseChatModel):
    """A chat model that answers from the recorder's script, or writes its summaries."""

    recorder: Any
    summariser: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def get_num_tokens_from_messages(self, messages: Any, tools: Any = None, **_: Any) -> int:
        return count_messages(messages)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        sent = blocks_of(self.recorder, messages)
        answer: BaseMessage
        if self.summariser:
            answer = AIMessage(self.recorder.summarised(sent))
        else:
            answer = message_of(self.recorder.answered(sent))
        return ChatResult(generations=[ChatGeneration(message=answer)])


def blocks_of(recorder: Recorder, messages: Iterable[BaseMessage]) -> list[Block]:
    """Messages as they are sent."""
    return [
        recorder.block(
            _ROLES[each.type],
            each.text,
            calls_of(each),
            each.tool_call_id if isinstance(each, ToolMessage) else "",
        )
        for each in messages
    ]


def head_of(recorder: Recorder) -> list[BaseMessage]:
    return [message_of(each) for each in recorder.conversation.head]
