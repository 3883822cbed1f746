"""`levers`: a file of `frugal whatif` around an LLM."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.core.tools.calling import call_tool
from llama_index.llms.openai import OpenAI
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook
from frugal_chains.errors import FrugalError, ReplayError, RoutingError
from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.replay import (
    Batch,
    Compression,
    Marks,
    Memory,
    Routing,
    Setup,
    ledger_calls,
    read_setup,
)
from frugal_chains.routing import Candidate, RoutingPolicy
from frugal_chains.savings import ledger_waterfall
from frugal_chains.tracking import operation
from llama_index_frugal import (
    BudgetRateLimiter,
    Levers,
    RoutingLLM,
    SummarizingMemory,
    cached_llm,
    compressed_tool,
    levers,
    track_cost,
)
from tests.servers import Reply, ScriptedServer, Tokens

Make = Callable[..., Any]
SMALL, OWN = "gpt-4o-mini", "gpt-4o"
ROUTING = Routing(by_task=MappingProxyType({"sort mail": ("openai", SMALL)}))
EARLY = CompactionPolicy(trigger=WaterMark(high_tokens=1_500), keep_tokens=300)
FILE = """
[memory]
high_tokens = 1500
keep_tokens = 300

[compression]

[routing.by_task]
"sort mail" = "openai:gpt-4o-mini"

[prompt_cache]

[batch]
tasks = ["nightly"]
"""
SAID = "The parcel was sent to the harbour and came back in the rain, for the third time. "


@pytest.fixture
def own(openai_llm: Make) -> Callable[..., Levers]:
    def make(setup: Any = None, **more: Any) -> Levers:
        models = {"openai:gpt-4o-mini": openai_llm(SMALL)}
        return levers(setup or Setup(routing=ROUTING), openai_llm(OWN), models=models, **more)

    return make


def asked(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


def user(text: str = "Why?") -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


# -- what comes of a file ----------------------------------------------------------------------


def test_all_levers_of_a_file(own: Any, tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "frugal.toml"
    path.write_text(FILE, encoding="utf-8")
    with caplog.at_level(logging.INFO, "llama_index_frugal"):
        found = own(path)
    assert "[batch]" in caplog.text
    assert found.setup == read_setup(path)
    assert isinstance(found.llm, RoutingLLM)
    assert found.llm.metadata.model_name == "frugal-router"
    assert found.llm.metadata.context_window == found.own.metadata.context_window
    for llm in (*found.llm.tiers["workhorse"], *found.llm.by_task.values()):
        assert type(llm).__name__ == "OpenAI"
        assert llm.frugal_cache_ttl == ""  # of markers that pay: none was given
        assert llm._compacts._compactor.policy.trigger == EARLY.trigger
    memory = found.memory(chat_store_key="tenant-7")
    assert isinstance(memory, SummarizingMemory)
    assert memory.policy == EARLY
    assert (memory.recall_tokens, memory.cache_ttl, memory.chat_store_key) == (0, "5m", "tenant-7")


def test_nothing_comes_of_nothing(openai_llm: Make) -> None:
    llm = openai_llm()
    for setup in (Setup(), Setup(batch=Batch())):
        found = levers(setup, llm)
        assert found.llm is llm
        assert found.memory() is None
        (tool,) = found.tools([rows])
        assert type(tool) is FunctionTool


# -- who answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({"task": "sort mail"}, SMALL),
        ({"feature": "sort mail"}, SMALL),
        ({"task": "faq", "feature": "sort mail"}, OWN),  # the first that says it
        ({"purpose": "sort mail"}, OWN),
        ({}, OWN),
    ],
)
def test_a_call_is_routed_by_what_the_ledger_calls_its_task(
    tags: dict[str, str], who: str, scripted: ScriptedServer, own: Any, ledger: Ledger
) -> None:
    llm = own().llm
    with track_cost(ledger, **tags):  # as tags of the block
        llm.chat(user())
    with track_cost(ledger), instrument_tags(tags):
        llm.chat(user())
    with track_cost(ledger), operation(**tags):
        llm.chat(user())
    assert asked(scripted) == [who] * 3
    for call in ledger_calls(ledger.attempts()):  # a replay of it says the same
        assert (call.task == "sort mail") == (who == SMALL)


class Answer(BaseModel):
    """An answer."""

    why: str


async def test_every_way_to_ask_is_routed(scripted: ScriptedServer, own: Any) -> None:
    llm = own().llm
    with track_cost(Ledger.open("memory://"), task="sort mail"):
        llm.complete("Why?")
        assert [*llm.stream_chat(user())]
        await llm.achat(user())
        assert [each async for each in await llm.astream_complete("Why?")]
        llm.chat_with_tools([FunctionTool.from_defaults(rows)], "Why?")
        SummaryIndex([TextNode(text="Rain.")]).as_query_engine(llm=llm).query("Why?")
        assert llm.decide("Why?").candidate == SMALL
        assert "rule 'sort mail'" in llm.explain("Why?")
    assert asked(scripted) == [SMALL] * 6
    llm.complete("Why?")
    assert asked(scripted)[-1] == OWN
    assert llm.decide("Why?").candidate == "workhorse"


def test_other_tags_may_say_the_task(scripted: ScriptedServer, own: Any) -> None:
    llm = own(task_tags=("use_case",)).llm
    for tag in ("use_case", "task"):
        with instrument_tags({tag: "sort mail"}):
            llm.chat(user())
    assert asked(scripted) == [SMALL, OWN]


def test_what_routing_saves_is_told_against_the_own_llm(
    scripted: ScriptedServer, own: Any, ledger: Ledger
) -> None:
    scripted.always(Reply("Because.", usage=Tokens(fresh=1000, visible=100)))
    llm = own().llm
    for task in ("sort mail", "faq"):
        with track_cost(ledger, task=task):
            llm.chat(user())
    small, _ = ledger.attempts()
    assert small.decision is not None
    assert small.decision["routing"]["reason"] == "rule:sort mail"
    found = ledger_waterfall(ledger, book=PriceBook())
    (step,) = (each for each in found.steps if each.name == "routing")
    # 1,000 tokens at $2.50 and 100 at $10 per million, less those at $0.15 and $0.60.
    assert step.nanos == (2_500_000 + 1_000_000) - (150_000 + 60_000)


def test_the_own_llm_answers_where_the_tasks_fails(scripted: ScriptedServer, own: Any) -> None:
    scripted.script(Reply(status=500), Reply("From the large one."))
    with instrument_tags({"task": "sort mail"}):
        assert own().llm.chat(user()).message.content == "From the large one."
    assert asked(scripted) == [SMALL, OWN]


def test_a_budget_around_it_holds_for_every_task(
    scripted: ScriptedServer, own: Any, ledger: Ledger
) -> None:
    llm = own().llm
    llm.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd("0.000001", per="day")], ledger=ledger)
    for task in ("sort mail", "faq"):
        with instrument_tags({"task": task}), pytest.raises(BudgetExceeded):
            llm.chat(user(), max_tokens=100)
    assert asked(scripted) == []


@pytest.mark.parametrize(("memory", "who"), [(None, OWN), (Memory(), "gpt-3.5-turbo")])
def test_a_memory_keeps_a_long_conversation_within_the_tasks_window(
    memory: Memory | None, who: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    routing = Routing(by_task={"sort mail": ("openai", "gpt-3.5-turbo")})
    found = levers(
        Setup(memory=memory, routing=routing),
        openai_llm(OWN),
        models={"openai:gpt-3.5-turbo": openai_llm("gpt-3.5-turbo")},
    )
    past = [
        ChatMessage(role=role, content=f"Point {n}. {SAID * 16}")
        for n in range(50)
        for role in ("user", "assistant")
    ]
    with instrument_tags({"task": "sort mail"}):
        found.llm.chat([*past, *user()])
    assert asked(scripted) == [who]


def test_a_copy_routes_as_the_llm_does(scripted: ScriptedServer, own: Any) -> None:
    llm = own().llm
    copies = [pickle.loads(pickle.dumps(llm)), cached_llm(llm), llm.model_copy(deep=True)]
    for each in copies:
        each.chat(user())
        with instrument_tags({"task": "sort mail"}):
            each.chat(user())
    assert asked(scripted) == [OWN, SMALL] * 3


def test_a_router_may_be_the_own_llm(scripted: ScriptedServer, openai_llm: Make) -> None:
    router = RoutingLLM({"workhorse": openai_llm(OWN)})
    found = levers(
        Setup(routing=ROUTING, prompt_cache=Marks(), memory=Memory()),
        router,
        models={"openai:gpt-4o-mini": openai_llm(SMALL)},
    )
    for tags in ({}, {"task": "sort mail"}):
        with instrument_tags(tags):
            rules = ChatMessage(role="system", content=SAID * 80)  # long enough for a cache
            found.llm.chat([rules, *user()])
    assert asked(scripted) == [OWN, SMALL]
    assert all("prompt_cache_key" in request.body for request in scripted.requests)


def test_llms_are_made_where_they_are_not_given(
    scripted: ScriptedServer, openai_llm: Make, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setenv("OPENAI_API_BASE", scripted.openai_base_url)
    found = levers(Setup(routing=ROUTING), openai_llm(OWN))
    with instrument_tags({"task": "sort mail"}):
        found.llm.chat(user())
    assert asked(scripted) == [SMALL]


# -- what is remembered, and what tools return ------------------------------------------------


def test_a_chat_engine_with_the_setups_memory(scripted: ScriptedServer, own: Any) -> None:
    scripted.always(Reply(SAID * 3))
    found = own(Setup(memory=Memory(policy=EARLY), routing=ROUTING))
    memory = found.memory()
    engine = SimpleChatEngine.from_defaults(llm=found.llm, memory=memory)
    for day in range(30):
        engine.chat(f"Day {day}: {SAID * 3}")
    assert len(memory.get_all()) == 60
    assert len(scripted.requests) == 30  # no model was asked for summaries
    longest = max(len(json.dumps(request.body["messages"])) for request in scripted.requests)
    assert longest < 4 * 2_500


def rows() -> str:
    """All rows."""
    return json.dumps([{"id": n, "city": "Aldermoor", "note": f"Entry {n}."} for n in range(40)])


@pytest.mark.parametrize("budget_tokens", [None, 120])
def test_outputs_are_compressed_by_the_tokens_of_the_own_llm(
    budget_tokens: int | None, own: Any
) -> None:
    found = own(Setup(compression=Compression(budget_tokens=budget_tokens), routing=ROUTING))
    plain, short = found.tools([rows, FunctionTool.from_defaults(rows, name="b")], exclude=["rows"])
    assert call_tool(plain, {}).content == rows()
    told = compressed_tool(
        FunctionTool.from_defaults(rows, name="b"), budget_tokens, model=OWN, provider="openai"
    )
    assert call_tool(short, {}).content == call_tool(told, {}).content
    assert len(call_tool(short, {}).content) < len(rows())


async def test_an_agent_takes_them(scripted: ScriptedServer, own: Any) -> None:
    found = own(Setup(routing=ROUTING, compression=Compression(), prompt_cache=Marks()))
    agent = FunctionAgent(llm=found.llm, tools=[*found.tools([rows])], streaming=False)
    await agent.run("Why?", memory=found.memory())
    assert asked(scripted) == [OWN]


# -- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("[memory]\nkeep_tokes = 1", ReplayError, r"frugal\.toml: memory\.keep_tokes"),
        ("memory = ", ReplayError, r"frugal\.toml is no TOML"),
        ('[routing.by_task]\nfaq = "mistral:m"', RoutingError, r"mistral:m.*models=\{\"mistral:m"),
        ('[routing.by_task]\nfaq = "gpt-4o"', RoutingError, r"names gpt-4o; .*models="),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(
    text: str, kind: type[FrugalError], told: str, tmp_path: Path, openai_llm: Make
) -> None:
    path = tmp_path / "frugal.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=told):
        levers(path, openai_llm())


def test_an_llm_that_cannot_be_made_is_named(
    openai_llm: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Any, *_: Any, **__: Any) -> None:
        raise ValueError("No API key found for OpenAI.\nIt was: ...")

    llm = openai_llm()
    monkeypatch.setattr(OpenAI, "__init__", refused)
    told = r"openai:gpt-4o-mini.*OpenAI cannot make it: ValueError: No API key found for OpenAI\.;"
    with pytest.raises(RoutingError, match=told):
        levers(Setup(routing=ROUTING), llm)


def test_a_file_that_is_not_there_can_be_written(tmp_path: Path, openai_llm: Make) -> None:
    with pytest.raises(ReplayError, match=r"none\.toml: No such file.*whatif .*--out .*none\.toml"):
        levers(tmp_path / "none.toml", openai_llm())


def test_models_that_nobody_asks_for_are_a_mistake(openai_llm: Make) -> None:
    with pytest.raises(RoutingError, match=r"openai:gpt-4o; the setup names none"):
        levers(Setup(), openai_llm(), models={"openai:gpt-4o": openai_llm()})


def test_the_policy_of_a_router_is_not_loaded_without_a_word(openai_llm: Make) -> None:
    candidate = Candidate(name="workhorse", tier="workhorse", model=OWN)
    routing = Routing(policy=RoutingPolicy(), candidates=(candidate,))
    with pytest.raises(ReplayError, match="RoutingLLM"):
        levers(Setup(routing=routing), openai_llm())
