"""`SummarizingChatHistory`, alone and in `RunnableWithMessageHistory`."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import MemoryStates
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, WaterMark
from langchain_frugal import CostCallbackHandler, SummarizingChatHistory, compact_messages
from langchain_frugal.memory._views import Views
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answered_requests,
    answers_and_summaries,
    conversation,
    said,
    segments_in,
    summary_requests,
    texts,
)
from tests.servers import Reply, Request, ScriptedServer

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "You help people with parcels."), MessagesPlaceholder("history"), ("human", "{q}")]
)


class Store(BaseChatMessageHistory):
    """A store of the user's: it gives out new objects, and fails when it is told to."""

    def __init__(self) -> None:
        self.kept: list[BaseMessage] = []
        self.fails = False

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        return [message.model_copy() for message in self.kept]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        if self.fails:
            raise OSError("the store is away")
        self.kept += messages

    def clear(self) -> None:
        self.kept = []


def with_history(chain: Any, get: Callable[[str], Any], **keys: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the class is deprecated, and used
        from langchain_core.runnables.history import RunnableWithMessageHistory

        return RunnableWithMessageHistory(chain, get, **keys)


def session(name: str = "s1", **more: Any) -> dict[str, Any]:
    return {"configurable": {"session_id": name}, **more}


@pytest.fixture(autouse=True)
def no_more_warnings_than_langchain_has() -> Iterator[None]:
    """Ours is no deprecated class, though its base is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SummarizingChatHistory().add_messages([HumanMessage("Hi")])
        yield


# -- alone ---------------------------------------------------------------------------------------


@BOTH
async def test_what_is_handed_out_is_short_and_what_is_kept_is_whole(sync: bool) -> None:
    store = Store()
    history = SummarizingChatHistory(store, model="gpt-4o-mini", policy=EAGER)
    messages = conversation(12)
    if sync:
        history.add_messages(messages)
        view, full = history.messages, history.full_messages
    else:
        await history.aadd_messages(messages)
        view, full = await history.aget_messages(), await history.aget_full_messages()
    assert [m.content for m in full] == [m.content for m in messages]
    assert store.kept == messages
    assert len(view) < 12
    assert str(view[0].content).startswith("[Summary of earlier messages]")
    assert view[-1].content == messages[-1].content
    assert history.compactions[0].id == view[0].id
    _ = history.clear() if sync else await history.aclear()
    assert (store.kept, history.messages, history.compactions) == ([], [], ())


def test_the_same_history_is_the_same_view_until_something_is_added() -> None:
    told: list[Any] = []
    history = SummarizingChatHistory(model="gpt-4o-mini", policy=EAGER, on_compaction=told.append)
    history.add_messages(conversation(12))
    first = history.messages
    first_copy = [*first]
    first.clear()  # a caller may do what it wants with its list
    assert history.messages == first_copy
    history.add_messages([HumanMessage("Well?")])
    assert history.messages[: len(first_copy)] == first_copy
    assert len(told) == 1


def test_messages_can_be_added_one_by_one() -> None:
    history = SummarizingChatHistory()
    history.add_user_message("Hi")
    history.add_ai_message("Hello")
    history.add_message(HumanMessage("Well?"))
    assert [m.content for m in history.messages] == ["Hi", "Hello", "Well?"]


def test_objects_of_one_conversation_share_what_is_remembered(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(answers_and_summaries())
    store, states = Store(), MemoryStates()
    store.kept = conversation(12)

    def fresh() -> SummarizingChatHistory:
        return SummarizingChatHistory(
            store, model=chat_openai(), policy=EAGER, summarizer="same", states=states,
            conversation="s1",
        )  # fmt: skip

    views = [fresh().messages for _ in range(3)]
    assert [m.content for m in views[0]] == [m.content for m in views[1]]
    assert len(summary_requests(scripted)) == 1
    assert fresh().compactions[0].text.endswith(SUMMARY)
    fresh().clear()
    assert fresh().compactions == ()


def test_undo() -> None:
    policy = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50)
    history = SummarizingChatHistory(model="gpt-4o-mini", policy=policy)
    history.add_messages(conversation(12))
    assert len(history.messages) < 24
    history.undo(history.compactions[0].id)
    assert len(history.messages) == 24
    with pytest.raises(MemoryPlanError):
        history.undo("cmp-unknown")


def test_a_store_that_fails_loses_nothing_of_what_it_has() -> None:
    store = Store()
    history = SummarizingChatHistory(store, model="gpt-4o-mini", policy=EAGER)
    history.add_messages(conversation(12))
    view = history.messages
    store.fails = True
    with pytest.raises(OSError, match="away"):
        history.add_messages([HumanMessage("Lost")])
    assert history.messages == view
    assert len(history.full_messages) == 24
    store.fails = False
    history.add_messages([HumanMessage("Kept")])
    assert history.messages[-1].content == "Kept"


def test_a_summary_of_somebody_elses_is_a_message_like_any_other() -> None:
    history = SummarizingChatHistory()
    theirs = HumanMessage("Earlier: parcels.", additional_kwargs={"lc_source": "summarization"})
    history.add_messages([theirs])
    assert history.full_messages == [theirs]


def test_a_view_that_is_added_again_adds_no_summary() -> None:
    history = SummarizingChatHistory(model="gpt-4o-mini", policy=EAGER)
    history.add_messages(conversation(12))
    summary = history.messages[0]
    history.add_messages([summary, HumanMessage("Well?")])
    assert [m.content for m in history.full_messages[24:]] == ["Well?"]


@BOTH
async def test_a_history_that_cannot_be_read_is_handed_out_whole(sync: bool) -> None:
    def pin(message: BaseMessage) -> bool:
        raise RuntimeError("no idea")

    history = SummarizingChatHistory(policy=EAGER, pin=pin)
    history.add_messages(conversation(12))
    assert len(history.messages if sync else await history.aget_messages()) == 24
    chain = compact_messages(policy=EAGER, pin=pin)
    given = conversation(12)
    assert (chain.invoke(given) if sync else await chain.ainvoke(given)) == given


def test_switched_off_it_is_the_inner_history() -> None:
    history = SummarizingChatHistory(policy=EAGER, enabled=False)
    history.add_messages(conversation(12))
    assert history.messages == history.full_messages


def test_shared_states_need_a_name_and_same_a_model() -> None:
    with pytest.raises(MemoryPlanError, match="conversation="):
        SummarizingChatHistory(states=MemoryStates())
    with pytest.raises(MemoryPlanError, match="model="):
        SummarizingChatHistory(summarizer="same", model="gpt-4o-mini")


# -- in a chain with history ---------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [True, False], ids=["placeholder", "in front of the input"])
@BOTH
async def test_every_message_is_kept_once(
    sync: bool, keyed: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.always(answers_and_summaries())
    stores: dict[str, SummarizingChatHistory] = {}
    model = chat_openai()

    def get(session_id: str) -> SummarizingChatHistory:
        if session_id not in stores:
            stores[session_id] = SummarizingChatHistory(
                Store(), model=model, policy=EAGER, summarizer="same"
            )
        return stores[session_id]

    if keyed:
        chain = with_history(PROMPT | model, get, input_messages_key="q",
                             history_messages_key="history")  # fmt: skip
    else:
        chain = with_history(model, get)
    config = session(callbacks=[handler])
    for number in range(12):
        given: Any = {"q": said(number)} if keyed else [HumanMessage(said(number))]
        _ = chain.invoke(given, config) if sync else await chain.ainvoke(given, config)
    full = stores["s1"].full_messages
    assert [m.content for m in full[::2]] == [said(number) for number in range(12)]
    assert [m.type for m in full] == ["human", "ai"] * 12
    sent = answered_requests(scripted)
    assert segments_in(sent[-1])
    assert len(sent[-1]["messages"]) < 15
    assert said(11) in texts(sent[-1]["messages"][-1])
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes == {"answer": 12, "summary": len(summary_requests(scripted))}
    assert {e.lever for e in ledger.effects()} == {"memory.compact"}


def test_turns_in_threads_lose_and_double_nothing(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    """Histories in front of the input are where LangChain cuts off what it has handed out."""
    gate = threading.Barrier(4)

    def reply(request: Request) -> Reply:
        if "Summarize the" in texts(request.body["messages"][-1]):
            return Reply(SUMMARY)
        gate.wait(20)  # all four read the history before one of them ends
        return Reply(said(1))

    store = Store()
    store.kept = conversation(4, ids=True)
    scripted.always(reply)
    model = chat_openai()
    history = SummarizingChatHistory(store, model=model, policy=EAGER)
    chain = with_history(PROMPT | model, lambda session_id: history, input_messages_key="q",
                         history_messages_key="history")  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: chain.invoke({"q": said(n)}, session()), range(10, 14)))
    kept = [str(m.content) for m in store.kept]
    assert len(kept) == 8 + 8
    assert sorted(kept[8::2]) == [said(number) for number in range(10, 14)]


@pytest.mark.parametrize("id", ["now", None], ids=["with ids", "without"])
def test_a_turn_that_ends_after_a_compaction_adds_no_old_message_again(id: str | None) -> None:
    """`RunnableWithMessageHistory` adds what is behind as many messages as there are at its end."""
    store = Store()
    store.kept = conversation(9, ids=id is not None)
    policy = CompactionPolicy(
        trigger=WaterMark(high_tokens=3_000), keep_tokens=200, least_dropped_tokens=50
    )
    history = SummarizingChatHistory(store, model="gpt-4o-mini", policy=policy)
    began_with = history.messages
    history.add_messages(conversation(11)[18:])  # another turn ends first
    question, answer = HumanMessage("Well?", id=id), AIMessage("Fine.")
    at_the_end = history.messages
    assert len(at_the_end) < len(began_with)
    history.add_messages([*[*began_with, question][len(at_the_end) :], answer])
    assert [m.content for m in store.kept[18:]] == [
        *(m.content for m in conversation(11)[18:]), "Well?", "Fine.",
    ]  # fmt: skip


def test_what_somebody_says_again_after_a_compaction_is_kept() -> None:
    """It reads as the end of an older view, and is none."""
    views, again = Views(), [HumanMessage("Yes."), AIMessage("Fine.")]
    views.hand_out(["a", "b", "c", "d"], [*conversation(1), *again])
    views.hand_out(["e", "f"], conversation(1))
    assert views.new_in(again) == again
    assert views.new_in([*again, HumanMessage("Well?")]) == [HumanMessage("Well?")]


async def test_turns_in_tasks(chat_openai: MakeModel, scripted: ScriptedServer) -> None:
    scripted.always(answers_and_summaries(lambda request: Reply(SUMMARY, delay_s=0.1)))
    store, states = Store(), MemoryStates()
    store.kept = conversation(12)
    model = chat_openai()

    def get(session_id: str) -> SummarizingChatHistory:
        return SummarizingChatHistory(
            store, model=model, policy=EAGER, summarizer="same", states=states,
            conversation=session_id,
        )  # fmt: skip

    chain = with_history(PROMPT | model, get, input_messages_key="q",
                         history_messages_key="history")  # fmt: skip
    await asyncio.gather(*(chain.ainvoke({"q": said(n)}, session()) for n in range(20, 25)))
    assert len(summary_requests(scripted)) == 1
    assert len(store.kept) == 24 + 10
    assert isinstance(store.kept[-1], AIMessage)
    (segment,) = states.get("s1").segments
    assert segment.text.endswith(SUMMARY)
