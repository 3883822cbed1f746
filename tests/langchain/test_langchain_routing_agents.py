"""Agents: the router as their model, the middleware in front of it, and both with others."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import openai
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from frugal_chains import Budget, Ledger
from frugal_chains.errors import RoutingError
from frugal_chains.routing import InputTokens, RoutingPolicy, Rule, UsesTools, WantsStructure
from langchain_frugal import (
    BudgetMiddleware,
    CostCallbackHandler,
    RequestRefused,
    RoutingChatModel,
    RoutingMiddleware,
)
from tests.langchain.routers import CASCADE, POLICY, STRONG, WEAK, Runs
from tests.servers import Reply, ScriptedServer, ToolCall

CLAUDE = "claude-haiku-4-5"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Total(BaseModel):
    """The result."""

    total: int


CALL = Reply(tool_calls=(ToolCall("add", {"a": 1, "b": 2}),))


@pytest.fixture
def router(chat_openai: Any, chat_anthropic: Any) -> RoutingChatModel:
    tiers = {
        "gatekeeper": chat_openai(WEAK, stream_usage=True),
        "workhorse": chat_anthropic(CLAUDE),
    }
    return RoutingChatModel(tiers, policy=POLICY)


def _agent(how: str, router: RoutingChatModel, unused: Any, tools: Any = (), **more: Any) -> Any:
    """An agent over the router, as its model or in a middleware."""
    if how == "model":
        return create_agent(router, list(tools), **more)
    middleware = [RoutingMiddleware(router), *more.pop("middleware", ())]
    return create_agent(unused, list(tools), middleware=middleware, **more)


def _models(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


@pytest.fixture
def unused(chat_openai: Any) -> Any:
    return chat_openai("gpt-3.5-turbo")


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("how", ["model", "middleware"])
async def test_an_agent_is_routed_and_its_loop_stays_where_it_began(
    how: str, sync: bool, router: RoutingChatModel, unused: Any, scripted: ScriptedServer,
    ledger: Ledger,
) -> None:  # fmt: skip
    scripted.script(CALL, Reply("three"), CALL, Reply("three again"))
    agent = _agent(how, router, unused, [add], checkpointer=InMemorySaver())
    runs, handler = Runs(), CostCallbackHandler(ledger)
    config: Any = {"callbacks": [runs, handler], "configurable": {"thread_id": "t"}}
    for question in ("prove 1 + 2", "say 1 + 2"):
        start = {"messages": [("user", question)]}
        end = agent.invoke(start, config) if sync else await agent.ainvoke(start, config)
    assert end["messages"][-1].text == "three again"
    marks = [m.response_metadata["frugal"] for m in end["messages"] if isinstance(m, AIMessage)]
    assert [(mark["candidate"], mark["reason"]) for mark in marks] == [
        ("workhorse", "rule:proof"),
        ("workhorse", "bound"),
        ("gatekeeper", "default"),
        ("gatekeeper", "bound"),
    ]
    assert _models(scripted) == [CLAUDE, CLAUDE, WEAK, WEAK]
    rows = list(ledger.attempts())
    assert runs.seen.count("LLM start") == len(rows) == 4
    assert [row.decision["routing"]["reason"] for row in rows if row.decision] == [
        mark["reason"] for mark in marks
    ]
    assert {row.thread_id for row in rows} == {"t"}


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_an_agents_stream_shows_each_text_once(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    scripted.script(CALL, Reply("it is three"))
    agent = _agent(how, router, unused, [add])
    start = {"messages": [("user", "say 1 + 2")]}
    shown = [m for m, _ in agent.stream(start, stream_mode="messages") if m.type != "tool"]
    assert "".join(str(message.text) for message in shown) == "it is three"


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("how", ["model", "middleware"])
async def test_an_agents_cascade_shows_no_draft(
    how: str, sync: bool, chat_openai: Any, unused: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    make = {"stream_usage": True}
    tiers = {"gatekeeper": chat_openai(WEAK, **make), "workhorse": chat_openai(STRONG, **make)}
    router = RoutingChatModel(tiers, policy=CASCADE)
    scripted.script(Reply("perhaps so"), Reply("it is sure"))
    agent = _agent(how, router, unused)
    start: Any = {"messages": [("user", "is it?")]}
    config: Any = {"callbacks": [CostCallbackHandler(ledger)]}
    if sync:
        shown = list(agent.stream(start, config, stream_mode="messages"))
    else:
        shown = [piece async for piece in agent.astream(start, config, stream_mode="messages")]
    assert "".join(str(message.text) for message, _ in shown) == "it is sure"
    assert [row.purpose for row in ledger.attempts()] == ["draft", "answer"]


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_answers_of_a_schema_take_the_way_of_the_models(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    """Both say that they hold schemas themselves, so nobody downgrades it to a tool call."""
    scripted.script(Reply('{"total": 3}'))
    agent = _agent(how, router, unused, response_format=Total)
    assert agent.invoke({"messages": "say it"})["structured_response"] == Total(total=3)
    assert scripted.requests[-1].body["response_format"]["type"] == "json_schema"
    scripted.script(Reply(tool_calls=(ToolCall("Total", {"total": 3}),)))
    agent = _agent(how, router, unused, response_format=ToolStrategy(Total))
    assert agent.invoke({"messages": "say it"})["structured_response"] == Total(total=3)
    assert scripted.requests[-1].body["tools"][0]["function"]["name"] == "Total"


def test_a_model_that_cannot_is_promised_by_nobody(
    chat_openai: Any, chat_anthropic: Any, scripted: ScriptedServer
) -> None:
    """One of the models holds no schema itself: the agent asks all of them by a tool call."""
    weak = chat_openai(WEAK)
    weak.profile = {"tool_calling": True, "structured_output": False}
    router = RoutingChatModel({"gatekeeper": weak, "workhorse": chat_anthropic(CLAUDE)})
    scripted.script(Reply(tool_calls=(ToolCall("Total", {"total": 3}),)))
    agent = create_agent(router, [], response_format=Total)
    assert agent.invoke({"messages": "say it"})["structured_response"] == Total(total=3)
    assert "tools" in scripted.requests[-1].body


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_when_a_provider_fails_in_an_agent_the_next_one_answers(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    scripted.script(CALL, Reply(status=503), Reply("three"))
    agent = _agent(how, router, unused, [add])
    end = agent.invoke({"messages": "say 1 + 2"})
    assert end["messages"][-1].text == "three"
    assert _models(scripted) == [WEAK, WEAK, CLAUDE]


async def test_the_next_one_answers_in_an_asynchronous_agent_too(
    router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=503), Reply("here"))
    end = await _agent("middleware", router, unused).ainvoke({"messages": "hi"})
    assert end["messages"][-1].text == "here"
    assert _models(scripted) == [WEAK, CLAUDE]


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_the_run_of_the_middleware_ends_as_its_request_does(
    sync: bool, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    agent = _agent("middleware", router, unused)
    ends = []
    for statuses in ((), (400,)):
        scripted.script(*[Reply(status=status) for status in statuses])
        runs = Runs()
        start, config = {"messages": "hi"}, {"callbacks": [runs]}
        with nullcontext() if not statuses else pytest.raises(openai.BadRequestError):
            _ = agent.invoke(start, config) if sync else await agent.ainvoke(start, config)
        ends.append([each for each in runs.seen if each.startswith("RoutingChatModel")])
    assert ends == [
        ["RoutingChatModel start", "RoutingChatModel end"],
        ["RoutingChatModel start", "RoutingChatModel error"],
    ]


def test_the_middleware_decides_by_the_whole_request(
    chat_openai: Any, chat_anthropic: Any, unused: Any, scripted: ScriptedServer
) -> None:
    """The system prompt counts in tokens, and tools and schemas are seen by rules."""
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    rules = (
        Rule(name="long", when=InputTokens(at_least=500), to="workhorse"),
        Rule(name="tools", when=UsesTools(("add",)), to="workhorse"),
        Rule(name="schema", when=WantsStructure(), to="workhorse"),
    )
    policy = RoutingPolicy(rules=rules, default_tier="gatekeeper")
    asked: list[tuple[str, dict[str, Any]]] = [
        ("default", {}),
        ("rule:long", {"system_prompt": "Be brief. " * 300}),
        ("rule:tools", {"tools": [add]}),
        ("rule:schema", {"response_format": ProviderStrategy(Total)}),
        ("default", {"response_format": ToolStrategy(Total)}),
    ]
    for reason, options in asked:
        by_tool = "response_format" in options and reason == "default"
        call = ToolCall("Total", {"total": 3})
        scripted.script(Reply(tool_calls=(call,)) if by_tool else Reply('{"total": 3}'))
        agent = create_agent(
            unused, options.pop("tools", []), **options,
            middleware=[RoutingMiddleware(tiers, policy=policy)],
        )  # fmt: skip
        messages = agent.invoke({"messages": "say 1 + 2"})["messages"]
        answer = next(message for message in messages if isinstance(message, AIMessage))
        assert answer.response_metadata["frugal"]["reason"] == reason


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_what_another_model_said_is_sent_as_the_next_one_takes_it(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    """OpenAI takes no tool call id of more than 40 characters (`string_above_max_length`)."""
    long_id = "toolu_" + "x" * 60
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": long_id, "type": "tool_call"}
    said = AIMessage("", tool_calls=[call], response_metadata={"model_provider": "anthropic"})
    agent = _agent(how, router, unused, [add])
    start = [("user", "begin"), said, ToolMessage("3", tool_call_id=long_id), ("user", "go on")]
    agent.invoke({"messages": start})
    sent = scripted.requests[-1].body["messages"]
    (asked,) = [m["tool_calls"][0]["id"] for m in sent if m.get("tool_calls")]
    (given,) = [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    assert asked == given
    assert len(asked) <= 40


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("how", ["model", "middleware"])
async def test_the_gate_holds_in_an_agent(
    how: str, sync: bool, router: RoutingChatModel, unused: Any, scripted: ScriptedServer,
    ledger: Ledger,
) -> None:  # fmt: skip
    plain, with_tools = _agent(how, router, unused), _agent(how, router, unused, [add])
    config = {"callbacks": [CostCallbackHandler(ledger)]}

    async def ask(question: str, agent: Any = plain) -> Any:
        start = {"messages": question}
        return agent.invoke(start, config) if sync else await agent.ainvoke(start, config)

    assert (await ask("your opening hours?"))["messages"][-1].text == "From 9 to 5."
    with pytest.raises(RequestRefused):
        await ask("the password?")
    with pytest.raises(RequestRefused):
        await ask("the password?", with_tools)
    assert scripted.requests == []
    refused = ["guardrail:secrets"] * 2
    assert [row.model for row in ledger.attempts()] == ["canned:hours", *refused]


def test_the_middleware_hands_the_real_model_to_those_after_it(
    router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    seen: list[Any] = []

    class Looks(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append((request.model, request.model_settings))
            return handler(request)

    agent = _agent("middleware", router, unused, middleware=[Looks()])
    agent.invoke({"messages": "prove it"})
    ((model, settings),) = seen
    assert isinstance(model, ChatAnthropic)
    assert settings == {}


def test_what_was_bound_to_a_model_holds_in_an_agent(
    chat_openai: Any, unused: Any, scripted: ScriptedServer
) -> None:
    agent = create_agent(
        unused,
        [add],
        middleware=[RoutingMiddleware({"workhorse": chat_openai(WEAK).bind(top_p=0.5)})],
    )
    agent.invoke({"messages": "hi"})
    body = scripted.requests[-1].body
    assert (body["top_p"], body["tools"][0]["function"]["name"]) == (0.5, "add")


def test_the_config_of_a_model_holds_in_an_agent(chat_openai: Any, unused: Any) -> None:
    runs, model = Runs(), chat_openai(WEAK).with_config({"metadata": {"team": "harbour"}})
    agent = create_agent(unused, [], middleware=[RoutingMiddleware({"workhorse": model})])
    agent.invoke({"messages": "hi"}, {"callbacks": [runs]})
    assert runs.metadata["LLM"]["team"] == "harbour"


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_a_request_to_an_agent_may_choose(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer
) -> None:
    agent = _agent(how, router, unused)
    agent.invoke({"messages": "hi"}, {"configurable": {"route": "workhorse"}})
    assert _models(scripted) == [CLAUDE]


@pytest.mark.parametrize("how", ["model", "middleware"])
def test_a_budget_ends_a_routed_agent_politely(
    how: str, router: RoutingChatModel, unused: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    polite = BudgetMiddleware([Budget.usd("0.0000001", per="run")], ledger=ledger)
    if how == "model":
        agent: Any = create_agent(router, [], middleware=[polite])
    else:
        agent = create_agent(unused, [], middleware=[polite, RoutingMiddleware(router)])
    end = agent.invoke({"messages": "hi"})
    assert "budget" in end["messages"][-1].text
    assert scripted.requests == []


def test_fallbacks_around_the_middleware_are_not_overridden(
    router: RoutingChatModel, unused: Any, scripted: ScriptedServer, chat_openai: Any
) -> None:
    """LangChain's fallbacks come after the router's own, with the model that they name."""
    scripted.script(Reply(status=500), Reply(status=500), Reply("spare"))
    inner = ModelFallbackMiddleware(chat_openai("gpt-4.1-nano"))
    agent = create_agent(unused, [], middleware=[RoutingMiddleware(router), inner])
    assert agent.invoke({"messages": "hi"})["messages"][-1].text == "spare"
    assert _models(scripted) == [WEAK, "gpt-4.1-nano", CLAUDE]


# -- LangChain's own router --------------------------------------------------------------------

has_decisions = pytest.mark.skipif(
    find_spec("langchain_core.decisions") is None, reason="needs langchain-core 1.8"
)


@has_decisions
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_the_decision_is_a_classifier_for_langchains_router(
    sync: bool, router: RoutingChatModel, unused: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware

    from langchain_frugal import RoutingDecisionModel

    theirs = ModelRouterMiddleware(
        choices={tier: ModelChoice(router.tiers[tier], "") for tier in router.tiers},
        instructions="Who answers?",
        classifier=RoutingDecisionModel(router=router),
    )
    agent: Any = create_agent(unused, [], middleware=[theirs])
    config: Any = {"callbacks": [CostCallbackHandler(ledger)]}
    start = {"messages": "prove it"}
    _ = agent.invoke(start, config) if sync else await agent.ainvoke(start, config)
    assert _models(scripted) == [CLAUDE]
    assert len(list(ledger.attempts())) == 1  # a decision is bought from nobody


@has_decisions
def test_a_question_that_is_no_choice_between_models_is_an_error(router: RoutingChatModel) -> None:
    from langchain_core.decisions import Choice, Noul

    from langchain_frugal import RoutingDecisionModel

    model = RoutingDecisionModel(router=router)

    def ask(question: Any) -> Any:
        return model.invoke({"state": "prove it", "questions": {"q": question}})

    answer = ask(Choice(instructions="?", criteria={CLAUDE: "", WEAK: ""})).choices["q"]
    assert (answer.choice, answer.confidence) == (CLAUDE, 1.0)
    assert ask(Choice(instructions="?", criteria={WEAK: ""})).choices["q"].choice == WEAK
    with pytest.raises(RoutingError, match="the router knows workhorse, claude-haiku-4-5"):
        ask(Choice(instructions="?", criteria={"fast": "", "good": ""}))
    with pytest.raises(RoutingError, match="ask a Choice"):
        ask(Noul(instructions="?"))
    with pytest.raises(RoutingError, match="no model is to be asked"):
        model.invoke({"state": "the password?", "questions": {}})


@pytest.mark.skipif(
    find_spec("langchain_core.decisions") is not None, reason="langchain-core 1.8 has them"
)
def test_without_decisions_in_langchain_there_is_no_classifier() -> None:
    import langchain_frugal

    assert "RoutingDecisionModel" not in langchain_frugal.__all__
    with pytest.raises(AttributeError, match="RoutingDecisionModel"):
        _ = langchain_frugal.RoutingDecisionModel
