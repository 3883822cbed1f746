"""`SummarizingMemory` by itself: when it decides, what it keeps, and what may go wrong."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store import BaseChatStore, SimpleChatStore
from workflows.context.serializers import JsonSerializer

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import Compaction
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, RentEqualsBuy
from llama_index_frugal import SummarizingMemory, pinned, track_cost
from tests.llama_index.remembering import (
    EARLY,
    SUMMARY,
    answers,
    asked,
    asks_for_summary,
    assistant,
    check_tool_pairs,
    question,
    rewrites,
    summaries,
    talk,
    texts,
    user,
    words,
)
from tests.own_time import own_seconds
from tests.servers import Reply, ScriptedServer, ToolCall

Make = Callable[..., Any]


def memory_of(**options: Any) -> SummarizingMemory:
    known = {"model": "gpt-4o-mini", "provider": "openai", "policy": EARLY}
    return SummarizingMemory.from_defaults(**{**known, **options})


def goes_on(memory: SummarizingMemory, turns: int, first: int = 0) -> list[list[str | None]]:
    """Puts and gets so many turns; the texts that were to be sent in each."""
    views = []
    for at in range(first, first + turns):
        memory.put(user(question(at)))
        views.append([m.content for m in memory.get()])
        memory.put(assistant(words(f"Answer {at}")))
    return views


def ask(memory: SummarizingMemory, llm: Any, at: int) -> None:
    memory.put(user(question(at)))
    memory.put(llm.chat(memory.get()).message)


# -- when it decides -----------------------------------------------------------------------------


async def test_what_was_decided_is_not_decided_again() -> None:
    told: list[Compaction] = []
    memory = memory_of(on_compaction=told.append)
    goes_on(memory, 8)
    memory.put(user(question(8)))
    first, state = memory.get(), memory.state
    assert memory.compactions == tuple(told) != ()
    again = [memory.get(), await memory.aget(), memory.get(input=question(8)), await memory.aget()]
    assert again == [first] * 4
    assert memory.state == state
    assert memory.compactions == tuple(told)
    memory.put(assistant("So."))
    assert [*first, memory.get_all()[-1]] == memory.get()  # to read it is no call
    assert memory.state == state


async def test_with_await_and_without_is_the_same() -> None:
    one, other = memory_of(), memory_of()
    for message in talk(9):
        one.put(message)
        await other.aput(message)
        if message.role == "user":
            assert one.get() == await other.aget()
    assert [e.id for e in one.compactions] == [e.id for e in other.compactions] != []


def test_preview_changes_nothing() -> None:
    memory = memory_of()
    goes_on(memory, 5)
    memory.put(user(question(5)))
    before = memory.state
    decision = memory.preview()
    assert decision.reason == "water_mark"
    assert decision.plan is not None
    assert memory.state == before
    memory.get()
    assert memory.compactions[0].id == decision.plan.id


def test_the_prices_of_the_model_decide_by_default() -> None:
    """The cheaper the cache, the later: Sonnet's reads cost a tenth, GPT-4o's a half."""

    def first_at(**who: str) -> int:
        memory = SummarizingMemory.from_defaults(cache_ttl="5m", **who)
        for at in range(60):
            memory.put(user(question(at)))
            memory.get()
            if memory.compactions:
                return at
            memory.put(assistant(words("So")))
        return 60

    sonnet = first_at(model="claude-sonnet-4-5", provider="anthropic")
    assert 5 < first_at(model="gpt-4o", provider="openai") < sonnet < 60


def test_the_window_of_the_llm_is_the_limit(openai_llm: Make) -> None:
    lazy = CompactionPolicy(trigger=RentEqualsBuy(regret=1e-9))
    memory = SummarizingMemory.from_defaults(llm=openai_llm("gpt-4"), policy=lazy)  # 8,192 tokens
    views = goes_on(memory, 20)
    assert {e.reason for e in memory.compactions} >= {"limit"}
    assert max(sum(len(str(text)) for text in view) for view in views) < 4 * 6_144


# -- what stays ----------------------------------------------------------------------------------


def test_everything_is_kept_and_the_view_is_stable() -> None:
    memory = memory_of()
    views = goes_on(memory, 30)
    assert [m.content for m in memory.get_all()] == [m.content for m in talk(30)]
    changed = [
        n for n in range(1, 30) if views[n][: len(views[n - 1])] != views[n - 1]
    ]
    assert len(changed) == len(memory.compactions)
    assert len(changed) < 12
    assert all(view[-1] == question(at) for at, view in enumerate(views))


def test_system_and_pinned_messages_stay() -> None:
    memory = memory_of(pin=lambda m: "PIN-ME" in str(m.content))
    memory.put(ChatMessage("Be brief.", role="system"))
    memory.put(pinned(user("I am allergic to nuts.")))
    memory.put(user("PIN-ME"))
    goes_on(memory, 20)
    said = [m.content for m in memory.get()]
    assert len(memory.compactions) > 2
    assert said[:3] == ["Be brief.", "I am allergic to nuts.", "PIN-ME"]
    assert said[3] != question(0)


def test_recalled_text_stands_behind_the_question() -> None:
    memory = memory_of(recall_tokens=400)
    memory.put(user("By the way, my locker code is 7731-B."))
    memory.put(assistant("Noted."))
    goes_on(memory, 12)
    code = "What was my locker code again?"
    ahead = memory.get(input=code)  # as engines ask, which put the question later
    assert "7731-B" in str(ahead[-1].content)
    assert code not in [m.content for m in ahead]
    memory.put(user(code))
    view = memory.get()
    assert [m.content for m in view[:-2]] == [m.content for m in ahead[:-1]]
    assert view[-2].content == code
    assert view[-1].content == ahead[-1].content


def test_callers_messages_are_not_changed() -> None:
    given = [*talk(12)]
    before = [m.model_dump_json() for m in given]
    memory = memory_of(chat_history=given)
    memory.put(user(question(99)))
    view = memory.get()
    view.clear()
    memory.get_all().clear()
    assert len(given) == 24
    assert len(memory.get_all()) == 25
    assert [m.model_dump_json() for m in given] == before
    assert all(one is other for one, other in zip(given, memory.get_all(), strict=False))


def test_set_and_reset() -> None:
    memory = memory_of()
    goes_on(memory, 8)
    memory.put(user(question(8)))
    view = memory.get()
    memory.set(memory.get_all())
    assert memory.get() == view  # the same conversation, so the same summaries
    edited = [user("something else"), *memory.get_all()[1:]]
    memory.set(edited)
    assert memory.get() == edited  # a summary of what nobody has said is none
    memory.reset()
    assert memory.get_all() == memory.get() == []
    assert memory.compactions == ()
    assert memory.state.account.calls == 0


async def test_set_and_reset_with_await() -> None:
    memory = memory_of()
    await memory.aset([*talk(8)])
    await memory.aput_messages([*talk(2, first=8)])
    assert [m.content for m in await memory.aget_all()] == [m.content for m in talk(10)]
    await memory.areset()
    assert await memory.aget_all() == []


# -- undo, events, effects -----------------------------------------------------------------------


def test_undo_brings_messages_back() -> None:
    memory = memory_of()
    goes_on(memory, 12)
    first, *later = memory.compactions
    assert later
    with pytest.raises(MemoryPlanError, match="no compaction"):
        memory.undo("cmp-unknown")
    memory.undo(first.id)
    assert memory.get() == memory.get_all()
    memory.put(user(question(12)))
    assert memory.get() == memory.get_all()  # and what comes back stays
    assert memory.compactions[0] == first  # it did happen


def test_events_say_what_was_done_and_who_listens_may_fail() -> None:
    told: list[Compaction] = []

    def listens(event: Compaction) -> None:
        told.append(event)
        raise RuntimeError

    memory = memory_of(on_compaction=listens, chat_store_key="tom")
    goes_on(memory, 6)
    (event,) = told
    assert (event.conversation, event.reason, event.kind) == ("tom", "water_mark", "digest")
    assert event.after_tokens < event.before_tokens
    assert event.messages > 3
    assert memory.compactions == (event,)
    assert memory.state.segments[0].id == event.id


def test_effects_sum_to_what_was_saved(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    answers(scripted)
    llm = openai_llm("gpt-4o")
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt=""
    )
    with track_cost(ledger):
        for at in range(12):
            ask(memory, llm, at)
    found = list(ledger.effects())
    assert {effect.lever for effect in found} == {"memory.compact"}
    account = memory.state.account
    net = sum(effect.net_nanos or 0 for effect in found)
    assert net == pytest.approx(account.unmanaged_nanos - account.spent_nanos, abs=len(found))
    assert any((effect.net_nanos or 0) < 0 for effect in found)  # compacting costs at first
    rows = list(ledger.attempts())
    assert [row.purpose for row in rows].count("summary") == len(memory.compactions) == 3
    assert [row.purpose for row in rows].count("answer") == 12
    made = next(row for row in rows if row.purpose == "summary")
    assert made.decision == {"memory": {"summary": "aligned"}}


def test_an_idle_conversation_is_compacted_before_its_cache_expires(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(llm=llm, summarizer="same", system_prompt="")
    assert memory.idle_at_s() is None  # nothing has been asked yet
    for at in range(10):
        ask(memory, llm, at)
    at_s = memory.idle_at_s()
    assert at_s is not None
    assert time.time() < at_s < time.time() + 3600
    assert memory.compact_idle(return_share=0.0) is None  # nobody comes back
    event = memory.compact_idle(return_share=1.0)
    assert event is not None
    assert event.reason == "idle"
    assert memory.compactions == (event,)
    assert str(memory.get()[0].content).startswith("[Summary")
    assert asyncio.run(memory.acompact_idle()) is None  # there is nothing left to drop


# -- summarisers that fail -----------------------------------------------------------------------

GARBAGE = {
    "error": Reply(status=500),
    "nothing": Reply(""),
    "refusal": Reply("I'm sorry, but I can't help with that."),
    "tool call": Reply(None, tool_calls=(ToolCall("look_up", {"order": "W1"}),)),
    "traceback": Reply("Traceback (most recent call last):\n  File x\nValueError: boom"),
    "lost connection": Reply(disconnect=True),
}


@pytest.mark.parametrize("reply", GARBAGE)
@pytest.mark.parametrize("way", ["same", "other"])
def test_a_summariser_that_always_fails_fails_no_answer(
    way: str, reply: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(lambda r: GARBAGE[reply] if asks_for_summary(r) else Reply(words("So")))
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm,
        policy=EARLY,
        summarizer="same" if way == "same" else openai_llm("gpt-4o"),
        system_prompt="",
    )
    for at in range(14):
        ask(memory, llm, at)
    assert len(memory.get_all()) == 28
    assert rewrites(asked(scripted)) == []  # nothing was lost, nothing changed
    assert not memory.compactions
    assert 2 <= len(summaries(scripted)) <= 8  # 2 each, after ever longer waits


def test_at_the_limit_a_failing_summariser_leaves_room_all_the_same(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    scripted.always(lambda r: Reply(status=500) if asks_for_summary(r) else Reply(words("So")))
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, token_limit=3_000, policy=None or CompactionPolicy(keep_tokens=600),
        summarizer="same", system_prompt="",
    )  # fmt: skip
    for at in range(14):
        ask(memory, llm, at)
    assert {event.kind for event in memory.compactions} == {"digest"}
    assert max(len(texts(body)) for body in asked(scripted)) < 4 * 3_000
    assert "order W4000" in texts(asked(scripted)[-1])


def test_a_summariser_that_fails_every_other_time(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    tried: list[int] = []

    def reply(request: Any) -> Reply:
        if not asks_for_summary(request):
            return Reply(words("So"))
        tried.append(1)
        return Reply(status=500) if len(tried) % 2 else Reply(SUMMARY)

    scripted.always(reply)
    llm = openai_llm()
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=EARLY, summarizer="same", system_prompt=""
    )
    for at in range(12):
        ask(memory, llm, at)
    assert len(memory.compactions) == len(rewrites(asked(scripted))) == 3
    assert len(tried) == 6


# -- JSON ----------------------------------------------------------------------------------------

WAYS_THROUGH_JSON: dict[str, Callable[[SummarizingMemory, Any], SummarizingMemory]] = {
    "to_json": lambda m, llm: SummarizingMemory.from_json(m.to_json(), llm=llm, summarizer="same"),
    "to_string": lambda m, llm: SummarizingMemory.from_string(
        m.to_string(), llm=llm, summarizer="same"
    ),
    "to_dict": lambda m, llm: SummarizingMemory.from_dict(
        json.loads(json.dumps(m.to_dict())), llm=llm, summarizer="same"
    ),
    "deepcopy": lambda m, llm: copy.deepcopy(m),
    "model_copy": lambda m, llm: m.model_copy(),
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


def test_a_workflow_serialises_it_and_so_does_pickle() -> None:
    memory = memory_of()
    memory.put(
        ChatMessage(
            role="user",
            blocks=[TextBlock(text="look"), ImageBlock(image=b"abc", image_mimetype="image/png")],
        )
    )
    goes_on(memory, 8)
    serializer = JsonSerializer()
    for read in (
        serializer.deserialize(serializer.serialize(memory)),
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


# -- bad input and size --------------------------------------------------------------------------


def call(*ids: str) -> ChatMessage:
    blocks = [ToolCallBlock(tool_call_id=i, tool_name="f", tool_kwargs={}) for i in ids]
    return ChatMessage(role="assistant", blocks=blocks)


def result(id: str) -> ChatMessage:
    return ChatMessage(words("found", 120), role="tool", additional_kwargs={"tool_call_id": id})


STRANGE: dict[str, Sequence[ChatMessage]] = {
    "empty": [user(""), assistant(""), ChatMessage(role="user"), ChatMessage(role="assistant")],
    "results before calls": [user("a"), result("c1"), call("c1"), user("b")],
    "calls without results": [user("a"), call("c1", "c2"), result("c1"), user("b")],
    "the same id twice": [user("a"), call("c1"), result("c1"), call("c1"), result("c1")],
    "the same id at once": [user("a"), call("c1", "c1"), result("c1"), result("c1"), user("b")],
    "roles": [
        ChatMessage("a", role="developer"),
        ChatMessage("b", role="system"),
        ChatMessage("c", role="user"),
    ],
    "thoughts": [
        user("a"),
        ChatMessage(
            role="assistant", blocks=[ThinkingBlock(content="hm" * 300), TextBlock(text="b")]
        ),
    ],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_conversations_lead_to_requests_that_a_provider_takes(
    name: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    answers(scripted)
    llm, memory = openai_llm(), memory_of(keep_tokens=None) if False else memory_of()
    for at in range(10):
        for message in STRANGE[name]:
            memory.put(message.model_copy(deep=True))
        ask(memory, llm, at)
    assert memory.compactions
    for body in asked(scripted):
        check_tool_pairs(body)
    assert len(memory.get_all()) == 10 * (len(STRANGE[name]) + 2)


def test_images_stay_in_their_messages(scripted: ScriptedServer, openai_llm: Make) -> None:
    answers(scripted)
    llm, memory = openai_llm(), memory_of()
    for at in range(8):
        blocks = [TextBlock(text=f"look {at}"), ImageBlock(url="https://example.com/a.png")]
        memory.put(ChatMessage(role="user", blocks=blocks))
        memory.put(llm.chat(memory.get()).message)
    assert memory.compactions  # images are counted
    shown = [m for m in asked(scripted)[-1]["messages"] if isinstance(m["content"], list)]
    assert {part["type"] for m in shown for part in m["content"]} >= {"text", "image_url"}


def test_a_message_of_5_mb_is_cut_to_the_window() -> None:
    memory = memory_of(policy=CompactionPolicy(limit_tokens=8_000), chat_history=[*talk(3)])
    memory.put(user("Please read: " + "lorem ipsum dolor " * 290_000 + "Now what?"))
    seconds = own_seconds(memory.get)
    assert seconds < 8, seconds
    sent = str(memory.get()[-1].content)
    assert len(sent) < 60_000
    assert sent.startswith("Please read: lorem")
    assert sent.endswith("Now what?")
    assert len(str(memory.get_all()[-1].content)) > 5_000_000


async def test_a_large_conversation_does_not_hold_up_others() -> None:
    memory = memory_of(policy=CompactionPolicy(limit_tokens=8_000))
    memory.put(user("lorem ipsum dolor " * 100_000))
    steps: list[float] = []

    async def others() -> None:
        while True:
            steps.append(time.monotonic())
            await asyncio.sleep(0.005)

    task = asyncio.create_task(others())
    await memory.aget()
    task.cancel()
    assert len(steps) > 10


def messages(count: int) -> Iterator[ChatMessage]:
    return (user(f"message {at}") for at in range(count))


def test_to_put_a_message_takes_as_long_with_3000_as_with_100() -> None:
    def seconds(count: int) -> float:
        memory, given = memory_of(), [*messages(count)]
        return min(own_seconds(lambda: memory.put_messages(given)) for _ in range(3)) / count

    assert seconds(3_000) < 4 * seconds(100)


def test_to_get_the_same_again_takes_milliseconds_with_1000_messages() -> None:
    memory = memory_of(policy=CompactionPolicy(keep_tokens=10**6), chat_history=[*messages(1_001)])
    memory.get()
    seconds = min(own_seconds(memory.get) for _ in range(5))
    assert seconds < 0.02, seconds
