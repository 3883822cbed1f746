"""Agents and chat engines whose requests are marked: what the provider reads, and the bill."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.chat_engine import ContextChatEngine, SimpleChatEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from frugal_chains import Ledger
from frugal_chains.dispatch import CacheKeeper
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.routing import RoutingPolicy
from llama_index_frugal import (
    RoutingLLM,
    SummarizingMemory,
    SystemPromptCompressor,
    cached_llm,
    compacting_llm,
    track_cost,
)
from tests.llama_index.caching import (
    MODEL,
    RULES,
    Watched,
    bill,
    everything,
    look_up,
    looks_once,
    marked_parts,
    markers,
    said,
    system,
    weigh,
    without_markers,
)
from tests.llama_index.remembering import (
    SUMMARY,
    asks_for_summary,
    check_tool_pairs,
    question,
    thinks_aloud,
    user,
    words,
)
from tests.servers import ManualClock, Reply, ScriptedServer

Make = Callable[..., Any]

TOOLS = [look_up, weigh]


class OtherFacts(BaseRetriever):
    """Finds another text each time."""

    _asked: int = 0

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._asked += 1
        return [NodeWithScore(node=TextNode(text=f"Parcel fact {self._asked}."), score=1.0)]


def unmarked_bill(scripted: ScriptedServer) -> float:
    """Of the same requests, without markers."""
    cache = Watched()
    for request in scripted.requests:
        cache.look_up(without_markers(request.body))
    return bill(cache.told)


async def run_agent(llm: Any, turns: int = 12, **options: Any) -> None:
    options.setdefault("memory", everything())
    memory = options.pop("memory")
    agent = FunctionAgent(llm=llm, tools=TOOLS, system_prompt=RULES, **options)
    for at in range(turns):
        await agent.run(question(at, 60), memory=memory)


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agents_requests_are_read_from_the_cache(
    streaming: bool, scripted: ScriptedServer, anthropic_llm: Make, ledger: Ledger
) -> None:
    scripted.cache = cache = Watched()
    scripted.always(looks_once)
    with track_cost(ledger):
        await run_agent(cached_llm(anthropic_llm()), streaming=streaming)
    assert len(cache.told) == 24
    for before, told in pairwise(cache.told):
        # All that was marked before is read, and nothing of the request but its last blocks is new.
        assert told.cache_read == before.cache_read + before.cache_write
        assert told.cache_read > 0.8 * told.input
    for request in scripted.requests:
        assert 1 <= markers(request.body) <= 4
        assert {"system", "messages"} <= {*marked_parts(request.body)}
        assert said(request.body) == RULES
        check_tool_pairs(request.body)
    # What stands on the books is what the provider has told.
    rows = sorted(ledger.attempts(), key=lambda row: row.id)
    seen = [
        (r.usage.input_tokens, r.usage.cache_read_tokens, r.usage.cache_write_tokens) for r in rows
    ]
    assert seen == [(t.input, t.cache_read, t.cache_write) for t in cache.told]
    # The ratio of the bills, without output: 0.17.
    assert bill(cache.told) < 0.2 * unmarked_bill(scripted)


async def test_effects_are_signed_and_belong_to_their_calls(
    scripted: ScriptedServer, anthropic_llm: Make, ledger: Ledger
) -> None:
    scripted.cache = Watched()
    scripted.always(looks_once)
    with track_cost(ledger):
        await run_agent(cached_llm(anthropic_llm()), turns=3)
    effects = sorted(ledger.effects(lever="prompt_cache.mark"), key=lambda effect: effect.id)
    rows = sorted(ledger.attempts(), key=lambda row: row.id)
    assert [e.operation_id for e in effects] == [row.operation_id for row in rows]
    assert len(effects) == 6
    nets = [effect.net_nanos or 0 for effect in effects]
    assert nets[0] < 0  # it only writes
    assert all(net > 0 for net in nets[1:])


async def test_short_conversations_never_cost_more(
    scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.always(looks_once)
    for turns in (1, 2, 3, 5):
        scripted.cache = cache = Watched()
        del scripted.requests[:]
        await run_agent(cached_llm(anthropic_llm()), turns=turns)
        assert bill(cache.told) < unmarked_bill(scripted)


@pytest.mark.parametrize("head", [RULES, "Be nice."], ids=["rules", "no rules"])
def test_questions_that_stand_alone_are_not_written_for_ever(
    head: str, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    clock = ManualClock()
    scripted.cache = cache = Watched()
    llm = cached_llm(anthropic_llm(), keeper=CacheKeeper(clock=clock))
    for at in range(60):
        llm.chat([system(head), user(question(at, 3_000))])
        clock.advance(20.0)
    ends = ["messages" in marked_parts(request.body) for request in scripted.requests]
    assert ends[0]
    assert not any(ends[30:])
    if head == RULES:
        assert all(told.cache_read > 1_000 for told in cache.told[1:])
    assert bill(cache.told) < 1.1 * unmarked_bill(scripted)


async def test_an_agent_that_thinks_aloud(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    thinks_aloud(scripted, 3)
    agent = ReActAgent(llm=cached_llm(anthropic_llm()), tools=[look_up], system_prompt=RULES)
    memory = everything()
    for at in range(3):
        await agent.run(question(at, 60), memory=memory)
    assert len(cache.told) == 12
    assert sum(t.cache_read for t in cache.told) > 0.7 * sum(t.input for t in cache.told)
    assert bill(cache.told) < 0.45 * unmarked_bill(scripted)


def test_a_chat_engine(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    scripted.always(Reply(words("So", 60)))
    engine = SimpleChatEngine.from_defaults(
        llm=cached_llm(anthropic_llm()), memory=everything(), system_prompt=RULES
    )
    for at in range(6):
        if at % 2:
            engine.chat(question(at, 60))
        else:
            assert "".join(engine.stream_chat(question(at, 60)).response_gen)
    assert [t.cache_read > 0 for t in cache.told] == [False] + [True] * 5
    assert bill(cache.told) < 0.4 * unmarked_bill(scripted)


@pytest.mark.parametrize("told", [True, False])
def test_documents_in_the_system_prompt_are_not_written_for_ever(
    told: bool, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    scripted.always(Reply(words("So", 60)))
    volatile = (lambda text: "Parcel fact" in text) if told else None
    engine = ContextChatEngine.from_defaults(
        OtherFacts(), llm=cached_llm(anthropic_llm(), volatile=volatile), memory=everything(),
        system_prompt=RULES,
    )  # fmt: skip
    for at in range(8):
        engine.chat(question(at, 60))
    written = [each.cache_write for each in cache.told]
    assert written[4:] == [0] * 4
    assert sum(each > 0 for each in written) == (0 if told else 1)
    if told:
        assert bill(cache.told) == unmarked_bill(scripted)


@pytest.mark.parametrize("outside", ["cached", "compacting", "shorter"])
async def test_it_goes_with_what_changes_messages(
    outside: str, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    scripted.always(lambda r: Reply(SUMMARY) if asks_for_summary(r) else looks_once(r))
    policy = CompactionPolicy(trigger=WaterMark(high_tokens=2_500), keep_tokens=600)
    shorter = SystemPromptCompressor(model=MODEL)
    llm = anthropic_llm()
    if outside == "cached":
        llm = cached_llm(shorter.llm(compacting_llm(llm, policy, summarizer="same")))
    elif outside == "compacting":
        llm = compacting_llm(shorter.llm(cached_llm(llm)), policy, summarizer="same")
    else:
        llm = shorter.llm(compacting_llm(cached_llm(llm), policy, summarizer="same"))
    await run_agent(llm, turns=14)
    sizes = [len(request.body["messages"]) for request in scripted.requests]
    assert any(after < before for before, after in pairwise(sizes))  # compacted
    aligned = 0
    for request, told in zip(scripted.requests, cache.told, strict=True):
        if "tools" not in request.body:  # a prompt of its own, with what is summarised in it
            assert markers(request.body) == 0
            continue
        assert 1 <= markers(request.body) <= 4
        if asks_for_summary(request):
            aligned += 1
            assert told.cache_write == 0
            assert told.cache_read > 0.9 * told.input
    assert aligned
    assert bill(cache.told) < 0.5 * unmarked_bill(scripted)


async def test_with_a_memory(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    scripted.always(lambda r: Reply(SUMMARY) if asks_for_summary(r) else looks_once(r))
    llm = cached_llm(anthropic_llm())
    policy = CompactionPolicy(trigger=WaterMark(high_tokens=3_500), keep_tokens=600)
    memory = SummarizingMemory.from_defaults(llm=llm, policy=policy)
    await run_agent(llm, memory=memory)
    sizes = [len(request.body["messages"]) for request in scripted.requests]
    assert any(after < before for before, after in pairwise(sizes))
    assert all(told.cache_read > 0.5 * told.input for told in cache.told[1:])
    assert bill(cache.told) < 0.4 * unmarked_bill(scripted)


async def test_models_of_a_router(
    scripted: ScriptedServer, anthropic_llm: Make, openai_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    scripted.always(looks_once)
    tiers = {"workhorse": anthropic_llm(), "gatekeeper": openai_llm()}
    for router in (
        cached_llm(RoutingLLM(tiers, RoutingPolicy())),
        RoutingLLM({tier: cached_llm(llm) for tier, llm in tiers.items()}, RoutingPolicy()),
    ):
        del cache.told[:], scripted.requests[:]
        await run_agent(router, turns=2)
        assert [told.cache_read > 0 for told in cache.told[1:]] == [True] * 3
        router.chat([system(RULES), user("Hi.")], route="gatekeeper")
        assert scripted.requests[-1].body["prompt_cache_key"]
