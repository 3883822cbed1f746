"""Tools, structured answers, histories of several providers, and cascades."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core import ChatPromptTemplate, PromptTemplate
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ImageBlock,
    LogProb,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import ChatMessage, ChatResponse, MockLLM
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, ValidationError

from frugal_chains import Ledger
from frugal_chains.facts import RequestFacts
from frugal_chains.routing import Cascade, RoutingPolicy, Rule, UsesTools, WantsStructure
from frugal_chains.routing.cascade import (
    AnswerFacts,
    Verdict,
    refusal,
    schema,
    truncation,
)
from llama_index_frugal import RoutingLLM, track_cost
from tests.llama_index.asking import MESSAGES, PROMPT, WAYS, ask, only, rows
from tests.servers import Reply, ScriptedServer, ToolCall

Make = Callable[..., Any]

CHEAP_FIRST = RoutingPolicy(default_tier="gatekeeper")


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


TOOL = FunctionTool.from_defaults(weather)


@pytest.fixture
def router(openai_llm: Make, anthropic_llm: Make) -> Make:
    """Cheap from OpenAI, dear from Anthropic."""

    def make(policy: RoutingPolicy | None = CHEAP_FIRST, **options: Any) -> RoutingLLM:
        tiers = {
            "gatekeeper": openai_llm("gpt-4.1-nano"),
            "specialist": anthropic_llm("claude-sonnet-5"),
        }
        return RoutingLLM(tiers, policy, **options)

    return make


@pytest.fixture
def without_schemas(openai_llm: Make) -> Make:
    """The dear one cannot hold an answer to a schema: its class uses a tool for that."""

    def make(policy: RoutingPolicy | None = CHEAP_FIRST) -> RoutingLLM:
        tiers = {"gatekeeper": openai_llm("gpt-4.1-nano"), "specialist": openai_llm("gpt-4-turbo")}
        return RoutingLLM(tiers, policy)

    return make


def models_asked(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


# -- tools -------------------------------------------------------------------------------------

TOOL_WAYS = (
    "chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools",
)  # fmt: skip


async def ask_with_tools(llm: Any, way: str, **options: Any) -> ChatResponse:
    answer = getattr(llm, way)([TOOL], PROMPT, **options)
    answer = await answer if way.startswith("a") else answer
    if "astream" in way:
        return [chunk async for chunk in answer][-1]
    return list(answer)[-1] if "stream" in way else answer


@pytest.mark.parametrize("way", TOOL_WAYS)
@pytest.mark.parametrize("route", ["gatekeeper", "specialist"])
async def test_tools_have_the_shape_of_the_chosen_provider(
    way: str, route: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("weather", {"city": "Paris"}),)))
    llm = router()
    with track_cost(ledger):
        answer = await ask_with_tools(llm, way, route=route, tool_required=True)
    body = scripted.requests[0].body
    if route == "gatekeeper":
        assert body["tools"][0]["function"]["name"] == "weather"
        assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    else:
        assert body["tools"][0]["input_schema"]["properties"]["city"]["type"] == "string"
        assert body["tool_choice"] == {"disable_parallel_tool_use": True, "type": "any"}
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs, call.tool_id) == (
        "weather", {"city": "Paris"}, "call_1",
    )  # fmt: skip
    assert answer.additional_kwargs["frugal"]["candidate"] == route
    assert only(ledger).decision is not None


@pytest.mark.parametrize("way", TOOL_WAYS)
async def test_the_question_is_sent_once_to_each_of_several(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    """OpenAI's class appends the question to the list of messages that it is given."""
    scripted.script(Reply(status=500))
    history = [ChatMessage(role="user", content="Hello."), ChatMessage("Hi.", role="assistant")]
    await ask_with_tools(router(), way, chat_history=history)
    first, second = (request.body["messages"] for request in scripted.requests)
    assert [m["role"] for m in first] == [m["role"] for m in second] == [
        "user", "assistant", "user",
    ]  # fmt: skip
    assert len(history) == 2


def test_no_tool_call_is_an_error_where_one_is_needed(router: Make) -> None:
    llm = router()
    answer = llm.chat(MESSAGES)
    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="at least one tool call"):
        llm.get_tool_calls_from_response(answer)


def test_half_a_tool_call_of_a_stream_is_read_as_far_as_it_goes(router: Make) -> None:
    half_of_it = '{"city": "Paris", "day": "Mon'
    block = ToolCallBlock(tool_call_id="1", tool_name="weather", tool_kwargs=half_of_it)
    half = ChatResponse(message=ChatMessage(role="assistant", blocks=[block]))
    (call,) = router().get_tool_calls_from_response(half)
    assert call.tool_kwargs["city"] == "Paris"


def test_a_model_that_cannot_call_tools_is_left_out(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    tiers = {"gatekeeper": MockLLM(), "workhorse": openai_llm("gpt-4.1-mini")}
    answer = RoutingLLM(tiers, CHEAP_FIRST).chat_with_tools([TOOL], PROMPT)
    assert answer.additional_kwargs["frugal"]["candidate"] == "workhorse"


def test_rules_see_tools_and_schemas(router: Make) -> None:
    llm = router(RoutingPolicy(
        rules=(
            Rule(name="tools", when=UsesTools(("weather",)), to="specialist"),
            Rule(name="shape", when=WantsStructure(), to="specialist"),
        ),
        default_tier="gatekeeper",
    ))  # fmt: skip
    assert llm.decide(PROMPT).reason == "default"
    assert llm.decide(PROMPT, tools=[TOOL]).reason == "rule:tools"
    assert llm.decide(PROMPT, output_cls=City).reason == "rule:shape"
    assert llm.explain(PROMPT, tools=[TOOL]).startswith("specialist (specialist) answers: rule")


def test_images_and_audio_are_constraints(router: Make) -> None:
    said: dict[str, Any] = {
        "gatekeeper": {"modalities": ["text", "image"]},
        "specialist": {"modalities": ["text", "audio"]},
    }
    llm = router(candidates=said)

    def chosen(block: Any) -> str:
        message = ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), block])
        return str(llm.decide([message]).candidate)

    assert chosen(ImageBlock(url="http://localhost/x.png")) == "gatekeeper"
    assert chosen(AudioBlock(audio=b"x", format="mp3")) == "specialist"


# -- a loop of tool calls ----------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_loop_of_tool_calls_stays_with_its_model(
    streaming: bool, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """A rule that looks at the question alone would go on with another one."""
    policy = RoutingPolicy(
        rules=(Rule(name="tools", when=UsesTools(), to="specialist"),), default_tier="gatekeeper"
    )
    llm = router(policy)
    scripted.script(
        Reply(tool_calls=(ToolCall("weather", {"city": "Paris"}),)),
        Reply(tool_calls=(ToolCall("weather", {"city": "Rome"}, id="call_2"),)),
        Reply("Sunny in both."),
    )
    agent = FunctionAgent(tools=[TOOL], llm=llm, streaming=streaming)
    with track_cost(ledger):
        assert str(await agent.run("Weather in Paris and Rome?")) == "Sunny in both."
    assert models_asked(scripted) == ["claude-sonnet-5"] * 3
    reasons = [a.decision["routing"]["reason"] for a in rows(ledger) if a.decision]
    assert reasons == ["rule:tools", "bound", "bound"]


@pytest.mark.parametrize("way", TOOL_WAYS)
@pytest.mark.parametrize(("first", "second"), [("gatekeeper", "specialist"),
                                               ("specialist", "gatekeeper")])  # fmt: skip
async def test_another_provider_understands_a_loop_that_it_has_to_go_on_with(
    way: str, first: str, second: str, router: Make, scripted: ScriptedServer
) -> None:
    llm = router()
    scripted.script(Reply(tool_calls=(ToolCall("weather", {"city": "Paris"}),)), Reply("Sunny."))
    begun = await ask_with_tools(llm, way, route=first)
    history = [
        ChatMessage(role="user", content=PROMPT),
        begun.message,
        ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": "call_1"}),
    ]
    ended = llm.chat_with_tools([TOOL], chat_history=history, route=second)
    assert ended.message.content == "Sunny."
    _, called, answered = scripted.requests[1].body["messages"]
    if second == "gatekeeper":
        (call,) = called["tool_calls"]
        assert call["id"] == answered["tool_call_id"] == "call_1"
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    else:
        (use,) = [block for block in called["content"] if block["type"] == "tool_use"]
        assert (use["id"], use["input"]) == ("call_1", {"city": "Paris"})
        assert answered["content"][0]["tool_use_id"] == "call_1"


def thinking(text: str, **more: Any) -> ThinkingBlock:
    return ThinkingBlock(content=text, additional_information=more)


def sent_thoughts(scripted: ScriptedServer) -> list[str]:
    content = scripted.requests[-1].body["messages"][1]["content"]
    return [block["thinking"] for block in content if block["type"] == "thinking"]


def test_reasoning_goes_back_only_to_the_model_that_wrote_it(
    anthropic_llm: Make, scripted: ScriptedServer
) -> None:
    class Thinks(type(anthropic_llm())):  # type: ignore[misc]
        """Claude with extended thinking, which the scripted server does not have."""

        def chat(self, messages: Any, **kwargs: Any) -> Any:
            found = super().chat(messages, **kwargs)
            found.message.blocks.insert(0, thinking("hm", signature=f"by {self.model}"))
            return found

    def claude(model: str) -> Any:
        made = anthropic_llm(model)
        return Thinks(
            model=model, base_url=str(made._client.base_url), api_key="test", max_retries=0
        )

    llm = RoutingLLM({"gatekeeper": claude("claude-haiku-4-5"),
                      "specialist": claude("claude-sonnet-5")}, CHEAP_FIRST)  # fmt: skip
    first = llm.chat(MESSAGES)
    history = [*MESSAGES, first.message, ChatMessage(role="user", content="and?")]
    llm.chat(history)
    assert sent_thoughts(scripted) == ["hm"]
    llm.chat(history, route="specialist")
    assert sent_thoughts(scripted) == []
    assert len(first.message.blocks) == 2


def test_reasoning_without_a_signature_is_nothing_for_anthropic(
    router: Make, scripted: ScriptedServer
) -> None:
    blocks = [thinking("of nobody"), thinking("of a Claude", signature="s"), TextBlock(text="Hi.")]
    alone = ChatMessage(role="assistant", blocks=[thinking("and no word")])
    history = [*MESSAGES, ChatMessage(role="assistant", blocks=blocks), alone,
               ChatMessage(role="user", content="and?")]  # fmt: skip
    router().chat(history, route="specialist")
    assert sent_thoughts(scripted) == ["of a Claude"]
    assert [m["role"] for m in scripted.requests[0].body["messages"]] == [
        "user", "assistant", "user",
    ]  # fmt: skip


# -- cache points ------------------------------------------------------------------------------


def with_cache_point() -> list[ChatMessage]:
    point = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="5m"))
    return [ChatMessage(role="user", blocks=[TextBlock(text="a long head"), point])]


@pytest.mark.parametrize("way", [way for way in WAYS if "chat" in way])
async def test_cache_points_go_to_those_who_understand_them(
    way: str, router: Make, openai_llm: Make, scripted: ScriptedServer
) -> None:
    with pytest.raises(ValueError, match="Unsupported content block type"):
        openai_llm().chat(with_cache_point())
    messages = with_cache_point()
    for route in ("gatekeeper", "specialist"):
        answer = getattr(router(), way)(messages, route=route)
        answer = await answer if way.startswith("a") else answer
        if "astream" in way:
            [chunk async for chunk in answer]
        elif "stream" in way:
            list(answer)
    to_openai, to_anthropic = (request.body["messages"][0] for request in scripted.requests)
    assert to_openai["content"] == "a long head"
    assert to_anthropic["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert len(messages[0].blocks) == 2


def test_cache_points_in_a_prompt_for_a_structured_answer(
    router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    llm = router().as_structured_llm(City)
    assert llm.chat(with_cache_point()).raw == City(name="Paris")
    assert scripted.requests[0].body["messages"][0]["content"] == "a long head"


def test_a_prompt_without_its_cache_points_is_the_same_otherwise(
    router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    asked = ChatMessage(role="user", content="Which city is {what} in {month}?")
    prompt = ChatPromptTemplate([*with_cache_point(), asked]).partial_format(month="May")
    assert router().structured_predict(City, prompt, what="{sunny}") == City(name="Paris")
    sent = [message["content"] for message in scripted.requests[0].body["messages"]]
    assert sent == ["a long head", "Which city is {sunny} in May?"]
    assert len(prompt.message_templates[0].blocks) == 2


def test_a_message_of_nothing_but_a_cache_point_is_left_out(
    router: Make, scripted: ScriptedServer
) -> None:
    (message,) = with_cache_point()
    alone = ChatMessage(role="user", blocks=message.blocks[1:])
    router().chat([alone, *MESSAGES])
    assert [m["content"] for m in scripted.requests[0].body["messages"]] == [PROMPT]


# -- structured answers ------------------------------------------------------------------------


class City(BaseModel):
    """A city."""

    name: str


STRUCTURED_WAYS = (
    "structured_predict", "astructured_predict",
    "stream_structured_predict", "astream_structured_predict",
)  # fmt: skip


async def structured(llm: Any, way: str, **options: Any) -> Any:
    prompt = PromptTemplate("Which city is {what}?")
    answer = getattr(llm, way)(City, prompt, what="sunny", **options)
    answer = await answer if way.startswith("a") else answer
    if "astream" in way:
        return [part async for part in answer][-1]
    return list(answer)[-1] if "stream" in way else answer


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_structured_answers_keep_the_native_method(
    way: str, router: Make, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    with track_cost(ledger):
        routed = await structured(router(), way)
    direct = await structured(openai_llm("gpt-4.1-nano"), way)
    assert routed == direct == City(name="Paris")
    assert scripted.requests[0].body == scripted.requests[1].body
    assert scripted.requests[0].body["response_format"]["type"] == "json_schema"
    assert "tools" not in scripted.requests[0].body
    attempt = only(ledger)
    assert attempt.decision is not None
    assert attempt.decision["routing"]["candidate"] == "gatekeeper"


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_a_rule_sees_that_an_answer_has_to_fit_a_schema(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    rule = Rule(name="schema", when=WantsStructure(), to="specialist")
    scripted.always(Reply('{"name": "Paris"}'))
    policy = RoutingPolicy(rules=(rule,), default_tier="gatekeeper")
    assert await structured(router(policy), way) == City(name="Paris")
    assert models_asked(scripted) == ["claude-sonnet-5"]


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_structured_answers_of_a_model_that_uses_tools_for_them(
    way: str, without_schemas: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("City", {"name": "Rome"}),)))
    asked: dict[str, Any] = {"route": "specialist"}
    assert await structured(without_schemas(), way, llm_kwargs=asked) == City(name="Rome")
    assert scripted.requests[0].body["tools"][0]["function"]["name"] == "City"
    if "stream" not in way:
        assert scripted.requests[0].body["tool_choice"] == "required"
    assert asked == {"route": "specialist"}


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_the_next_model_gets_its_own_options_for_a_structured_answer(
    way: str, without_schemas: Make, scripted: ScriptedServer
) -> None:
    """The classes write `response_format` and `tool_choice` into the options they are given."""
    scripted.script(Reply(status=500), Reply(tool_calls=(ToolCall("City", {"name": "Rome"}),)))
    options: dict[str, Any] = {"max_tokens": 50}
    assert await structured(without_schemas(), way, llm_kwargs=options) == City(name="Rome")
    assert "response_format" not in scripted.requests[1].body
    assert [r.body["max_tokens"] for r in scripted.requests] == [50, 50]
    assert options == {"max_tokens": 50}


def test_an_answer_that_does_not_fit_is_the_error_it_was(
    router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("no city"))
    with pytest.raises(ValidationError):
        router().structured_predict(City, PromptTemplate("Which?"))
    assert len(scripted.requests) == 1


async def test_as_structured_llm(router: Make, scripted: ScriptedServer, ledger: Ledger) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    llm = router().as_structured_llm(City)
    with track_cost(ledger):
        for way in ("chat", "achat", "complete", "acomplete", "stream_chat", "astream_chat"):
            assert (await ask(llm, way)).raw == City(name="Paris")
    assert len(rows(ledger)) == len(scripted.requests) == 6
    assert all("response_format" in request.body for request in scripted.requests)


def test_a_prompt_with_braces_in_its_values_is_left_alone(
    router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{text}")])
    router().structured_predict(City, prompt, text='{"a": {b}}')
    assert scripted.requests[0].body["messages"][1]["content"] == '{"a": {b}}'


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_the_system_prompt_of_the_router_is_in_structured_answers_too(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply('{"name": "Paris"}'))
    await structured(router(system_prompt="Be brief."), way)
    sent = scripted.requests[0].body["messages"]
    assert [message["content"] for message in sent] == ["Be brief.", "Which city is sunny?"]


def test_the_cap_of_a_structured_answer_counts(router: Make) -> None:
    llm = router()
    prompt = PromptTemplate("Which?")
    options = {"max_tokens": 10**6, "route": "gatekeeper"}
    asked = llm._structured(City, prompt, options, {})
    excluded = {w.name: w.excluded for w in llm._run(asked).decision.weighed}
    assert "allows 1,000,000 tokens of output" in excluded["gatekeeper"]


# -- cascades ----------------------------------------------------------------------------------


def cascade(*validators: Any, **options: Any) -> RoutingPolicy:
    return RoutingPolicy(
        default_tier="gatekeeper", cascade=Cascade(validators=validators, **options)
    )


def says_so(request: RequestFacts, answer: AnswerFacts) -> Verdict:
    return Verdict(code="unsure", detail="it says so") if "unsure" in answer.text else Verdict()


@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_that_does_not_hold_is_answered_by_a_stronger_model(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("I am unsure."), Reply("Surely."))
    with track_cost(ledger) as spent:
        answer = await ask(router(cascade(says_so)), way)
    assert str(answer).removeprefix("assistant: ") == "Surely."
    assert models_asked(scripted) == ["gpt-4.1-nano", "claude-sonnet-5"]
    draft, kept = rows(ledger)
    assert (draft.purpose, kept.purpose) == ("draft", "answer")
    assert draft.price.nanos is not None
    assert kept.price.nanos is not None
    assert spent.cost_usd == draft.cost_usd + kept.cost_usd  # type: ignore[operator]
    note = answer.additional_kwargs["frugal"]
    assert note["candidate"] == "specialist"
    (escalated,) = note["escalations"]
    assert escalated == {"candidate": "gatekeeper", "code": "unsure", "detail": "it says so"}
    assert note.get("buffered", False) == ("stream" in way)


@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_that_holds_is_the_answer(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("Surely so."))
    with track_cost(ledger):
        answer = await ask(router(cascade(says_so)), way)
    assert models_asked(scripted) == ["gpt-4.1-nano"]
    assert only(ledger).purpose == "draft"
    assert answer.additional_kwargs["frugal"]["why"] == "accepted"
    if "stream" in way:
        assert answer.delta == "Surely so."


@pytest.mark.parametrize("route", ["gatekeeper", "specialist"])
@pytest.mark.parametrize("way", ["chat", "achat", "complete"])
async def test_validators_see_why_an_answer_ended(
    way: str, route: str, openai_llm: Make, anthropic_llm: Make, scripted: ScriptedServer
) -> None:
    """By the providers' own words: OpenAI's finish_reason, Anthropic's stop_reason."""
    seen: list[AnswerFacts] = []

    def look(request: RequestFacts, answer: AnswerFacts) -> Verdict:
        seen.append(answer)
        return Verdict()

    first = openai_llm("gpt-4.1-nano") if route == "gatekeeper" else anthropic_llm()
    llm = RoutingLLM({"gatekeeper": first, "specialist": openai_llm("gpt-4")}, cascade(look))
    await ask(llm, way)
    assert [(a.finish_reason, a.text) for a in seen] == [
        ("stop" if route == "gatekeeper" else "end_turn", PROMPT)
    ]


def test_what_validators_look_at_is_read_off_openai(openai_llm: Make) -> None:
    from llama_index_frugal.routing._answers import answer_facts

    raw = {"choices": [{
        "finish_reason": "length", "message": {"refusal": "I cannot help with that."},
        "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.5}]},
    }]}  # fmt: skip
    blocks = [
        thinking("let me see"), TextBlock(text="half an ans"),
        ToolCallBlock(tool_name="f", tool_call_id="1", tool_kwargs={"a": 1}),
    ]  # fmt: skip
    facts = answer_facts(
        ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), raw=raw)
    )
    assert (facts.text, facts.finish_reason, facts.refused) == ("half an ans", "length", True)
    assert facts.logprobs == (-0.5, -1.5)
    assert [call.name for call in facts.tool_calls] == ["f"]
    request = RequestFacts()
    assert not truncation(request, facts).ok
    assert not refusal(request, facts).ok


def test_probabilities_of_other_classes_are_those_of_the_likeliest_tokens() -> None:
    from llama_index_frugal.routing._answers import answer_facts

    shown = [[LogProb(token="a", logprob=-0.25), LogProb(token="b", logprob=-3.0)], []]
    message = ChatMessage(role="assistant", content="a")
    assert answer_facts(ChatResponse(message=message, logprobs=shown)).logprobs == (-0.25,)
    assert answer_facts(ChatResponse(message=message)).logprobs is None


@pytest.mark.parametrize("way", STRUCTURED_WAYS)
async def test_a_structured_draft_that_does_not_fit_is_escalated(
    way: str, without_schemas: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("no city"), Reply(tool_calls=(ToolCall("City", {"name": "Rome"}),)))
    with track_cost(ledger):
        assert await structured(without_schemas(cascade(schema)), way) == City(name="Rome")
    assert [a.purpose for a in rows(ledger)] == ["draft", "answer"]


async def test_two_samples_are_taken_warm(router: Make, scripted: ScriptedServer) -> None:
    scripted.always(Reply("42"))
    answer = await ask(router(cascade(says_so, samples=2)), "achat")
    assert models_asked(scripted) == ["gpt-4.1-nano"] * 2
    assert [r.body["temperature"] for r in scripted.requests] == [0.1, 0.7]
    assert answer.additional_kwargs["frugal"]["why"] == "agreed"


def test_a_dry_run_names_the_whole_cascade(router: Make) -> None:
    told: Sequence[str] = router(cascade(says_so)).explain(PROMPT).splitlines()
    assert "If the answer does not hold: specialist." in told


# -- odd calls ---------------------------------------------------------------------------------


def test_arguments_that_are_no_object_are_none(router: Make) -> None:
    call = ToolCallBlock(tool_name="f", tool_call_id="1", tool_kwargs="[1]")
    answer = ChatResponse(message=ChatMessage(role="assistant", blocks=[call]))
    (selection,) = router().get_tool_calls_from_response(answer)
    assert (selection.tool_name, selection.tool_kwargs) == ("f", {})


def test_options_of_tools_may_be_given_in_their_order(
    router: Make, openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("weather", {"city": "Rome"}),)))
    for llm in (router(), openai_llm("gpt-4.1-nano")):
        llm.chat_with_tools([TOOL], PROMPT, None, False, True, True)
    routed, direct = (request.body for request in scripted.requests)
    assert routed == direct
    assert (routed["tool_choice"], routed["parallel_tool_calls"]) == ("required", True)


def test_nobody_is_told_the_shape_of_tools_before_it_is_decided(router: Make) -> None:
    with pytest.raises(NotImplementedError, match="call chat_with_tools"):
        router()._prepare_chat_with_tools([TOOL], PROMPT)


def test_authors_of_thoughts_are_not_remembered_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from llama_index_frugal.routing import _history

    monkeypatch.setattr(_history, "_MOST", 3)
    authors, thoughts = _history.Authors(), [thinking(f"thought {n}") for n in range(5)]
    for thought in thoughts:
        authors.remember(ChatMessage(role="assistant", blocks=[thought]), "specialist")
    assert [authors.of(thought) for thought in thoughts] == ["", "", *["specialist"] * 3]
