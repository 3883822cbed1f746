"""`CompactionMiddleware` and checkpoints: threads, time travel, forks, undo, idle threads."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from frugal_chains import Ledger
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy
from langchain_frugal import CompactionMiddleware, CostCallbackHandler
from tests.langchain.caching import look
from tests.langchain.remembering import (
    EAGER,
    SUMMARY,
    answered_requests,
    answers_and_summaries,
    asks_for_summary,
    conversation,
    said,
    segments_in,
    summary_requests,
    texts,
)
from tests.servers import Reply, Request, ScriptedServer, ToolCall

MakeModel = Callable[..., Any]
BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
SAVERS = ["memory", "sqlite"]


@pytest.fixture
def answering(scripted: ScriptedServer) -> ScriptedServer:
    scripted.always(answers_and_summaries())
    return scripted


@pytest.fixture(params=SAVERS)
def saver(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    if importlib.util.find_spec("langgraph.checkpoint.sqlite") is None:
        pytest.skip("langgraph-checkpoint-sqlite is not installed")
    from langgraph.checkpoint.sqlite import SqliteSaver

    with ExitStack() as stack:
        yield stack.enter_context(SqliteSaver.from_conn_string(":memory:"))


def agent(model: Any, memory: Any, saver: Any = None) -> Any:
    return create_agent(
        model, [], system_prompt="You help.", middleware=[memory],
        checkpointer=saver if saver is not None else InMemorySaver(),
    )  # fmt: skip


def thread(name: str = "one", **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}, **more}


def ask(made: Any, config: Any, *numbers: int) -> None:
    for number in numbers:
        made.invoke({"messages": [HumanMessage(said(number))]}, config)


def saved(made: Any, config: Any) -> Any:
    return made.get_state(config).values


# -- threads, time travel, forks -----------------------------------------------------------------


def test_threads_do_not_know_of_each_other(
    saver: Any, chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER)
    made = agent(chat_openai(), memory, saver)
    for number in range(8):
        ask(made, thread("one"), number)
        if number < 3:
            ask(made, thread("two"), number + 100)
    one, two = (saved(made, thread(name)) for name in ("one", "two"))
    assert memory.compactions(one)
    assert not memory.compactions(two)
    assert "Point 10" not in json.dumps(one["frugal_memory"])
    assert one["frugal_memory"]["account"]["calls"] == 8
    assert two["frugal_memory"]["account"]["calls"] == 3


def test_a_new_process_goes_on_from_the_checkpoint(
    saver: Any, chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    first = CompactionMiddleware(EAGER, recall_tokens=0)
    ask(agent(chat_openai(), first, saver), thread(), *range(7))
    before = answered_requests(answering)[-1]["messages"]
    second = CompactionMiddleware(EAGER, recall_tokens=0)
    made = agent(chat_openai(), second, saver)
    ask(made, thread(), 7)
    now = answered_requests(answering)[-1]["messages"]
    assert segments_in({"messages": now})[0] == segments_in({"messages": before})[0]
    assert now[: len(before)] == before or len(segments_in({"messages": now})) == 2
    assert saved(made, thread())["frugal_memory"]["account"]["calls"] == 8


@BOTH
async def test_time_travel_to_before_a_compaction_and_on_from_there(
    sync: bool, chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER, recall_tokens=0)
    made = agent(chat_openai(), memory)
    ask(made, thread(), *range(9))
    history = list(made.get_state_history(thread()))
    whole = next(
        state for state in history
        if not state.next and not memory.compactions(state.values) and state.values["messages"]
    )  # fmt: skip
    count = len(whole.values["messages"])
    assert 6 <= count <= 12
    start = {"messages": [HumanMessage("Short.")]}
    # Back there nothing had been left out, and nothing is.
    _ = made.invoke(start, whole.config) if sync else await made.ainvoke(start, whole.config)
    sent = answered_requests(answering)[-1]["messages"]
    last = saved(made, thread())
    assert len(last["messages"]) == count + 2
    assert len(sent) == 1 + count + 1 or segments_in({"messages": sent})
    assert last["frugal_memory"]["account"]["calls"] == count // 2 + 1
    # The fork goes on, and is compacted by itself.
    ask(made, thread(), *range(20, 26))
    assert memory.compactions(saved(made, thread()))


def test_a_fork_that_edits_an_old_message_forgets_what_was_made_of_it(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER, recall_tokens=0)
    made = agent(chat_openai(), memory)
    ask(made, thread(), *range(7))
    values = saved(made, thread())
    assert memory.compactions(values)
    edited = values["messages"][0].model_copy(update={"content": "My code is 9999."})
    made.update_state(thread(), {"messages": [edited]})
    made.invoke({"messages": [HumanMessage("Well?")]}, thread())
    ids = [one.id for one in memory.compactions(saved(made, thread()))]
    assert ids
    assert ids[0] != memory.compactions(values)[0].id
    assert "9999" in json.dumps(answered_requests(answering)[-1])


def test_without_a_checkpointer_conversations_are_recognised(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    told: list[Any] = []
    memory = CompactionMiddleware(EAGER, summarizer="same", on_compaction=told.append)
    made = create_agent(chat_openai(), [], middleware=[memory])
    one: list[Any] = []
    two: list[Any] = []
    for number in range(10):
        for messages, name in ((one, "one"), (two, "two")):
            # As plain data: the graph gives each message a new id in every run.
            messages.append({"role": "user", "content": f"{name} {said(number)}"})
            end = made.invoke({"messages": [dict(each) for each in messages]})
            messages.append({"role": "assistant", "content": end["messages"][-1].content})
    assert 2 <= len(told) <= 8  # of 20 calls
    assert len(summary_requests(answering)) == len(told)
    assert len({event.id for event in told}) == len(told)


# -- looking and undoing -------------------------------------------------------------------------


def test_undone_messages_come_back_and_stay(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    policy = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50, limit_tokens=1_500)
    memory = CompactionMiddleware(policy, recall_tokens=0)
    made = agent(chat_openai(), memory)
    ask(made, thread(), *range(9))
    values = saved(made, thread())
    first, *_ = memory.compactions(values)
    assert said(0) not in json.dumps(answered_requests(answering)[-1])
    roomy = CompactionMiddleware(
        CompactionPolicy(keep_tokens=200, least_dropped_tokens=50), recall_tokens=0
    )
    more = agent(chat_openai(), roomy, made.checkpointer)
    more.update_state(thread(), memory.undone(values, first.id))
    assert memory.compactions(saved(more, thread())) == ()
    ask(more, thread(), 9)
    assert said(0) in json.dumps(answered_requests(answering)[-1])
    assert not segments_in(answered_requests(answering)[-1])
    with pytest.raises(MemoryPlanError, match=first.id):
        memory.undone(saved(more, thread()), first.id)


def test_a_preview_asks_nobody_and_changes_nothing(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory)
    assert memory.preview({"messages": conversation(9)}, thread()) is None
    ask(made, thread(), 0, 1, 2)
    values, sent = saved(made, thread()), len(answering.requests)
    quiet = memory.preview(values, thread())
    assert quiet is not None
    assert quiet.plan is None
    more = {**values, "messages": [*values["messages"], *conversation(6)]}
    decision = memory.preview(more, thread())
    assert decision is not None
    assert decision.plan is not None
    assert decision.plan.before_tokens > 1_500 > decision.plan.after_tokens
    assert len(answering.requests) == sent
    assert saved(made, thread()) == values


def test_a_state_that_cannot_be_read_is_begun_anew(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER)
    made = agent(chat_openai(), memory)
    ask(made, thread(), *range(7))
    for damaged in ({"version": 99}, {"version": 1, "segments": 5}, {"x": "y"}):
        made.update_state(thread(), {"frugal_memory": damaged})
        ask(made, thread(), 8)
        assert saved(made, thread())["frugal_memory"]["account"]["calls"] == 1


# -- idle threads --------------------------------------------------------------------------------

QUIET = CompactionPolicy(keep_tokens=1_500)
"""Of Claude Sonnet: what is kept is enough to be cached."""


@BOTH
async def test_an_idle_thread_is_compacted_before_its_cache_expires(
    sync: bool, chat_anthropic: MakeModel, answering: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    memory = CompactionMiddleware(QUIET, summarizer="same", cache_ttl="5m", recall_tokens=0)
    made = agent(chat_anthropic("claude-sonnet-4-5"), memory)
    config = thread(callbacks=[handler])
    ask(made, config, *range(10))
    start = {"messages": [HumanMessage("Well?")]}
    _ = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    values = saved(made, thread())
    assert not memory.compactions(values)
    at_s = memory.idle_at_s(values, thread())
    called_s = values["frugal_memory"]["account"]["at_s"]
    assert at_s is not None
    assert 240 <= at_s - called_s <= 300
    assert memory.idle_at_s(values, thread("other")) is None
    before = len(answering.requests)
    id = (
        memory.compact_idle(made, config, return_share=1.0)
        if sync
        else await memory.acompact_idle(made, config, return_share=1.0)
    )
    assert id is not None
    (asked,) = [request.body for request in answering.requests[before:]]
    assert asks_for_summary(asked)
    (segment,) = memory.compactions(saved(made, thread()))
    assert (segment.id, segment.text.endswith(SUMMARY)) == (id, True)
    assert len(saved(made, thread())["messages"]) == 22
    ask(made, thread(), 99)
    last = answered_requests(answering)[-1]
    assert segments_in(last)
    assert said(99) in texts(last["messages"][-1])
    purposes = {line.key["purpose"]: line.attempts for line in ledger.totals(by=["purpose"])}
    assert purposes["summary"] == len(summary_requests(answering))


def test_a_thread_that_goes_on_meanwhile_is_left_alone(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    memory = CompactionMiddleware(QUIET, summarizer="same", cache_ttl="5m")
    made = agent(chat_anthropic("claude-sonnet-4-5"), memory)

    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            made.update_state(thread(), {"messages": [HumanMessage("Wait, one more thing.")]})
            return Reply(SUMMARY)
        return Reply("Fine.")

    scripted.always(reply)
    for number in range(25):
        ask(made, thread(), number)
    before = memory.compactions(saved(made, thread()))
    assert memory.compact_idle(made, thread(), return_share=1.0) is None
    assert memory.compactions(saved(made, thread())) == before
    assert saved(made, thread())["messages"][-1].content == "Wait, one more thing."


@BOTH
async def test_a_run_that_waits_for_somebodys_word_goes_on_as_it_stood(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return Reply(SUMMARY)
        if "tool_result" in str(request.body["messages"][-1]):
            return Reply("It is there.")
        return Reply(tool_calls=(ToolCall("look", {"at": 1}, "toolu_1"),))

    scripted.always(reply)
    memory = CompactionMiddleware(QUIET, summarizer="same", cache_ttl="5m")
    asks = HumanInTheLoopMiddleware(interrupt_on={"look": True})
    made: Any = create_agent(
        chat_anthropic("claude-sonnet-4-5"), [look], middleware=[memory, asks],
        checkpointer=InMemorySaver(),
    )  # fmt: skip
    made.invoke({"messages": [*conversation(10), HumanMessage("Where is it?")]}, thread())
    before = made.get_state(thread())
    assert before.interrupts
    id = (
        memory.compact_idle(made, thread(), return_share=1.0)
        if sync
        else await memory.acompact_idle(made, thread(), return_share=1.0)
    )
    assert id is None
    assert made.get_state(thread()).interrupts == before.interrupts
    end = made.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread())
    assert end["messages"][-1].content == "It is there."


def test_nothing_is_done_for_threads_that_this_process_does_not_know(
    chat_openai: MakeModel, answering: ScriptedServer
) -> None:
    memory = CompactionMiddleware(EAGER, summarizer="same")
    made = agent(chat_openai(), memory)
    assert memory.compact_idle(made, thread("new")) is None
