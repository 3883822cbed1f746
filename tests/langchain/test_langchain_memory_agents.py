"""`CompactionMiddleware` in agents: what a provider is sent, and what stays in the state."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRetryMiddleware
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains import Budget, Ledger
from frugal_chains.memory import CompactionPolicy
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from langchain_frugal import (
    BudgetMiddleware,
    CompactionMiddleware,
    CostCallbackHandler,
    RoutingMiddleware,
    ToolOutputMiddleware,
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
    AnthropicPromptCache,
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


# -- the ledger, events, streams -----------------------------------------------------------------


@BOTH
async def test_effects_are_signed_and_sum_to_the_account(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(answers_and_summaries())
    made = agent(chat_openai(), CompactionMiddleware(EAGER, summarizer="same", recall_tokens=0))
    await turns(made, sync, 20, thread(callbacks=[handler]))
    effects = [effect for effect in ledger.effects() if effect.lever == "memory.compact"]
    account = made.get_state(thread()).values["frugal_memory"]["account"]
    nets = [effect.net_nanos or 0 for effect in effects]
    assert min(nets) < 0 < max(nets)
    saved = account["unmanaged_nanos"] - account["spent_nanos"]
    assert sum(nets) == pytest.approx(saved, abs=len(nets))
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes == {"answer": 20, "summary": len(summary_requests(scripted))}
    operations = {attempt.operation_id for attempt in ledger.attempts()}
    assert len(operations) == 20
    assert {effect.operation_id for effect in effects} < operations


def test_every_compaction_is_told_and_one_that_fails_to_hear_is_no_harm(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    told: list[Any] = []

    def hear(event: Any) -> None:
        told.append(event)
        raise RuntimeError("not now")

    memory = CompactionMiddleware(EAGER, on_compaction=hear)
    made = agent(chat_openai(), memory)
    for number in range(12):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    values = made.get_state(thread()).values
    assert [event.id for event in told] == [one.id for one in memory.compactions(values)]
    assert {(event.conversation, event.kind) for event in told} == {("one", "digest")}
    assert told[0].reason == "limit"
    assert all(event.after_tokens < event.before_tokens for event in told)
    assert not summary_requests(scripted)


@pytest.mark.parametrize("summarizer", ["same", "own"])
@BOTH
async def test_no_token_of_a_summary_is_in_the_stream(
    sync: bool, summarizer: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    by: Any = "same" if summarizer == "same" else chat_openai("gpt-4.1-nano")
    made = agent(chat_openai(stream_usage=True), CompactionMiddleware(EAGER, summarizer=by))
    heard: list[str] = []
    for number in range(10):
        start = {"messages": [HumanMessage(said(number))]}
        if sync:
            heard += [
                piece.text for piece, _ in made.stream(start, thread(), stream_mode="messages")
            ]
        else:
            stream = made.astream(start, thread(), stream_mode="messages")
            heard += [piece.text async for piece, _ in stream]
    assert len(summary_requests(scripted)) >= 2
    assert "Point" in "".join(heard)
    assert "4711" not in "".join(heard)


def test_no_token_of_a_summary_is_in_a_stream_of_events(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    made = agent(chat_openai(), CompactionMiddleware(EAGER, summarizer="same"))
    heard = ""
    for number in range(10):
        run = made.stream_events({"messages": [HumanMessage(said(number))]}, thread(), version="v3")
        for message in run.messages:
            heard += "".join(message.text)
    assert len(summary_requests(scripted)) >= 2
    assert "Point" in heard
    assert "4711" not in heard


# -- with other middleware -----------------------------------------------------------------------


@BOTH
async def test_a_call_that_is_made_again_is_the_same_and_pays_for_no_second_summary(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    failed: list[int] = []

    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        if segments_in(request.body) and len(failed) < 2:
            failed.append(len(scripted.requests))
            return Reply(status=500)
        return Reply(said(0))

    scripted.always(reply)
    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0.0, jitter=False)
    made = agent(chat_openai(), retry, CompactionMiddleware(EAGER, summarizer="same"))
    await turns(made, sync, 6, thread())
    assert len(failed) == 2
    assert len(summary_requests(scripted)) == 1
    first, second, third = [r.body for r in scripted.requests if segments_in(r.body)][:3]
    assert first == second == third


@BOTH
async def test_with_a_router_outputs_and_a_budget_in_one_agent(
    sync: bool, chat_openai: MakeModel, chat_anthropic: MakeModel, scripted: ScriptedServer,
    ledger: Ledger,
) -> None:  # fmt: skip
    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        if "tool" in [m["role"] for m in request.body["messages"][-1:]]:
            return Reply(said(2))
        number = len(scripted.requests)
        return Reply(tool_calls=(ToolCall("look", {"at": number}, f"c{number}"),))

    scripted.always(reply)
    models = {"workhorse": chat_openai("gpt-4o-mini"), "specialist": chat_openai("gpt-4.1")}
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(
        chat_openai("gpt-4o"), RoutingMiddleware(models, policy=ROUTES), memory,
        ToolOutputMiddleware(60), BudgetMiddleware([Budget.usd(1)], ledger=ledger),
    )  # fmt: skip
    messages = await turns(made, sync, 8, thread())
    assert len(messages) == 32
    assert summary_requests(scripted)
    assert [refused(request.body) for request in scripted.requests] == [""] * len(scripted.requests)
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes["summary"] == len(summary_requests(scripted))
    assert "gpt-4o" not in {request.body["model"] for request in scripted.requests}
    assert len(memory.compactions(made.get_state(thread()).values)) >= 2


def test_a_router_as_the_agents_model(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    from langchain_frugal import RoutingChatModel

    scripted.always(answers_and_summaries())
    models = {"workhorse": chat_openai("gpt-4o-mini"), "specialist": chat_openai("gpt-4.1")}
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(RoutingChatModel(models, policy=ROUTES), memory)
    for number in range(8):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    values = made.get_state(thread()).values
    assert memory.compactions(values)[0].text.endswith(SUMMARY)
    assert values["frugal_memory"]["account"]["head"].startswith("::")


def test_a_budgets_last_word_is_no_summary(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(answers_and_summaries())
    budget = BudgetMiddleware([Budget.usd("0.000001")], ledger=ledger, message="No money left.")
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory, budget)
    start = {"messages": [*conversation(8), HumanMessage("Well?")]}
    end = made.invoke(start, thread())
    assert end["messages"][-1].content == "No money left."
    assert not scripted.requests
    segments = memory.compactions(made.get_state(thread()).values)
    assert segments  # there was no room without: sentences were picked
    assert "No money left." not in segments[0].text


@pytest.mark.parametrize("where", ["before", "told"])
def test_cache_markers_are_seen_or_told(
    where: str, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """A cache that nobody marks is none: then what is kept costs its full price."""
    scripted.always(answers_and_summaries())
    scripted.cache = AnthropicPromptCache()
    caching = AnthropicPromptCachingMiddleware(ttl="1h")
    seen: dict[str, float] = {}
    for told in ("", where):
        memory = CompactionMiddleware(
            LONG, recall_tokens=0, cache_ttl="1h" if told == "told" else ""
        )
        chain = {"": (memory, caching), "before": (caching, memory), "told": (memory, caching)}
        made = agent(chat_anthropic("claude-sonnet-4-5"), *chain[told])
        for number in range(8):
            made.invoke({"messages": [HumanMessage(said(number, 12))]}, thread())
        account = made.get_state(thread()).values["frugal_memory"]["account"]
        seen[told] = account["unmanaged_nanos"]
    assert seen[where] < 0.8 * seen[""]


@BOTH
async def test_switched_off_it_does_nothing(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    history = [*conversation(10), HumanMessage("Well?")]
    for memory, config in (
        (CompactionMiddleware(EAGER, enabled=False), thread()),
        (CompactionMiddleware(EAGER), thread(metadata={"compact": False})),
        (CompactionMiddleware(EAGER), {"configurable": {"thread_id": "x", "compact": False}}),
    ):
        made = agent(chat_openai(), memory)
        start = {"messages": [*history]}
        _ = made.invoke(start, config) if sync else await made.ainvoke(start, config)
        assert len(scripted.requests[-1].body["messages"]) == 22
        assert "frugal_memory" not in made.get_state(config).values


def test_answers_of_a_schema_come_through(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
    from pydantic import BaseModel

    class Verdict(BaseModel):
        good: bool

    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            assert "response_format" not in request.body
            assert request.body.get("tool_choice") in (None, "auto")
            return Reply(SUMMARY)
        if request.body.get("response_format"):
            return Reply('{"good": true}')
        return Reply(tool_calls=(ToolCall("Verdict", {"good": True}),))

    scripted.always(reply)
    for strategy in (ProviderStrategy(Verdict), ToolStrategy(Verdict)):
        memory = CompactionMiddleware(EAGER, summarizer="same")
        made = agent(chat_openai(), memory, response_format=strategy)
        end = made.invoke({"messages": [*conversation(10), HumanMessage("Well?")]}, thread())
        assert end["structured_response"] == Verdict(good=True)
        assert memory.compactions(made.get_state(thread()).values)[0].text.endswith(SUMMARY)


def test_the_answer_is_an_ai_message_of_the_models(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Fine."))
    made = agent(chat_openai(), CompactionMiddleware())
    end = made.invoke({"messages": [HumanMessage("Well?")]}, thread())
    assert isinstance(end["messages"][-1], AIMessage)
    assert set(end) == {"messages"}
