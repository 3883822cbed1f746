"""`SummarizingMemory` by itself: when it decides, and what it keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage

from frugal_chains import Ledger
from frugal_chains.dispatch.memory import Compaction
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, WaterMark
from llama_index_frugal import SummarizingMemory, pinned, track_cost
from tests.llama_index.remembering import (
    EARLY,
    answers,
    ask,
    assistant,
    goes_on_with,
    memory_of,
    question,
    talk,
    user,
    words,
)
from tests.servers import ScriptedServer

Make = Callable[..., Any]


# -- when it decides -----------------------------------------------------------------------------


async def test_what_was_decided_is_not_decided_again() -> None:
    told: list[Compaction] = []
    memory = memory_of(on_compaction=told.append)
    goes_on_with(memory, 8)
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
    goes_on_with(memory, 5)
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
    lazy = CompactionPolicy(trigger=WaterMark(high_tokens=10**6))
    memory = SummarizingMemory.from_defaults(llm=openai_llm("gpt-4"), policy=lazy)  # 8,192 tokens
    views = goes_on_with(memory, 20)
    assert {e.reason for e in memory.compactions} == {"limit"}
    assert max(sum(len(str(text)) for text in view) for view in views) < 4 * 6_144


# -- what stays ----------------------------------------------------------------------------------


def test_everything_is_kept_and_the_view_is_stable() -> None:
    memory = memory_of()
    views = goes_on_with(memory, 30)
    assert [m.content for m in memory.get_all()] == [m.content for m in talk(30)]
    changed = [n for n in range(1, 30) if views[n][: len(views[n - 1])] != views[n - 1]]
    assert len(changed) == len(memory.compactions)
    assert len(changed) < 12
    assert all(view[-1] == question(at) for at, view in enumerate(views))


def test_system_and_pinned_messages_stay() -> None:
    memory = memory_of(pin=lambda m: "PIN-ME" in str(m.content))
    memory.put(ChatMessage("Be brief.", role="system"))
    memory.put(pinned(user("I am allergic to nuts.")))
    memory.put(user("PIN-ME"))
    goes_on_with(memory, 20)
    said = [m.content for m in memory.get()]
    assert len(memory.compactions) > 2
    assert said[:3] == ["Be brief.", "I am allergic to nuts.", "PIN-ME"]
    assert said[3] != question(0)


def test_recalled_text_stands_behind_the_question() -> None:
    memory = memory_of(recall_tokens=400)
    memory.put(user("By the way, my locker code is 7731-B."))
    memory.put(assistant("Noted."))
    goes_on_with(memory, 12)
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
    memory.set(given)
    memory.put(user(question(99)))
    assert len(given) == 24
    assert len(memory.get_all()) == 25
    assert [m.model_dump_json() for m in given] == before
    assert all(one is other for one, other in zip(given, memory.get_all(), strict=False))


def test_set_and_reset() -> None:
    memory = memory_of()
    goes_on_with(memory, 8)
    memory.put(user(question(8)))
    view = memory.get()
    memory.set(memory.get_all())
    assert memory.get() == view  # the same conversation, so the same summaries
    assert "W4000" in str(view[0].content)
    memory.set([user("something else"), *memory.get_all()[1:]])
    assert "W4000" not in str(memory.get()[0].content)  # nobody has said it
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
    goes_on_with(memory, 12)
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
    goes_on_with(memory, 6)
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
        memory.undo(memory.compactions[-1].id)
        ask(memory, llm, 12)  # what came back is written to the cache anew
    found = list(ledger.effects())
    assert {effect.lever for effect in found} == {"memory.compact"}
    account = memory.state.account
    net = sum(effect.net_nanos or 0 for effect in found)
    assert net == pytest.approx(account.unmanaged_nanos - account.spent_nanos, abs=len(found))
    assert any((effect.net_nanos or 0) < 0 for effect in found)  # compacting costs at first
    rows = list(ledger.attempts())
    assert [row.purpose for row in rows].count("summary") == len(memory.compactions) == 3
    assert [row.purpose for row in rows].count("answer") == 13
    made = next(row for row in rows if row.purpose == "summary")
    assert made.decision == {"memory": {"summary": "aligned"}}


def test_an_idle_conversation_is_compacted_before_its_cache_expires(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    answers(scripted)
    llm = openai_llm()
    never = CompactionPolicy(trigger=WaterMark(high_tokens=10**6))
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=never, summarizer="same", system_prompt=""
    )
    assert memory.idle_at_s() is None  # nothing has been asked yet
    for at in range(10):
        ask(memory, llm, at)
    at_s = memory.idle_at_s()
    assert at_s is not None
    assert time.time() < at_s < time.time() + 3600
    assert memory.compact_idle(return_share=0.0) is None  # nobody comes back
    with track_cost(ledger):
        event = memory.compact_idle(return_share=1.0)
    assert event is not None
    (effect,) = ledger.effects()
    (row,) = ledger.attempts()
    assert row.purpose == "summary"
    assert effect.net_nanos is not None
    assert effect.net_nanos < 0  # a summary was paid, and nobody has asked anything yet
    assert event.reason == "idle"
    assert memory.compactions == (event,)
    assert str(memory.get()[0].content).startswith("[Summary")
    assert asyncio.run(memory.acompact_idle()) is None  # there is nothing left to drop


class Cupboards(MockEmbedding):
    """Knows that a cupboard is a locker, and nothing else."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [1.0, 0.0] if "locker" in text or "cupboard" in text else [0.1, 1.0]

    _get_query_embedding = _get_text_embedding


def near_cupboards(texts: Sequence[str]) -> list[list[float]]:
    return [Cupboards(embed_dim=2)._get_text_embedding(text) for text in texts]


@pytest.mark.parametrize("way", ["get", "aget"])
@pytest.mark.parametrize("embedder", [Cupboards(embed_dim=2), near_cupboards],
                         ids=["embedding", "function"])  # fmt: skip
async def test_an_embedder_recalls_what_was_said_in_other_words(embedder: Any, way: str) -> None:
    async def sent(**options: Any) -> str:
        tight = CompactionPolicy(keep_tokens=400, limit_tokens=2_400)
        memory = memory_of(
            model="unheard-of", provider="", policy=tight, recall_tokens=400, **options
        )
        memory.put(user("My locker is 8812-KX."))
        memory.put(assistant(words("Noted", 300)))
        goes_on_with(memory, 12)
        memory.put(user("Which cupboard is mine?"))
        found = memory.get() if way == "get" else await memory.aget()
        assert memory.state.segments
        return "\n".join(str(message.content) for message in found[-2:])

    assert "8812-KX" in await sent(embedder=embedder, alike=0.9)
    assert "8812-KX" not in await sent()
