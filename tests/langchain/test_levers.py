"""`levers`: a file of `frugal whatif` as the middleware of an agent."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains import Ledger, PriceBook
from frugal_chains.errors import CompressionError, FrugalError, ReplayError, RoutingError
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
from langchain_frugal import (
    CompactionMiddleware,
    CostCallbackHandler,
    PromptCacheMiddleware,
    ToolOutputMiddleware,
    levers,
    track_cost,
)
from langchain_frugal.routing import TaskRoutingMiddleware
from tests.langchain.remembering import said
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

MakeModel = Callable[..., Any]
SMALL, OWN = "gpt-4o-mini", "gpt-4o"
FILE = """
[memory]
keep_tokens = 900
recall_tokens = 50

[compression]

[routing.by_task]
"sort mail" = "openai:gpt-4o-mini"
"write" = "anthropic:claude-haiku-4-5"

[prompt_cache]
ttl = "1h"

[batch]
tasks = ["nightly"]
"""
ROUTING = Setup(routing=Routing(by_task=MappingProxyType({"sort mail": ("openai", SMALL)})))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "frugal.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture
def agent(chat_openai: MakeModel) -> Callable[..., Any]:
    def make(setup: Setup = ROUTING, tools: Sequence[Any] = (), **more: Any) -> Any:
        models = {"openai:gpt-4o-mini": chat_openai(SMALL)} if setup.routing else {}
        middleware = levers(setup, models=models, **more)
        return create_agent(chat_openai(OWN), [*tools], middleware=middleware)

    return make


def asked(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


def question(text: str = "Why?") -> Any:
    return {"messages": [("user", text)]}


# -- what comes of a file ----------------------------------------------------------------------


def test_levers_stand_in_the_order_in_which_they_are_played(
    file: Path, chat_openai: MakeModel, chat_anthropic: MakeModel, caplog: Any
) -> None:
    models = {
        "openai:gpt-4o-mini": chat_openai(), "anthropic:claude-haiku-4-5": chat_anthropic()
    }  # fmt: skip
    with caplog.at_level(logging.INFO, "langchain_frugal"):
        found = levers(file, models=models)
    outputs, routing, memory, marks = found
    assert isinstance(outputs, ToolOutputMiddleware)
    assert isinstance(routing, TaskRoutingMiddleware)
    assert isinstance(memory, CompactionMiddleware)
    assert isinstance(marks, PromptCacheMiddleware)
    assert "[batch]" in caplog.text
    assert read_setup(file).batch == Batch(tasks=frozenset({"nightly"}))
    again = levers(read_setup(file), models=models)
    assert [*map(type, again)] == [*map(type, found)]


def test_the_memory_has_the_very_policy_of_the_setup(chat_openai: MakeModel) -> None:
    memory = Memory(recall_tokens=70)
    (alone,) = levers(Setup(memory=memory))
    marked, _ = levers(Setup(memory=memory, prompt_cache=Marks()))
    for found, ttl in ((alone, ""), (marked, "5m")):
        assert isinstance(found, CompactionMiddleware)
        assert found._compactors._policy is memory.policy
        options = found._compactors._make.keywords  # type: ignore[attr-defined]  # a partial
        assert (options["recall_tokens"], options["cache_ttl"]) == (70, ttl)
        assert options["summarizer"] is None


def test_nothing_comes_of_nothing() -> None:
    assert levers(Setup()) == []
    assert levers(Setup(batch=Batch())) == []


# -- who answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({"task": "sort mail"}, SMALL),
        ({"feature": "sort mail"}, SMALL),
        ({"task": "sort mail", "feature": "faq"}, SMALL),
        ({"task": "faq", "feature": "sort mail"}, OWN),  # the first that says it
        ({"task": "Sort mail"}, OWN),
        ({"purpose": "sort mail"}, OWN),
        ({}, OWN),
    ],
)
def test_a_call_is_routed_by_what_the_ledger_calls_its_task(
    tags: dict[str, str], who: str, scripted: ScriptedServer, agent: Any, ledger: Ledger
) -> None:
    made = agent()
    with track_cost(ledger, **tags):  # as tags of the block
        made.invoke(question())
    with track_cost(ledger):  # as metadata of the run
        made.invoke(question(), {"metadata": tags})
    with track_cost(ledger), operation(**tags):
        made.invoke(question())
    made.invoke(question(), {"callbacks": [CostCallbackHandler(ledger, tags=tags)]})
    assert asked(scripted) == [who] * 4
    for call in ledger_calls(ledger.attempts()):  # a replay of it says the same
        assert (call.task == "sort mail") == (who == SMALL)


async def test_async_calls_are_routed_too(scripted: ScriptedServer, agent: Any) -> None:
    made = agent()
    await made.ainvoke(question(), {"metadata": {"task": "sort mail"}})
    await made.ainvoke(question(), {"metadata": {"task": "faq"}})
    assert asked(scripted) == [SMALL, OWN]


def test_other_tags_may_say_the_task(scripted: ScriptedServer, agent: Any) -> None:
    made = agent(task_tags=("use_case",))
    for tag in ("use_case", "task"):
        made.invoke(question(), {"metadata": {tag: "sort mail"}})
    assert asked(scripted) == [SMALL, OWN]


def test_what_routing_saves_is_told_against_the_agents_own_model(
    scripted: ScriptedServer, agent: Any, ledger: Ledger
) -> None:
    scripted.always(Reply("Because.", usage=Tokens(fresh=1000, visible=100)))
    made = agent()
    with track_cost(ledger):
        for task in ("sort mail", "faq"):
            made.invoke(question(), {"metadata": {"task": task}})
    small, own = ledger.attempts()
    assert small.decision is not None
    assert small.decision["routing"]["reason"] == "rule:sort mail"
    assert own.decision is None
    found = ledger_waterfall(ledger, book=PriceBook())
    (step,) = (each for each in found.steps if each.name == "routing")
    # 1,000 tokens at $2.50 and 100 at $10 per million, less those at $0.15 and $0.60.
    assert step.nanos == (2_500_000 + 1_000_000) - (150_000 + 60_000)


def test_the_agents_own_model_answers_where_the_tasks_fails(
    scripted: ScriptedServer, agent: Any
) -> None:
    scripted.script(Reply(status=500), Reply("From the large one."))
    found = agent().invoke(question(), {"metadata": {"task": "sort mail"}})
    assert found["messages"][-1].text == "From the large one."
    assert asked(scripted) == [SMALL, OWN]


@pytest.mark.parametrize(("memory", "who"), [(None, OWN), (Memory(), "gpt-3.5-turbo")])
def test_a_memory_keeps_a_long_conversation_within_the_tasks_window(
    memory: Memory | None, who: str, scripted: ScriptedServer, chat_openai: MakeModel
) -> None:
    routing = Routing(by_task={"sort mail": ("openai", "gpt-3.5-turbo")})
    small = chat_openai("gpt-3.5-turbo", profile={"max_input_tokens": 16_385})
    middleware = levers(
        Setup(memory=memory, routing=routing), models={"openai:gpt-3.5-turbo": small}
    )
    made: Any = create_agent(chat_openai(OWN), [], middleware=middleware)
    past = [(role, said(n, 16)) for n in range(50) for role in ("user", "ai")]
    made.invoke({"messages": [*past, ("user", "Why?")]}, {"metadata": {"task": "sort mail"}})
    assert asked(scripted) == [who]


def test_what_another_tasks_model_has_said_can_be_read_by_the_agents_own(
    scripted: ScriptedServer, chat_openai: MakeModel, chat_anthropic: MakeModel
) -> None:
    @tool
    def look(page: int) -> str:
        """Look at a page."""
        return "Nothing."

    odd = ToolCall("look", {"page": 1}, "call:with.signs/that+Anthropic=refuses")
    scripted.script(Reply(tool_calls=(odd,)), Reply("Nothing is there."), Reply("Still nothing."))
    middleware = levers(ROUTING, models={"openai:gpt-4o-mini": chat_openai(SMALL)})
    made: Any = create_agent(
        chat_anthropic(), [look], middleware=middleware, checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "t"}}
    made.invoke(question(), {**thread, "metadata": {"task": "sort mail"}})
    made.invoke(question("And now?"), thread)
    assert asked(scripted) == [SMALL, SMALL, "claude-haiku-4-5"]
    ids = re.findall(r'"(?:tool_use_)?id": "([^"]+)"', json.dumps(scripted.requests[-1].body))
    assert len(ids) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in ids)


def test_models_are_made_where_they_are_not_given(
    scripted: ScriptedServer, chat_openai: MakeModel, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setenv("OPENAI_BASE_URL", scripted.openai_base_url)
    made: Any = create_agent(chat_openai(OWN), [], middleware=levers(ROUTING))
    made.invoke(question(), {"metadata": {"task": "sort mail"}})
    assert asked(scripted) == [SMALL]


# -- what tools return -------------------------------------------------------------------------


ROWS = [{"id": n, "city": "Aldermoor", "note": f"Entry {n}."} for n in range(40)]


@tool
def rows() -> str:
    """All rows."""
    return json.dumps(ROWS, indent=2)


def output_of(agent: Any) -> str:
    return str(agent.invoke(question())["messages"][2].content)


@pytest.mark.parametrize("budget_tokens", [None, 120])
def test_outputs_are_compressed_by_the_tokens_of_who_asked(
    budget_tokens: int | None, scripted: ScriptedServer, agent: Any, chat_openai: MakeModel
) -> None:
    calls = ToolCall("rows", {})
    scripted.always(lambda r: Reply(tool_calls=(calls,) if len(r.body["messages"]) < 2 else ()))
    told = create_agent(
        chat_openai(OWN), [rows],
        middleware=[ToolOutputMiddleware(budget_tokens, model=OWN, provider="openai")],
    )  # fmt: skip
    setup = Setup(compression=Compression(budget_tokens=budget_tokens))
    found = output_of(agent(setup, [rows]))
    assert found == output_of(told)
    assert len(found) < len(json.dumps(ROWS))


def test_an_unknown_model_may_ask_for_a_tool() -> None:
    class Asks(FakeListChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

    made: Any = create_agent(
        Asks(responses=["Yes."]), [rows], middleware=levers(Setup(compression=Compression()))
    )
    call = {"name": "rows", "args": {}, "id": "c", "type": "tool_call"}
    ai = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert made.invoke({"messages": [("user", "Rows?"), ai]})["messages"][-1].text == "Yes."


# -- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("[memory]\nkeep_tokes = 1", ReplayError, r"frugal\.toml: memory\.keep_tokes"),
        ("[cache]", ReplayError, r"frugal\.toml: cache"),
        ("memory = ", ReplayError, r"frugal\.toml is no TOML"),
        ("[compression]\nbudget_tokens = 0", CompressionError, r"\b0\b"),
        (
            '[routing.by_task]\nfaq = "openai:gpt-4o-mini"',
            RoutingError,
            r"openai:gpt-4o-mini.*OPENAI_API_KEY.*models=\{\"openai:gpt-4o-mini\": \.\.\.\}",
        ),
        (
            '[routing.by_task]\nfaq = "mistral:ministral-8b"',
            RoutingError,
            r"mistral:ministral-8b.*langchain-mistralai.*models=",
        ),
        ('[routing.by_task]\nfaq = "nobody:m"', RoutingError, r"nobody:m.*models="),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(
    text: str, kind: type[FrugalError], told: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = tmp_path / "frugal.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=told):
        levers(path)


def test_a_file_that_is_not_there_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"none\.toml: No such file.*whatif .*--out .*none\.toml"):
        levers(tmp_path / "none.toml")


def test_models_that_nobody_asks_for_are_a_mistake(chat_openai: MakeModel) -> None:
    with pytest.raises(RoutingError, match=r"openai:gpt-4o; the setup names openai:gpt-4o-mini"):
        levers(ROUTING, models={"openai:gpt-4o": chat_openai()})


def test_the_policy_of_a_router_is_not_loaded_without_a_word() -> None:
    candidate = Candidate(name="workhorse", tier="workhorse", model=OWN)
    routing = Routing(policy=RoutingPolicy(), candidates=(candidate,))
    with pytest.raises(ReplayError, match="RoutingMiddleware"):
        levers(Setup(routing=routing))
