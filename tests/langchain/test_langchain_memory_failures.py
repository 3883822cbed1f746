"""Whatever fails or is odd, the agent answers, and nothing of the conversation is lost."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains.archive import Archive
from frugal_chains.errors import ArchiveError, MemoryPlanError
from frugal_chains.memory import CompactionPolicy, WaterMark
from langchain_frugal import CompactionMiddleware, compact_messages
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answered_requests,
    answers_and_summaries,
    conversation,
    refused,
    said,
    segments_in,
    summary_requests,
    texts,
    tool_round,
)
from tests.own_time import own_seconds
from tests.servers import Reply, Request, ScriptedServer, ToolCall

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
MARK = CompactionPolicy(
    trigger=WaterMark(high_tokens=1_500), keep_tokens=200, least_dropped_tokens=50
)
"""Compacts at a mark, and has room enough without."""


def agent(model: Any, *made: AgentMiddleware[Any, Any, Any], **more: Any) -> Any:
    return create_agent(model, [], middleware=made, checkpointer=InMemorySaver(), **more)


def thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": "one"}}


async def run(made: Any, sync: bool, messages: list[Any]) -> list[Any]:
    start = {"messages": messages}
    end = made.invoke(start, thread()) if sync else await made.ainvoke(start, thread())
    return list(end["messages"])


BAD = {
    "error": Reply(status=500),
    "nothing": Reply(""),
    "refusal": Reply("I'm sorry, but I can't help with that."),
    "error text": Reply("Error: the model is overloaded."),
    "tool call": Reply(tool_calls=(ToolCall("look", {"at": 1}),)),
    "echo": Reply(None),
}
"""What comes of a request for a summary and is none."""


@pytest.mark.parametrize("kind", BAD)
@BOTH
async def test_a_summary_that_fails_leaves_the_history_as_it_is(
    sync: bool, kind: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries(lambda request: BAD[kind]))
    memory = CompactionMiddleware(MARK, summarizer="same")
    made = agent(chat_openai("gpt-4o"), memory)
    history = [*conversation(20), HumanMessage("Well?")]
    messages = await run(made, sync, history)
    assert len(messages) == 42
    assert len(summary_requests(scripted)) == 2  # two attempts
    (sent,) = answered_requests(scripted)
    assert [texts(m) for m in sent["messages"]] == [m.content for m in history]
    # A model that fails is not asked at every call.
    for number in range(3):
        await run(made, sync, [HumanMessage(said(number))])
    assert len(summary_requests(scripted)) <= 4
    assert not segments_in(answered_requests(scripted)[-1])


@pytest.mark.parametrize("kind", BAD)
def test_where_there_is_no_room_sentences_are_picked(
    kind: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries(lambda request: BAD[kind]))
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory)
    made.invoke({"messages": [*conversation(20), HumanMessage("Well?")]}, thread())
    (sent,) = answered_requests(scripted)
    (segment,) = segments_in(sent)
    assert "Point 3" in segment
    assert not {"sorry", "Error", "overloaded", "look"} & set(segment.split())


@BOTH
async def test_a_summariser_that_fails_half_the_time(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    asked: list[Request] = []

    def summary(request: Request) -> Reply:
        asked.append(request)
        return Reply(status=503) if len(asked) % 2 else Reply(SUMMARY)

    scripted.always(answers_and_summaries(summary))
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory)
    for number in range(12):
        messages = await run(made, sync, [HumanMessage(said(number))])
    assert [m.content for m in messages[::2]] == [said(number) for number in range(12)]
    segments = memory.compactions(made.get_state(thread()).values)
    assert len(segments) >= 2
    assert all(one.text.endswith(SUMMARY) for one in segments)


# -- the archive ---------------------------------------------------------------------------------


class Refusing:
    """An archive without room."""

    def put(self, text: str) -> str:
        raise ArchiveError("the disk is full")


def test_an_archive_that_fails_leaves_the_history_as_it_is(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    archive: Any = Refusing()
    memory = CompactionMiddleware(MARK, archive=archive)
    made = agent(chat_openai("gpt-4o"), memory)
    made.invoke({"messages": [*conversation(20), HumanMessage("Well?")]}, thread())
    (sent,) = answered_requests(scripted)
    assert len(sent["messages"]) == 41
    assert memory.compactions(made.get_state(thread()).values) == ()


def test_what_leaves_is_in_the_archive_first(
    tmp_path: Path, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    told: list[Any] = []
    with Archive.open(f"sqlite:///{tmp_path}/archive.db") as archive:
        memory = CompactionMiddleware(EAGER, archive=archive, on_compaction=told.append)
        made = agent(chat_openai(), memory)
        made.invoke({"messages": [*conversation(8), HumanMessage("Well?")]}, thread())
        (event,) = told
        kept = json.loads(archive.get(event.handle) or "")
    assert [each["text"] for each in kept[:2]] == [said(0), said(0)]
    assert len(kept) == event.messages


# -- odd conversations ---------------------------------------------------------------------------


def odd() -> list[BaseMessage]:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    return [
        HumanMessage(""),
        AIMessage(""),
        HumanMessage([{"type": "text", "text": said(1)}, image]),
        AIMessage([{"type": "text", "text": said(2)}]),
        ChatMessage("I am the moderator.", role="user"),
        *tool_round(1),
        AIMessage(said(3)),
        *tool_round(1),  # the same ids again
        AIMessage(said(4)),
        ToolMessage("Nobody asked for this.", tool_call_id="lost"),
        HumanMessage(said(5)),
        AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "never answered"}]),
        HumanMessage(said(6)),
        AIMessage(said(7)),
        *conversation(3),
        HumanMessage("Well?"),
    ]


@BOTH
async def test_odd_messages_are_sent_so_that_a_provider_takes_them(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    made = agent(chat_openai(), CompactionMiddleware(EAGER, summarizer="same"))
    messages = await run(made, sync, odd())
    assert len(messages) == len(odd()) + 1
    (sent,) = answered_requests(scripted)
    assert segments_in(sent)
    assert refused(sent) == ""
    for number in range(4):
        await run(made, sync, [HumanMessage(said(number))])
    assert {refused(body) for body in answered_requests(scripted)} == {""}


def test_reasoning_blocks_go_with_their_message(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    history: list[BaseMessage] = []
    for number in range(8):
        thought = {"type": "thinking", "thinking": said(number), "signature": f"s{number}"}
        answer = {"type": "text", "text": said(number)}
        history += [HumanMessage(said(number)), AIMessage([thought, answer])]
    made = agent(chat_anthropic(), CompactionMiddleware(EAGER, summarizer="same"))
    made.invoke({"messages": [*history, HumanMessage("Well?")]}, thread())
    (sent,) = answered_requests(scripted)
    answers = [m for m in sent["messages"] if m["role"] == "assistant"]
    assert 0 < len(answers) < 8
    for answer in answers:
        thinking, text = answer["content"]
        assert (thinking["type"], thinking["thinking"]) == ("thinking", text["text"])


@BOTH
async def test_a_message_of_five_million_characters_is_sent_cut(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Fine."))
    policy = CompactionPolicy(limit_tokens=100_000)
    made = agent(chat_openai("gpt-4.1"), CompactionMiddleware(policy))
    huge = "The number of the parcel is 4711. " * 150_000
    messages = await run(made, sync, [HumanMessage(huge), AIMessage("I see."), HumanMessage("So?")])
    assert messages[0].content == huge
    (sent,) = [request.body for request in scripted.requests]
    assert len(json.dumps(sent)) < 500_000


def test_long_texts_are_no_work_for_seconds(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Fine."))
    policy = CompactionPolicy(limit_tokens=100_000)
    made = agent(chat_openai("gpt-4.1"), CompactionMiddleware(policy))
    history = [HumanMessage(FIVE_MB), AIMessage("I see."), HumanMessage("So?")]
    assert own_seconds(lambda: made.invoke({"messages": history}, thread())) < 5


FIVE_MB = "Seven bridges, and 4711 of them are painted. " * 110_000


@BOTH
async def test_a_history_that_cannot_be_read_is_sent_whole(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.always(answers_and_summaries())

    def pin(message: BaseMessage) -> bool:
        raise RuntimeError(f"no idea about {message.content}")

    made = agent(chat_openai(), CompactionMiddleware(EAGER, pin=pin))
    history = [*conversation(10), HumanMessage("Well?")]
    with caplog.at_level(logging.WARNING, "langchain_frugal"):
        await run(made, sync, history)
    assert len(answered_requests(scripted)[-1]["messages"]) == 21
    assert "parcel" not in caplog.text
    assert "it is sent whole" in caplog.text
    assert "RuntimeError" in caplog.text


async def test_a_turn_that_is_cancelled_while_a_summary_is_written_holds_nothing_up(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    asked: list[Request] = []

    def summary(request: Request) -> Reply:
        asked.append(request)
        return Reply(SUMMARY, delay_s=30.0 if len(asked) == 1 else 0.0)

    scripted.always(answers_and_summaries(summary))
    step = compact_messages(chat_openai(), policy=EAGER, summarizer="same")
    history = [*conversation(10), HumanMessage("Well?")]
    config: Any = thread()
    first = asyncio.create_task(step.ainvoke(history, config))
    while not asked:
        await asyncio.sleep(0.005)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    view = await step.ainvoke(history, config)
    assert len(view) < len(history)
    assert SUMMARY in str(view[0].content)


def test_an_interrupt_of_the_graph_is_no_failure_of_a_summary(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    from langgraph.types import interrupt

    scripted.always(answers_and_summaries())

    class Asks(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            if "Summarize " in str(request.messages[-1].content):
                interrupt("May I?")
            return handler(request)

    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory, Asks())
    end = made.invoke({"messages": [*conversation(10), HumanMessage("Well?")]}, thread())
    assert end["__interrupt__"][0].value == "May I?"
    assert not scripted.requests


@pytest.mark.parametrize("summarizer", ["gpt-4o", 7, object()], ids=["name", "number", "object"])
def test_a_summarizer_that_is_none_is_refused(summarizer: Any) -> None:
    with pytest.raises(MemoryPlanError, match="'same'"):
        CompactionMiddleware(summarizer=summarizer)
