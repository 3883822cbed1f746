"""`ToolOutputMiddleware` in agents: once, when an output enters, and never a second time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from frugal_chains import Ledger
from frugal_chains.archive import Archive, handle_of
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.shape import restore
from frugal_chains.errors import CompressionError
from langchain_frugal import (
    CostCallbackHandler,
    ToolOutputMiddleware,
    fetch_original_tool,
    track_cost,
)
from tests.langchain.compressing import ANSWER, MODEL, QUESTION, prose, tokens
from tests.servers import Reply, Request, ScriptedServer, ToolCall

MakeModel = Callable[..., Any]
BUDGET = 120
REPORT = f"{prose('looms', 12)} {ANSWER} {prose('wells', 12)}"
RECORDS = [{"id": f"R{n:04}", "city": "Aldermoor", "note": f"Entry {n}."} for n in range(20)]


@tool
def report(about: str) -> str:
    """A report."""
    return REPORT


@tool
def records() -> str:
    """All records."""
    return json.dumps(RECORDS, indent=2)


@tool(response_format="content_and_artifact")
def painted(about: str) -> tuple[list[Any], dict[str, int]]:
    """A report with a picture."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
    return [image, {"type": "text", "text": REPORT}], {"pages": 3}


@tool
def broken() -> str:
    """Fails at length."""
    raise ToolException(REPORT)


broken.handle_tool_error = True  # type: ignore[attr-defined]


@tool
def hand_over() -> Any:
    """Says so by a command."""
    message = ToolMessage(REPORT, tool_call_id="call_1")
    return Command(update={"messages": [message]})


@tool(return_direct=True)
def direct() -> str:
    """Goes to the person as it is."""
    return REPORT


@tool
def cached() -> Any:
    """Bears a provider's cache marker."""
    return [{"type": "text", "text": REPORT, "cache_control": {"type": "ephemeral"}}]


TOOLS = [report, records, painted, broken, hand_over, direct, cached]


def middleware(budget_tokens: Any = BUDGET, **options: Any) -> ToolOutputMiddleware:
    return ToolOutputMiddleware(budget_tokens, model=MODEL, **options)


def agent(chat_openai: MakeModel, made: AgentMiddleware[Any, Any, Any], **more: Any) -> Any:
    return create_agent(chat_openai(MODEL), TOOLS, middleware=[made], **more)


def asks(name: str, **args: Any) -> Reply:
    return Reply(tool_calls=(ToolCall(name, args),))


async def outputs(made: Any, sync: bool, config: Any = None) -> list[ToolMessage]:
    start = {"messages": [HumanMessage(QUESTION)]}
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    return [message for message in end["messages"] if isinstance(message, ToolMessage)]


BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@BOTH
async def test_an_output_is_cut_to_what_the_question_needs(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(asks("report", about="bridges"), Reply("done"))
    (output,) = await outputs(agent(chat_openai, middleware()), sync)
    assert ANSWER in output.text
    assert 0.7 * BUDGET < tokens(output.text) <= BUDGET
    assert (output.tool_call_id, output.name) == ("call_1", "report")
    (sent,) = [m for m in scripted.requests[1].body["messages"] if m["role"] == "tool"]
    assert sent["content"] == output.text
    assert "fetch_original" not in json.dumps(scripted.requests[1].body)


async def test_a_lossless_form_comes_first(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.script(asks("records"), Reply("done"), asks("records"), Reply("done"))
    (output,) = await outputs(agent(chat_openai, middleware(800)), True)
    assert json.loads(restore(output.text, "outline")) == RECORDS
    (plain,) = await outputs(agent(chat_openai, middleware(800, forms=("json",))), True)
    assert json.loads(plain.text) == RECORDS
    assert tokens(output.text) < tokens(plain.text) < tokens(json.dumps(RECORDS, indent=2))


@BOTH
async def test_artifacts_pictures_errors_commands_and_direct_answers_are_not_touched(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(chat_openai, middleware())
    scripted.script(asks("painted", about="bridges"), Reply("done"))
    (output,) = await outputs(made, sync)
    assert output.artifact == {"pages": 3}
    image, text = output.content
    assert image["type"] == "image_url"
    assert ANSWER in text["text"]
    assert tokens(text["text"]) <= BUDGET
    for name in ("broken", "hand_over", "cached", "direct"):
        scripted.script(asks(name), *([] if name == "direct" else [Reply("done")]))
        (output,) = await outputs(made, sync)
        assert output.text == REPORT


async def test_the_arguments_of_the_call_say_what_is_looked_for(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    @tool
    def orders(number: str) -> str:
        """Orders."""
        return "\n".join(f"Order {n} was sent to shop {n % 7}." for n in range(400))

    scripted.script(asks("orders", number="Order 277"), Reply("done"))
    made = create_agent(chat_openai(MODEL), [orders], middleware=[middleware(40)])
    (output,) = await outputs(made, True)
    assert "Order 277 was sent" in output.text
    assert tokens(output.text) <= 40


@BOTH
async def test_what_has_entered_stays_byte_for_byte(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = agent(chat_openai, middleware(), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    scripted.always(Reply("done"))
    for question in ("wells?", "and looms?", QUESTION):
        scripted.script(asks("report", about=question))
        start = {"messages": [HumanMessage(question)]}
        _ = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    sent = [request.body["messages"] for request in scripted.requests]
    for earlier, later in pairwise(sent):
        assert later[: len(earlier)] == earlier
    assert len({m["content"] for m in sent[-1] if m["role"] == "tool"}) == 3


# -- the archive ---------------------------------------------------------------------------------


@BOTH
async def test_with_an_archive_the_model_can_fetch_the_original(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    def fetches(request: Request) -> Reply:
        content = request.body["messages"][-1]["content"]
        handle = content.split("fetch_original(")[1].split(")")[0]
        return Reply(tool_calls=(ToolCall("fetch_original", {"handle": f" `{handle}`"}, "call_2"),))

    scripted.script(asks("report", about="bridges"), fetches, Reply("done"))
    with Archive.open("memory://") as archive:
        made = agent(chat_openai, middleware(archive=archive))
        short, whole = await outputs(made, sync)
        assert handle_of(REPORT) in short.text.splitlines()[-1]
    assert ANSWER in short.text
    assert tokens(short.text) <= BUDGET
    assert whole.text == REPORT  # not compressed again
    offered = [each["function"]["name"] for each in scripted.requests[0].body["tools"]]
    assert "fetch_original" in offered


async def test_no_marker_where_nothing_was_cut_or_kept(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("done"))
    with Archive.open("memory://") as archive, Archive.open("memory://", max_bytes=9) as small:
        for made, name in (
            (middleware(tokens(REPORT) + 60, archive=archive), "report"),  # fits, with a marker
            (middleware(800, archive=archive), "records"),  # lossless
            (middleware(archive=small), "report"),  # the archive does not take it
        ):
            scripted.script(asks(name, **({"about": "x"} if name == "report" else {})))
            (output,) = await outputs(agent(chat_openai, made), True)
            assert "fetch_original" not in output.text


async def test_several_texts_become_one_with_one_budget(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    @tool
    def pages() -> Any:
        """Pages."""
        return [{"type": "text", "text": text} for text in (prose("wells", 9), REPORT)]

    scripted.script(asks("pages"), Reply("done"))
    with Archive.open("memory://") as archive:
        made = create_agent(
            chat_openai(MODEL), [pages], middleware=[middleware(200, archive=archive)]
        )
        (output,) = await outputs(made, True)
        (block,) = output.content
        assert (block["type"], block["text"]) == ("text", output.text)
        assert ANSWER in output.text
        assert tokens(output.text) <= 200
        handle = output.text.split("fetch_original(")[1].split(")")[0]
        assert archive.get(handle) == f"{prose('wells', 9)}\n{REPORT}"


@pytest.mark.parametrize(
    "budget",
    [
        40,
        ContextBudget(tokens=500, by_tier={"x": 63}),
        ContextBudget(tokens=500, least_tokens=10, limit_usd=Decimal("0.01")),
    ],
)
def test_a_budget_has_to_hold_the_marker(budget: Any) -> None:
    with Archive.open("memory://") as archive:
        with pytest.raises(CompressionError, match="give 64 or more"):
            middleware(budget, archive=archive)
        assert middleware(64, archive=archive).tools
    assert middleware(40).tools == []


def test_what_is_not_in_the_archive_is_told_to_the_model() -> None:
    with Archive.open("memory://") as archive:
        fetch = fetch_original_tool(archive)
        kept = archive.put(REPORT)
        assert fetch.invoke({"handle": kept}) == REPORT
        for wrong in ("fc1-abcdefghijklmnopqrst", "no handle", ""):
            call = {"name": "x", "args": {"handle": wrong}, "id": "1", "type": "tool_call"}
            message = fetch.invoke(call)
            assert message.status == "error"
            assert "handle" in message.text or "no text is kept" in message.text


# -- switches, books, and others -----------------------------------------------------------------


@BOTH
async def test_an_agent_or_a_tool_can_be_left_alone(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    for made, config in (
        (middleware(enabled=False), None),
        (middleware(exclude=["report"]), None),
        (middleware(), {"configurable": {"compress": False}}),
        (middleware(), {"metadata": {"compress": False}}),
    ):
        scripted.script(asks("report", about="bridges"), Reply("done"))
        (output,) = await outputs(agent(chat_openai, made), sync, config)
        assert output.text == REPORT


@BOTH
async def test_every_name_in_a_list_of_found_tools_stays(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    @tool
    def find_tool(task: str) -> str:
        """Finds further tools."""
        return REPORT

    made = create_agent(chat_openai(MODEL), [find_tool], middleware=[middleware()])
    scripted.script(asks("find_tool", task="bridges"), Reply("done"))
    (output,) = await outputs(made, sync)
    assert output.text == REPORT


async def test_the_tier_that_will_answer_has_a_budget_of_its_own(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    made = middleware(ContextBudget(tokens=200, by_tier={"specialist": 50}))
    scripted.script(asks("report", about="bridges"), Reply("done"))
    config = {"configurable": {"route": "specialist"}}
    (output,) = await outputs(agent(chat_openai, made), True, config)
    assert tokens(output.text) <= 50


@BOTH
async def test_effects_belong_to_the_operation_of_the_agents_calls(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    made = agent(chat_openai, middleware())
    scripted.script(asks("report", about="bridges"), Reply("done"))
    await outputs(made, sync, {"callbacks": [handler]})
    with track_cost(ledger, feature="agent"):
        scripted.script(asks("report", about="bridges"), Reply("done"))
        (output,) = await outputs(made, sync)
    calls = [attempt.operation_id for attempt in ledger.attempts()]
    assert len(calls) == 4
    effects = [*ledger.effects(lever="compression.payload")]
    assert [effect.operation_id for effect in effects] == calls[::2]
    assert effects[1].tags["feature"] == "agent"
    assert effects[1].tokens_before == tokens(REPORT)
    assert effects[1].tokens_after == tokens(output.text)


async def test_calls_at_the_same_time_each_have_their_own(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    both = (ToolCall("report", {"about": "a"}, "c1"), ToolCall("records", {}, "c2"))

    def turn(request: Request) -> Reply:
        done = request.body["messages"][-1]["role"] == "tool"
        return Reply("done") if done else Reply(tool_calls=both)

    scripted.always(turn)
    made = agent(chat_openai, middleware(160))
    runs = await asyncio.gather(*(outputs(made, False) for _ in range(5)))
    assert {tuple(sorted(o.text for o in run)) for run in runs} == {
        tuple(sorted(o.text for o in runs[0]))
    }
    assert {o.tool_call_id for o in runs[0]} == {"c1", "c2"}
    assert all(tokens(output.text) <= 160 for run in runs for output in run)


async def test_a_tool_that_is_cancelled_is_cancelled(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    begun = asyncio.Event()

    @tool
    async def slow() -> str:
        """Takes its time."""
        begun.set()
        await asyncio.sleep(60)
        return REPORT

    scripted.script(asks("slow"))
    made = create_agent(chat_openai(MODEL), [slow], middleware=[middleware()])
    task = asyncio.ensure_future(outputs(made, False))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_long_output_is_compressed_off_the_loop(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    @tool
    def long() -> str:
        """Long."""
        return f"{prose('wells', 1500)} {ANSWER}"

    scripted.script(asks("long"), Reply("done"))
    made = create_agent(chat_openai(MODEL), [long], middleware=[middleware()])
    (output,) = await outputs(made, False)
    assert ANSWER in output.text
    assert tokens(output.text) <= BUDGET
