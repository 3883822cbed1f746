"""LlamaIndex's memories: their own code, played call by call as a chat engine does it.

The limits are about the messages; the system prompt stands before them, outside. Both libraries'
counters get the same exact tokenizer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.memory import (
    BaseMemory,
    ChatSummaryMemoryBuffer,
    FactExtractionMemoryBlock,
    InsertMethod,
    Memory,
)

from memory.protocol import Block, Call
from memory.recorder import Peer, Recorder
from memory.tokens import encoded

_WINDOW = 1_000_000


class Scripted(CustomLLM):
    """The summariser: writes down what it is asked."""

    recorder: Any
    form: str = "{}"
    """Around what it writes."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=_WINDOW, is_chat_model=True)

    def chat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponse:
        text = self.recorder.summarised(blocks_of(self.recorder, messages), form=self.form)
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=text))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self.chat(messages, **kwargs)

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        raise NotImplementedError("only chats are played")

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        raise NotImplementedError("only chats are played")


def message_of(block: Block) -> ChatMessage:
    """A message as LlamaIndex has it."""
    blocks: list[Any] = [TextBlock(text=block.text)] if block.text else []
    blocks += [
        ToolCallBlock(
            tool_call_id=call.id, tool_name=call.name, tool_kwargs=json.loads(call.arguments)
        )
        for call in block.calls
    ]
    extra = {"tool_call_id": block.answers} if block.answers else {}
    return ChatMessage(role=MessageRole(block.role), blocks=blocks, additional_kwargs=extra)


def blocks_of(recorder: Recorder, messages: Iterable[ChatMessage]) -> list[Block]:
    """Messages as they are sent."""
    return [
        recorder.block(
            each.role.value,  # type: ignore[arg-type]
            "\n".join(part.text for part in each.blocks if isinstance(part, TextBlock)),
            _calls(each),
            str(each.additional_kwargs.get("tool_call_id", "")),
        )
        for each in messages
    ]


def _calls(message: ChatMessage) -> tuple[Call, ...]:
    return tuple(
        Call(part.tool_call_id or "", part.tool_name, json.dumps(part.tool_kwargs))
        for part in message.blocks
        if isinstance(part, ToolCallBlock)
    )


def tokens(text: str) -> list[int]:
    return list(encoded(text))


def played(make: Callable[[Recorder], BaseMemory]) -> Callable[[Recorder], None]:
    """Put what is new, get what is sent, put the answer."""

    async def play(recorder: Recorder) -> None:
        memory = make(recorder)
        head = [message_of(each) for each in recorder.conversation.head]
        for step in recorder.conversation.steps():
            recorder.at(step)
            for each in step.new:
                await memory.aput(message_of(each))
            # Blocks of a memory may be put into the messages it was given: they get copies.
            history = await memory.aget()
            recorder.answered(blocks_of(recorder, [*head, *history]))
            await memory.aput(message_of(step.answer))
        if isinstance(memory, Memory):
            engine = getattr(memory.sql_store, "_async_engine", None)
            if engine is not None:  # Else its thread outlives the loop, and complains.
                await engine.dispose()

    return lambda recorder: asyncio.run(play(recorder))


def _memory(recorder: Recorder) -> BaseMemory:
    return Memory.from_defaults(token_limit=12_000, token_flush_size=4000, tokenizer_fn=tokens)


def _memory_with_facts(method: InsertMethod) -> Callable[[Recorder], BaseMemory]:
    def make(recorder: Recorder) -> BaseMemory:
        facts = FactExtractionMemoryBlock(
            llm=Scripted(recorder=recorder, form="<fact>{}</fact>"), max_facts=50
        )
        return Memory.from_defaults(
            token_limit=12_000,
            token_flush_size=4000,
            tokenizer_fn=tokens,
            memory_blocks=[facts],
            insert_method=method,
        )

    return make


def _summary_buffer(recorder: Recorder) -> BaseMemory:
    return ChatSummaryMemoryBuffer.from_defaults(
        llm=Scripted(recorder=recorder), token_limit=4000, tokenizer_fn=tokens
    )


def llama_index_peers(summary_tokens: int) -> list[Peer]:
    """All of them."""
    makes: dict[str, Callable[[Recorder], BaseMemory]] = {
        "LlamaIndex Memory 12k, flush 4k": _memory,
        "LlamaIndex Memory 12k, flush 4k, facts": _memory_with_facts(InsertMethod.SYSTEM),
        "ChatSummaryMemoryBuffer 4k": _summary_buffer,
    }
    return [Peer(name, played(make), summary_tokens) for name, make in makes.items()]
