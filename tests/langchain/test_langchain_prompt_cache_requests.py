"""Requests of an agent with `PromptCacheMiddleware`: whose markers, on what; company and faults."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.memory import CompactionPolicy
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.routing import Keywords, RoutingPolicy, Rule
from frugal_chains.tokens import TokenCounter
from langchain_frugal import (
    CompactionMiddleware,
    CostCallbackHandler,
    PromptCacheMiddleware,
    RoutingMiddleware,
)
from langchain_frugal.prompt_cache._apply import Parts
from langchain_frugal.prompt_cache._marking import Around, Marking
from tests.langchain.caching import (
    SONNET,
    MakeModel,
    agent,
    bill,
    look,
    looks_and_answers,
    markers,
    thread,
    tokens_of,
    turns,
    unmarked,
    unmarked_lists,
    weigh,
)
from tests.langchain.remembering import (
    answers_and_summaries,
    asks_for_summary,
    refused,
    said,
)
from tests.servers import AnthropicPromptCache, Reply, ScriptedServer, ToolCall


class Found(BaseModel):
    """What was found."""

    grams: int


BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


def bodies(scripted: ScriptedServer) -> list[Any]:
    return [request.body for request in scripted.requests]


# -- whose markers ---------------------------------------------------------------------------------


def marked_text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}


def test_callers_markers_stay_where_they_are(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    asks = HumanMessage([marked_text(said(1, 30)), {"type": "text", "text": said(2)}], id="q")
    before = copy.deepcopy(asks)
    made.invoke({"messages": [asks]}, thread())
    body = scripted.requests[0].body
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert 2 <= len(markers(body)) <= 4
    assert asks == before


def test_five_markers_of_the_callers_become_four_and_no_message_is_changed(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    scripted.cache = AnthropicPromptCache()  # refuses more than four
    history = [
        message
        for number in range(5)
        for message in (
            HumanMessage([marked_text(said(number, 30))], id=f"q{number}"),
            AIMessage("Yes.", id=f"a{number}"),
        )
    ]
    given = [*history, HumanMessage("And now?", id="q")]
    before = copy.deepcopy(given)
    tools = [look.model_copy(update={"extras": {"cache_control": {"type": "ephemeral"}}})]
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(), tools=tools, checkpointer=None)
    made.invoke({"messages": given})
    body = scripted.requests[0].body
    assert len(markers(body)) == 4
    assert "cache_control" in body["tools"][0]
    assert "cache_control" not in body["messages"][0]["content"][0]
    assert given == before
    assert tools[0].extras == {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize("where", ["settings", "model", "binding"])
@pytest.mark.parametrize("count", [0, 3, 4])
def test_the_marker_beside_the_messages_counts_wherever_it_is_said(
    count: int, where: str, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    beside = {"cache_control": {"type": "ephemeral"}}
    model = chat_anthropic(SONNET, **({"model_kwargs": beside} if where == "model" else {}))
    if where == "binding":
        model = model.bind(**beside)

    class Says(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            settings = {**request.model_settings, **(beside if where == "settings" else {})}
            return handler(request.override(model_settings=settings))

    # LangChain's agents bind tools past whatever was bound before.
    tools = [] if where == "binding" else [look]
    made = agent(model, Says(), PromptCacheMiddleware(), tools=tools)
    blocks = [marked_text(said(number, 80)) for number in range(count)]
    asks = HumanMessage([*blocks, marked_text("And?")] if count == 3 else [*blocks, "And?"])
    if count == 4:
        asks = HumanMessage(blocks)
    made.invoke({"messages": [asks]}, thread())
    body = scripted.requests[0].body
    assert 1 <= len(markers(body)) <= 4
    assert ("cache_control" in body) == (count == 0)
    own = [block for block in body["messages"][0]["content"] if "cache_control" in block]
    assert len(own) >= count


def test_a_long_marker_of_the_callers_behind_a_short_one_becomes_short(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """The provider refuses the request as it was."""
    scripted.always(Reply("Yes."))
    scripted.cache = AnthropicPromptCache()
    long = {**marked_text(said(2, 30)), "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    asks = HumanMessage([marked_text(said(1, 30)), long])
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    made.invoke({"messages": [asks]}, thread())
    content = scripted.requests[0].body["messages"][0]["content"]
    assert [block["cache_control"] for block in content] == [{"type": "ephemeral"}] * 2
    assert long["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_the_stock_middleware_before_it_keeps_its_markers(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(looks_and_answers)
    scripted.cache = AnthropicPromptCache()
    made = agent(
        chat_anthropic(SONNET), AnthropicPromptCachingMiddleware(), PromptCacheMiddleware()
    )
    for number in range(4):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    for body in bodies(scripted):
        assert body["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
        assert "cache_control" in body["tools"][-1]
        assert len(markers(body)) <= 4
    found = tokens_of(bodies(scripted))
    assert all(b.cache_read == a.input for a, b in pairwise(found))


def test_nothing_that_was_given_is_changed(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(looks_and_answers)
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    for number in range(4):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    state = made.get_state(thread()).values["messages"]
    assert "cache_control" not in str(state)
    assert look.extras is None
    assert markers(scripted.requests[-1].body)
    assert [refused(body) for body in bodies(scripted)] == [""] * len(bodies(scripted))


def test_the_bytes_are_those_without_the_middleware_but_for_the_markers(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """A text that becomes a list of one block is the same to the provider; nothing else changes."""

    scripted.always(looks_and_answers)
    sent = []
    for made in ([], [PromptCacheMiddleware()]):
        scripted.requests.clear()
        chat = agent(chat_anthropic(SONNET), *made)
        for number in range(3):
            chat.invoke({"messages": [HumanMessage(said(number))]}, thread())
        sent.append([json.dumps(body) for body in unmarked_lists(bodies(scripted))])
    assert sent[0] == sent[1]


# -- blocks of other kinds -------------------------------------------------------------------------


def test_images_thinking_and_empty_texts_are_sent_and_never_marked_where_they_may_not(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    thinking = {"type": "thinking", "thinking": said(3, 30), "signature": "s"}
    history = [
        HumanMessage([{"type": "text", "text": said(1, 60)}, image]),
        AIMessage([thinking, {"type": "text", "text": ""}]),
        HumanMessage([{"type": "text", "text": ""}, image]),
    ]
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(), checkpointer=None)
    made.invoke({"messages": history})
    body = scripted.requests[0].body
    assert markers(body)
    for message in body["messages"]:
        for block in message["content"]:
            assert block["type"] == "text" or "cache_control" not in block
    kinds = [[block["type"] for block in m["content"]] for m in body["messages"]]
    assert kinds == [["text", "image"], ["thinking"], ["image"]]


def test_another_image_is_another_request(chat_anthropic: MakeModel) -> None:
    marking, plans = Marking(), []
    for data in ("iVBORw0KGgo=", "iVBORw0KGgp=", "iVBORw0KGgp="):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        asks = HumanMessage([image, {"type": "text", "text": said(0, 90)}])
        parts = Parts(tools=[], messages=[asks], settings={})
        marked = marking.marked(chat_anthropic(SONNET), parts, Around(conversation=data))
        plans.append(marked.plan or CachePlan())
    assert [plan.read_tokens > 0 for plan in plans] == [False, False, True]


# -- together with others --------------------------------------------------------------------------


def test_a_summary_reads_what_the_conversation_has_left_and_writes_nothing(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    kinds: list[str] = []
    policy = CompactionPolicy(keep_tokens=600, least_dropped_tokens=50, limit_tokens=4_000)
    memory = CompactionMiddleware(
        policy, summarizer="same", cache_ttl="5m", recall_tokens=0,
        on_compaction=lambda event: kinds.append(event.kind),
    )  # fmt: skip
    made = agent(chat_anthropic(SONNET), memory, PromptCacheMiddleware())
    for number in range(14):
        made.invoke({"messages": [HumanMessage(said(number, 12))]}, thread())
    sent = bodies(scripted)
    found = tokens_of(sent)
    assert "aligned" in kinds
    plain = [
        [json.dumps((each["role"], part)) for each in body["messages"] for part in each["content"]]
        for body in unmarked_lists(sent)
    ]
    aligned = 0
    for at, body in enumerate(sent):
        if not asks_for_summary(body):
            continue
        assert found[at].cache_write == 0
        if "tools" in body:
            aligned += 1
            begins = [n for n in range(at) if plain[at][: len(plain[n])] == plain[n]]
            assert found[at].cache_read == max(found[n].input for n in begins)
    assert aligned == kinds.count("aligned") > 0
    compacted = next(at for at, body in enumerate(sent) if asks_for_summary(body))
    assert found[compacted + 1].cache_read > 1200  # tools and the system prompt at least
    assert bill(found) < 0.6 * bill(tokens_of(unmarked(sent)))


def test_recalled_text_is_not_written(chat_anthropic: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(Reply(said(1)))

    class Recalls(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            more = HumanMessage("Earlier: " + said(9), additional_kwargs={
                "lc_source": "summarization"})  # fmt: skip
            return handler(request.override(messages=[*request.messages, more]))

    made = agent(chat_anthropic(SONNET), Recalls(), PromptCacheMiddleware())
    for number in range(3):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    for body, each in zip(bodies(scripted), tokens_of(bodies(scripted)), strict=True):
        assert "cache_control" not in body["messages"][-1]["content"][-1]
        assert each.fresh > 100
    reads = [each.cache_read for each in tokens_of(bodies(scripted))]
    assert reads[2] > reads[1] > 1200


def test_what_follows_recalled_text_within_a_turn_is_read_again(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """Recalled once, behind the question: the calls and results behind it are the turn's own."""
    recalled = HumanMessage("Earlier: " + said(9), additional_kwargs={"lc_source": "summarization"})

    class Recalls(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            first, *rest = request.messages
            return handler(request.override(messages=[first, recalled, *rest]))

    scripted.script(
        *(Reply(tool_calls=(ToolCall("look", {"at": n}, f"toolu_{n}"),)) for n in range(4)),
        Reply("Done."),
    )
    made = agent(chat_anthropic(SONNET), Recalls(), PromptCacheMiddleware())
    made.invoke({"messages": [HumanMessage(said(0))]}, thread())
    found = tokens_of(bodies(scripted))
    assert found[0].fresh > 100
    assert [b.cache_read for b in found[2:]] == [a.input for a in found[1:-1]]


def test_an_answer_of_a_schema_is_asked_for_with_other_tools(
    chat_anthropic: MakeModel,
) -> None:
    """Without the schema nothing of that is read: a summary is not marked where it cannot be."""
    marking, parts = (
        Marking(),
        Parts(tools=[look], messages=[HumanMessage(said(0, 90))], settings={}),
    )
    model, call = chat_anthropic(SONNET), Around(conversation="one")
    first = marking.marked(model, parts, call, schema=ToolStrategy(Found))
    again = marking.marked(model, parts, call, schema=ToolStrategy(Found))
    other = marking.marked(model, parts, Around(conversation="one", summary=True))
    plans = [each.plan or CachePlan() for each in (first, again, other)]
    assert plans[1].read_tokens == plans[0].write_tokens > 1200
    assert (plans[2].read_tokens, plans[2].markers) == (0, ())


def test_each_model_of_a_router_is_marked_by_its_own_rules(
    chat_anthropic: MakeModel, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    routes = RoutingPolicy(rules=(Rule(name="odd", when=Keywords("heavy"), to="specialist"),))
    models = {"workhorse": chat_openai("gpt-4.1-mini"), "specialist": chat_anthropic(SONNET)}
    made = agent(
        chat_openai("gpt-4.1-mini"),
        RoutingMiddleware(models, policy=routes),
        PromptCacheMiddleware(salt="acme"),
    )
    for text in ("It is light.", "It is heavy.", "It is light.", "It is heavy."):
        made.invoke({"messages": [HumanMessage(f"{text} {said(1)}")]}, thread())
    openai = [r.body for r in scripted.requests if "chat/completions" in r.path]
    claude = [r.body for r in scripted.requests if r.path.endswith("/messages")]
    assert len(openai) == len(claude) == 2
    assert all(markers(body) for body in claude)
    assert all(not markers(body) for body in openai)
    keys = {body["prompt_cache_key"] for body in openai}
    assert len(keys) == 1
    assert "acme" not in keys.pop()
    assert all("prompt_cache_key" not in body for body in claude)
    reads = tokens_of(claude)
    assert reads[1].cache_read == reads[0].input


def test_another_model_begins_anew_and_the_first_is_not_forgotten(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    middleware = PromptCacheMiddleware()
    saver: dict[str, Any] = {}
    for number, name in enumerate([SONNET, "claude-sonnet-4-6", SONNET]):
        made = agent(chat_anthropic(name), middleware, **saver)
        saver = {"checkpointer": made.checkpointer}
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    first, other, again = tokens_of(bodies(scripted))
    assert other.cache_read == 0
    assert again.cache_read == first.input


# -- streams, switches, faults ---------------------------------------------------------------------


@BOTH
async def test_a_stream_is_marked_as_well(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    asks = {"messages": [HumanMessage(said(1))]}
    if sync:
        pieces = list(made.stream(asks, thread(), stream_mode="messages"))
    else:
        pieces = [p async for p in made.astream(asks, thread(), stream_mode="messages")]
    assert len(pieces) > 2
    assert scripted.requests[0].body["stream"] is True
    assert markers(scripted.requests[0].body)


@pytest.mark.parametrize("how", ["enabled", "configurable", "metadata"])
@BOTH
async def test_off_is_off(
    sync: bool, how: str, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(enabled=how != "enabled"))
    config = thread()
    if how != "enabled":
        config[how] = {**config.get(how, {}), "prompt_cache": False}
    await turns(made, sync, 2, config)
    assert [markers(body) for body in bodies(scripted)] == [[], []]


class FailingCounter(TokenCounter):
    def count_text(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no ranks")


class FailingPrices(PriceBook):
    def __init__(self) -> None:
        pass

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError("no prices")


@pytest.mark.parametrize(
    "broken",
    [
        lambda: PromptCacheMiddleware(counter=FailingCounter()),
        lambda: PromptCacheMiddleware(prices=FailingPrices()),
        lambda: PromptCacheMiddleware(volatile=lambda message: 1 / 0 > 0),
        lambda: PromptCacheMiddleware(
            counter=FailingCounter(), prices=FailingPrices(), diagnose=True
        ),
    ],
    ids=["counter", "prices", "predicate", "all"],
)
def test_whatever_fails_the_request_is_sent_as_it_was(
    broken: Any, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    for made in ([], [broken()]):
        chat = agent(chat_anthropic(SONNET), *made)
        assert chat.invoke({"messages": [HumanMessage("Is it?")]}, thread())["messages"]
    plain, ours = bodies(scripted)
    assert json.dumps(plain) == json.dumps(ours)


def test_the_log_has_the_kind_of_a_failure_and_no_words(
    chat_anthropic: MakeModel, scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def volatile(message: BaseMessage) -> bool:
        raise ValueError(f"what is {message.content}?")

    scripted.always(Reply("Yes."))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(volatile=volatile))
    made.invoke({"messages": [HumanMessage("My secret parcel.")]}, thread())
    assert "sent as it was" in caplog.text
    assert "ValueError" in caplog.text
    assert "parcel" not in caplog.text


@BOTH
async def test_usage_that_cannot_be_read_harms_no_answer(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer, monkeypatch: Any
) -> None:
    def reads(*given: Any, **named: Any) -> Any:
        raise ValueError("tokens below zero")

    monkeypatch.setattr("langchain_frugal.prompt_cache._misses.read_langchain_usage", reads)
    scripted.always(Reply("Yes."))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(diagnose=True))
    await turns(made, sync, 1)
    assert made.get_state(thread()).values["messages"][-1].content == "Yes."


def test_effects_are_signed_the_surcharge_first(
    chat_anthropic: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(looks_and_answers)
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    for number in range(3):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread(callbacks=[handler]))
    effects = [effect for effect in ledger.effects() if effect.lever == "prompt_cache.mark"]
    nets = [effect.net_nanos or 0 for effect in effects]
    assert len(effects) == 6
    assert nets[0] < 0 < min(nets[1:])
    operations = {attempt.operation_id for attempt in ledger.attempts()}
    assert {effect.operation_id for effect in effects} == operations


def test_tools_of_every_kind_are_marked_or_left_alone(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    search = {"type": "web_search_20250305", "name": "web_search"}
    big = weigh.model_copy(update={"description": said(5, 70)})
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(), tools=[big, search])
    made.invoke({"messages": [HumanMessage("Is it?")]}, thread())
    body = scripted.requests[0].body
    assert body["tools"][1] == {**search, "cache_control": {"type": "ephemeral"}}
    assert "cache_control" not in search
