"""`CompactionMiddleware` in agents: ledger, events, streams, and other middleware beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ExtendedModelResponse,
    ModelRequest,
    ModelRetryMiddleware,
)
from langchain.agents.middleware.types import ModelResponse
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from frugal_chains import Budget, Ledger
from frugal_chains.dispatch.memory import SummaryRequest, Turn
from frugal_chains.memory import CompactionPolicy, MemoryState, Shown
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from langchain_frugal import (
    BudgetMiddleware,
    CompactionMiddleware,
    CostCallbackHandler,
    RoutingMiddleware,
    ToolOutputMiddleware,
    compact_messages,
)
from langchain_frugal.memory._agent import for_summary, with_state
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answers_and_summaries,
    asks_for_summary,
    conversation,
    refused,
    said,
    segments_in,
    summary_requests,
)
from tests.servers import (
    AnthropicPromptCache,
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


def test_a_conversation_that_the_provider_keeps_is_left_alone(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    """It is sent what is new alone: nothing can be saved, so nothing is booked as saved."""
    scripted.always(Reply("Yes."))
    model = chat_openai(use_previous_response_id=True)
    history = [*conversation(10), HumanMessage("Well?")]
    made = agent(model, CompactionMiddleware(EAGER))
    config = thread()
    made.invoke({"messages": [*history]}, config)
    assert "frugal_memory" not in made.get_state(config).values
    for told in (model, model.bind(temperature=0), chat_openai().with_fallbacks([model])):
        assert compact_messages(told, policy=EAGER).invoke(history) == history
    assert compact_messages(chat_openai(), policy=EAGER).invoke(history) != history


def test_answers_of_a_schema_come_through(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
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


@pytest.mark.parametrize("choice", ["auto", "any", "look", None])
def test_a_request_for_a_summary_lets_the_model_answer_in_words(choice: str | None) -> None:
    request: Any = ModelRequest(
        model=ChatOpenAI(model="gpt-5.1", api_key="x"), messages=[HumanMessage("Well?")],
        system_message=SystemMessage("You help."), tools=[look], tool_choice=choice,
        response_format=ToolStrategy(Verdict), model_settings={"temperature": 0.5},
    )  # fmt: skip
    aligned = SummaryRequest(
        kind="aligned", prompt="Stop here.", limit_tokens=80, view=(Shown(position=0),)
    )
    made = for_summary(request, aligned, request.messages)
    assert [m.content for m in made.messages] == ["Well?", "Stop here."]
    assert made.messages[0] is request.messages[0]
    assert made.tool_choice == ("auto" if choice == "auto" else None)
    assert (made.response_format, made.tools) == (None, [look])
    assert (made.system_message, made.model_settings) == (
        request.system_message, request.model_settings,
    )  # fmt: skip
    made = for_summary(request, SummaryRequest(kind="flat", prompt="Read.", limit_tokens=80), [])
    assert [m.content for m in made.messages] == ["Read."]
    assert (made.response_format, made.tools, made.tool_choice) == (None, [], None)
    assert made.system_message is None


def test_a_command_of_code_further_inside_stays_whole() -> None:
    """LangChain refuses some of them, in words; what the memory drops nobody is told of."""
    turn = Turn(view=(), state=MemoryState(), reason="waits")
    command: Command[Any] = Command(update={"mood": "good"}, goto="tools")
    inner = ExtendedModelResponse(
        model_response=ModelResponse(result=[AIMessage("Yes.")]), command=command
    )
    made = with_state(inner, turn).command
    assert made.goto == "tools"
    assert set(made.update) == {"mood", "frugal_memory"}
    assert command.update == {"mood": "good"}


def test_the_answer_is_an_ai_message_of_the_models(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Fine."))
    made = agent(chat_openai(), CompactionMiddleware())
    end = made.invoke({"messages": [HumanMessage("Well?")]}, thread())
    assert isinstance(end["messages"][-1], AIMessage)
    assert set(end) == {"messages"}


@BOTH
async def test_a_provider_that_is_switched_in_the_middle(
    sync: bool, chat_openai: MakeModel, chat_anthropic: MakeModel, scripted: ScriptedServer,
    ledger: Ledger, handler: CostCallbackHandler,
) -> None:  # fmt: skip
    """Summaries stay, word for word; only the cache is another one, and the account knows it."""
    scripted.always(answers_and_summaries())
    models = [chat_openai("gpt-4o")]

    class Switch(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return handler(request.override(model=models[-1]))

        async def awrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
            return await handler(request.override(model=models[-1]))

    memory = CompactionMiddleware(LONG, summarizer="same", cache_ttl="5m", recall_tokens=0)
    made = agent(models[0], Switch(), memory)
    config = thread(callbacks=[handler])
    for number in range(18):
        messages = await turn(made, sync, said(number, 12), config)
        if number == 11:
            before = [one.text for one in memory.compactions(made.get_state(thread()).values)]
            models.append(chat_anthropic("claude-sonnet-4-5"))
    assert before
    assert len(messages) == 36
    paths = [r.path for r in scripted.requests if not asks_for_summary(r.body)]
    assert [path.endswith("messages") for path in paths] == [False] * 12 + [True] * 6
    bodies = [r.body for r in scripted.requests if not asks_for_summary(r.body)]
    assert {refused(body) for body in bodies} == {""}
    assert segments_in(bodies[12])[: len(before)] == before
    account = made.get_state(thread()).values["frugal_memory"]["account"]
    nets = [e.net_nanos or 0 for e in ledger.effects() if e.lever == "memory.compact"]
    saved = account["unmanaged_nanos"] - account["spent_nanos"]
    assert sum(nets) == pytest.approx(saved, abs=len(nets))
