"""A `SummarizingMemory` as JSON, over other stores, and shared by threads and tasks."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store import BaseChatStore, SimpleChatStore
from llama_index.core.tools import FunctionTool
from pydantic import ValidationError

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, WaterMark
from llama_index_frugal import SummarizingMemory, SummaryMemoryBlock
from tests.llama_index.remembering import (
    EARLY,
    SUMMARY,
    answers,
    ask,
    asks_for_summary,
    check_tool_pairs,
    goes_on_with,
    memory_of,
    question,
    summaries,
    talk,
    texts,
    user,
    words,
)
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]


WAYS_THROUGH_JSON: dict[str, Callable[[SummarizingMemory, Any], SummarizingMemory]] = {
    "to_json": lambda m, llm: SummarizingMemory.from_json(m.to_json(), llm=llm, summarizer="same"),
    "to_string": lambda m, llm: SummarizingMemory.from_string(
        m.to_string(), llm=llm, summarizer="same"
    ),
    "to_dict": lambda m, llm: SummarizingMemory.from_dict(
        json.loads(json.dumps(m.to_dict())), llm=llm, summarizer="same"
    ),
    "deepcopy": lambda m, llm: copy.deepcopy(m),
    "model_copy": lambda m, llm: m.model_copy(deep=True),
}


@pytest.mark.parametrize("way", WAYS_THROUGH_JSON)
def test_what_is_read_goes_on_with_the_same_requests(
    way: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt=""
    )
    for at in range(8):
        ask(memory, llm, at)
    memory.put(user(question(8)))
    memory.get()
    before = memory.to_json()
    read = WAYS_THROUGH_JSON[way](memory, llm)
    assert (read.state, read.compactions) == (memory.state, memory.compactions)
    scripted.requests.clear()
    for one in (memory, read):
        one.put(llm.chat(one.get()).message)  # decided before, so not again
        for at in range(9, 15):
            ask(one, llm, at)
    mine, theirs = scripted.requests[: len(scripted.requests) // 2], scripted.requests
    assert [r.body for r in mine] == [r.body for r in theirs[len(mine) :]]
    assert read.to_json() != before
    assert [e.id for e in read.compactions] == [e.id for e in memory.compactions]


def test_a_shallow_copy_has_a_state_of_its_own() -> None:
    memory = memory_of()
    goes_on_with(memory, 4)
    before = memory.state
    other = copy.copy(memory)
    other.put(user(question(4)))
    other.get()
    assert (memory.state, other.state.account.calls) == (before, 5)
    for one in (memory, other):
        assert SummarizingMemory.from_json(one.to_json()).state == one.state


@pytest.mark.parametrize(
    "kept",
    [
        {"state": "my key is sk-1", "answered": "", "compactions": []},
        {"state": None, "answered": "", "compactions": [{"my key is sk-1": 1}]},
        {"state": None, "answered": "", "compactions": 3},
        {},
    ],
    ids=["state", "event", "number", "nothing"],
)
def test_what_cannot_be_read_is_begun_anew_and_not_logged(
    kept: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    memory = memory_of()
    goes_on_with(memory, 8)
    written = memory.to_dict()
    kept = {**kept, "state": kept.get("state") or written["kept"]["state"]} if kept else kept
    read = SummarizingMemory.from_dict({**written, "kept": kept})
    assert (read.state.segments, read.compactions) == ((), ())
    assert read.get_all() == memory.get_all()
    assert "sk-1" not in caplog.text


def test_keys_are_not_printed(openai_llm: Make) -> None:
    llm = openai_llm(api_key="sk-very-secret")
    assert "sk-very-secret" in repr(llm)
    memory = SummarizingMemory.from_defaults(llm=llm, summarizer=llm)
    assert "sk-very-secret" not in repr((memory, SummaryMemoryBlock(llm=llm)))


def test_what_is_written_of_a_memory_and_pickled_can_be_read() -> None:
    memory = memory_of()
    memory.put(
        ChatMessage(
            role="user",
            blocks=[TextBlock(text="look"), ImageBlock(image=b"abc", image_mimetype="image/png")],
        )
    )
    goes_on_with(memory, 8)
    for read in (
        pickle.loads(pickle.dumps(memory)),
        SummarizingMemory.model_validate_json(memory.model_dump_json()),
    ):
        assert isinstance(read, SummarizingMemory)
        assert read.get() == memory.get()
        assert read.state == memory.state
        assert read.policy == EARLY


def test_nothing_that_is_an_object_is_written_down(openai_llm: Make) -> None:
    memory = SummarizingMemory.from_defaults(
        llm=openai_llm(), summarizer="same", tools=[question], pin=lambda m: False
    )
    written = memory.to_dict()
    assert not {"llm", "summarizer", "tools", "pin", "archive"} & written.keys()
    assert "api_key" not in memory.to_json()
    read = SummarizingMemory.from_dict(written)
    assert read.get() == []


def test_options_that_make_no_sense_are_refused(openai_llm: Make) -> None:
    with pytest.raises(MemoryPlanError, match="token_budget"):
        SummarizingMemory.from_defaults(token_budget=3)
    with pytest.raises(MemoryPlanError, match="llm="):
        SummarizingMemory.from_defaults(summarizer="same")


# -- stores, threads and tasks -------------------------------------------------------------------


class Remote(BaseChatStore):
    """Hands out new objects each time, as stores in databases do."""

    inner: SimpleChatStore = SimpleChatStore()

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        self.inner.set_messages(key, [*messages])

    def get_messages(self, key: str) -> list[ChatMessage]:
        return [m.model_copy(deep=True) for m in self.inner.get_messages(key)]

    def add_message(self, key: str, message: ChatMessage) -> None:
        self.inner.add_message(key, message)

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        return self.inner.delete_messages(key)

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        return self.inner.delete_message(key, idx)

    def delete_last_message(self, key: str) -> ChatMessage | None:
        return self.inner.delete_last_message(key)

    def get_keys(self) -> list[str]:
        return self.inner.get_keys()


async def test_messages_may_be_in_any_store() -> None:
    near, far = memory_of(), memory_of(chat_store=Remote(inner=SimpleChatStore()))
    for message in talk(9):
        near.put(message)
        await far.aput(message)
        if message.role == "user":
            assert near.get() == await far.aget() == far.get()
    assert near.compactions
    assert [e.id for e in near.compactions] == [e.id for e in far.compactions]
    await far.areset()
    assert far.get() == []


def test_threads_share_a_memory(scripted: ScriptedServer, openai_llm: Make) -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def reply(request: Any) -> Reply:
        if not asks_for_summary(request):
            return Reply(words("So"))
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.05)
        with lock:
            running.pop()
        return Reply(SUMMARY)

    scripted.always(reply)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt=""
    )
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda at: ask(memory, llm, at), range(24)))
    assert len(memory.get_all()) == 48
    assert {m.content for m in memory.get_all()} >= {question(at) for at in range(24)}
    assert memory.compactions
    assert max(most) == 1  # one at a time compacts
    ids = [segment.id for segment in memory.state.segments]
    assert set(ids) <= {event.id for event in memory.compactions}
    ends = [segment.end for segment in memory.state.segments]
    assert ends == sorted(set(ends))
    memory.put(user("the end"))
    assert memory.get()[-1].content == "the end"


async def test_tasks_share_a_memory(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt="", chat_history=[*talk(6)]
    )
    memory.put(user(question(6)))
    views = await asyncio.gather(*(memory.aget() for _ in range(8)))
    assert len(summaries(scripted)) == 1
    assert memory.state.account.calls == 1
    assert all(view[-1].content == question(6) for view in views)
    assert [len(view) for view in views].count(13) == 7  # those beside it do not wait for it
    assert len(memory.get()) < 13


async def test_an_answer_that_is_given_up_loses_nothing(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(lambda r: Reply(SUMMARY, delay_s=0.4) if asks_for_summary(r) else Reply("So"))
    memory = SummarizingMemory.from_defaults(
        llm=openai_llm(), policy=EARLY, summarizer="same", system_prompt="",
        chat_history=[*talk(6)],
    )  # fmt: skip
    memory.put(user(question(6)))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(memory.aget(), 0.1)
    assert memory.state.account.calls == 0
    assert len(memory.get_all()) == 13
    assert len(await memory.aget()) < 13  # the next one may compact
    assert len(memory.compactions) == 1


def said_in(memory: SummarizingMemory) -> list[tuple[str, int, str]]:
    """The segments, but for their sizes, which are those for the model that answers."""
    return [(segment.id, segment.end, segment.text) for segment in memory.state.segments]


@pytest.mark.parametrize("way", ["reset", "areset"])
async def test_a_turn_under_way_leaves_nothing_of_what_was_forgotten(
    way: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(Reply(SUMMARY, delay_s=0.2))
    memory = SummarizingMemory.from_defaults(
        llm=openai_llm(), policy=EARLY, summarizer="same", system_prompt="",
        chat_history=[*talk(6)],
    )  # fmt: skip
    memory.put(user(question(6)))
    turn = asyncio.create_task(memory.aget())
    while not summaries(scripted):
        await asyncio.sleep(0.005)
    if way == "reset":
        memory.reset()
    else:
        await memory.areset()
    view = await turn
    assert len(view) < 13  # whoever asked has an answer
    assert memory.state == SummarizingMemory.from_defaults().state
    assert memory.compactions == ()
    assert "W4711" not in memory.to_json()


def test_options_that_are_set_later_hold_from_then_on(
    scripted: ScriptedServer, openai_llm: Make, anthropic_llm: Make
) -> None:
    scripted.always(Reply(words("So")))
    memory = memory_of(policy=CompactionPolicy(keep_tokens=10**6))
    goes_on_with(memory, 9)
    assert not memory.compactions
    memory.policy = EARLY
    goes_on_with(memory, 1, first=9)
    assert len(memory.compactions) == 1
    segments = said_in(memory)
    with pytest.raises(ValidationError):
        memory.policy = None  # type: ignore[assignment]
    assert memory.policy == EARLY
    memory.tools = [question]
    memory.model, memory.provider = "", ""
    memory.llm = anthropic_llm("claude-sonnet-4-5")
    ask(memory, memory.llm, 10)
    assert said_in(memory) == segments
    assert memory.state.account.head.startswith("anthropic:claude-sonnet-4-5:")
    assert memory.state.account.calls == 11
    assert [type(tool) for tool in memory.tools] == [FunctionTool]


def test_a_provider_that_is_switched_in_the_middle(
    scripted: ScriptedServer, openai_llm: Make, anthropic_llm: Make
) -> None:
    """Summaries stay, word for word; only the cache is another one, and the account knows it."""
    answers(scripted)
    memory = SummarizingMemory.from_defaults(
        llm=openai_llm("gpt-4o"), policy=EARLY, summarizer="same", system_prompt=""
    )
    for at in range(9):
        ask(memory, openai_llm("gpt-4o"), at)
    segments = said_in(memory)
    assert segments
    spent_before = memory.state.account.spent_nanos
    other = anthropic_llm("claude-sonnet-4-5")
    memory = SummarizingMemory.from_dict(
        memory.to_dict(),
        llm=other,
        summarizer="same",
        cache_ttl="5m",
        policy=CompactionPolicy(trigger=WaterMark(high_tokens=10**6)),
    )
    ask(memory, other, 9)
    account = memory.state.account
    assert said_in(memory) == segments
    # Written anew as a whole: 3.75 dollars for a million tokens (platform.claude.com, 2026-11).
    paid = account.spent_nanos - spent_before
    assert paid == pytest.approx(account.sent_tokens * 3_750, rel=0.01)
    last = scripted.requests[-1]
    assert last.path.endswith("messages")
    check_tool_pairs(last.body)
    assert json.dumps(segments[0][2])[1:-1] in texts(last.body)
    for at in range(10, 14):
        ask(memory, other, at)
    assert len(memory.get_all()) == 28
    assert memory.state.account.calls == 14
