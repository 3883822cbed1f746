"""`CompactionMiddleware` in agents: what a provider is sent, and what stays in the state."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.memory import CompactionPolicy
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from langchain_frugal import (
    CompactionMiddleware,
    CostCallbackHandler,
    pinned,
)
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answered_requests,
    answers_and_summaries,
    asks_for_summary,
    common_start,
    conversation,
    refused,
    said,
    segments_in,
    summary_requests,
    texts,
)
from tests.servers import (
    OpenAIPromptCache,
    Reply,
    Request,
    ScriptedServer,
    ToolCall,
)

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
ROUTES = RoutingPolicy(rules=(Rule(name="far", when=Keywords("harbour"), to="specialist"),))
LONG = CompactionPolicy(keep_tokens=600, least_dropped_tokens=50, limit_tokens=4_000)
"""As `EAGER`, with requests that providers cache."""


class Verdict(BaseModel):
    good: bool


@tool
def look(at: int) -> str:
    """Looks at the page of a number."""
    return said(at, 12)


def agent(model: Any, *made: AgentMiddleware[Any, Any, Any], **more: Any) -> Any:
    more.setdefault("checkpointer", InMemorySaver())
    more.setdefault("system_prompt", "You help people with parcels.")
    return create_agent(model, more.pop("tools", [look]), middleware=made, **more)


def thread(name: str = "one", **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}, **more}


async def turn(made: Any, sync: bool, text: str, config: Any) -> list[Any]:
    start = {"messages": [HumanMessage(text)]}
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    return list(end["messages"])


async def turns(made: Any, sync: bool, count: int, config: Any, size: int = 8) -> list[Any]:
    messages: list[Any] = []
    for number in range(count):
        messages = await turn(made, sync, said(number, size), config)
    return messages


# -- what is sent --------------------------------------------------------------------------------


@BOTH
async def test_old_messages_leave_what_is_sent_and_stay_in_the_state(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    made = agent(chat_openai(), CompactionMiddleware(EAGER, summarizer="same"))
    messages = await turns(made, sync, 12, thread())
    assert len(messages) == 24
    assert [m.content for m in messages[::2]] == [said(number) for number in range(12)]
    last = answered_requests(scripted)[-1]
    assert len(last["messages"]) < 15
    assert said(11) in texts(last["messages"][-1])
    assert said(0) not in json.dumps(last)
    assert segments_in(last)[0].endswith(SUMMARY)


@BOTH
async def test_what_is_sent_begins_as_before_until_the_next_compaction(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    memory = CompactionMiddleware(EAGER, summarizer="same", recall_tokens=0)
    made = agent(chat_anthropic(), memory)
    await turns(made, sync, 14, thread())
    sent = answered_requests(scripted)
    seen = [len(segments_in(body)) for body in sent]
    assert max(seen) >= 3
    for (before, now), (first, second) in zip(pairwise(seen), pairwise(sent), strict=True):
        if before == now:
            # The last message of a request to Anthropic is never merged with the answer to it.
            assert common_start(first, second) == len(first["messages"])
        else:
            assert segments_in(second)[: now - 1] == segments_in(first)


def test_a_summary_is_asked_for_behind_the_very_same_bytes(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    scripted.cache = OpenAIPromptCache()
    kinds: list[str] = []
    memory = CompactionMiddleware(
        LONG, summarizer="same", on_compaction=lambda event: kinds.append(event.kind)
    )
    made = agent(chat_openai("gpt-5.1", temperature=1.0), memory)
    for number in range(20):
        made.invoke({"messages": [HumanMessage(said(number, 12))]}, thread())
    assert kinds
    assert set(kinds) == {"aligned"}
    bodies = [request.body for request in scripted.requests]
    for before, asks in pairwise(bodies):
        if asks_for_summary(asks):
            *shown, instruction = asks["messages"]
            assert shown == before["messages"][: len(shown)]
            assert instruction["role"] == "user"
            rest = {k: v for k, v in asks.items() if k != "messages"}
            assert rest == {k: v for k, v in before.items() if k != "messages"}
            assert rest["tools"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_calls_and_results_stay_together_in_every_request(
    provider: str, chat_openai: MakeModel, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        number = len(answered_requests(scripted))
        if number % 4:
            ids = (f"c{number}a", f"c{number}b")
            return Reply(tool_calls=tuple(ToolCall("look", {"at": number}, each) for each in ids))
        return Reply(said(number))

    scripted.always(reply)
    model = chat_openai() if provider == "openai" else chat_anthropic()
    made = agent(model, CompactionMiddleware(EAGER, summarizer="same"))
    for number in range(8):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    assert len(summary_requests(scripted)) >= 2
    assert [refused(request.body) for request in scripted.requests] == [""] * len(scripted.requests)
    state = made.get_state(thread()).values["messages"]
    assert len([m for m in state if m.type == "tool"]) >= 12


def test_pinned_messages_and_the_question_never_leave(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    pin = CompactionMiddleware(EAGER, pin=lambda message: "harbour pass" in str(message.content))
    made = agent(chat_openai(), pin)
    start = [pinned(HumanMessage("My code is 4711.")), HumanMessage("I have a harbour pass.")]
    made.invoke({"messages": start}, thread())
    for number in range(12):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    for body in answered_requests(scripted):
        said_there = [texts(message) for message in body["messages"]]
        assert "My code is 4711." in said_there
        assert "I have a harbour pass." in said_there
    assert segments_in(body)


def test_a_system_message_inside_the_history_stays(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    made = agent(chat_openai(), CompactionMiddleware(EAGER))
    history = conversation(2)
    history.insert(2, SystemMessage("From now on answer in Norwegian."))
    made.invoke({"messages": [*history, HumanMessage("Well?")]}, thread())
    for number in range(10):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    last = answered_requests(scripted)[-1]["messages"]
    assert "From now on answer in Norwegian." in [texts(m) for m in last if m["role"] == "system"]


def test_callers_messages_are_never_changed(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    history = [*conversation(10, ids=True), HumanMessage("Well?", id="now")]
    before = copy.deepcopy(history)
    made = agent(chat_openai(), CompactionMiddleware(EAGER), checkpointer=None)
    made.invoke({"messages": history})
    assert segments_in(answered_requests(scripted)[0])
    assert history == before


def test_what_a_question_needs_is_shown_again_behind_it_until_it_is_answered(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        if request.body["messages"][-1]["role"] == "tool":
            return Reply("It is QX-5521.")
        if "What is the code" in json.dumps(request.body["messages"][-3:]):
            return Reply(tool_calls=(ToolCall("look", {"at": 1}),))
        return Reply(said(1))

    scripted.always(reply)
    memory = CompactionMiddleware(EAGER, summarizer="same", recall_tokens=200)
    made = agent(chat_openai(), memory)
    config = thread(callbacks=[handler])
    fact = "The code of my locker is QX-5521, in the hall of the museum."
    question = "What is the code of my locker in the museum?"
    for text in (fact, *map(said, range(6)), question, "Thanks."):
        made.invoke({"messages": [HumanMessage(text)]}, config)
    first, second, after = answered_requests(scripted)[-3:]
    asked, recalled = first["messages"][-2:]
    assert texts(asked) == question
    assert fact in texts(recalled)
    assert recalled["role"] == "user"
    # The call of a tool stands behind it, so that what is in front of it stays the same.
    assert common_start(first, second) == len(first["messages"])
    assert fact not in json.dumps(after)
    assert fact in json.dumps(made.get_state(thread()).values["messages"][0].content)
    (effect,) = {e.tokens_after: e for e in ledger.effects() if e.lever == "memory.recall"}.values()
    assert (effect.net_nanos or 0) < 0


def test_instructions_and_tools_count(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(Reply("Fine."))
    tokens = []
    for prompt, tools in (("You help.", []), (said(1, 60), []), (said(1, 60), [look])):
        made = agent(chat_openai(), CompactionMiddleware(), system_prompt=prompt, tools=tools)
        made.invoke({"messages": [HumanMessage("Well?")]}, thread())
        state = made.get_state(thread()).values["frugal_memory"]
        tokens.append(state["account"]["unmanaged_tokens"])
    assert tokens[0] + 900 < tokens[1] < tokens[2] - 20
