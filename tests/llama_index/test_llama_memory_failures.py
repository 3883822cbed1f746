"""What goes wrong around a `SummarizingMemory`: summarisers, strange messages, huge ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage

from frugal_chains.memory import CompactionPolicy
from llama_index_frugal import SummarizingMemory
from tests.llama_index.remembering import (
    EARLY,
    SUMMARY,
    answers,
    ask,
    asked,
    asks_for_summary,
    assistant,
    check_tool_pairs,
    memory_of,
    rewrites,
    summaries,
    talk,
    texts,
    user,
    words,
)
from tests.own_time import own_seconds
from tests.servers import Reply, ScriptedServer, ToolCall

Make = Callable[..., Any]


# -- summarisers that fail -----------------------------------------------------------------------

GARBAGE = {
    "error": Reply(status=500),
    "nothing": Reply(""),
    "refusal": Reply("I'm sorry, but I can't help with that."),
    "tool call": Reply(None, tool_calls=(ToolCall("look_up", {"order": "W1"}),)),
    "traceback": Reply("Traceback (most recent call last):\n  File x\nValueError: boom"),
    "lost connection": Reply(disconnect=True),
}


@pytest.mark.parametrize("reply", GARBAGE)
@pytest.mark.parametrize("way", ["same", "other"])
def test_a_summariser_that_always_fails_fails_no_answer(
    way: str, reply: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(lambda r: GARBAGE[reply] if asks_for_summary(r) else Reply(words("So")))
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm,
        policy=EARLY,
        summarizer="same" if way == "same" else openai_llm("gpt-4o"),
        system_prompt="",
    )
    for at in range(14):
        ask(memory, llm, at)
    assert len(memory.get_all()) == 28
    assert rewrites(asked(scripted)) == []  # nothing was lost, nothing changed
    assert not memory.compactions
    assert 2 <= len(summaries(scripted)) <= 8  # 2 each, after ever longer waits


def test_at_the_limit_a_failing_summariser_leaves_room_all_the_same(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(lambda r: Reply(status=500) if asks_for_summary(r) else Reply(words("So")))
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, token_limit=3_000, policy=CompactionPolicy(keep_tokens=600),
        summarizer="same", system_prompt="",
    )  # fmt: skip
    for at in range(14):
        ask(memory, llm, at)
    assert {event.kind for event in memory.compactions} == {"digest"}
    assert max(len(texts(body)) for body in asked(scripted)) < 4 * 3_000
    assert "order W4000" in texts(asked(scripted)[-1])


def test_a_summariser_that_fails_every_other_time(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    tried: list[int] = []

    def reply(request: Any) -> Reply:
        if not asks_for_summary(request):
            return Reply(words("So"))
        tried.append(1)
        return Reply(status=500) if len(tried) % 2 else Reply(SUMMARY)

    scripted.always(reply)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt=""
    )
    for at in range(12):
        ask(memory, llm, at)
    assert len(memory.compactions) == len(rewrites(asked(scripted))) == 3
    assert len(tried) == 6


# -- bad input and size --------------------------------------------------------------------------


def call(*ids: str) -> ChatMessage:
    blocks = [ToolCallBlock(tool_call_id=i, tool_name="f", tool_kwargs={}) for i in ids]
    return ChatMessage(role="assistant", blocks=blocks)


def result(id: str) -> ChatMessage:
    return ChatMessage(words("found", 120), role="tool", additional_kwargs={"tool_call_id": id})


STRANGE: dict[str, Sequence[ChatMessage]] = {
    "empty": [user(""), assistant(""), ChatMessage(role="user"), ChatMessage(role="assistant")],
    "results before calls": [user("a"), result("c1"), call("c1"), user("b")],
    "calls without results": [user("a"), call("c1", "c2"), result("c1"), user("b")],
    "the same id twice": [user("a"), call("c1"), result("c1"), call("c1"), result("c1")],
    "the same id at once": [user("a"), call("c1", "c1"), result("c1"), result("c1"), user("b")],
    "roles": [
        ChatMessage("a", role="developer"),
        ChatMessage("b", role="system"),
        ChatMessage("c", role="user"),
    ],
    "thoughts": [
        user("a"),
        ChatMessage(
            role="assistant", blocks=[ThinkingBlock(content="hm" * 300), TextBlock(text="b")]
        ),
    ],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_conversations_lead_to_requests_that_a_provider_takes(
    name: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    llm, memory = openai_llm(), memory_of()
    for at in range(10):
        for message in STRANGE[name]:
            memory.put(message.model_copy(deep=True))
        ask(memory, llm, at)
    assert memory.compactions
    for body in asked(scripted):
        check_tool_pairs(body)
    assert len(memory.get_all()) == 10 * (len(STRANGE[name]) + 2)


def test_images_stay_in_their_messages(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    llm, memory = openai_llm(), memory_of()
    for at in range(8):
        blocks = [TextBlock(text=f"look {at}"), ImageBlock(url="https://example.com/a.png")]
        memory.put(ChatMessage(role="user", blocks=blocks))
        memory.put(llm.chat(memory.get()).message)
    assert memory.compactions  # images are counted
    shown = [m for m in asked(scripted)[-1]["messages"] if isinstance(m["content"], list)]
    assert {part["type"] for m in shown for part in m["content"]} >= {"text", "image_url"}


def test_a_message_of_5_mb_is_cut_to_the_window() -> None:
    memory = memory_of(policy=CompactionPolicy(limit_tokens=8_000), chat_history=[*talk(3)])
    memory.put(user("Please read: " + "lorem ipsum dolor " * 290_000 + "Now what?"))
    seconds = own_seconds(memory.get)
    assert seconds < 8, seconds
    sent = str(memory.get()[-1].content)
    assert len(sent) < 60_000
    assert sent.startswith("Please read: lorem")
    assert sent.endswith("Now what?")
    assert len(str(memory.get_all()[-1].content)) > 5_000_000


async def test_a_large_conversation_does_not_hold_up_others() -> None:
    memory = memory_of(policy=CompactionPolicy(limit_tokens=8_000))
    memory.put(user("lorem ipsum dolor " * 300_000))
    steps: list[float] = []

    async def others() -> None:
        while True:
            steps.append(time.monotonic())
            await asyncio.sleep(0.005)

    task = asyncio.create_task(others())
    await memory.aget()
    task.cancel()
    assert len(steps) > 10


def messages(count: int) -> Iterator[ChatMessage]:
    return (user(f"message {at}") for at in range(count))


PUTS: dict[str, Callable[[SummarizingMemory, list[ChatMessage]], object]] = {
    "put": lambda memory, given: memory.put_messages(given),
    "aput": lambda memory, given: asyncio.run(memory.aput_messages(given)),
}


@pytest.mark.parametrize("way", PUTS)
def test_to_put_a_message_takes_as_long_with_10000_as_with_1000(way: str) -> None:
    def seconds(count: int) -> float:
        memory, given = memory_of(), [*messages(count)]
        return min(own_seconds(lambda: PUTS[way](memory, given)) for _ in range(3)) / count

    assert seconds(10_000) < 4 * seconds(1_000)


GETS: dict[str, Callable[[SummarizingMemory], object]] = {
    "get": SummarizingMemory.get,
    "aget": lambda memory: asyncio.run(memory.aget()),
}


def test_to_get_takes_microseconds_a_message_with_10000() -> None:
    memory = memory_of(policy=CompactionPolicy(keep_tokens=10**6), chat_history=[*messages(10_001)])
    memory.get()
    for way, get in GETS.items():
        again = min(own_seconds(partial(get, memory)) for _ in range(3))
        assert again < 0.2, (way, again)
        memory.put(user(f"and {way}?"))  # a turn of its own: all is decided anew
        anew = own_seconds(partial(get, memory))
        assert anew < 0.4, (way, anew)
