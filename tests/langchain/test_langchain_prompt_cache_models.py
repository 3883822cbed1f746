"""`cached` models in chains, with tools and schemas, in routers; OpenAI's and Bedrock's markers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.errors import CachePlanError
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from langchain_frugal import (
    CostCallbackHandler,
    PromptCacheMiddleware,
    RoutingChatModel,
    cached,
)
from tests.langchain.caching import (
    SONNET,
    SYSTEM,
    MakeModel,
    agent,
    look,
    markers,
    thread,
    tokens_of,
    weigh,
)
from tests.langchain.remembering import said
from tests.servers import AnthropicPromptCache, Reply, ScriptedServer, ToolCall

BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


class Answer(BaseModel):
    """What was found."""

    grams: int


# -- chains ----------------------------------------------------------------------------------------


@BOTH
async def test_a_chain_reads_what_its_last_call_has_left(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    prompt = ChatPromptTemplate.from_messages([("system", SYSTEM), ("placeholder", "{talk}")])
    chain = prompt | cached(chat_anthropic(SONNET))
    talk: list[BaseMessage] = []
    for number in range(4):
        talk.append(HumanMessage(said(number)))
        answer = chain.invoke({"talk": talk}) if sync else await chain.ainvoke({"talk": talk})
        talk.append(answer)
    found = tokens_of(request.body for request in scripted.requests)
    assert [b.cache_read for b in found[1:]] == [a.input for a in found[:-1]]
    assert all(isinstance(m.content, str) for m in talk)


@BOTH
async def test_streams_are_marked_and_whole(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    model = cached(chat_anthropic(SONNET))
    asks = [SystemMessage(SYSTEM), HumanMessage("Well?")]
    pieces = list(model.stream(asks)) if sync else [piece async for piece in model.astream(asks)]
    assert "".join(str(piece.text) for piece in pieces) == said(1)
    assert scripted.requests[0].body["stream"] is True
    assert markers(scripted.requests[0].body)


def test_tools_and_what_was_bound_before_and_after_arrive(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("weigh", {"number": 1}, "toolu_1"),)))
    asks = [SystemMessage(SYSTEM), HumanMessage("Well?")]
    plain = chat_anthropic(SONNET)
    after = cached(plain).bind_tools([look, weigh], tool_choice="any").bind(stop=["END"])
    behind = cached(plain.bind_tools([look, weigh], tool_choice="any")).bind(stop=["END"])
    for model in (after, behind):
        answer = model.invoke(asks)
        assert answer.tool_calls[0]["name"] == "weigh"
    bodies = [request.body for request in scripted.requests]
    for body in bodies:
        assert [tool["name"] for tool in body["tools"]] == ["look", "weigh"]
        assert body["tool_choice"] == {"type": "any"}
        assert body["stop_sequences"] == ["END"]
        assert markers(body)


@pytest.mark.parametrize("raw", [False, True])
def test_structured_output_goes_through_it(
    raw: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("Answer", {"grams": 7}, "toolu_1"),)))
    model = cached(chat_anthropic(SONNET)).with_structured_output(
        Answer, method="function_calling", include_raw=raw
    )
    found = model.invoke([SystemMessage(SYSTEM), HumanMessage("Well?")])
    assert (found["parsed"] if raw else found) == Answer(grams=7)
    assert markers(scripted.requests[0].body)


def test_the_books_have_one_row_for_each_call_with_the_models_name(
    chat_anthropic: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(Reply("Yes."))
    scripted.cache = AnthropicPromptCache()
    model = cached(chat_anthropic(SONNET, max_tokens=77))
    for _ in range(2):
        model.invoke([SystemMessage(SYSTEM), HumanMessage("Well?")], {"callbacks": [handler]})
    first, second = ledger.attempts()
    assert (first.provider, first.model) == ("anthropic", SONNET)
    assert first.usage.cache_write_5m_tokens > 1200
    assert second.usage.cache_read_tokens == first.usage.cache_write_5m_tokens
    effects = [effect for effect in ledger.effects() if effect.lever == "prompt_cache.mark"]
    assert [e.operation_id for e in effects] == [first.operation_id, second.operation_id]


def test_off_is_off_and_what_is_no_model_is_refused(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    asks = [SystemMessage(SYSTEM), HumanMessage("Well?")]
    cached(chat_anthropic(SONNET), enabled=False).invoke(asks)
    cached(chat_anthropic(SONNET)).invoke(asks, {"metadata": {"prompt_cache": False}})
    assert [markers(request.body) for request in scripted.requests] == [[], []]
    with pytest.raises(CachePlanError, match="chat model"):
        cached("claude")


# -- routers ---------------------------------------------------------------------------------------


@BOTH
async def test_each_tier_is_marked_by_its_own_rules_and_others_markers_are_left_out(
    sync: bool, chat_anthropic: MakeModel, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    model = RoutingChatModel(
        {"workhorse": cached(chat_anthropic()), "specialist": cached(chat_openai("gpt-5.6-sol"))},
        policy=RoutingPolicy(rules=(Rule(name="w", when=Keywords("heavy"), to="specialist"),)),
    ).bind_tools([look])
    marked = {"type": "text", "text": said(3, 30), "cache_control": {"type": "ephemeral"}}
    point = {"type": "text", "text": said(4, 30), "prompt_cache_breakpoint": {"mode": "explicit"}}
    asks = [SystemMessage(SYSTEM), HumanMessage([marked, point])]
    for text in ("It is light.", "It is heavy."):
        sent = [*asks, AIMessage("Yes."), HumanMessage(text)]
        _ = model.invoke(sent) if sync else await model.ainvoke(sent)
    to_openai = next(r.body for r in scripted.requests if not r.path.endswith("/messages"))
    to_claude = next(r.body for r in scripted.requests if r.path.endswith("/messages"))
    assert "cache_control" not in json.dumps(to_openai)
    said_to_openai = to_openai.get("input") or to_openai["messages"]
    assert said_to_openai[1]["content"][1]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert "prompt_cache" not in json.dumps(to_claude)
    assert to_claude["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert [tool["name"] for tool in to_claude["tools"]] == ["look"]


# -- fallbacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["anthropic", "openai"])
def test_fallbacks_of_another_provider_are_sent_nothing_that_they_refuse(
    first: str, chat_anthropic: MakeModel, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    claude, gpt = chat_anthropic(SONNET), chat_openai("gpt-4.1")
    fails, answers = (claude, gpt) if first == "anthropic" else (gpt, claude)
    scripted.always(
        lambda request: (
            Reply(status=500)
            if request.path.endswith("/messages") == (first == "anthropic")
            else Reply("Here.")
        )
    )
    made = agent(fails.with_fallbacks([answers]), PromptCacheMiddleware())
    assert made.invoke({"messages": [HumanMessage("Well?")]}, thread())["messages"]
    # Each by its own rules:
    model = cached(fails.with_fallbacks([answers]))
    assert model.invoke([SystemMessage(SYSTEM), HumanMessage("Well?")]).content == "Here."
    plain, planned = scripted.requests[1].body, scripted.requests[3].body
    assert "cache_control" not in json.dumps(plain)
    assert "prompt_cache_key" not in plain
    assert bool(markers(planned)) == (first == "openai")
    assert ("prompt_cache_key" in planned) == (first == "anthropic")


def test_fallbacks_of_the_same_kind_are_marked(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(
        lambda request: Reply(status=500) if request.body["model"] == SONNET else Reply("Here.")
    )
    model = chat_anthropic(SONNET).with_fallbacks([chat_anthropic("claude-sonnet-4-6")])
    agent(model, PromptCacheMiddleware()).invoke({"messages": [HumanMessage("Well?")]}, thread())
    assert len(scripted.requests) == 2
    assert all(markers(request.body) for request in scripted.requests)


# -- OpenAI ----------------------------------------------------------------------------------------


def test_older_models_of_openai_get_a_key_that_stays(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    model = cached(chat_openai("gpt-4.1"), salt="acme")
    for number in range(2):
        model.invoke([SystemMessage(SYSTEM), HumanMessage(said(number))])
    model.invoke([SystemMessage(SYSTEM), HumanMessage("Mine.")], prompt_cache_key="mine")
    cached(chat_openai("gpt-4.1")).invoke([SystemMessage(SYSTEM), HumanMessage("Other salt.")])
    for name in ("qwen3-coder", "gpt-oss-120b"):
        cached(chat_openai(name)).invoke([SystemMessage(SYSTEM), HumanMessage("A server.")])
    first, second, own, unsalted, *servers = [r.body for r in scripted.requests]
    assert first["prompt_cache_key"] == second["prompt_cache_key"] != unsalted["prompt_cache_key"]
    assert own["prompt_cache_key"] == "mine"
    assert all("prompt_cache_key" not in server for server in servers)
    assert "breakpoint" not in json.dumps([first, second])
    assert first["messages"][0]["content"] == SYSTEM


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_breakpoints_reach_the_wire_from_gpt_5_6_on(
    responses: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    model = chat_openai("gpt-5.6-sol", use_responses_api=responses)
    made = agent(
        model,
        PromptCacheMiddleware(volatile=lambda message: "clock" in str(message.text)),
    )
    for number in range(2):
        asks = [HumanMessage(said(number, 30)), HumanMessage(f"The clock says {number}.")]
        made.invoke({"messages": asks}, thread(str(number)))
    body = scripted.requests[-1].body
    said_in = json.dumps(body.get("input") or body["messages"])
    assert "prompt_cache_breakpoint" in said_in
    assert body["prompt_cache_key"].startswith("fc1-")
    assert body["prompt_cache_options"]["mode"] == "explicit"  # the end is never read again
    last = (body.get("input") or body["messages"])[-1]
    assert "prompt_cache_breakpoint" not in json.dumps(last)


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_markers_for_others_never_reach_openai(
    responses: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    marker = {"cache_control": {"type": "ephemeral"}}
    tools = [look.model_copy(update={"extras": dict(marker)})]
    model = cached(chat_openai("gpt-4.1", use_responses_api=responses)).bind_tools(tools)
    asks = HumanMessage(
        [{"type": "text", "text": "One.", **marker}, {"cachePoint": {"type": "default"}}]
    )
    before = asks.model_copy(deep=True)
    point = {"type": "text", "text": "Two.", "prompt_cache_breakpoint": {"mode": "explicit"}}
    model.invoke([asks, AIMessage("Yes."), HumanMessage([point])], **marker)
    sent = json.dumps(scripted.requests[0].body)
    assert "cache_control" not in sent
    assert "cachePoint" not in sent
    assert "breakpoint" not in sent  # an older model takes none
    assert asks == before


def test_options_of_the_callers_stay(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(Reply(said(1)))
    options = {"mode": "implicit", "ttl": "30m"}
    model = cached(
        chat_openai("gpt-5.6-sol", prompt_cache_options=options),
        volatile=lambda message: "clock" in str(message.text),
    )
    model.invoke([SystemMessage(SYSTEM), HumanMessage("The clock says 1.")])
    assert scripted.requests[0].body["prompt_cache_options"] == options


# -- Bedrock ---------------------------------------------------------------------------------------


class ChatBedrockConverse(BaseChatModel):
    """Stands for the one of langchain-aws, which is told by its name."""

    model_id: str = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    seen: Any = None

    @property
    def _llm_type(self) -> str:
        return "amazon_bedrock_converse_chat"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "amazon_bedrock", "ls_model_name": self.model_id}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=list(tools), **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.seen.append((messages, kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said(1)))])

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError


def test_bedrock_gets_points_behind_tools_instructions_and_what_people_say() -> None:
    seen: list[Any] = []
    big = weigh.model_copy(update={"description": said(5, 70)})
    made = agent(ChatBedrockConverse(seen=seen), PromptCacheMiddleware(), tools=[big])
    for number in range(3):
        made.invoke({"messages": [HumanMessage(said(number, 3))]}, thread())
    point = {"cachePoint": {"type": "default"}}
    messages, kwargs = seen[-1]
    assert kwargs["tools"][-1] == point
    assert [block for block in messages[0].content if "cachePoint" in block] == [point]
    assert messages[-1].content == [{"type": "text", "text": said(2, 3)}, point]
    points = [b for m in messages if isinstance(m.content, list) for b in m.content if b == point]
    assert len(points) + 1 <= 4
    assert all(isinstance(m.content, str) for m in messages if m.type == "ai")


def test_a_callers_point_counts_and_stays() -> None:
    seen: list[Any] = []
    point = {"cachePoint": {"type": "default"}}
    asks = HumanMessage([{"type": "text", "text": said(1, 60)}, point, {"text": said(2)}])
    cached(ChatBedrockConverse(seen=seen)).invoke([SystemMessage(SYSTEM), asks])
    (messages, _) = seen[-1]
    content = messages[1].content
    assert content.index(point) == 1
    assert asks.content[1] == point
    assert len(asks.content) == 3


def test_a_tool_result_of_several_parts_is_one_block(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    call = {"name": "look", "args": {"at": 1}, "id": "toolu_1"}
    parts = [{"type": "text", "text": said(1, 40)}, {"type": "text", "text": said(2, 40)}]
    talk = [
        SystemMessage(SYSTEM),
        HumanMessage("Look."),
        AIMessage("", tool_calls=[call]),  # type: ignore[list-item]
        ToolMessage(parts, tool_call_id="toolu_1"),  # type: ignore[arg-type]
    ]
    plain = chat_anthropic(SONNET).bind_tools([look])
    plain.invoke(talk)
    cached(plain).invoke(talk)
    without, ours = [request.body["messages"][-1]["content"] for request in scripted.requests]
    assert ours[0].pop("cache_control") == {"type": "ephemeral"}
    assert json.dumps(ours) == json.dumps(without)
