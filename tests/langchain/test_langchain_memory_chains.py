"""`compact_messages` in chains and graphs, and `FaithfulSummarizer` in LangChain's middleware."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.tools import tool

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import MemoryStates
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy
from langchain_frugal import CostCallbackHandler, FaithfulSummarizer, compact_messages
from langchain_frugal._who import who
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
    tool_round,
)
from tests.servers import OpenAIPromptCache, Reply, Request, ScriptedServer

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "You help people with parcels."), MessagesPlaceholder("history"), ("human", "{q}")]
)


@tool
def look(at: int) -> str:
    """Looks at the page of a number."""
    return said(at, 12)


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"session_id": name}, **more}


async def ask(
    chain: Any, sync: bool, history: list[BaseMessage], text: str, config: Any = None
) -> None:
    given = {"history": history, "q": text}
    answer = chain.invoke(given, config) if sync else await chain.ainvoke(given, config)
    history += [HumanMessage(text), answer]


# -- chains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s1", ""], ids=["named", "recognised"])
@BOTH
async def test_a_chain_sends_the_same_beginning_until_the_next_compaction(
    sync: bool, name: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    model = chat_openai().bind_tools([look])
    compact = compact_messages(model, policy=EAGER, summarizer="same", recall_tokens=0)
    chain = PROMPT | compact | model
    history: list[BaseMessage] = []
    for number in range(14):
        await ask(chain, sync, history, said(number), named(name) if name else None)
    sent = answered_requests(scripted)
    seen = [len(segments_in(body)) for body in sent]
    assert max(seen) >= 3
    for (before, now), (first, second) in zip(pairwise(seen), pairwise(sent), strict=True):
        assert second["messages"][0]["content"] == "You help people with parcels."
        if before == now:
            assert common_start(first, second) == len(first["messages"])
    # Each summary was asked for once.
    assert len(summary_requests(scripted)) == max(seen)


def test_a_summary_is_asked_for_behind_the_very_same_bytes(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    scripted.cache = OpenAIPromptCache()
    kinds: list[str] = []
    model = chat_openai("gpt-5.1").bind_tools([look]).with_config(tags=["mine"])
    policy = CompactionPolicy(keep_tokens=600, least_dropped_tokens=50, limit_tokens=4_000)
    compact = compact_messages(
        model, policy=policy, summarizer="same", on_compaction=lambda e: kinds.append(e.kind)
    )
    chain, history = PROMPT | compact | model, conversation(0)
    for number in range(20):
        chain_answer = chain.invoke({"history": history, "q": said(number, 12)}, named("s1"))
        history += [HumanMessage(said(number, 12)), chain_answer]
    assert set(kinds) == {"aligned"}
    for before, asks in pairwise([request.body for request in scripted.requests]):
        if asks_for_summary(asks):
            *shown, _ = asks["messages"]
            assert shown == before["messages"][: len(shown)]
            assert asks["tools"] == before["tools"]


@BOTH
async def test_summaries_are_booked_as_such(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(answers_and_summaries())
    model = chat_openai()
    compact = compact_messages(
        model, policy=EAGER, summarizer=chat_openai("gpt-4.1-nano"), recall_tokens=0
    )
    history: list[BaseMessage] = []
    config = named("s1", callbacks=[handler], metadata={"tenant": "acme"})
    for number in range(10):
        await ask(PROMPT | compact | model, sync, history, said(number), config)
    lines = {
        (line.key["purpose"], line.key["tenant"], line.key["model"]): line.attempts
        for line in ledger.totals(by=["purpose", "tenant", "model"])
    }
    assert lines[("answer", "acme", "gpt-4o-mini")] == 10
    assert lines[("summary", "acme", "gpt-4.1-nano")] == len(summary_requests(scripted)) >= 2
    effects = [effect for effect in ledger.effects() if effect.lever == "memory.compact"]
    operations = {attempt.operation_id for attempt in ledger.attempts()}
    assert len(operations) == 10
    assert effects
    assert {effect.operation_id for effect in effects} <= operations


def test_the_same_kind_comes_back(chat_openai: MakeModel) -> None:
    history = [*conversation(10), HumanMessage("Well?")]
    before = copy.deepcopy(history)
    compact = compact_messages("gpt-4o-mini", policy=EAGER)
    listed = compact.invoke(history)
    value = compact.invoke(ChatPromptValue(messages=history))
    state = compact.invoke({"messages": history, "other": 1})
    assert isinstance(listed, list)
    assert isinstance(value, ChatPromptValue)
    assert set(state) == {"llm_input_messages"}
    assert [m.content for m in listed] == [m.content for m in value.messages]
    assert [m.content for m in listed] == [m.content for m in state["llm_input_messages"]]
    assert len(listed) < len(history)
    assert history == before
    text = StringPromptValue(text="Well?")
    assert compact.invoke(text) is text
    assert compact.invoke([]) == []
    assert compact.invoke([("human", "Well?")])[0].content == "Well?"
    with pytest.raises(MemoryPlanError, match="int"):
        compact.invoke(5)


def test_switched_off_it_does_nothing() -> None:
    history = [*conversation(10), HumanMessage("Well?")]
    assert len(compact_messages(policy=EAGER, enabled=False).invoke(history)) == 21
    off = {"configurable": {"compact": False}}
    assert len(compact_messages(policy=EAGER).invoke(history, off)) == 21
    assert len(compact_messages(policy=EAGER).invoke(history)) < 21


def test_a_hook_of_langgraphs_react_agent(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the function is deprecated, and used
        from langgraph.prebuilt import create_react_agent

        scripted.always(answers_and_summaries())
        model = chat_openai()
        hook = compact_messages(model, policy=EAGER, tools=[look])
        made = create_react_agent(model, [look], pre_model_hook=hook)
    history = [*conversation(4), *[HumanMessage("Look."), *tool_round(1), AIMessage("Seen.")]]
    end = made.invoke({"messages": [*history, *conversation(4), HumanMessage("Well?")]})
    (sent,) = answered_requests(scripted)
    assert segments_in(sent)
    assert refused(sent) == ""
    assert len(end["messages"]) == 23


@pytest.mark.parametrize("name", ["s1", ""], ids=["named", "recognised"])
@BOTH
async def test_a_request_that_is_made_again_is_one_turn(
    sync: bool, name: str, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries(lambda request: Reply(f"Facts:\n{id(request)}")))
    told: list[Any] = []
    compact = compact_messages(
        chat_openai(), policy=EAGER, summarizer="same", on_compaction=told.append
    )
    given = [*conversation(10), HumanMessage("Well?")]
    config = named(name) if name else None
    views = [
        compact.invoke(given, config) if sync else await compact.ainvoke(given, config)
        for _ in range(3)
    ]
    assert [m.content for m in views[0]] == [m.content for m in views[1]]
    assert [m.content for m in views[0]] == [m.content for m in views[2]]
    assert len(told) == len(summary_requests(scripted)) == 1
    calls = compact._conversations.states.get("s1").account.calls
    assert calls == (1 if name else 0)


def test_undo(chat_openai: MakeModel) -> None:
    states = MemoryStates()
    policy = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50)
    compact = compact_messages("gpt-4o-mini", policy=policy, states=states)
    history = [*conversation(10), HumanMessage("Well?")]
    assert len(compact.invoke(history, named("s1"))) < 21
    (segment,) = states.get("s1").segments
    compact.undo("s1", segment.id)
    assert len(compact.invoke(history, named("s1"))) == 21
    with pytest.raises(MemoryPlanError):
        compact.undo("s1", segment.id)


def test_same_needs_a_model() -> None:
    with pytest.raises(MemoryPlanError, match="needs the model itself"):
        compact_messages("gpt-4o-mini", summarizer="same")


def test_who_answers(chat_openai: MakeModel, chat_anthropic: MakeModel) -> None:
    model = chat_openai("gpt-5.1")
    expected = ("gpt-5.1", "openai")
    assert who(model) == expected
    assert who(model.bind_tools([look])) == expected
    assert who(model.with_config(tags=["x"])) == expected
    assert who(model.with_fallbacks([chat_anthropic()])) == expected
    assert who(model.bind(model="gpt-5-mini")) == ("gpt-5-mini", "openai")
    assert who(model, {"model": "gpt-5-nano"}) == ("gpt-5-nano", "openai")
    assert who("openai:gpt-5.1") == expected
    assert who("gpt-5.1") == ("gpt-5.1", "")
    assert who(object()) == ("", "")


# -- at the same time ----------------------------------------------------------------------------


def test_threads_on_one_conversation_pay_for_one_summary(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    started = threading.Event()

    def slow(request: Request) -> Reply:
        started.set()
        return Reply(SUMMARY, delay_s=0.3)

    scripted.always(answers_and_summaries(slow))
    states = MemoryStates()
    model = chat_openai()
    compact = compact_messages(model, policy=EAGER, summarizer="same", states=states)
    history = conversation(10)

    def view(number: int) -> list[BaseMessage]:
        if number:
            started.wait(10)
        found: list[BaseMessage] = compact.invoke(
            [*history, HumanMessage(f"Question {number}")], named("s1")
        )
        return found

    with ThreadPoolExecutor(6) as pool:
        views = list(pool.map(view, range(6)))
    assert len(summary_requests(scripted)) == 1
    assert [each[-1].content for each in views] == [f"Question {number}" for number in range(6)]
    (segment,) = states.get("s1").segments
    assert segment.text.endswith(SUMMARY)


async def test_tasks_on_one_conversation_pay_for_one_summary(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries(lambda request: Reply(SUMMARY, delay_s=0.2)))
    states = MemoryStates()
    compact = compact_messages(chat_openai(), policy=EAGER, summarizer="same", states=states)
    history = conversation(10)
    asked = [[*history, HumanMessage(f"Question {number}")] for number in range(6)]
    views = await asyncio.gather(*(compact.ainvoke(each, named("s1")) for each in asked))
    assert len(summary_requests(scripted)) == 1
    assert [each[-1].content for each in views] == [f"Question {number}" for number in range(6)]
    assert len(states.get("s1").segments) == 1


async def test_forks_of_a_conversation_without_a_name_do_not_disturb_each_other(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    told: list[Any] = []
    compact = compact_messages("gpt-4o-mini", policy=EAGER, on_compaction=told.append)
    trunk = conversation(6)
    compact.invoke([*trunk, HumanMessage("Which way?")])
    assert len(told) == 1
    for number in range(3):
        for way in ("left", "right"):
            fork = [*trunk, HumanMessage("Which way?"), AIMessage(way)]
            fork += conversation(number, size=2)
            view = compact.invoke([*fork, HumanMessage("And?")])
            assert [m.content for m in view].count(way) == 1
    assert len(told) == 1


# -- LangChain's own middleware ------------------------------------------------------------------


def stock(model: Any, summarizer: Any) -> Any:
    middleware = SummarizationMiddleware(
        model, trigger=("tokens", 1_000), keep=("messages", 2), summarizer=summarizer,
        trim_tokens_to_summarize=None,
    )  # fmt: skip
    return create_agent(model, [], middleware=[middleware])


@BOTH
async def test_the_summarizer_of_the_stock_middleware_sees_everything(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(answers_and_summaries())
    made = stock(chat_openai(), FaithfulSummarizer(chat_openai("gpt-4.1-nano")))
    start = {"messages": [*conversation(150, size=12), HumanMessage("Well?")]}
    config: Any = {"callbacks": [handler]}
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    asked = summary_requests(scripted)
    assert len(asked) >= 2  # in parts: it has some 80,000 tokens
    seen = "\n".join(texts(body["messages"][-1]) for body in asked)
    assert all(said(number, 12) in seen for number in range(150))
    assert SUMMARY.splitlines()[1] in str(end["messages"][0].content)
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes == {"answer": 1, "summary": len(asked)}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply("Error: overloaded"),
        Reply("I'm sorry, I can't do that."),
        Reply(""),
    ],
    ids=["error", "error text", "refusal", "nothing"],
)
@BOTH
async def test_it_never_answers_with_an_error(
    sync: bool, reply: Reply, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries(lambda request: reply))
    summarizer = FaithfulSummarizer(chat_openai(), summary_tokens=200)
    messages = conversation(10)
    text = summarizer.invoke(messages) if sync else await summarizer.ainvoke(messages)
    assert "Point 3" in text
    assert not {"Error", "sorry", "overloaded"} & set(text.split())
    assert len(summary_requests(scripted)) == 2


def test_without_a_model_it_picks_sentences() -> None:
    text = FaithfulSummarizer(summary_tokens=100).invoke(conversation(10))
    assert "Point 3" in text
    assert FaithfulSummarizer().invoke([]) == "(nothing to note)"
    with pytest.raises(MemoryPlanError, match="32"):
        FaithfulSummarizer(summary_tokens=5)


def test_pieces_are_json(chat_openai: MakeModel) -> None:
    """What is remembered can be kept anywhere."""
    states = MemoryStates()
    compact = compact_messages("gpt-4o-mini", policy=EAGER, states=states)
    compact.invoke([*conversation(10), HumanMessage("Well?")], named("s1"))
    state = states.get("s1")
    assert type(state).from_json(json.loads(json.dumps(state.to_json()))) == state


# -- an embedder for what is recalled --------------------------------------------------------------

TIGHT = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50, limit_tokens=2_400)


class Cupboards(Embeddings):
    """Knows that a cupboard is a locker, and nothing else; slow, if it has to be."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        time.sleep(self.seconds)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0] if "locker" in text or "cupboard" in text else [0.1, 1.0]


def asked_for_cupboard() -> list[BaseMessage]:
    locker = [HumanMessage("My locker is 8812-KX."), AIMessage("Noted. " + "rain " * 60)]
    return [*locker, *conversation(16), HumanMessage("Which cupboard is mine?")]


@pytest.mark.parametrize("embedder", [Cupboards(), Cupboards().embed_documents],
                         ids=["embeddings", "function"])  # fmt: skip
@BOTH
async def test_an_embedder_recalls_what_was_said_in_other_words(sync: bool, embedder: Any) -> None:
    def made(**options: Any) -> Any:
        return compact_messages("unheard-of", policy=TIGHT, recall_tokens=400, **options)

    async def sent(step: Any) -> str:
        given = asked_for_cupboard()
        step.invoke(given[:-1])
        found = step.invoke(given) if sync else await step.ainvoke(given)
        return "\n".join(message.text for message in found[-2:])

    assert "8812-KX" in await sent(made(embedder=embedder, alike=0.9))
    assert "8812-KX" not in await sent(made())


async def test_an_embedder_that_is_slow_holds_up_no_event_loop() -> None:
    step = compact_messages(
        "unheard-of", policy=TIGHT, recall_tokens=400, embedder=Cupboards(0.3), alike=0.9
    )
    pauses: list[float] = []

    async def others() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            pauses.append(now - last)
            last = now

    task = asyncio.create_task(others())
    found = await step.ainvoke(asked_for_cupboard())
    found = await step.ainvoke([*asked_for_cupboard(), AIMessage("It is."), HumanMessage("Sure?")])
    task.cancel()
    assert found
    assert len(pauses) > 20
    assert max(pauses) < 0.25
