"""`SummaryMemoryBlock` inside LlamaIndex's own `Memory`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import InsertMethod, Memory

from llama_index_frugal import SummaryMemoryBlock
from tests.llama_index.remembering import (
    SUMMARY,
    answers,
    asks_for_summary,
    question,
    summaries,
    talk,
    texts,
    user,
    words,
)
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]
FACT = SUMMARY.splitlines()[1]


def memory_with(block: SummaryMemoryBlock) -> Memory:
    return Memory.from_defaults(
        token_limit=3_000,
        token_flush_size=800,
        memory_blocks=[block],
        insert_method=InsertMethod.USER,
    )


async def test_what_is_flushed_is_summarised_once_and_stays(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    block = SummaryMemoryBlock(llm=openai_llm())
    memory = memory_with(block)
    seen: list[list[str]] = []
    for message in talk(14):
        await memory.aput(message)
        if not seen or seen[-1] != block.segments:
            seen.append([*block.segments])
    assert len(block.segments) == len(summaries(scripted)) >= 4
    for one, other in pairwise(seen):
        assert other[: len(one)] == one  # appended, never written anew
    await memory.aput(user("Where is it?"))
    view = await memory.aget()
    assert FACT in str(view[-1].content)
    assert all(FACT not in str(message.content) for message in view[:-1])
    transcripts = "".join(texts(body) for body in summaries(scripted))
    kept = "".join(str(message.content) for message in view)
    for at in range(14):
        assert question(at)[:20] in transcripts + kept


def test_in_a_chat_engine(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    memory = memory_with(SummaryMemoryBlock(llm=openai_llm()))
    engine = SimpleChatEngine.from_defaults(llm=openai_llm(), memory=memory)
    for at in range(8):
        engine.chat(question(at))
    assert FACT in texts(scripted.requests[-1].body)


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply("I'm sorry, I can't."), Reply("")],
    ids=["500", "no", "empty"],
)
async def test_a_failing_summariser_loses_nothing(
    reply: Reply, scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(reply)
    block = SummaryMemoryBlock(llm=openai_llm())
    memory = memory_with(block)
    await memory.aput(user("My order is W7731 and my budget is $250."))
    for message in talk(5):
        await memory.aput(message)
    assert "W7731" in await block.aget()
    assert 2 <= len(summaries(scripted)) <= 2 * len(block.segments)


async def test_a_summary_that_is_given_up_loses_nothing(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(Reply(SUMMARY, delay_s=0.5))
    block = SummaryMemoryBlock(llm=openai_llm())
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(block.aput([user("My order is W7731.")]), 0.1)
    assert "W7731" in await block.aget()


async def test_without_an_llm_sentences_are_picked() -> None:
    block = SummaryMemoryBlock(model="gpt-4o-mini")
    assert await block.aget() == ""
    await block.aput([ChatMessage("Be brief.", role="system")])
    assert await block.aget() == ""  # a system prompt is nobody's message
    await block.aput([user("My order is W7731."), ChatMessage("", role="assistant")])
    assert "W7731" in await block.aget()


async def test_many_summaries_are_merged_by_code(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(
        lambda r: Reply(
            f"Facts:\nThe code of room {len(scripted.requests)} is Z{len(scripted.requests)}"
        )
    )
    block = SummaryMemoryBlock(llm=openai_llm(), segments_tokens=100)
    for at in range(30):
        await block.aput([user(f"{words('Rooms')} {at}")])
    text = await block.aget()
    assert len(block.segments) < 10
    assert "room 30 is Z30" in text
    assert len(text) < 1_000
    assert len(summaries(scripted)) == 30


async def test_it_can_be_kept_and_cut() -> None:
    block = SummaryMemoryBlock(model="gpt-4o-mini", priority=1)
    block.segments = [f"Facts:\nnumber {at} is here" for at in range(10)]
    read = SummaryMemoryBlock.model_validate_json(block.model_dump_json())
    text = await block.aget()
    assert await read.aget() == text
    cut = await block.atruncate(text, 30)
    assert cut is not None
    assert "number 9" in cut
    assert "number 0" not in cut
    assert await block.atruncate(text, 10_000) is None


async def test_tokens_are_those_of_its_llm(openai_llm: Make, anthropic_llm: Make) -> None:
    texts = [f"Facts:\nnumber {at} is here" for at in range(10)]
    cut = {}
    for llm in (openai_llm(), anthropic_llm()):
        own = llm.metadata.model_name
        blocks = [SummaryMemoryBlock(llm=llm, priority=1), SummaryMemoryBlock(model=own)]
        for block in blocks:
            block.segments = texts
        said = [await block.atruncate(await block.aget(), 30) for block in blocks]
        assert said[0] == said[1]
        cut[own] = said[0]
    assert len({*cut.values()}) == 2  # they count differently


async def test_a_large_flush_does_not_hold_up_others() -> None:
    block, steps = SummaryMemoryBlock(model="gpt-4o-mini"), []

    async def others() -> None:
        while True:
            steps.append(1)
            await asyncio.sleep(0.002)

    task = asyncio.create_task(others())
    await block.aput([user(words(f"Part {at}", 2_000)) for at in range(20)])
    task.cancel()
    assert len(steps) > 10


def test_flat_requests_alone(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    asyncio.run(SummaryMemoryBlock(llm=openai_llm()).aput([*talk(2)]))
    (request,) = scripted.requests
    assert asks_for_summary(request)
    assert [m["role"] for m in request.body["messages"]] == ["user"]
