"""One run for each attempt, each text once, every attempt on the bill: whichever way is asked."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import Field

from frugal_chains import Ledger
from frugal_chains.dispatch import UserCheck
from frugal_chains.routing import Cascade, RoutingPolicy
from frugal_chains.routing.cascade import refusal
from langchain_frugal import CostCallbackHandler, RoutingChatModel, track_cost
from tests.langchain.routers import CASCADE, POLICY, STRONG, WAYS, WEAK, Runs, says_sure
from tests.servers import Reply, ScriptedServer, Tokens

USAGE = Tokens(fresh=1000, visible=100)
# gpt-4o-mini: $0.15 in, $0.60 out; gpt-4o: $2.50 in, $10 out per million tokens
# (openai.com/api/pricing, read 2026-11-21).
WEAK_NANOS, STRONG_NANOS = 210_000, 3_500_000


@pytest.fixture
def router(chat_openai: Any) -> RoutingChatModel:
    return RoutingChatModel(_two(chat_openai), policy=POLICY)


@pytest.fixture
def cascade(chat_openai: Any) -> RoutingChatModel:
    return RoutingChatModel(_two(chat_openai), policy=CASCADE)


def _two(chat_openai: Any) -> dict[str, Any]:
    make = {"stream_usage": True}
    return {"gatekeeper": chat_openai(WEAK, **make), "workhorse": chat_openai(STRONG, **make)}


def _models(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


@pytest.mark.parametrize("way", WAYS)
async def test_one_run_for_one_attempt(
    way: str, router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("so be it", usage=USAGE))
    runs, handler = Runs(), CostCallbackHandler(ledger)
    text = await WAYS[way](router, "prove it", {"callbacks": [runs, handler]})
    assert text == "so be it"
    assert runs.seen == [
        "RoutingChatModel start", "LLM start", "LLM end", "RoutingChatModel end"
    ]  # fmt: skip
    chain, model = runs.parents
    assert (runs.parents[chain], runs.parents[model]) == (None, chain)
    (row,) = ledger.attempts()
    assert (row.model, row.provider, row.status, row.purpose) == (STRONG, "openai", "ok", "answer")
    assert row.cost_usd is not None
    assert row.cost_usd * 10**9 == STRONG_NANOS
    assert row.decision is not None
    assert row.decision["routing"]["reason"] == "rule:proof"
    assert _models(scripted) == [STRONG]


@pytest.mark.parametrize("way", WAYS)
async def test_the_bill_is_the_sum_of_all_attempts_of_a_cascade(
    way: str, cascade: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("perhaps", usage=USAGE), Reply("it is sure", usage=USAGE))
    runs, handler = Runs(), CostCallbackHandler(ledger)
    text = await WAYS[way](cascade, "is it?", {"callbacks": [runs, handler]})
    assert text == "it is sure"
    assert runs.seen.count("LLM start") == runs.seen.count("LLM end") == 2
    assert runs.seen.count("RoutingChatModel start") == 1
    rows = list(ledger.attempts())
    assert [(row.model, row.purpose) for row in rows] == [(WEAK, "draft"), (STRONG, "answer")]
    assert len({row.operation_id for row in rows}) == 1
    assert handler.total.cost_usd * 10**9 == WEAK_NANOS + STRONG_NANOS
    assert ledger.totals()[0].cost_usd == handler.total.cost_usd


@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_that_holds_is_the_answer(
    way: str, cascade: RoutingChatModel, scripted: ScriptedServer, handler: CostCallbackHandler
) -> None:
    scripted.script(Reply("for sure"))
    assert await WAYS[way](cascade, "is it?", {"callbacks": [handler]}) == "for sure"
    assert _models(scripted) == [WEAK]


async def test_the_decision_is_on_the_answer_and_in_both_runs(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    runs = Runs()
    answer = router.invoke("prove it", {"callbacks": [runs]})
    said = {"candidate": "workhorse", "tier": "workhorse", "reason": "rule:proof"}
    assert answer.response_metadata["frugal"] == said
    assert answer.response_metadata["model_name"] == STRONG
    assert runs.metadata["LLM"]["frugal"] == said
    assert runs.metadata["LLM"]["ls_model_name"] == STRONG
    assert runs.metadata["RoutingChatModel"]["frugal"]["expected_nanos"].keys() == {
        "gatekeeper", "workhorse"
    }  # fmt: skip
    stream = router.stream_events("prove it", version="v3")
    assert stream.output.response_metadata["frugal"] == said
    result = router.generate([router._convert_input("prove it").to_messages()])
    assert result.generations[0][0].message.response_metadata["frugal"] == said  # type: ignore[union-attr]


async def test_all_ways_of_a_stream_say_it_once(router: RoutingChatModel) -> None:
    merged: Any = None
    for chunk in router.stream("prove it"):
        merged = chunk if merged is None else merged + chunk
    assert merged.response_metadata["frugal"]["candidate"] == "workhorse"
    merged = None
    async for chunk in router.astream("prove it"):
        merged = chunk if merged is None else merged + chunk
    assert merged.response_metadata["frugal"]["candidate"] == "workhorse"


def test_a_cascade_says_that_it_waited_and_for_whom(
    cascade: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("for sure"))
    (chunk,) = cascade.stream("is it?")
    assert chunk.response_metadata["frugal"]["buffered"] is True
    assert chunk.chunk_position == "last"  # type: ignore[union-attr]  # as a model's own last one
    scripted.script(Reply("perhaps"), Reply("it is sure"))
    mark = cascade.invoke("is it?").response_metadata["frugal"]
    assert mark["candidate"] == "workhorse"
    assert mark["why"].startswith("escalation: ")
    assert mark["others"] == [{"candidate": "gatekeeper", "why": "user"}]


def test_a_routed_stream_is_handed_on_as_it_comes(
    router: RoutingChatModel, chat_openai: Any, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("one two three", chunk_delay_s=0.02))
    plain = [c.content for c in chat_openai(STRONG, stream_usage=True).stream("prove it")]
    stream = router.stream("prove it")
    pieces = [next(stream)]
    assert scripted.requests[-1].chunks_sent < 4
    pieces += stream
    assert [piece.content for piece in pieces] == plain


async def test_a_stream_left_early_is_booked_as_such(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("one two three four", chunk_delay_s=0.02))
    runs, handler = Runs(), CostCallbackHandler(ledger)
    config: Any = {"callbacks": [runs, handler]}
    stream: Any = router.stream("hello", config)
    next(stream)
    stream.close()
    astream: Any = router.astream("hello", config)
    await anext(astream)
    await astream.aclose()
    assert runs.seen.count("LLM error") == 2
    assert runs.seen.count("RoutingChatModel end") == 2
    assert [row.status for row in ledger.attempts()] == ["aborted", "aborted"]


@pytest.mark.parametrize("way", ["stream", "astream", "v3", "av3"])
async def test_a_stream_never_goes_back_to_a_draft(
    way: str, chat_openai: Any, scripted: ScriptedServer
) -> None:
    """Whole, the draft is better than a refusal; in pieces the refusal has been seen already."""
    checks = (UserCheck(says_sure), refusal)
    policy = RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=checks))
    router = RoutingChatModel(_two(chat_openai), policy=policy)
    sorry = "I'm sorry, but I can't help with that."
    scripted.script(*[Reply("perhaps"), Reply(sorry)] * 2)
    assert await WAYS["invoke"](router, "is it?", {}) == "perhaps"
    assert await WAYS[way](router, "is it?", {}) == sorry


async def test_the_events_of_version_2_show_each_text_once(
    router: RoutingChatModel, cascade: RoutingChatModel, scripted: ScriptedServer
) -> None:
    async def texts(model: RoutingChatModel, kind: str) -> str:
        chain = RunnableLambda(str) | model  # the router is not the outermost run
        events = [e async for e in chain.astream_events("prove it", version="v2")]
        ours = [e for e in events if e["event"] == kind and e["name"] != "RunnableSequence"]
        return "".join(str(getattr(e["data"]["chunk"], "text", "")) for e in ours)

    scripted.script(Reply("so be it"))
    assert await texts(router, "on_chat_model_stream") == "so be it"
    scripted.script(Reply("perhaps"), Reply("it is sure"))
    assert await texts(cascade, "on_chat_model_stream") == "it is sure"
    scripted.script(Reply("perhaps"), Reply("it is sure"))
    assert await texts(cascade, "on_chain_stream") == "it is sure"
    scripted.script(Reply("for sure"))
    assert await texts(cascade, "on_chain_stream") == "for sure"


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_graph_streams_each_text_once(
    sync: bool, router: RoutingChatModel, cascade: RoutingChatModel, scripted: ScriptedServer
) -> None:
    async def texts(model: RoutingChatModel) -> list[str]:
        def ask(state: MessagesState) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        async def aask(state: MessagesState) -> Any:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph: Any = StateGraph(MessagesState).add_node("ask", ask if sync else aask)
        app = graph.add_edge(START, "ask").compile()
        start = {"messages": [("user", "is it?")]}
        if sync:
            shown = list(app.stream(start, stream_mode="messages"))
        else:
            shown = [piece async for piece in app.astream(start, stream_mode="messages")]
        return [str(message.text) for message, _ in shown if message.text]

    scripted.script(Reply("so be it"))
    assert await texts(router) == ["so ", "be ", "it"]
    scripted.script(Reply("perhaps"), Reply("it is sure"))
    assert await texts(cascade) == ["it ", "is ", "sure"]
    scripted.script(Reply("for sure"))
    assert await texts(cascade) == ["for sure"]  # whole, once it was known to be kept


async def test_many_requests_at_once_keep_their_own_decisions(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(usage=USAGE, delay_s=0.01))
    questions = [f"prove {n}" if n % 2 else f"tell {n}" for n in range(20)]
    with track_cost(ledger) as spent:
        answers = await router.abatch(questions)
        answers += router.batch(questions)
    tiers = [answer.response_metadata["frugal"]["candidate"] for answer in answers]
    assert tiers == ["gatekeeper", "workhorse"] * 20
    assert [answer.text for answer in answers] == questions * 2
    rows = list(ledger.attempts())
    assert all(
        row.decision and row.decision["routing"]["tier"]
        == ("workhorse" if row.model == STRONG else "gatekeeper")
        for row in rows
    )  # fmt: skip
    assert spent.cost_usd * 10**9 == 20 * (WEAK_NANOS + STRONG_NANOS)
    assert len(rows) == 40


async def test_a_cancelled_request_asks_nobody_else(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("late", delay_s=5))
    runs = Runs()
    config: Any = {"callbacks": [runs, CostCallbackHandler(ledger)]}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(router.ainvoke("prove it", config), 0.2)
    await asyncio.sleep(0.6)
    assert _models(scripted) == [STRONG]
    assert runs.seen[-1] == "RoutingChatModel error"
    assert [row.status for row in ledger.attempts()] == ["aborted"]


def test_several_answers_of_one_request_all_come(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("a"))
    messages = router._convert_input("prove it").to_messages()
    result = router.generate([messages], n=3, callbacks=[CostCallbackHandler(ledger)])
    assert [generation.text for generation in result.generations[0]] == ["a", "a", "a"]
    assert len(list(ledger.attempts())) == 1


def test_callbacks_and_tags_of_the_router_hold_for_its_models(
    chat_openai: Any, ledger: Ledger
) -> None:
    router = RoutingChatModel(
        _two(chat_openai),
        callbacks=[CostCallbackHandler(ledger)],
        tags=["shop"],
        metadata={"tenant": "acme"},
    )
    router.invoke("hello")
    (row,) = ledger.attempts()
    assert (row.tags["tags"], row.tags["tenant"]) == ("shop", "acme")


@pytest.mark.parametrize(("given", "sent"), [(0, [0, 0.7]), (None, [None, None])])
def test_the_second_answer_of_an_agreement_is_a_new_one(
    given: Any, sent: list[Any], chat_openai: Any, scripted: ScriptedServer
) -> None:
    assert CASCADE.cascade is not None
    policy = replace(CASCADE, cascade=replace(CASCADE.cascade, samples=2))
    tiers = _two(chat_openai)
    tiers["gatekeeper"] = chat_openai(WEAK, temperature=given, cache=InMemoryCache())
    scripted.script(Reply("sure: 4"), Reply("sure: 5"), Reply("sure: 6"))
    answer = RoutingChatModel(tiers, policy=policy).invoke("how many?")
    assert answer.text == "sure: 6"
    assert [r.body.get("temperature") for r in scripted.requests[:2]] == sent


def test_a_direct_call_of_the_inner_hooks_is_routed_too(router: RoutingChatModel) -> None:
    messages = router._convert_input("prove it").to_messages()
    result: ChatResult = router._generate(messages)
    assert isinstance(result.generations[0], ChatGeneration)
    assert isinstance(result.generations[0].message, AIMessage)
    assert [chunk.text for chunk in router._stream(messages) if chunk.text] == ["prove ", "it"]


# -- what the caller says of the run -----------------------------------------------------------


def test_the_run_has_the_name_and_the_id_that_it_was_given(router: RoutingChatModel) -> None:
    runs, id_ = Runs(), uuid.uuid4()
    router.invoke("hi", {"callbacks": [runs], "run_name": "mine", "run_id": id_})
    assert runs.seen[0] == "mine start"
    assert next(iter(runs.parents)) == id_


def test_of_several_prompts_the_first_run_has_the_given_id(router: RoutingChatModel) -> None:
    runs, id_ = Runs(), uuid.uuid4()
    prompts = [router._convert_input(text).to_messages() for text in ("hi", "prove it")]
    router.generate(prompts, callbacks=[runs], run_id=id_)
    chains = [run for run, parent in runs.parents.items() if parent is None]
    assert (len(chains), chains[0]) == (2, id_)


def test_what_is_bound_reaches_the_model_through_generate(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    messages = router._convert_input("hi").to_messages()
    router.generate([messages], tools=tools, temperature=0.3)
    sent = scripted.requests[-1].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f"]
    assert sent["temperature"] == 0.3


async def test_a_direct_call_of_the_async_hook_is_routed_too(router: RoutingChatModel) -> None:
    messages = router._convert_input("prove it").to_messages()
    message = (await router._agenerate(messages)).generations[0].message
    assert message.response_metadata["model_name"].startswith(STRONG)


async def test_a_config_of_a_models_own_holds_for_its_calls(
    chat_openai: Any, scripted: ScriptedServer
) -> None:
    tiers = {"workhorse": chat_openai(STRONG).with_config(metadata={"team": "blue"})}
    router = RoutingChatModel(tiers)
    schema = {"title": "a", "type": "object", "properties": {"b": {"type": "string"}}}
    scripted.always(Reply('{"b": "c"}'))
    for model in (router, router.with_structured_output(schema)):
        runs = Runs()
        model.invoke("hi", {"callbacks": [runs]})
        assert runs.metadata["LLM"]["team"] == "blue"


# -- the router's own limiter ------------------------------------------------------------------


class Turnstile(BaseRateLimiter):
    """Counts who goes through."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    def acquire(self, *, blocking: bool = True) -> bool:
        self.passed.append("sync")
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.passed.append("async")
        return True


async def test_a_limiter_on_the_router_is_asked_once_for_each_request(chat_openai: Any) -> None:
    turnstile = Turnstile()
    router = RoutingChatModel(_two(chat_openai), policy=POLICY, rate_limiter=turnstile)
    router.decide("hi")
    assert turnstile.passed == []
    router.invoke("hi")
    await router.ainvoke("hi")
    list(router.stream("hi"))
    assert turnstile.passed == ["sync", "async", "sync"]


# -- streams -----------------------------------------------------------------------------------


async def test_a_model_that_cannot_be_streamed_answers_in_one_piece(chat_openai: Any) -> None:
    router = RoutingChatModel(_two(chat_openai), policy=POLICY, disable_streaming=True)
    (chunk,) = router.stream("prove it")
    assert chunk.text == "prove it"
    assert [piece.text async for piece in router.astream("prove it")] == ["prove it"]


@pytest.mark.parametrize("way", ["stream", "astream", "v3", "av3"])
async def test_streamed_answers_are_learned_from(
    way: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("so", usage=Tokens(fresh=50_000, visible=10)))
    await WAYS[way](router, "prove it", {"metadata": {"thread_id": "a"}})
    decision = router.decide("go on " * 20_000, {"metadata": {"thread_id": "a"}})
    weak, strong = (weighed.bill for weighed in decision.weighed)
    assert (weak.warm_tokens, strong.warm_tokens) == (0, strong.input_tokens)


class Held(FakeListChatModel):
    """Somebody else holds its streams too, so that nothing but closing ends them."""

    streams: list[Any] = Field(default_factory=list)

    def stream(self, *args: Any, **more: Any) -> Any:
        self.streams.append(super().stream(*args, **more))
        return self.streams[-1]

    def astream(self, *args: Any, **more: Any) -> Any:
        self.streams.append(super().astream(*args, **more))
        return self.streams[-1]


async def test_a_stream_left_early_closes_that_of_the_model() -> None:
    model = Held(responses=["one two three"])
    router = RoutingChatModel({"workhorse": model})
    stream: Any = router.stream("hello")
    next(stream)
    stream.close()
    assert model.streams[0].gi_frame is None
    astream: Any = router.astream("hello")
    await anext(astream)
    await astream.aclose()
    assert model.streams[1].ag_frame is None


async def test_a_stream_inside_a_sync_step_is_in_the_events_of_version_2(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    def answer(question: str) -> str:
        return "".join(chunk.text for chunk in router.stream(question))

    scripted.script(Reply("so be it"))
    events = [e async for e in RunnableLambda(answer).astream_events("prove it", version="v2")]
    ours = [
        e for e in events if e["event"] == "on_chain_stream" and e["name"] == "RoutingChatModel"
    ]
    assert "".join(e["data"]["chunk"].text for e in ours) == "so be it"


async def test_drafts_of_a_model_with_fallbacks_are_shown_to_nobody(
    chat_openai: Any, scripted: ScriptedServer
) -> None:
    tiers = _two(chat_openai)
    tiers["gatekeeper"] = tiers["gatekeeper"].with_fallbacks([chat_openai("o3")])
    chain = RunnableLambda(str) | RoutingChatModel(tiers, policy=CASCADE)
    scripted.script(Reply("perhaps"), Reply("it is sure"))
    events = [e async for e in chain.astream_events("is it?", version="v2")]
    shown = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(shown) == "it is sure"


async def test_drafts_of_structured_answers_are_shown_to_nobody(
    cascade: RoutingChatModel, scripted: ScriptedServer
) -> None:
    draft, kept = '{"title": "a draft"}', '{"title": "for sure"}'
    scripted.script(Reply(draft), Reply(kept))
    schema = {"title": "Book", "type": "object", "properties": {"title": {"type": "string"}}}
    chain = RunnableLambda(
        cascade.with_structured_output(schema, method="json_mode").invoke, name="chain"
    )
    events = [e async for e in chain.astream_events("is it? JSON", version="v2")]
    assert events[-1]["data"]["output"] == {"title": "for sure"}
    assert "a draft" not in "".join(
        str(e["data"]["chunk"].content) for e in events if e["event"] == "on_chat_model_stream"
    )


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_stream_of_events_that_broke_says_so_every_time(
    awaited: bool, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("one two three four", fail_after_chunks=2))
    if awaited:
        astream = await router.astream_events("prove it", version="v3")
        for _ in range(2):
            with pytest.raises(openai.APIError, match="server had an error"):
                async with asyncio.timeout(10):
                    await astream.output
        return
    stream = router.stream_events("prove it", version="v3")
    for _ in range(2):
        with pytest.raises(openai.APIError, match="server had an error"):
            _ = stream.output
