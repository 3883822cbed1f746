"""`RoutingLLM`: every way to ask it, one start and one end for each attempt, and control."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, PromptTemplate, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata, MessageRole
from llama_index.core.llms import ChatMessage, CustomLLM, MockLLM
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index_instrumentation.dispatcher import instrument_tags
from llama_index_instrumentation.event_handlers import BaseEventHandler
from pydantic import BaseModel, Field

from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook
from frugal_chains.errors import RequestRefused, RoutingError, RoutingPolicyError
from frugal_chains.routing import (
    ALWAYS,
    CannedAnswer,
    Guardrail,
    Keywords,
    Pattern,
    RoutingPolicy,
    Rule,
    SimilarTo,
    Tagged,
    Tolerance,
)
from llama_index_frugal import BudgetRateLimiter, RoutingLLM, text_embedder, track_cost
from tests.llama_index.asking import MESSAGES, PROMPT, WAYS, ask, only, rows
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

Make = Callable[..., Any]

HARD = RoutingPolicy(
    rules=(Rule(name="hard", when=Keywords("proof"), to="specialist"),),
    default_tier="gatekeeper",
)


@pytest.fixture
def router(openai_llm: Make) -> Make:
    """A router over three models of OpenAI, cheap to dear."""

    def make(policy: RoutingPolicy | None = HARD, **options: Any) -> RoutingLLM:
        tiers = {
            "gatekeeper": openai_llm("gpt-4.1-nano"),
            "workhorse": openai_llm("gpt-4.1-mini"),
            "specialist": openai_llm("gpt-4.1"),
        }
        return RoutingLLM(tiers, policy, **options)

    return make


def models_asked(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


class Seen(BaseEventHandler):
    """The events of a test, by name."""

    names: list[str] = Field(default_factory=list)
    events: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.names.append(event.class_name())
        self.events.append(event)


@pytest.fixture
def seen(dispatcher: Any) -> Any:
    handler = Seen()
    dispatcher.add_event_handler(handler)
    yield handler
    dispatcher.event_handlers = [h for h in dispatcher.event_handlers if h is not handler]


# -- asking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_asks_the_chosen_model_once(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger, seen: Seen
) -> None:
    with track_cost(ledger) as spent:
        answer = await ask(router(), way)
    assert models_asked(scripted) == ["gpt-4.1-nano"]
    attempt = only(ledger)
    assert (attempt.model, attempt.status, spent.attempts) == ("gpt-4.1-nano", "ok", 1)
    assert attempt.cost_usd == spent.cost_usd
    assert attempt.decision is not None
    assert attempt.decision["routing"]["candidate"] == "gatekeeper"
    note = answer.additional_kwargs["frugal"]
    assert (note["candidate"], note["tier"], note["model"], note["reason"]) == (
        "gatekeeper", "gatekeeper", "gpt-4.1-nano", "default",
    )  # fmt: skip
    ends = [n for n in seen.names if n.endswith("EndEvent")]
    starts = [n for n in seen.names if n.endswith("StartEvent")]
    # OpenAI's class completes by chatting: it announces the one inside the other.
    assert len(starts) == len(ends) == 1
    assert seen.names.count("RoutingEvent") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_answers_are_those_of_the_model_itself(
    way: str, router: Make, openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("beans and rice"))
    routed, direct = await ask(router(), way), await ask(openai_llm("gpt-4.1-nano"), way)
    assert str(routed) == str(direct)
    more = dict(routed.additional_kwargs)
    more.pop("frugal")
    assert more == direct.additional_kwargs
    first, second = scripted.requests
    assert first.body == second.body


async def test_streams_come_in_the_chunks_of_the_model(
    router: Make, openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("one two three four"))
    direct = [c.delta for c in openai_llm("gpt-4.1-nano").stream_chat(MESSAGES)]
    assert [c.delta for c in router().stream_chat(MESSAGES)] == direct
    assert [c.delta async for c in await router().astream_chat(MESSAGES)] == direct
    assert len(direct) > 2


def test_the_note_is_not_sent_back_with_the_history(router: Make, scripted: ScriptedServer) -> None:
    llm = router()
    first = llm.chat(MESSAGES)
    assert "frugal" not in first.message.additional_kwargs
    llm.chat([*MESSAGES, first.message, ChatMessage(role="user", content="and now?")])
    assert "frugal" not in str(scripted.requests[-1].body)


def test_a_model_that_keeps_its_answers_keeps_them_clean() -> None:
    kept = MockLLM().chat(MESSAGES)

    class Keeps(MockLLM):
        def chat(self, messages: Any, **kwargs: Any) -> Any:
            return kept

    llm = RoutingLLM({"workhorse": Keeps()})
    assert "frugal" in llm.chat(MESSAGES).additional_kwargs
    assert "frugal" not in kept.additional_kwargs


# -- control -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by_tag", [False, True])
async def test_a_request_may_name_its_model(
    way: str, by_tag: bool, router: Make, scripted: ScriptedServer
) -> None:
    if by_tag:
        with instrument_tags({"route": "specialist"}):
            answer = await ask(router(), way)
    else:
        answer = await ask(router(), way, route="specialist")
    assert models_asked(scripted) == ["gpt-4.1"]
    assert answer.additional_kwargs["frugal"]["reason"] == "asked"
    assert "route" not in scripted.requests[0].body


def test_a_name_that_nobody_has_is_an_error_as_a_keyword_and_a_warning_as_a_tag(
    router: Make, scripted: ScriptedServer
) -> None:
    """A tag also reaches the routers inside a router, which have other models."""
    with pytest.raises(RoutingError, match="'nobody' names no model here; there are gatekeeper"):
        router().chat(MESSAGES, route="nobody")
    with instrument_tags({"route": "nobody"}):
        answer = router().chat(MESSAGES)
    assert "'nobody' was asked for" in answer.additional_kwargs["frugal"]["warnings"][0]
    assert models_asked(scripted) == ["gpt-4.1-nano"]


def test_a_rule_decides(router: Make, scripted: ScriptedServer) -> None:
    answer = router().complete("a proof, please")
    assert models_asked(scripted) == ["gpt-4.1"]
    assert answer.additional_kwargs["frugal"]["reason"] == "rule:hard"


def test_tags_are_for_rules(router: Make, scripted: ScriptedServer) -> None:
    policy = RoutingPolicy(
        rules=(Rule(name="vip", when=Tagged("plan", "gold"), to="specialist"),),
        default_tier="gatekeeper",
    )
    llm = router(policy)
    with instrument_tags({"plan": "gold"}):
        llm.chat(MESSAGES)
    llm.chat(MESSAGES)
    assert models_asked(scripted) == ["gpt-4.1", "gpt-4.1-nano"]


def test_a_dry_run_calls_and_books_nothing(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = router()
    with track_cost(ledger):
        decision = llm.decide("a proof, please")
        same = llm.decide([ChatMessage(role="user", content="a proof, please")])
        other = llm.decide(MESSAGES, route="workhorse")
        told = llm.explain(PROMPT)
    assert (decision.candidate, decision.reason) == ("specialist", "rule:hard")
    assert same == decision
    assert (other.candidate, other.reason) == ("workhorse", "asked")
    assert "gatekeeper (gatekeeper) answers" in told
    assert "gpt-4.1-nano" in told
    assert (scripted.requests, rows(ledger)) == ([], [])


def test_the_decision_is_in_the_traces(router: Make, seen: Seen) -> None:
    router().chat([ChatMessage(role="user", content="secret words in a proof")])
    (event,) = [e for e in seen.events if e.class_name() == "RoutingEvent"]
    assert event.decision["reason"] == "rule:hard"
    assert event.span_id.startswith("RoutingLLM.chat-")
    assert "secret" not in str(event.decision)


# -- what it says of itself --------------------------------------------------------------------


class Small(MockLLM):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=1000, is_chat_model=True, model_name="small")


def test_metadata_is_what_holds_whoever_answers(openai_llm: Make) -> None:
    all_call = RoutingLLM({"gatekeeper": openai_llm("gpt-4.1"), "workhorse": openai_llm("gpt-4o")})
    assert all_call.metadata.context_window == 128_000  # of the two, gpt-4o has the shorter one
    assert all_call.metadata.is_function_calling_model
    assert all_call.metadata.is_chat_model
    one_does_not = RoutingLLM({"gatekeeper": Small(), "workhorse": openai_llm("gpt-4o")})
    assert one_does_not.metadata.context_window == 1000
    assert not one_does_not.metadata.is_function_calling_model
    assert RoutingLLM.class_name() == "RoutingLLM"


class Completes(MockLLM):
    """No chat model, whose system prompts have a role of their own; it keeps how it was asked."""

    asked: list[bool] = Field(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="old", system_role=MessageRole.USER)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.asked.append(formatted)
        return CompletionResponse(text=prompt)


def test_what_only_some_models_are_is_not_said_of_all(openai_llm: Make) -> None:
    mixed = RoutingLLM({"gatekeeper": Completes(), "workhorse": openai_llm("gpt-4o")})
    assert not mixed.metadata.is_chat_model
    assert mixed.metadata.system_role == MessageRole.SYSTEM
    alone = RoutingLLM({"workhorse": Completes()})
    assert alone.metadata.system_role == MessageRole.USER


def test_a_prompt_that_is_formatted_is_not_formatted_again() -> None:
    model = Completes()
    llm = RoutingLLM({"workhorse": model})
    llm.complete("hi", formatted=True)
    llm.complete("hi")
    assert model.asked == [True, False]


def test_a_model_that_its_class_does_not_know_can_be_routed_to(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    with pytest.raises(ValueError, match="Unknown model"):
        _ = openai_llm("gpt-99").metadata
    llm = RoutingLLM({"gatekeeper": openai_llm("gpt-4.1-nano"), "specialist": openai_llm("gpt-99")},
                     HARD)  # fmt: skip
    assert llm.metadata.context_window == 1_047_576
    assert llm.decide("a proof").weighed[1].model == "gpt-99"
    llm.chat(MESSAGES)
    assert models_asked(scripted) == ["gpt-4.1-nano"]


def test_several_models_of_a_tier_go_by_their_names(openai_llm: Make) -> None:
    several = [openai_llm("gpt-4.1-mini"), openai_llm("gpt-4o-mini"), openai_llm("gpt-4o-mini")]
    llm = RoutingLLM({"workhorse": several, "specialist": openai_llm("gpt-4.1")})
    names = [w.name for w in llm.decide(PROMPT).weighed]
    assert names == ["gpt-4.1-mini", "gpt-4o-mini", "gpt-4o-mini-2", "specialist"]


def test_the_user_knows_better(router: Make) -> None:
    policy = RoutingPolicy(region="eu", default_tier="gatekeeper")
    said: dict[str, Any] = {"workhorse": {"regions": ["eu"]}, "gpt-4.1": {"regions": {"eu", "us"}}}
    decision = router(policy, candidates=said).decide(PROMPT)
    assert decision.candidate == "workhorse"
    assert decision.weighed[0].excluded == "it names no region, not eu"
    assert not decision.weighed[2].excluded


@pytest.mark.parametrize(
    ("tiers", "options", "problem"),
    [
        ({}, {}, "there are no models"),
        ({"genius": MockLLM()}, {}, "'genius'"),
        ({"workhorse": MockLLM()}, {"candidates": {"nobody": {}}}, "nobody"),
        ({"workhorse": MockLLM()}, {"candidates": {"workhorse": {"colour": 1}}}, "colour"),
        (
            {"workhorse": MockLLM()},
            {"policy": RoutingPolicy(rules=(Rule(name="x", when=ALWAYS, to="specialist"),))},
            "specialist",
        ),
    ],
)
def test_what_cannot_decide_is_refused_when_it_is_built(
    tiers: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RoutingPolicyError, match=problem):
        RoutingLLM(tiers, **options)


def test_something_that_is_no_llm_is_refused() -> None:
    with pytest.raises(ValueError, match="instance of LLM"):
        RoutingLLM({"workhorse": object()})  # type: ignore[dict-item]


# -- copies ------------------------------------------------------------------------------------


def test_copies_route_as_the_original_does(router: Make, scripted: ScriptedServer) -> None:
    llm = router(candidates={"workhorse": {"quality": 0.5}})
    llm.chat(MESSAGES)  # now its model has an open client, which nothing can copy
    for made in (copy.deepcopy(llm), copy.copy(llm), pickle.loads(pickle.dumps(llm))):
        assert made.decide("a proof").candidate == "specialist"
        assert made.decide(PROMPT).weighed[1].quality == 0.5
        made.chat(MESSAGES)
    assert models_asked(scripted) == ["gpt-4.1-nano"] * 4


def test_a_pickled_router_keeps_how_it_speaks(router: Make) -> None:
    made = pickle.loads(pickle.dumps(router(system_prompt="Be brief.", embedding_timeout_s=0.5)))
    assert (made.system_prompt, made.embedding_timeout_s) == ("Be brief.", 0.5)


def test_a_policy_that_cannot_be_pickled_is_not_left_out_silently(router: Make) -> None:
    class Own(Pattern):
        """Of this function, so that pickle cannot find it."""

    policy = RoutingPolicy(rules=(Rule(name="own", when=Own("x"), to="specialist"),))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(router(policy))


# -- the gate ----------------------------------------------------------------------------------

GATE = RoutingPolicy(
    guardrails=(Guardrail(name="secrets", when=Pattern("password"), message="Not with me."),),
    canned_answers=(
        CannedAnswer(name="hours", when=SimilarTo((PROMPT,), at_least=0.9), answer="Nine to five."),
    ),
)


@pytest.mark.parametrize("way", WAYS)
async def test_a_canned_answer_needs_no_model(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger, seen: Seen
) -> None:
    with track_cost(ledger, budgets=[Budget.usd(0, per="lifetime")]) as spent:
        answer = await ask(router(GATE), way)
    assert str(answer).removeprefix("assistant: ") == "Nine to five."
    assert answer.additional_kwargs["frugal"]["reason"] == "gate:hours"
    assert scripted.requests == []
    attempt = only(ledger)
    assert (attempt.status, attempt.model, attempt.cost_usd) == ("cached", "canned:hours", 0)
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (0, 0)
    assert attempt.decision is not None
    assert attempt.decision["routing"]["action"] == "answer"
    assert spent.cost_usd == 0
    assert attempt.note == ""
    assert len([n for n in seen.names if n.endswith("StartEvent")]) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_is_raised_and_booked(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = router(GATE)
    given = "my password" if way.endswith("complete") else [ChatMessage("my password")]
    with track_cost(ledger), pytest.raises(RequestRefused, match=r"^Not with me\.$"):  # noqa: PT012
        answer = getattr(llm, way)(given)
        await answer if way.startswith("a") else answer
    assert scripted.requests == []
    attempt = only(ledger)
    assert (attempt.status, attempt.error_kind) == ("error", "refused")
    assert (attempt.model, attempt.cost_usd) == ("canned:secrets", 0)


class City(BaseModel):
    name: str


def test_a_refusal_holds_for_tools_and_structured_answers(
    router: Make, scripted: ScriptedServer
) -> None:
    llm = router(GATE)
    with pytest.raises(RequestRefused):
        llm.chat_with_tools([tool()], "my password")
    with pytest.raises(RequestRefused):
        llm.structured_predict(City, PromptTemplate("my password"))
    with pytest.raises(RequestRefused):
        llm.stream_structured_predict(City, PromptTemplate("my password"))
    with pytest.raises(RequestRefused):
        llm.chat([])
    assert scripted.requests == []


def tool() -> FunctionTool:
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    return FunctionTool.from_defaults(weather)


# -- budgets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_a_budget_is_final(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    with (
        track_cost(ledger, budgets=[Budget.usd(0, per="lifetime")]),
        pytest.raises(BudgetExceeded),
    ):
        await ask(router(), way)
    assert (scripted.requests, rows(ledger)) == ([], [])


def test_a_budget_may_ask_for_a_cheaper_model(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    used_up = Budget.usd(0, per="lifetime", on_exceeded="downgrade")
    llm = router(RoutingPolicy(default_tier="specialist"))
    with track_cost(ledger, budgets=[used_up]):
        answer = llm.chat(MESSAGES)
    assert models_asked(scripted) == ["gpt-4.1-nano"]
    assert answer.additional_kwargs["frugal"]["reason"] == "budget"


async def test_a_budget_of_a_run_is_that_of_the_run_around(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = router(RoutingPolicy(default_tier="specialist"))

    class Twice(Workflow):
        @step
        async def ask(self, event: StartEvent) -> StopEvent:
            await llm.acomplete("first")
            return StopEvent(result=str(await llm.acomplete("second")))

    tiny = Budget.usd("0.000001", per="run", on_exceeded="downgrade")
    with track_cost(ledger, budgets=[tiny]):
        await Twice().run()
    assert scripted.requests[-1].body["model"] == "gpt-4.1-nano"
    assert rows(ledger)[-1].decision["routing"]["reason"] == "budget"  # type: ignore[index]


def test_a_limiter_on_the_router_holds_the_calls_of_its_models(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = router(rate_limiter=BudgetRateLimiter(budgets=[Budget.usd(0, per="lifetime")],
                                                ledger=ledger))  # fmt: skip
    with pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES)
    assert scripted.requests == []


async def test_the_limiter_of_the_router_is_asked_before_each_attempt(router: Make) -> None:
    class Counts:
        asked = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

        async def async_acquire(self, num_tokens: int = 0) -> None:
            self.asked += 1

    limiter = Counts()
    hours = CannedAnswer(name="hours", when=Keywords("opening hours"), answer="9 to 5")
    llm = router(RoutingPolicy(canned_answers=(hours,)), rate_limiter=limiter)
    for way in WAYS:
        await ask(llm, way)
    assert limiter.asked == len(WAYS)
    for answer in (llm.complete("Opening hours?"), await llm.acomplete("Opening hours?")):
        assert answer.text == "9 to 5"
    assert limiter.asked == len(WAYS)  # no model was asked


# -- embeddings --------------------------------------------------------------------------------


class Letters(MockEmbedding):
    """Tells texts with an `x` from those without."""

    calls: int = 0
    awaited: int = 0
    sleep_s: float = 0.0
    fails: bool = False

    def _get_text_embedding(self, text: str) -> list[float]:
        self.calls += 1
        time.sleep(self.sleep_s)
        if self.fails:
            raise RuntimeError("no embedding today")
        return [1.0, 0.0] if "x" in text else [0.0, 1.0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        await asyncio.sleep(self.sleep_s)
        self.sleep_s = 0.0
        self.awaited += 1
        return self._get_text_embedding(text)


def by_meaning(embedder: Letters) -> RoutingPolicy:
    like = SimilarTo.embedded(["x"], text_embedder(embedder), at_least=0.9)
    return RoutingPolicy(
        rules=(Rule(name="x", when=like, to="specialist"),), default_tier="gatekeeper"
    )


async def test_any_embedding_of_llama_index_serves(router: Make, scripted: ScriptedServer) -> None:
    embedder = Letters(embed_dim=2)
    llm = router(by_meaning(embedder), embedder=embedder)
    llm.complete("taxi")
    await llm.acomplete("fox")
    await llm.acomplete("fox")
    llm.complete("dog")
    assert models_asked(scripted) == ["gpt-4.1", "gpt-4.1", "gpt-4.1", "gpt-4.1-nano"]
    assert embedder.calls == 1 + 3  # the example; the same question is embedded once
    assert embedder.awaited == 1


@pytest.mark.parametrize(
    ("named", "nanos"),
    [
        # 6 tokens by its tokenizer page, $0.02 a million, openai.com/api/pricing, 2026-11-21.
        ({"model_name": "text-embedding-3-small"}, 6 * 20),
        ({"model_name": "text-embedding-3-small", "embeddings_cache": SimpleKVStore()}, None),
        ({}, None),
    ],
    ids=["hosted", "cached", "unnamed"],
)
def test_a_decision_says_what_its_embedding_cost(
    named: dict[str, Any], nanos: int | None, router: Make
) -> None:
    class OpenAIEmbedding(Letters):
        @classmethod
        def class_name(cls) -> str:
            return "OpenAIEmbedding"

    embedder = OpenAIEmbedding(embed_dim=2, **named)
    llm = router(by_meaning(Letters(embed_dim=2)), embedder=embedder)
    assert (
        llm.decide([ChatMessage(role="user", content="tell me a joke about beans")]).deciding_nanos
        == nanos
    )


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"fails": True}, "RuntimeError"),
        ({"sleep_s": 0.5}, "no answer within 0.05 s"),
        (None, "there is no embedder"),
    ],
)
async def test_an_embedder_that_fails_or_hangs_stops_nothing(
    options: Any, warning: str, router: Make, scripted: ScriptedServer
) -> None:
    policy = by_meaning(Letters(embed_dim=2))
    embedder = Letters(embed_dim=2, **options) if options is not None else None
    llm = router(policy, embedder=embedder, embedding_timeout_s=0.05)
    for answer in (llm.complete("taxi"), await llm.acomplete("fox")):
        (said,) = answer.additional_kwargs["frugal"]["warnings"]
        assert warning in said
    assert models_asked(scripted) == ["gpt-4.1-nano"] * 2


def test_an_embedder_that_keeps_failing_is_left_alone(router: Make) -> None:
    embedder = Letters(embed_dim=2, fails=True)
    llm = router(by_meaning(Letters(embed_dim=2)), embedder=embedder)
    for number in range(6):
        llm.complete(f"question {number}")
    assert embedder.calls == 3


# -- where it is used --------------------------------------------------------------------------


async def test_a_function_agent(router: Make, scripted: ScriptedServer, ledger: Ledger) -> None:
    scripted.script(Reply(tool_calls=(ToolCall("weather", {"city": "Paris"}),)), Reply("Sunny."))
    agent = FunctionAgent(tools=[tool()], llm=router())
    with track_cost(ledger) as spent:
        answer = await agent.run("Weather in Paris?")
    assert str(answer) == "Sunny."
    assert models_asked(scripted) == ["gpt-4.1-nano"] * 2
    assert [a.status for a in rows(ledger)] == ["ok", "ok"]
    assert spent.attempts == 2
    assert all(a.decision and a.thread_id for a in rows(ledger))
    reasons = [a.decision["routing"]["reason"] for a in rows(ledger) if a.decision]
    assert reasons == ["default", "bound"]


async def test_an_agent_asked_by_tag(router: Make, scripted: ScriptedServer) -> None:
    scripted.script(Reply(tool_calls=(ToolCall("weather", {"city": "Paris"}),)), Reply("Sunny."))
    workflow = AgentWorkflow.from_tools_or_functions([tool()], llm=router())
    assert isinstance(next(iter(workflow.agents.values())), FunctionAgent)
    with instrument_tags({"route": "specialist"}):
        answer = await workflow.run("Weather in Paris?")
    assert str(answer) == "Sunny."
    assert models_asked(scripted) == ["gpt-4.1"] * 2


async def test_a_query_engine(router: Make, scripted: ScriptedServer, ledger: Ledger) -> None:
    index = VectorStoreIndex.from_documents(
        [Document(text="Beans are beans.")], embed_model=MockEmbedding(embed_dim=4)
    )
    for streaming in (False, True):
        engine = index.as_query_engine(llm=router(), streaming=streaming)
        with track_cost(ledger) as spent:
            answer = engine.query("What are beans?")
            text = "".join(answer.response_gen) if streaming else str(answer)
        assert text
        assert spent.attempts == 2  # the question is embedded, the answer written
    answer = await index.as_query_engine(llm=router()).aquery("What are beans?")
    assert str(answer)
    assert models_asked(scripted) == ["gpt-4.1-nano"] * 3


async def test_a_workflow_and_the_settings(router: Make, scripted: ScriptedServer) -> None:
    class Asks(Workflow):
        @step
        async def ask(self, event: StartEvent) -> StopEvent:
            return StopEvent(result=str(await Settings.llm.acomplete(event.question)))

    Settings.llm = router()
    try:
        assert await Asks().run(question="a proof") == "a proof"
    finally:
        Settings._llm = None
    assert models_asked(scripted) == ["gpt-4.1"]


def test_a_router_may_be_a_model_of_a_router(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    outer = RoutingLLM({"workhorse": router()})
    with track_cost(ledger):
        answer = outer.complete("a proof")
    assert models_asked(scripted) == ["gpt-4.1"]
    assert only(ledger).model == "gpt-4.1"
    assert answer.additional_kwargs["frugal"]["candidate"] == "workhorse"


class Plain(CustomLLM):
    """A model that only completes."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="plain")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return MockLLM().complete(prompt)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return MockLLM().stream_complete(prompt)


@pytest.mark.parametrize("way", WAYS)
async def test_a_custom_llm_is_booked_once(way: str, ledger: Ledger) -> None:
    with track_cost(ledger):
        answer = await ask(RoutingLLM({"workhorse": Plain()}), way)
    assert PROMPT in str(answer)
    assert len(rows(ledger)) == 1


def test_bad_input_does_not_reach_a_model(router: Make, scripted: ScriptedServer) -> None:
    orphan: Sequence[ChatMessage] = [
        ChatMessage(role="user", content="hi"),
        ChatMessage(role="tool", content="1", additional_kwargs={"tool_call_id": "call_9"}),
    ]
    with pytest.raises(RequestRefused, match="call_9"):
        router().chat(orphan)
    assert scripted.requests == []


def test_a_tolerance_that_does_not_exist_is_refused(router: Make) -> None:
    with pytest.raises(RoutingError, match="error_tolerance='none'; there are low, normal, high"):
        router().decide(PROMPT, error_tolerance="none")


@pytest.mark.parametrize("asked", ["specialist", "gpt-4.1"])
def test_the_keyword_may_be_the_name_of_a_model(asked: str, router: Make) -> None:
    decision = router().decide(PROMPT, route=asked)
    assert (decision.candidate, decision.reason, decision.warnings) == ("specialist", "asked", ())


def test_prices_of_the_user_decide(router: Make, tmp_path: Any) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4.1"\ninput = 0.01\noutput = 0.01\n'
    )
    assert router(prices=PriceBook.load(path)).decide(PROMPT).candidate == "specialist"


def test_the_cap_of_a_chat_counts(router: Make) -> None:
    excluded = {w.name: w.excluded for w in router().decide(PROMPT, max_tokens=10**6).weighed}
    assert "allows 1,000,000 tokens of output" in excluded["gatekeeper"]


@pytest.mark.parametrize("way", ["chat", "acomplete", "stream_chat", "astream_complete"])
async def test_answers_are_learned_from_by_conversation(
    way: str, openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("so", usage=Tokens(fresh=50_000, visible=10)))
    asks = {"stream_options": {"include_usage": True}} if "stream" in way else {}
    strong = openai_llm("gpt-4.1", additional_kwargs=asks)
    llm = RoutingLLM({"gatekeeper": openai_llm("gpt-4.1-nano"), "specialist": strong})
    with instrument_tags({"thread_id": "a"}):
        await ask(llm, way, route="specialist")

    def warm(thread: str) -> int:
        with instrument_tags({"thread_id": thread}):
            return int(llm.decide("go on " * 20_000).weighed[1].bill.warm_tokens)

    assert warm("a") > 0
    assert warm("b") == 0


def test_rules_see_the_tags_of_the_user_and_a_tolerance_among_them(router: Make) -> None:
    rules = (
        Rule(name="own", when=Tagged("llamaindex.step"), to="specialist"),
        Rule(name="careful", when=Tolerance("low"), to="specialist"),
    )
    llm = router(RoutingPolicy(rules=rules, default_tier="gatekeeper"))
    for tags, reason in (
        ({"llamaindex.step": "x"}, "default"),
        ({"error_tolerance": "low"}, "rule:careful"),
        ({"error_tolerance": "high"}, "default"),
    ):
        with instrument_tags(tags):
            assert llm.decide(PROMPT).reason == reason


def test_the_service_tier_of_a_model_is_in_its_bill(openai_llm: Make) -> None:
    flex = openai_llm("gpt-5", additional_kwargs={"service_tier": "flex"})
    llm = RoutingLLM({"gatekeeper": flex, "workhorse": openai_llm("gpt-5")})
    cheap, plain = (weighed.bill.nanos for weighed in llm.decide(PROMPT).weighed)
    assert cheap is not None
    assert plain is not None
    assert cheap * 2 == plain
