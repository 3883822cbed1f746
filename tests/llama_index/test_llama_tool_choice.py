"""`ToolChoiceRetriever`: agents offer the tools that a question needs, and none is out of reach."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import FunctionTool, QueryEngineTool, ToolMetadata
from llama_index.core.workflow import Context
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel, Field

from frugal_chains import Ledger
from frugal_chains.archive import Archive
from frugal_chains.compression.tools import ToolPolicy
from frugal_chains.dispatch import ToolChooser
from llama_index_frugal import (
    RoutingLLM,
    ToolChoiceRetriever,
    fetch_original_tool,
    track_cost,
)
from llama_index_frugal._about import who_answers
from llama_index_frugal.compression import _tool_step
from tests.llama_index.asking import rows
from tests.servers import Reply, Request, ScriptedServer, ToolCall

Make = Callable[..., Any]

MODEL = "gpt-4.1-mini"
CLAUDE = "claude-sonnet-4-5"
SUBJECTS = (
    "weather forecast", "train timetable", "hotel booking", "currency exchange", "stock quote",
    "pizza recipe", "movie showtimes", "library catalogue", "flight status", "parcel tracking",
    "tax return", "dentist appointment", "gym membership", "parking ticket", "song lyrics",
    "garden watering", "invoice reminder", "birthday calendar", "chess opening", "star chart",
    "bicycle repair", "language lesson", "tide table", "museum ticket", "blood pressure",
    "mortgage rate", "lottery draw", "recycling schedule", "wine cellar", "volcano alert",
)  # fmt: skip
NAMES = [subject.replace(" ", "_") for subject in SUBJECTS]
FEW = ToolPolicy(most=3, limit=6)
TRAIN, PARCEL, WINE = "Is there a train by the timetable?", "Where is my parcel?", "wine cellar"


class Arguments(BaseModel):
    """What real tools have: more than a name."""

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


def tool_of(subject: str) -> FunctionTool:
    def runs(place: str, **_: Any) -> str:
        return f"{subject}: {place}"

    return FunctionTool.from_defaults(
        runs,
        name=subject.replace(" ", "_"),
        description=f"This function is used to look up the {subject}.",
        fn_schema=Arguments,
    )


TOOLS = [*map(tool_of, SUBJECTS)]


def pool() -> list[FunctionTool]:
    return [*TOOLS]


def chooser(policy: ToolPolicy = FEW, **options: Any) -> ToolChoiceRetriever:
    return ToolChoiceRetriever(pool(), policy, **options)


def sent(request: Request) -> list[dict[str, Any]]:
    """The tools of a request, whatever its protocol."""
    return [tool.get("function", tool) for tool in request.body.get("tools", ())]


def names(request: Request) -> list[str]:
    return [tool["name"] for tool in sent(request)]


def told(request: Request) -> str:
    """The last message, which a tool's output is."""
    return json.dumps(request.body["messages"][-1])


def calls(name: str, **arguments: Any) -> Reply:
    return Reply(tool_calls=(ToolCall(name, arguments, f"call_{name}"),))


@pytest.fixture(params=["openai", "anthropic"])
def llm(request: pytest.FixtureRequest, openai_llm: Make, anthropic_llm: Make) -> Any:
    return openai_llm(MODEL) if request.param == "openai" else anthropic_llm(CLAUDE)


# -- what is offered ---------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_agent_offers_what_the_question_needs(
    streaming: bool, llm: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(calls("train_timetable", place="Ulm"), Reply("At nine."))
    agent = FunctionAgent(tool_retriever=chooser(), llm=llm, streaming=streaming)
    with track_cost(ledger):
        assert str(await agent.run(TRAIN)) == "At nine."
    first, second = scripted.requests
    assert names(first)[0] == "find_tool"
    assert "train_timetable" in names(first)
    assert len(names(first)) <= 4
    assert sent(second) == sent(first)
    assert "train timetable: Ulm" in told(second)
    one, other = ledger.effects()
    assert one.lever == other.lever == "compression.tools"
    assert 0 < one.tokens_after < one.tokens_before / 4
    assert one.operation_id == other.operation_id == rows(ledger)[0].operation_id != ""
    assert one.model == rows(ledger)[0].model


async def test_fewer_words_stand_on_copies(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(calls("train_timetable", place="Ulm"), Reply("At nine."))
    retriever = chooser()
    before = [copy.deepcopy(tool.metadata.to_openai_tool()) for tool in retriever.tools]
    await FunctionAgent(tool_retriever=retriever, llm=openai_llm(MODEL)).run(TRAIN)
    (train,) = (tool for tool in sent(scripted.requests[0]) if tool["name"] == "train_timetable")
    assert train["description"] == "Look up the train timetable."
    place = {"type": "string", "description": "place that is asked about"}
    assert train["parameters"]["properties"]["place"] == place
    assert [tool.metadata.to_openai_tool() for tool in retriever.tools] == before


async def test_few_tools_are_sent_as_they_are(openai_llm: Make, scripted: ScriptedServer) -> None:
    tools = pool()[:5]
    retriever = ToolChoiceRetriever(tools, ToolPolicy(slim=False))
    scripted.script(Reply("None."))
    await FunctionAgent(tool_retriever=retriever, llm=openai_llm(MODEL)).run(TRAIN)
    assert names(scripted.requests[0]) == NAMES[:5]
    assert [*map(id, retriever.retrieve(TRAIN))] == [*map(id, tools)]


async def test_an_agents_own_tools_are_always_there(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."))
    own = tool_of("emergency call")
    await FunctionAgent(tools=[own], tool_retriever=chooser(), llm=openai_llm(MODEL)).run(TRAIN)
    assert names(scripted.requests[0])[:2] == ["emergency_call", "find_tool"]


async def test_a_forced_tool_is_there(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(calls("volcano_alert", place="Etna"), Reply("No."))
    agent = FunctionAgent(
        tool_retriever=chooser(), llm=openai_llm(MODEL), initial_tool_choice="volcano_alert"
    )
    await agent.run(TRAIN)
    assert {"volcano_alert", "train_timetable"} <= {*names(scripted.requests[0])}


async def test_tools_that_are_always_there(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(Reply("No."))
    tools = [*pool(), fetch_original_tool(Archive.open("memory://"))]
    retriever = ToolChoiceRetriever(tools, ToolPolicy(most=1), always=["wine_cellar"])
    await FunctionAgent(tool_retriever=retriever, llm=openai_llm(MODEL)).run(TRAIN)
    expected = ["find_tool", "train_timetable", "wine_cellar", "fetch_original"]
    assert names(scripted.requests[0]) == expected


async def test_a_tool_that_the_system_prompt_names_is_there(
    llm: Any, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."))
    prompt = "Before you answer look at `star_chart`."
    await FunctionAgent(tool_retriever=chooser(), llm=llm, system_prompt=prompt).run(TRAIN)
    assert {"star_chart", "train_timetable"} <= {*names(scripted.requests[0])}


async def test_the_state_around_a_question_is_not_the_question(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."))
    agent = FunctionAgent(
        tool_retriever=chooser(ToolPolicy(most=1)),
        llm=openai_llm(MODEL),
        initial_state={"seen": "weather forecast, weather forecast, weather forecast"},
    )
    await agent.run(TRAIN)
    assert "weather forecast" in told(scripted.requests[0])
    assert names(scripted.requests[0]) == ["find_tool", "train_timetable"]


# -- a conversation ----------------------------------------------------------------------------


def keeps(way: str, agent: FunctionAgent) -> dict[str, Any]:
    """What makes several runs one conversation."""
    match way:
        case "context":
            return {"ctx": Context(agent)}
        case "memory":
            return {"memory": Memory.from_defaults()}
    return {"memory": ChatMemoryBuffer.from_defaults()}


@pytest.mark.parametrize("way", ["context", "memory", "buffer"])
async def test_what_was_offered_stays_in_its_place(
    way: str, llm: Any, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."), Reply("In Ulm."), Reply("Yes."))
    agent = FunctionAgent(tool_retriever=chooser(), llm=llm)
    kept = keeps(way, agent)
    for question in (TRAIN, PARCEL, "Thanks!"):
        await agent.run(question, **kept)
    one, two, three = map(sent, scripted.requests)
    assert "parcel_tracking" not in names(scripted.requests[0])
    assert two[: len(one)] == one
    assert "parcel_tracking" in names(scripted.requests[1])[len(one) :]
    assert three == two


async def test_another_conversation_begins_anew(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(Reply("At nine."), Reply("In Ulm."))
    agent = FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))
    await agent.run(TRAIN)
    await agent.run(PARCEL)
    assert [*map(names, scripted.requests)] == [
        ["find_tool", "train_timetable"],
        ["find_tool", "parcel_tracking"],
    ]


async def test_a_saved_context_keeps_what_was_offered(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."), Reply("In Ulm."))

    def agent() -> FunctionAgent:
        return FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))

    first = agent()
    context: Context = Context(first)
    await first.run(TRAIN, ctx=context)
    saved = json.dumps(context.to_dict())
    other = agent()
    await other.run(PARCEL, ctx=Context.from_dict(other, json.loads(saved)))
    assert names(scripted.requests[1]) == ["find_tool", "train_timetable", "parcel_tracking"]


async def test_many_conversations_at_a_time(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.always(Reply("Yes."))
    agent = FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))
    await asyncio.gather(*(agent.run(f"I ask about the {each}.") for each in SUBJECTS[:12]))
    asked = {r.body["messages"][-1]["content"]: names(r) for r in scripted.requests}
    assert asked == {
        f"I ask about the {each}.": ["find_tool", each.replace(" ", "_")] for each in SUBJECTS[:12]
    }


# -- tools that were left out ------------------------------------------------------------------


@pytest.mark.parametrize("sight", ["all", "public"])
async def test_what_find_tool_finds_is_offered_next(
    sight: str, llm: Any, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sight == "public":  # what has no public name may go
        monkeypatch.setattr(_tool_step, "_work", lambda: None)
        monkeypatch.setattr(_tool_step, "_agent", lambda *_: None)
    scripted.script(
        calls("find_tool", task="wine cellar"), calls("wine_cellar", place="Ulm"), Reply("One.")
    )
    agent = FunctionAgent(tool_retriever=chooser(), llm=llm)
    result: Any = await agent.run(TRAIN)
    first, second, third = scripted.requests
    assert "wine_cellar" not in names(first)
    assert "Now available: wine_cellar" in told(second)
    assert sent(second)[: len(sent(first))] == sent(first)
    assert "wine_cellar" in names(second)[len(sent(first)) :]
    assert "wine cellar: Ulm" in told(third)
    assert sent(third) == sent(second)
    assert [call.tool_name for call in result.tool_calls] == ["find_tool", "wine_cellar"]


async def test_find_tool_knows_what_was_offered(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(calls("find_tool", task="train timetable"), Reply("No."))
    agent = FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))
    await agent.run(TRAIN)
    assert names(scripted.requests[0]) == ["find_tool", "train_timetable"]
    listed = [name for name in NAMES if name in told(scripted.requests[1])]
    assert listed == [name for name in NAMES if name != "train_timetable"]


async def test_a_tool_that_was_not_offered_still_runs(llm: Any, scripted: ScriptedServer) -> None:
    scripted.script(calls("wine_cellar", place="Ulm"), Reply("One."))
    await FunctionAgent(tool_retriever=chooser(), llm=llm).run(TRAIN)
    assert "wine_cellar" not in names(scripted.requests[0])
    assert "wine cellar: Ulm" in told(scripted.requests[1])
    assert "wine_cellar" in names(scripted.requests[1])


async def test_a_tool_that_does_not_exist(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(calls("time_machine"), Reply("No."))
    await FunctionAgent(tool_retriever=chooser(), llm=openai_llm(MODEL)).run(TRAIN)
    assert "Tool time_machine not found" in told(scripted.requests[1])


async def test_a_tool_gets_its_context_and_returns_directly(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    async def remembers(ctx: Context, item: str) -> str:
        await ctx.store.set("seen", item)
        return f"{item} is noted."

    # LlamaIndex takes annotations as they are, and here they are texts.
    remembers.__annotations__ = {"ctx": Context, "item": str, "return": str}
    noted = FunctionTool.from_defaults(
        remembers, name="shopping_list", description="Shopping list.", return_direct=True
    )
    scripted.script(calls("shopping_list", item="salt"))
    agent = FunctionAgent(
        tool_retriever=ToolChoiceRetriever([*pool(), noted], FEW), llm=openai_llm(MODEL)
    )
    context: Context = Context(agent)
    assert str(await agent.run("Put salt on the shopping list", ctx=context)) == "salt is noted."
    assert "shopping_list" in names(scripted.requests[0])
    assert await context.store.get("seen") == "salt"


# -- agents of other kinds ---------------------------------------------------------------------


async def test_a_react_agent(openai_llm: Make, scripted: ScriptedServer) -> None:
    def acts(name: str, **arguments: str) -> Reply:
        return Reply(f"Thought: look.\nAction: {name}\nAction Input: {json.dumps(arguments)}")

    scripted.script(
        acts("find_tool", task="wine cellar"),
        Reply("Neither thought nor action, but a mortgage rate. Action: none"),
        acts("wine_cellar", place="Ulm"),
        Reply("Thought: I can answer.\nAnswer: One."),
        Reply("Thought: I can answer.\nAnswer: Two."),
    )
    agent = ReActAgent(tool_retriever=chooser(), llm=openai_llm(MODEL), streaming=False)
    context: Context = Context(agent)
    assert str(await agent.run(TRAIN, ctx=context)) == "One."
    assert str(await agent.run(PARCEL, ctx=context)) == "Two."
    shown = [str(request.body["messages"][0]) for request in scripted.requests]
    described = [[n for n in NAMES if f"Tool Name: {n}" in prompt] for prompt in shown]
    assert "train_timetable" in described[0]
    assert "wine_cellar" not in described[0]
    assert {*described[0], "wine_cellar"} <= {*described[1]}
    assert described[1] == described[2] == described[3]
    assert {*described[3], "parcel_tracking"} <= {*described[4]}
    assert "wine cellar: Ulm" in str(scripted.requests[3].body["messages"])


async def test_a_react_agent_with_a_memory(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(
        Reply('Thought: look.\nAction: find_tool\nAction Input: {"task": "wine cellar"}'),
        Reply("Thought: I can answer.\nAnswer: One."),
        Reply("Thought: I can answer.\nAnswer: Two."),
    )
    agent = ReActAgent(tool_retriever=chooser(), llm=openai_llm(MODEL), streaming=False)
    memory = Memory.from_defaults()
    for question in (TRAIN, "Thanks!"):
        await agent.run(question, memory=memory)
    shown = [str(request.body["messages"][0]) for request in scripted.requests]
    one, two, three = ([n for n in NAMES if f"Tool Name: {n}" in prompt] for prompt in shown)
    assert "wine_cellar" not in one
    assert {*one, "wine_cellar"} <= {*two} == {*three}


async def test_agents_of_a_workflow_choose_for_themselves(
    llm: Any, scripted: ScriptedServer
) -> None:
    scripted.script(
        calls("handoff", to_agent="second", reason="It knows."),
        calls("star_chart", place="Ulm"),
        Reply("Venus."),
    )
    first = FunctionAgent(
        name="first",
        description="Asks.",
        llm=llm,
        tool_retriever=ToolChoiceRetriever(pool()[:15], ToolPolicy(most=1)),
    )
    second = FunctionAgent(
        name="second",
        description="Knows.",
        llm=llm,
        tool_retriever=ToolChoiceRetriever(pool()[15:], ToolPolicy(most=1)),
    )
    flow = AgentWorkflow(agents=[first, second], root_agent="first")
    context: Context = Context(flow)
    assert str(await flow.run("The train timetable, then the star chart.", ctx=context)) == "Venus."
    one, two, three = map(names, scripted.requests)
    assert one == ["find_tool", "train_timetable", "handoff"]
    assert two == three == ["find_tool", "star_chart", "handoff"]
    assert "star chart: Ulm" in told(scripted.requests[2])
    kept = await context.store.get(_tool_step.STATE)
    assert {name: each["names"] for name, each in kept.items()} == {
        "first": ["train_timetable"],
        "second": ["star_chart"],
    }


async def test_an_agent_that_writes_code_has_all_tools(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    def run(code: str) -> str:
        return "ran"

    scripted.script(Reply("Nothing to run."))
    tools = [*map(tool_of, SUBJECTS)]
    for tool in tools:
        tool.real_fn.__name__ = tool.metadata.get_name()
    retriever = ToolChoiceRetriever(tools, FEW, model=MODEL)
    assert len(retriever.retrieve(TRAIN)) < len(NAMES)
    await CodeActAgent(code_execute_fn=run, tool_retriever=retriever, llm=openai_llm(MODEL)).run(
        TRAIN
    )
    prompt = str(scripted.requests[0].body["messages"][0])
    assert [name for name in NAMES if f"def {name}(" in prompt] == NAMES
    assert "find_tool" not in prompt


# -- without an agent --------------------------------------------------------------------------


async def test_code_that_calls_a_model_itself(llm: Any, scripted: ScriptedServer) -> None:
    scripted.script(calls("train_timetable", place="Ulm"), Reply("At nine."))
    retriever = chooser()
    history = [ChatMessage(TRAIN)]
    tools = retriever.chosen(history, llm=llm)
    assert tools[0].metadata.name == "find_tool"
    response = llm.chat_with_tools(tools, chat_history=[*history])
    history.append(response.message)
    (call,) = llm.get_tool_calls_from_response(response)
    history.append(
        ChatMessage("nine", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    )
    again = await retriever.achosen(history, llm=llm)
    await llm.achat_with_tools(again, chat_history=[*history])
    assert names(scripted.requests[0]) == [tool.metadata.name for tool in tools]
    assert sent(scripted.requests[1]) == sent(scripted.requests[0])


@pytest.mark.parametrize("name", ["find_tool", "train_timetable"])
async def test_tools_that_are_called_by_a_model(
    name: str, llm: Any, scripted: ScriptedServer
) -> None:
    arguments = {"task": "wine cellar"} if name == "find_tool" else {"place": "Ulm"}
    scripted.always(calls(name, **arguments))
    tools = chooser().chosen([ChatMessage(TRAIN)], llm=llm)
    expected = "Now available: wine_cellar" if name == "find_tool" else "train timetable: Ulm"
    assert expected in str(llm.predict_and_call(tools, TRAIN))
    assert expected in str(await llm.apredict_and_call(tools, TRAIN))


async def test_a_retriever_that_is_asked_by_hand() -> None:
    retriever = chooser(ToolPolicy(most=1), model=MODEL)
    expected = ["find_tool", "train_timetable"]
    assert [tool.metadata.name for tool in retriever.retrieve(TRAIN)] == expected
    assert [tool.metadata.name for tool in await retriever.aretrieve(TRAIN)] == expected


async def test_a_tool_that_asks_a_retriever_itself(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    other = chooser(ToolPolicy(most=1), model=MODEL)

    async def what_fits(task: str) -> str:
        return str([tool.metadata.name for tool in await other.aretrieve(task)])

    what_fits.__annotations__ = {"task": str, "return": str}
    scripted.script(calls("what_fits", task=TRAIN), Reply("That one."))
    await FunctionAgent(tools=[what_fits], llm=openai_llm(MODEL)).run("What fits?")
    assert "['find_tool', 'train_timetable']" in told(scripted.requests[1])


class Engine(CustomQueryEngine):
    def custom_query(self, query_str: str) -> str:
        return f"engine: {query_str}"


class Told(ToolMetadata):
    """Metadata that tell a model more."""


async def test_tools_of_every_kind() -> None:
    engine = QueryEngineTool.from_defaults(
        Engine(), name="tax_law", description="This tool is used to look up the tax law."
    )
    special = FunctionTool(
        fn=lambda place: place,
        metadata=Told(name="tax_map", description=engine.metadata.description),
    )
    tools = [*pool(), engine, special]
    found = ToolChoiceRetriever(tools, ToolPolicy(most=3), model=MODEL).retrieve("tax law, tax map")
    by_name = {tool.metadata.name: tool for tool in found}
    assert by_name["tax_map"] is special
    assert by_name["tax_law"] is not engine
    assert by_name["tax_law"].metadata.description == "Look up the tax law."
    assert str(by_name["tax_law"]("levy")) == "engine: levy"
    worded: Any = by_name["tax_law"]
    assert str(await worded.acall(input="levy")) == "engine: levy"
    assert worded.query_engine is engine.query_engine
    assert copy.copy(worded).metadata is worded.metadata
    assert json.loads(worded.metadata.fn_schema_str)["properties"] == {"input": {"type": "string"}}
    with pytest.raises(AttributeError):
        _ = worded.none


def test_what_a_worded_tool_gives_out_is_its_callers() -> None:
    (_, train) = chooser(ToolPolicy(most=1), model=MODEL).retrieve(TRAIN)
    train.metadata.get_parameters_dict()["properties"].clear()
    assert "place" in train.metadata.get_parameters_dict()["properties"]


@pytest.mark.parametrize("kind", ["class", "function"])
async def test_meaning_counts_too(kind: str) -> None:
    seen: list[str] = []

    def near(text: str) -> list[float]:
        seen.append(text)
        return [1.0, 0.0] if "wine" in text or "Riesling" in text else [0.0, 1.0]

    class Near(MockEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return near(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return near(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return near(text)

        async def _aget_text_embedding(self, text: str) -> list[float]:
            return near(text)

    embedder: Any = Near(embed_dim=2) if kind == "class" else lambda texts: [*map(near, texts)]
    retriever = chooser(ToolPolicy(most=1), model=MODEL, embedder=embedder)
    for found in (retriever.retrieve("Riesling?"), await retriever.aretrieve("Riesling!")):
        assert [tool.metadata.name for tool in found] == ["find_tool", "wine_cellar"]
    assert seen


# -- off, and broken ---------------------------------------------------------------------------


async def test_switches(openai_llm: Make, scripted: ScriptedServer, ledger: Ledger) -> None:
    scripted.always(Reply("At nine."))
    llm = openai_llm(MODEL)
    off = chooser(enabled=False)
    on = chooser()
    with track_cost(ledger):
        await FunctionAgent(tool_retriever=off, llm=llm).run(TRAIN)
        with instrument_tags({"compress": False}):
            await FunctionAgent(tool_retriever=on, llm=llm).run(TRAIN)
            assert on.retrieve(TRAIN) == [*on.tools]
    plain = [tool.metadata.to_openai_tool()["function"] for tool in pool()]
    for request in scripted.requests:
        assert [{k: v for k, v in tool.items() if k != "strict"} for tool in sent(request)] == [
            {**tool, "parameters": {**tool["parameters"], "additionalProperties": False}}
            for tool in plain
        ]
    assert [*ledger.effects()] == []


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(ToolChooser, "choose", fails)
        patch.setattr(ToolChooser, "achoose", fails)
        yield


@pytest.mark.usefixtures("broken")
async def test_what_goes_wrong_costs_no_answer(
    llm: Any, scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.script(calls("wine_cellar", place="Ulm"), Reply("One."))
    retriever = chooser()
    assert str(await FunctionAgent(tool_retriever=retriever, llm=llm).run(TRAIN)) == "One."
    assert [*map(names, scripted.requests)] == [NAMES, NAMES]
    assert "wine cellar: Ulm" in told(scripted.requests[1])
    assert "all tools are offered as they are" in caplog.text
    assert retriever.retrieve(TRAIN) == [*retriever.tools]


@pytest.mark.parametrize("shown", ["work", "tags"])
async def test_workflows_that_do_not_show_their_context(
    shown: str, openai_llm: Make, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tool_step, "_context", lambda: None)
    if shown == "tags":
        monkeypatch.setattr(_tool_step, "_work", lambda: None)
    else:
        monkeypatch.setattr(_tool_step, "_RUN_TAG", "no such tag")
    scripted.script(calls("wine_cellar", place="Ulm"), Reply("One."))
    await FunctionAgent(tool_retriever=chooser(), llm=openai_llm(MODEL)).run(TRAIN)
    assert [*map(names, scripted.requests)] == [NAMES, NAMES]
    assert "wine cellar: Ulm" in told(scripted.requests[1])


PRUNED = {"action": "prune", "names": ["star_chart"], "slim": True, "find_tool": True}


@pytest.mark.parametrize(
    "kept",
    [
        "nonsense",
        {"": 3},
        {"": {**PRUNED, "names": 7}},
        {"": {**PRUNED, "names": [7]}},
        {"": {**PRUNED, "action": "sell"}},
        {"other": PRUNED},
    ],
    ids=["text", "number", "no_list", "no_names", "no_action", "of_another"],
)
async def test_a_context_that_holds_something_else(
    kept: Any, openai_llm: Make, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("At nine."))
    agent = FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))
    context: Context = Context(agent)
    await context.store.set(_tool_step.STATE, kept)
    await agent.run(TRAIN, ctx=context)
    assert names(scripted.requests[0]) == ["find_tool", "train_timetable"]


async def test_a_context_that_keeps_nothing(
    openai_llm: Make,
    scripted: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_tool_step, "STATE", "memory.frugal_tools")  # no field of a memory
    scripted.script(calls("train_timetable", place="Ulm"), Reply("At nine."))
    agent = FunctionAgent(tool_retriever=chooser(ToolPolicy(most=1)), llm=openai_llm(MODEL))
    await agent.run(TRAIN, memory=Memory.from_defaults())
    assert [*map(names, scripted.requests)] == [["find_tool", "train_timetable"]] * 2
    assert "does not keep which tools" in caplog.text


async def test_a_model_that_its_class_does_not_know(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    llm = openai_llm("gpt-9000")
    assert who_answers(llm) == ("gpt-9000", "openai")
    found = chooser().chosen([ChatMessage(TRAIN)], llm=llm)
    assert "train_timetable" in [tool.metadata.name for tool in found]


def test_a_router_does_not_say_who_will_answer(openai_llm: Make) -> None:
    router = RoutingLLM({"workhorse": openai_llm(MODEL)})
    assert who_answers(router) == ("", "")
    found = chooser(ToolPolicy(most=1)).chosen([ChatMessage(TRAIN)], llm=router)
    assert [tool.metadata.name for tool in found] == ["find_tool", "train_timetable"]


def test_copies_share_what_is_remembered() -> None:
    retriever = chooser()
    assert copy.deepcopy(retriever) is retriever
