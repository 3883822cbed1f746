"""`compressed_tool`: what tools return, compressed once, when a conversation takes it in."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import FunctionTool, QueryEngineTool, ToolMetadata, ToolOutput
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Context
from llama_index_instrumentation.dispatcher import instrument_tags

from frugal_chains import Ledger
from frugal_chains.archive import Archive, handle_of
from frugal_chains.compression import Ahead, ContextBudget
from frugal_chains.compression.shape import restore
from frugal_chains.dispatch import Prefix, PrefixFacts
from frugal_chains.errors import ArchiveError, CompressionError
from frugal_chains.tokens import TokenCounter
from llama_index_frugal import (
    compressed_tool,
    compressed_tools,
    fetch_original_tool,
    track_cost,
)
from tests.llama_index.asking import rows
from tests.servers import Reply, Request, ScriptedServer, ToolCall

Make = Callable[..., Any]

MODEL = "gpt-4.1-mini"
ORDERS = [
    {"id": f"A{n}", "item": f"pencil {n}", "price": n + 0.5, "note": "as ordered, nothing to add"}
    for n in range(60)
]
PROSE = " ".join(f"Paragraph {n} is about item {n}, and costs {n} euro." for n in range(200))


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, model=MODEL).tokens


def orders(customer: str) -> str:
    """Orders of a customer."""
    return json.dumps(ORDERS, indent=1)


async def aorders(customer: str) -> str:
    """Orders of a customer."""
    return orders(customer)


def prose(item: str) -> str:
    """All that is known of an item."""
    return PROSE


TOOL = FunctionTool.from_defaults(orders)


async def both(tool: Any, **arguments: Any) -> list[ToolOutput]:
    return [call_tool(tool, arguments), await acall_tool(tool, arguments)]


# -- what is kept ------------------------------------------------------------------------------


async def test_a_denser_form_comes_first() -> None:
    tool = compressed_tool(TOOL, 2000, model=MODEL)
    for output in await both(tool, customer="x"):
        assert tokens(output.content) < 2000 < tokens(orders("x"))
        assert json.loads(restore(output.content, "outline")) == ORDERS
        assert output.raw_output == orders("x")
        assert output.raw_input == {"args": (), "kwargs": {"customer": "x"}}
        assert output.tool_name == "orders"


@pytest.mark.parametrize("budget", [None, 10**6])
async def test_without_a_budget_nothing_is_lost(budget: int | None) -> None:
    outputs = await both(compressed_tool(TOOL, budget, model=MODEL), customer="x")
    assert [json.loads(restore(o.content, "outline")) for o in outputs] == [ORDERS] * 2
    plain = await both(compressed_tool(prose, budget, model=MODEL), item="7")
    assert [output.content for output in plain] == [PROSE] * 2


async def test_forms_may_be_chosen() -> None:
    for output in await both(
        compressed_tool(TOOL, None, model=MODEL, forms=["json"]), customer="x"
    ):
        assert json.loads(output.content) == ORDERS
        assert len(output.content) < len(orders("x"))
    for output in await both(compressed_tool(TOOL, None, model=MODEL, forms=[]), customer="x"):
        assert output.content == orders("x")


@pytest.mark.parametrize("budget", [60, 200, 500])
async def test_the_budget_holds_and_arguments_are_the_query(budget: int) -> None:
    tool = compressed_tool(prose, budget, model=MODEL)
    for output in await both(tool, item="item 177"):
        assert 0 < tokens(output.content) <= budget
        assert "item 177," in output.content
        assert output.raw_output == PROSE


async def test_the_same_call_gives_the_same_bytes() -> None:
    tool = compressed_tool(prose, 100, model=MODEL)
    outputs = [o.content for _ in range(3) for o in await both(tool, item="item 12")]
    assert len({*outputs}) == 1


async def test_arguments_of_every_kind_are_no_trouble() -> None:
    def odd(**arguments: Any) -> str:
        """Odd."""
        return PROSE

    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    tool = compressed_tool(odd, 100, model=MODEL)
    for value in (cyclic, deep, {1: 2, (3,): 4}, object(), "\ud800", None, 7, b"x", "x" * 10**6):
        assert 0 < tokens(tool.call(a=value).content) <= 100


# -- what is not touched -----------------------------------------------------------------------


async def test_a_function_tool_stays_one() -> None:
    tool = compressed_tool(TOOL, 100, model=MODEL)
    assert isinstance(tool, FunctionTool)
    assert tool.metadata is TOOL.metadata
    assert tool.metadata.to_openai_tool() == TOOL.metadata.to_openai_tool()
    assert tool.real_fn is TOOL.real_fn
    assert TOOL(customer="x").content == orders("x")
    made = compressed_tool(orders, 100)
    assert made.metadata.to_openai_tool() == TOOL.metadata.to_openai_tool()


async def test_functions_that_are_awaited() -> None:
    tool = compressed_tool(aorders, 2000, model=MODEL)
    for output in [await tool.acall(customer="x"), await tool.acall("x")]:  # type: ignore[attr-defined]
        assert json.loads(restore(output.content, "outline")) == ORDERS


async def test_errors_pass() -> None:
    def fails(n: int) -> str:
        """Fails."""
        raise ValueError(PROSE)

    def says_so(n: int) -> ToolOutput:
        """Says that it failed."""
        return ToolOutput("says_so", PROSE, raw_input={}, raw_output=None, is_error=True)

    with pytest.raises(ValueError, match="Paragraph"):
        compressed_tool(fails, 50)(n=1)
    for output in await both(compressed_tool(fails, 50), n=1):
        assert output.is_error
        assert output.content == "Encountered error: " + PROSE
    tool = compressed_tool(
        FunctionTool.from_defaults(says_so, callback=lambda output: output), 50, model=MODEL
    )
    assert [o.content for o in await both(tool, n=1)] == [PROSE] * 2


async def test_answers_for_a_person_pass() -> None:
    direct = FunctionTool.from_defaults(prose, return_direct=True)
    assert [o.content for o in await both(compressed_tool(direct, 50), item="1")] == [PROSE] * 2


async def test_other_blocks_stay_where_they_are() -> None:
    image = ImageBlock(image=b"aGk=")
    blocks = [image, TextBlock(text=PROSE), image, TextBlock(text="More of it, and more.")]

    def shows(item: str) -> list[Any]:
        """Shows."""
        return blocks

    for output in await both(compressed_tool(shows, 80, model=MODEL), item="item 99"):
        assert [block.block_type for block in output.blocks] == ["image", "text", "image"]
        assert output.blocks[0] is image
        assert "item 99," in output.content
        assert tokens(output.content) <= 80
        assert output.raw_output is blocks
    assert blocks[1].text == PROSE


@pytest.mark.parametrize("text", ["", "short", "\ud800 half a character"])
async def test_what_is_short_is_the_same_object(text: str) -> None:
    def says(n: int) -> str:
        """Says."""
        return text

    outputs = await both(compressed_tool(says, 1000, model=MODEL), n=1)
    assert [output.content for output in outputs] == [text] * 2


def test_switches() -> None:
    assert compressed_tool(TOOL, 50, enabled=False) is TOOL
    tool = compressed_tool(TOOL, 50, model=MODEL)
    with instrument_tags({"compress": False}):
        assert tool(customer="x").content == orders("x")
    assert tokens(tool(customer="x").content) <= 50


def test_tiers_have_budgets_of_their_own() -> None:
    budget = ContextBudget(tokens=500, by_tier={"specialist": 60})
    tool = compressed_tool(prose, budget, model=MODEL)
    with instrument_tags({"route": "specialist"}):
        assert tokens(tool(item="item 3").content) <= 60
    assert 400 < tokens(tool(item="item 3").content) <= 500


# -- tools of other kinds ----------------------------------------------------------------------


class Engine(CustomQueryEngine):
    def custom_query(self, query_str: str) -> str:
        return PROSE


class OldTool(BaseTool):
    """A tool that knows no `acall`."""

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata(name="old", description="Old.")

    def __call__(self, input: Any) -> ToolOutput:
        return ToolOutput("old", PROSE, raw_input={"input": input}, raw_output=PROSE)


async def test_tools_of_every_kind() -> None:
    engine = QueryEngineTool.from_defaults(Engine(), name="engine", description="Knows.")
    for inner in (engine, OldTool()):
        tool = compressed_tool(inner, 100, model=MODEL)
        assert tool.metadata == inner.metadata
        for output in await both(tool, input="item 55"):
            assert "item 55," in output.content
            assert tokens(output.content) <= 100
    wrapped: Any = compressed_tool(engine, 100)
    assert wrapped.query_engine is engine.query_engine
    with pytest.raises(AttributeError):
        _ = wrapped.none
    assert copy.copy(wrapped).metadata is engine.metadata


async def test_a_tool_is_compressed_once() -> None:
    inner = compressed_tool(prose, 50, model=MODEL)
    outer = compressed_tool(inner, 400, model=MODEL)
    assert 300 < tokens(outer(item="item 3").content) <= 400
    other = compressed_tool(compressed_tool(OldTool(), 50, model=MODEL), 400, model=MODEL)
    assert 300 < tokens(other(input="item 3").content) <= 400


def test_copies_work() -> None:
    for tool in (compressed_tool(prose, 50, model=MODEL), compressed_tool(OldTool(), 50)):
        for again in (copy.copy(tool), copy.deepcopy(tool)):
            assert again("item 3").content == tool("item 3").content


# -- originals ---------------------------------------------------------------------------------


async def test_originals_can_be_fetched() -> None:
    archive = Archive.open("memory://")
    tools = compressed_tools([prose, TOOL], 100, model=MODEL, archive=archive)
    assert [tool.metadata.name for tool in tools] == ["prose", "orders", "fetch_original"]
    for output in await both(tools[0], item="item 3"):
        *_, last = output.content.splitlines()
        assert last == f"[shortened; all of it: fetch_original({handle_of(PROSE)})]"
        assert tokens(output.content) <= 100
        assert [o.content for o in await both(tools[2], handle=handle_of(PROSE))] == [PROSE] * 2
    again = compressed_tools(tools, 100, model=MODEL, archive=archive)
    assert [tool.metadata.name for tool in again] == ["prose", "orders", "fetch_original"]
    assert again[2] is tools[2]


def test_what_is_only_written_in_another_form_has_no_mark() -> None:
    archive = Archive.open("memory://")
    (tool, _) = compressed_tools([TOOL], 2000, model=MODEL, archive=archive)
    assert "fetch_original" not in tool(customer="x").content


def test_without_the_ready_tool_there_is_no_mark() -> None:
    archive = Archive.open("memory://")
    output = compressed_tool(prose, 100, model=MODEL, archive=archive)(item="item 3")
    assert "fetch_original" not in output.content
    assert archive.get(handle_of(PROSE)) == PROSE


async def test_an_original_that_is_not_there() -> None:
    tool = fetch_original_tool(Archive.open("memory://"))
    for output in await both(tool, handle=handle_of("x")):
        assert output.is_error
        assert handle_of("x") in output.content
    with pytest.raises(ArchiveError):
        tool(handle="no handle")


def test_an_archive_that_is_closed_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive.open("memory://")
    (tool, _) = compressed_tools([prose], 100, model=MODEL, archive=archive)
    archive.close()
    output = tool(item="item 3")
    assert "item 3," in output.content
    assert "fetch_original" not in output.content
    assert "an original is not kept" in caplog.text


def test_what_cannot_be() -> None:
    archive = Archive.open("memory://")
    with pytest.raises(CompressionError, match="1 token or more"):
        compressed_tool(prose, 0)
    with pytest.raises(CompressionError, match="no room for the line"):
        compressed_tools([prose], 63, archive=archive)
    with pytest.raises(CompressionError, match="no lossless form"):
        compressed_tool(prose, 100, forms=["zip"])
    tools = compressed_tools([prose, TOOL], 100, exclude=["orders"])
    assert tools[1] is TOOL


# -- agents ------------------------------------------------------------------------------------


def scripted_agent(scripted: ScriptedServer, name: str, **arguments: Any) -> None:
    """One tool call, then an answer."""

    def answer(request: Request) -> Reply:
        called = any(message["role"] == "tool" for message in request.body["messages"])
        return Reply("Done.") if called else Reply(tool_calls=(ToolCall(name, arguments),))

    scripted.always(answer)


def told(scripted: ScriptedServer) -> str:
    """What the model was told that the tool returned."""
    (message,) = (m for m in scripted.requests[-1].body["messages"] if m["role"] == "tool")
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_function_agent(
    streaming: bool, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted_agent(scripted, "prose", item="item 42")
    tools = compressed_tools([prose], 120, model=MODEL, archive=Archive.open("memory://"))
    agent = FunctionAgent(tools=tools, llm=openai_llm(MODEL), streaming=streaming)
    with track_cost(ledger):
        result = await agent.run("What does it cost?")
    assert str(result) == "Done."
    assert "item 42," in told(scripted)
    assert tokens(told(scripted)) <= 120
    assert result.tool_calls[0].tool_output.raw_output == PROSE
    (effect,) = ledger.effects()
    assert (effect.lever, effect.tokens_before) == ("compression.payload", tokens(PROSE))
    assert effect.detail["step"] == "extract"
    assert effect.detail["dropped_fields"] == 0
    assert effect.operation_id in {row.operation_id for row in rows(ledger)}


async def test_an_agent_hands_its_context_to_a_compressed_tool(
    openai_llm: Make, scripted: ScriptedServer
) -> None:
    async def remembers(ctx: Context, item: str) -> str:
        """Remembers."""
        await ctx.store.set("seen", item)
        return PROSE

    # LlamaIndex takes annotations as they are, and here they are texts.
    remembers.__annotations__ = {"ctx": Context, "item": str, "return": str}
    scripted_agent(scripted, "remembers", item="item 42")
    tool = compressed_tool(remembers, 120, model=MODEL)
    flow = AgentWorkflow(agents=[FunctionAgent(name="a", tools=[tool], llm=openai_llm(MODEL))])
    context: Context = Context(flow)
    await flow.run("What does it cost?", ctx=context)
    assert await context.store.get("seen") == "item 42"
    assert "item 42," in told(scripted)
    assert tokens(told(scripted)) <= 120


async def test_a_react_agent(openai_llm: Make, scripted: ScriptedServer) -> None:
    scripted.script(
        Reply('Thought: look.\nAction: prose\nAction Input: {"item": "item 42"}'),
        Reply("Thought: I can answer.\nAnswer: 42 euro."),
    )
    tool = compressed_tool(prose, 120, model=MODEL)
    agent = ReActAgent(tools=[tool], llm=openai_llm(MODEL), streaming=False)
    assert str(await agent.run("What does it cost?")) == "42 euro."
    shown = str(scripted.requests[-1].body["messages"])
    assert "item 42," in shown
    assert "item 190," not in shown


# -- many at a time ----------------------------------------------------------------------------


async def test_parallel_use(ledger: Ledger) -> None:
    tool: Any = compressed_tool(prose, 100, model=MODEL, archive=Archive.open("memory://"))
    items = [f"item {n}" for n in range(20)]
    expected = [tool(item=item).content for item in items]
    with track_cost(ledger):
        with ThreadPoolExecutor(8) as pool:
            threads = [*pool.map(lambda item: tool(item=item).content, items)]
        tasks = await asyncio.gather(*(tool.acall(item=item) for item in items))
    assert threads == [output.content for output in tasks] == expected
    assert {effect.detail["step"] for effect in ledger.effects()} == {"extract"}
    assert len([*ledger.effects()]) == 40


async def test_a_cancelled_call(ledger: Ledger) -> None:
    started = threading.Event()

    async def slow(item: str) -> str:
        """Slow."""
        started.set()
        await asyncio.sleep(60)
        return PROSE

    tool: Any = compressed_tool(slow, 100)
    with track_cost(ledger):
        task = asyncio.create_task(tool.acall(item="x"))
        while not started.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [*ledger.effects()] == []


def test_fields_that_were_dropped_are_counted(ledger: Ledger) -> None:
    few = [{**order, "description": PROSE[:200]} for order in ORDERS[:3]]

    def last(customer: str) -> str:
        """The last orders."""
        return json.dumps(few)

    with track_cost(ledger):
        output = compressed_tool(last, 60, model=MODEL)(customer="x")
    (effect,) = ledger.effects()
    assert (effect.detail["step"], effect.detail["budget_tokens"]) == ("fields", 60)
    assert effect.detail["dropped_fields"] >= 1
    assert effect.tokens_after == tokens(output.content) <= 60


# -- net of the provider's cache ---------------------------------------------------------------


def note(item: str) -> str:
    """A note of about 400 tokens."""
    return PROSE[: PROSE.index("Paragraph 30")]


async def test_a_prefix_says_where_compressing_may_cost_more(ledger: Ledger) -> None:
    """OpenAI keeps prompts of 1,024 tokens or more; below that nothing is ever read again."""
    short = PrefixFacts(ahead=Ahead(prefix_tokens=300))
    long = PrefixFacts(ahead=Ahead(prefix_tokens=1_500))
    grows = iter([short, short, long, long])
    cases: list[tuple[Prefix, list[bool]]] = [
        (short, [True, True]),
        (long, [False, False]),
        (lambda: next(grows), [True, True]),
    ]
    for prefix, kept in cases:
        tool = compressed_tool(note, 100, model=MODEL, prefix=prefix)
        with track_cost(ledger):
            outputs = await both(tool, item="item 3")
        assert [output.content == note("") for output in outputs] == kept
    assert [output.content == note("") for output in await both(tool, item="item 3")] == [False] * 2
    reasons = [effect.detail.get("reason") for effect in ledger.effects()]
    assert reasons == ["cache", "cache", None, None, "cache", "cache"]


async def test_a_long_output_is_cut_as_far_as_the_cache_lets_it() -> None:
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=300))
    for output in await both(
        compressed_tool(prose, 100, model=MODEL, prefix=prefix), item="item 3"
    ):
        assert 1_024 <= 300 + tokens(output.content) < 1_100 < tokens(PROSE)
        assert "item 3," in output.content


async def test_a_prefix_goes_with_all_tools_of_an_agent() -> None:
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=300))
    archive = Archive.open("memory://")
    for tool in compressed_tools([note], 100, model=MODEL, archive=archive, prefix=prefix)[:1]:
        assert [output.content for output in await both(tool, item="item 3")] == [note("")] * 2


async def test_an_output_that_fits_without_its_mark_has_none() -> None:
    archive = Archive.open("memory://")
    (tool, _) = compressed_tools([prose], tokens(PROSE), model=MODEL, archive=archive)
    assert [output.content for output in await both(tool, item="item 3")] == [PROSE] * 2
