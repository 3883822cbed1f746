"""What is asked reaches the chosen model in its own shape: tools, schemas, keywords, histories."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.routing import (
    Candidate,
    Cascade,
    RoutingPolicy,
    Rule,
    UsesTools,
    WantsStructure,
)
from frugal_chains.routing.cascade import schema
from langchain_frugal import CostCallbackHandler, RoutingChatModel
from langchain_frugal._facts import content_of, request_facts
from langchain_frugal.routing._history import history_for
from tests.langchain.routers import POLICY, STRONG, WEAK
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

CLAUDE = "claude-haiku-4-5"


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


JOKE = Joke(setup="why?", punchline="because")
JOKE_TEXT = JOKE.model_dump_json()


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def router(chat_openai: Any, chat_anthropic: Any) -> RoutingChatModel:
    """OpenAI's answers what is easy, Anthropic's what is to be proved."""
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_anthropic(CLAUDE)}
    return RoutingChatModel(tiers, policy=POLICY)


Ask = Callable[[Any], Any]
ASKS: dict[str, Ask] = {
    "plain": lambda m: m,
    "tools": lambda m: m.bind_tools([add]),
    "a choice of tool": lambda m: m.bind_tools([add], tool_choice="any"),
    "tools in OpenAI's shape": lambda m: m.bind_tools(
        [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    ),
    "tools in Anthropic's shape": lambda m: m.bind_tools(
        [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
    ),
    "one call at a time": lambda m: m.bind_tools([add], parallel_tool_calls=False),
    "keywords": lambda m: m.bind(temperature=0.3, stop=["x"], max_tokens=50),
    "a schema": lambda m: m.with_structured_output(Joke),
    "a schema and its answer": lambda m: m.with_structured_output(Joke, include_raw=True),
    "a schema by tools": lambda m: m.with_structured_output(Joke, method="function_calling"),
    "a schema with keywords": lambda m: m.with_structured_output(Joke).bind(temperature=0.3),
}


@pytest.mark.parametrize("how", ASKS)
@pytest.mark.parametrize("chosen", ["gatekeeper", "workhorse"])
def test_the_chosen_model_is_sent_what_it_would_be_sent_without_a_router(
    how: str, chosen: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    """Native `response_format` stays native, and so does every shape of tools and choices."""
    answer = {"gatekeeper": JOKE_TEXT, "workhorse": JOKE_TEXT}[chosen]
    calls = (ToolCall("Joke", JOKE.model_dump()),)
    by_tools = "tools" in how or (chosen == "workhorse" and "schema" in how)
    scripted.always(Reply(tool_calls=calls) if by_tools else Reply(answer))
    question = "tell me" if chosen == "gatekeeper" else "prove me"
    alone = ASKS[how](router.tiers[chosen]).invoke(question)
    routed = ASKS[how](router).invoke(question)
    sent, as_routed = (request.body for request in scripted.requests)
    assert as_routed == sent
    if isinstance(alone, Joke):
        assert routed == alone == JOKE
    elif isinstance(alone, dict):
        assert routed["parsed"] == alone["parsed"] == JOKE
        assert routed["raw"].response_metadata["frugal"]["candidate"] == chosen
    else:
        assert (routed.content, routed.tool_calls) == (alone.content, alone.tool_calls)


@pytest.mark.parametrize("chosen", ["gatekeeper", "workhorse"])
async def test_structured_answers_in_every_way(
    chosen: str, router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    reply = {
        "gatekeeper": Reply(JOKE_TEXT),
        "workhorse": Reply(tool_calls=(ToolCall("Joke", JOKE.model_dump()),)),
    }[chosen]
    scripted.always(reply)
    question = "tell me" if chosen == "gatekeeper" else "prove me"
    config: Any = {"callbacks": [CostCallbackHandler(ledger)]}
    model = router.with_structured_output(Joke)
    assert model.invoke(question, config) == JOKE
    assert await model.ainvoke(question, config) == JOKE
    assert model.batch([question], config) == [JOKE]
    assert list(model.stream(question, config))[-1] == JOKE
    assert [piece async for piece in model.astream(question, config)][-1] == JOKE
    assert model.with_retry().invoke(question, config) == JOKE
    rows = list(ledger.attempts())
    assert len(rows) == 6
    assert {row.decision["routing"]["candidate"] for row in rows if row.decision} == {chosen}


def test_what_does_not_fit_the_schema_raises_what_the_model_alone_raises(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"setup": 1}'))
    with pytest.raises(Exception) as alone:  # noqa: PT011  # whatever it is
        router.tiers["gatekeeper"].with_structured_output(Joke, method="json_mode").invoke(
            "as JSON"
        )
    model = router.with_structured_output(Joke, method="json_mode")
    with pytest.raises(type(alone.value)):
        model.invoke("tell me as JSON", route="gatekeeper")
    assert isinstance(alone.value, OutputParserException)
    raw = router.with_structured_output(Joke, method="json_mode", include_raw=True)
    assert raw.invoke("tell me as JSON")["parsing_error"] is not None


def test_a_cascade_escalates_what_does_not_fit_the_schema(
    chat_openai: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    policy = RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(schema,)))
    router = RoutingChatModel(tiers, policy=policy, callbacks=[CostCallbackHandler(ledger)])
    scripted.script(Reply('{"setup": 1}'), Reply(JOKE_TEXT))
    model = router.with_structured_output(Joke, method="json_mode")
    assert model.invoke("tell me as JSON") == JOKE
    assert [row.purpose for row in ledger.attempts()] == ["draft", "answer"]


def test_a_tier_keeps_what_was_bound_to_its_model(
    chat_openai: Any, scripted: ScriptedServer
) -> None:
    bound = chat_openai(WEAK).bind(temperature=0.1, max_tokens=7)
    router = RoutingChatModel({"workhorse": bound.with_config(tags=["cheap"])})
    for model in (router, router.bind_tools([add]), router.with_structured_output(Joke)):
        scripted.script(Reply(JOKE_TEXT))
        model.invoke("hello")
        body = scripted.requests[-1].body
        assert (body["temperature"], body["max_completion_tokens"]) == (0.1, 7)


def test_cache_markers_reach_only_those_who_know_them(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    text = {"type": "text", "text": "prove it", "cache_control": {"type": "ephemeral"}}
    router.invoke([HumanMessage([text])])
    assert scripted.requests[-1].body["messages"][0]["content"][0]["cache_control"]
    router.invoke([HumanMessage([text])], route="gatekeeper")
    assert "cache_control" not in json.dumps(scripted.requests[-1].body)
    router.invoke("hi", route="gatekeeper", cache_control={"type": "ephemeral"})
    assert "cache_control" not in json.dumps(scripted.requests[-1].body)
    blocks: list[Any] = [{"type": "text", "text": "hi"}, {"cachePoint": {"type": "default"}}]
    router.invoke([HumanMessage(blocks)], route="gatekeeper")
    assert "cachePoint" not in json.dumps(scripted.requests[-1].body)


def _loop(router: RoutingChatModel, scripted: ScriptedServer, **options: Any) -> list[Any]:
    """A conversation that has come to a tool's result."""
    scripted.script(Reply("let me see", tool_calls=(ToolCall("add", {"a": 1, "b": 2}),)))
    question = HumanMessage("prove 1 + 2")
    answer = router.bind_tools([add]).invoke([question], **options)
    (call,) = answer.tool_calls
    return [question, answer, ToolMessage("3", tool_call_id=call["id"])]


def test_a_loop_of_tool_calls_stays_with_who_began_it(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    history = _loop(router, scripted, route="gatekeeper")
    answer = router.bind_tools([add]).invoke(history)
    assert answer.response_metadata["frugal"]["candidate"] == "gatekeeper"
    assert answer.response_metadata["frugal"]["reason"] == "bound"


@pytest.mark.parametrize(
    ("owner", "heir"), [("gatekeeper", "workhorse"), ("workhorse", "gatekeeper")]
)
def test_another_provider_can_go_on_with_a_loop(
    owner: str, heir: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    history = _loop(router, scripted, route=owner)
    scripted.script(Reply(status=503), Reply("three"))
    answer = router.bind_tools([add]).invoke(history)
    assert answer.text == "three"
    assert answer.response_metadata["frugal"]["candidate"] == heir
    sent = json.dumps(scripted.requests[-1].body)
    assert sent.count('"call_1"') == 2  # the call and its result still belong together


def test_what_is_bound_to_a_model_is_not_given_to_another() -> None:
    thinking = AIMessage(
        [
            {"type": "thinking", "thinking": "hm", "signature": "of Claude"},
            {"type": "text", "text": "let me see"},
            {"type": "tool_use", "id": "toolu|1", "name": "add", "input": {}},
        ],
        tool_calls=[{"name": "add", "args": {}, "id": "toolu|1"}],
        response_metadata={"model_provider": "anthropic"},
        id="m1",
    )
    history = [HumanMessage("q"), thinking, ToolMessage("3", tool_call_id="toolu|1")]
    own = Candidate(name="c", tier="workhorse", model=CLAUDE, provider="anthropic")
    assert all(a is b for a, b in zip(history_for(own, history), history, strict=True))
    other = Candidate(name="o", tier="workhorse", model=STRONG, provider="openai")
    _, said, result = history_for(other, history)
    assert isinstance(said, AIMessage)
    assert isinstance(result, ToolMessage)
    assert said.content == "let me see"
    assert said.tool_calls[0]["id"] == result.tool_call_id != "toolu|1"
    assert said.id == "m1"
    nine = Candidate(name="m", tier="workhorse", model="mistral-small", provider="mistral")
    _, said, result = history_for(nine, history)
    assert isinstance(said, AIMessage)
    assert len(said.tool_calls[0]["id"] or "") == 9
    unknown = [HumanMessage("q"), AIMessage([{"type": "text", "text": "mine"}])]
    assert history_for(other, unknown)[1] is unknown[1]


def test_a_model_of_the_same_provider_is_another_model() -> None:
    marked = AIMessage(
        [{"type": "reasoning", "id": "rs_1"}, {"type": "text", "text": "so"}],
        response_metadata={"model_provider": "openai", "frugal": {"candidate": "gatekeeper"}},
    )
    strong = Candidate(name="workhorse", tier="workhorse", model=STRONG, provider="openai")
    weak = Candidate(name="gatekeeper", tier="gatekeeper", model=WEAK, provider="openai")
    assert history_for(strong, [marked])[0].content == "so"
    assert history_for(weak, [marked])[0] is marked


def test_only_models_that_take_the_request_are_asked(chat_openai: Any, chat_anthropic: Any) -> None:
    def decide(messages: Any, **kwargs: Any) -> str:
        overrides = {
            "gatekeeper": {"modalities": {"text"}, "tools": False, "structured_output": False},
            "workhorse": {"modalities": {"text", "image"}},
            "specialist": {"modalities": {"text", "image", "audio"}},
        }
        models = [chat_openai(WEAK), chat_openai("gpt-4.1-mini"), chat_anthropic(CLAUDE)]
        tiers = dict(zip(overrides, models, strict=True))
        policy = RoutingPolicy(default_tier="gatekeeper")
        router = RoutingChatModel(tiers, policy=policy, candidates=overrides)
        return router.decide(messages, **kwargs).candidate

    image = HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])
    audio = HumanMessage([{"type": "audio", "base64": "", "mime_type": "audio/wav"}])
    assert decide("hi") == "gatekeeper"
    assert decide([image]) == "workhorse"
    assert decide([audio]) == "specialist"
    assert decide("hi", tools=[add]) == "workhorse"
    assert decide("hi", response_format=Joke) == "workhorse"


def test_recordings_are_told_from_images() -> None:
    blocks = [
        {"type": "text", "text": "listen"},
        {"type": "audio", "base64": "", "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "media", "mime_type": "audio/mp3", "data": ""},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "media", "mime_type": "image/png", "data": ""},
    ]
    found = content_of(blocks)
    assert (found.texts, found.images, found.audio) == (["listen"], 2, 3)
    (message,) = request_facts([HumanMessage(blocks)], {}).messages
    assert (message.images, message.audio) == (2, 3)


def test_a_long_head_that_all_requests_share_decides_nothing(router: RoutingChatModel) -> None:
    head = [
        SystemMessage("You prove theorems. " * 200),
        HumanMessage("Example: prove it"),
        AIMessage("Proven."),
    ]
    assert router.decide([*head, HumanMessage("say hello")]).candidate == "gatekeeper"
    assert router.decide([*head, HumanMessage("now prove this")]).candidate == "workhorse"


def test_tools_and_structure_are_seen_by_rules(chat_openai: Any, scripted: ScriptedServer) -> None:
    rules = (
        Rule(name="tools", when=UsesTools(("add",)), to="workhorse"),
        Rule(name="structure", when=WantsStructure(), to="specialist"),
    )
    names = {"gatekeeper": WEAK, "workhorse": STRONG, "specialist": "gpt-4.1"}
    tiers = {tier: chat_openai(model) for tier, model in names.items()}
    policy = RoutingPolicy(rules=rules, default_tier="gatekeeper")
    router = RoutingChatModel(tiers, policy=policy)
    assert router.decide("hi").reason == "default"
    assert router.decide("hi", tools=[add]).reason == "rule:tools"
    assert router.decide("hi", response_format=Joke).reason == "rule:structure"
    model = router.with_structured_output(Joke, include_raw=True)
    scripted.always(Reply(JOKE_TEXT))
    raw: Any = model.invoke("hi")
    assert raw["raw"].response_metadata["frugal"]["reason"] == "rule:structure"


async def test_a_loop_over_two_providers_costs_what_its_attempts_cost(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger)
    config: Any = {"callbacks": [handler]}
    scripted.script(
        Reply(tool_calls=(ToolCall("add", {"a": 1, "b": 2}),), usage=Tokens(fresh=100, visible=10)),
        Reply("three", usage=Tokens(fresh=200, visible=20)),
    )
    answer = await router.bind_tools([add]).ainvoke("prove 1 + 2", config)
    history = [HumanMessage("prove 1 + 2"), answer, ToolMessage("3", tool_call_id="call_1")]
    await router.bind_tools([add]).ainvoke(
        history, {**config, "configurable": {"route": "gatekeeper"}}
    )
    # claude-haiku-4-5: $1 in, $5 out (claude.com/pricing); gpt-4o-mini as above; read 2026-11-21.
    assert handler.total.cost_usd * 10**9 == (100 * 1000 + 10 * 5000) + (200 * 150 + 20 * 600)


@pytest.mark.parametrize(
    "draft",
    [
        Reply(tool_calls=(ToolCall("Joke", {"setup": "why?"}),)),  # a field is missing
        Reply(JOKE_TEXT),  # it calls no tool, whatever it says
    ],
    ids=["misfit", "no call"],
)
def test_a_structured_answer_by_tools_that_is_none_is_escalated(
    draft: Reply, chat_openai: Any, scripted: ScriptedServer
) -> None:
    policy = RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(schema,)))
    tiers = {"gatekeeper": chat_openai(WEAK), "workhorse": chat_openai(STRONG)}
    router = RoutingChatModel(tiers, policy=policy)
    scripted.script(draft, Reply(tool_calls=(ToolCall("Joke", JOKE.model_dump()),)))
    asked = router.with_structured_output(Joke, method="function_calling", include_raw=True)
    answer = asked.invoke("tell me")
    assert answer["parsed"] == JOKE
    assert answer["raw"].response_metadata["frugal"]["candidate"] == "workhorse"


async def test_a_structured_stream_grows_as_that_of_the_model_does(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"setup": "why is it so?", "punchline": "because it is"}'))
    how: Any = {"schema": Joke.model_json_schema(), "method": "json_mode"}
    alone = list(router.tiers["gatekeeper"].with_structured_output(**how).stream("tell me"))
    routed = router.with_structured_output(**how)
    assert len(alone) > 1
    assert list(routed.stream("tell me")) == alone
    assert [piece async for piece in routed.astream("tell me")] == alone
