"""The same tools in the same conversation: both frameworks offer the same, to the same effect."""

from __future__ import annotations

import functools
import gc
import json
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.memory import Memory
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel, ConfigDict, Field

import langchain_frugal
import llama_index_frugal
from frugal_chains import Ledger
from frugal_chains.compression.tools import ToolPolicy
from frugal_chains.ledger import Effect
from langchain_frugal.compression import ToolChoiceMiddleware
from llama_index_frugal import ToolChoiceRetriever
from tests.servers import Reply, ScriptedServer, ToolCall

MODEL = "gpt-4.1-mini"
RULES = "You are a clerk. If nothing else helps look at `tide_table`."
SUBJECTS = (
    "weather forecast", "train timetable", "hotel booking", "currency exchange", "stock quote",
    "pizza recipe", "movie showtimes", "library catalogue", "flight status", "parcel tracking",
    "tax return", "dentist appointment", "gym membership", "parking ticket", "song lyrics",
    "garden watering", "invoice reminder", "birthday calendar", "chess opening", "star chart",
    "bicycle repair", "language lesson", "tide table", "museum ticket", "wine cellar",
)  # fmt: skip


def _without_titles(schema: dict[str, Any]) -> None:
    """LangChain leaves them out itself."""
    for part in schema["properties"].values():
        part.pop("title", None)


class Arguments(BaseModel):
    model_config = ConfigDict(json_schema_extra=_without_titles)

    place: str = Field(description="The place that is asked about.")
    language: str = Field(
        "en",
        description="Two letters of ISO 639-1 for the language in which the answer is written, "
        "such as en, de, fr or ja; where it is not supported the answer comes in English.",
    )
    limit: int = Field(
        10,
        description="How many results are given back at most, between 1 and 50, ordered from the "
        "most to the least relevant; further ones are reached with the page number.",
    )
    page: int = Field(
        1,
        description="Of the results, counted from 1, each with as many of them as the limit says; "
        "a page behind the last one is empty and costs as much as any other.",
    )
    unit: str = Field(
        "metric",
        description="Whether numbers are given in metric or in imperial units; sums of money are "
        "not converted but come in the money of the place, with its three letters.",
    )
    since: str = Field(
        "",
        description="A day as YYYY-MM-DD, or a moment with its zone as RFC 3339 has it, before "
        "which nothing is of interest; without it the last seven days are looked at.",
    )
    sort: str = Field(
        "relevance",
        description="By what the results are ordered: relevance, time from the newest on, name, "
        "or distance, which needs a place that has coordinates of its own.",
    )
    verbose: bool = Field(
        False,
        description="Whether everything that is known is given back, with sources and with what "
        "is only an estimate, and not just the three lines that most people want.",
    )


class Turn(NamedTuple):
    """What the user asks, which tools the model calls one after another, and what it then says."""

    question: str
    calls: Sequence[tuple[str, dict[str, str]]] = ()
    answer: str = "That is so."

    @property
    def replies(self) -> list[Reply]:
        called = [
            Reply(tool_calls=(ToolCall(name, arguments, f"call_{at}_{name}"),))
            for at, (name, arguments) in enumerate(self.calls)
        ]
        return [*called, Reply(self.answer)]


TRAIN = Turn("Is there a train by the timetable?", [("train_timetable", {"place": "Ulm"})])
FINDS = Turn(
    "And something to drink?", [("find_tool", {"task": "wine"}), ("wine_cellar", {"place": "Ulm"})]
)
CASES = {
    "one_question": [TRAIN],
    "another_subject": [TRAIN, Turn("Where is my parcel?", [("parcel_tracking", {"place": "x"})])],
    "no_subject": [Turn("Hello!"), TRAIN],
    "find_tool": [TRAIN, FINDS, Turn("Thanks!")],
    "find_nothing": [Turn("Hello!", [("find_tool", {"task": "zzz"})]), TRAIN],
    "not_offered": [Turn("Hello!", [("star_chart", {"place": "Ulm"})]), Turn("Thanks!")],
    "named": [Turn("Use the tool chess_opening, and look at `song_lyrics`."), TRAIN],
    "nothing_asked": [Turn(" ")],
}
FEW = ToolPolicy(most=2, limit=3)
POLICIES = {
    "defaults": ToolPolicy(),
    "words_only": ToolPolicy(prune=False),
    "choice_only": ToolPolicy(most=3, slim=False),
    "off": ToolPolicy(prune=False, slim=False),
    "on_demand": ToolPolicy(most=1, follow=False),
}


def _says(subject: str) -> Any:
    def runs(place: str, **_: Any) -> str:
        return f"{subject} of {place}"

    return runs


def _name(subject: str) -> str:
    return subject.replace(" ", "_")


def _description(subject: str) -> str:
    return f"This function is used to look up the {subject}."


OURS = [
    FunctionTool.from_defaults(
        _says(subject),
        name=_name(subject),
        description=_description(subject),
        fn_schema=Arguments,
    )
    for subject in SUBJECTS
]
THEIRS = [
    StructuredTool(
        func=_says(subject),
        args_schema=OURS[0].metadata.get_parameters_dict(),
        name=_name(subject),
        description=_description(subject),
    )
    for subject in SUBJECTS
]


@pytest.fixture(scope="module", autouse=True)
def _cheap_and_tidy() -> Iterator[None]:
    """Every SDK client reads all certificates, 20 ms each, to talk to a loopback without any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
    gc.collect()  # handlers stay while a task of their block is alive: other tests see to it


async def by_langchain(
    turns: Sequence[Turn], policy: ToolPolicy, scripted: ScriptedServer, ledger: Ledger
) -> None:
    options: dict[str, Any] = {"api_key": "test", "max_retries": 0}
    model = ChatOpenAI(model=MODEL, base_url=scripted.openai_base_url, **options)
    agent: Any = create_agent(
        model,
        THEIRS,
        system_prompt=RULES,
        middleware=[ToolChoiceMiddleware(policy)],
        checkpointer=InMemorySaver(),
    )
    with langchain_frugal.track_cost(ledger):
        for turn in turns:
            scripted.script(*turn.replies)
            said = {"messages": [("user", turn.question)]}
            await agent.ainvoke(said, {"configurable": {"thread_id": "a"}})


async def by_llama_index(
    turns: Sequence[Turn], policy: ToolPolicy, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = OpenAI(model=MODEL, api_base=scripted.openai_base_url, api_key="test", max_retries=0)
    agent = FunctionAgent(
        tool_retriever=ToolChoiceRetriever(OURS, policy),
        llm=llm,
        system_prompt=RULES,
        streaming=False,
    )
    memory = Memory.from_defaults()
    with llama_index_frugal.track_cost(ledger):
        for turn in turns:
            scripted.script(*turn.replies)
            await agent.run(turn.question, memory=memory)


def effect_of(effect: Effect) -> dict[str, Any]:
    """All of it but when and in which operation it was."""
    return {
        "lever": effect.lever,
        "tokens": (effect.tokens_before, effect.tokens_after),
        "exact": effect.exact,
        "who": (effect.model, effect.provider),
        "net_nanos": effect.net_nanos,
        "kind": effect.kind,
        "detail": effect.detail,
    }


def sent(scripted: ScriptedServer) -> list[list[tuple[str, str, str]]]:
    """Names, descriptions and parameters of each request's tools."""
    return [
        [_told(tool["function"]) for tool in request.body.get("tools", ())]
        for request in scripted.requests
    ]


def _told(function: dict[str, Any]) -> tuple[str, str, str]:
    # LlamaIndex's class closes every schema (openai/base.py, `_prepare_chat_with_tools`).
    open_ = {k: v for k, v in function["parameters"].items() if k != "additionalProperties"}
    return function["name"], function["description"], json.dumps(open_, sort_keys=True)


async def both(turns: Sequence[Turn], policy: ToolPolicy) -> tuple[list[Any], list[Any]]:
    """The tools of each request, and each effect, where they are the same in both frameworks."""
    found = []
    for conversation in (by_langchain, by_llama_index):
        with ScriptedServer() as scripted, Ledger.open("memory://") as ledger:
            await conversation(turns, policy, scripted, ledger)
            found.append((sent(scripted), [*map(effect_of, ledger.effects())]))
    (their_tools, their_effects), (our_tools, our_effects) = found
    assert their_tools == our_tools
    assert their_effects == our_effects
    assert len(our_effects) == len(our_tools) == sum(len(turn.replies) for turn in turns)
    return our_tools, our_effects


@pytest.mark.parametrize("turns", CASES.values(), ids=CASES)
async def test_both_offer_the_same_tools_to_the_same_effect(turns: Sequence[Turn]) -> None:
    tools, effects = await both(turns, FEW)
    for each, effect in zip(tools, effects, strict=True):
        assert each[0][0] == "find_tool"
        assert len(each) < len(SUBJECTS) / 3
        assert effect["lever"] == "compression.tools"
        assert effect["tokens"][1] < effect["tokens"][0] / 2


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_whatever_the_policy(policy: ToolPolicy) -> None:
    await both(CASES["find_tool"], policy)
