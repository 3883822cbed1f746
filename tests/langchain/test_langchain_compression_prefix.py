"""`ToolOutputMiddleware` with a prefix: net of the provider's cache, by what the state shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains import Ledger
from frugal_chains.archive import Archive
from frugal_chains.compression import Ahead
from frugal_chains.dispatch import PrefixFacts
from langchain_frugal import CostCallbackHandler, ToolOutputMiddleware
from tests.langchain.compressing import ANSWER, MODEL, QUESTION, prose, tokens
from tests.own_time import own_seconds
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

MakeModel = Callable[..., Any]
BUDGET = 120
REPORT = f"{prose('looms', 12)} {ANSWER} {prose('wells', 12)}"
ANY = PrefixFacts(ahead=Ahead(prefix_tokens=0))
"""OpenAI keeps prompts of 1,024 tokens or more; what is known beside that is in the messages."""


@tool
def report(about: str) -> str:
    """A report."""
    return REPORT


def middleware(prefix: PrefixFacts | None = ANY, **options: Any) -> ToolOutputMiddleware:
    return ToolOutputMiddleware(BUDGET, **{"model": MODEL, "prefix": prefix, **options})


def asks(input_tokens: int | None = None, model: str | None = None) -> Reply:
    calls = (ToolCall("report", {"about": "bridges"}),)
    if input_tokens is None:
        return Reply(tool_calls=calls, omit_usage=True)
    return Reply(tool_calls=calls, usage=Tokens(fresh=input_tokens, visible=9), model=model)


async def output(made: Any, sync: bool, config: Any = None) -> str:
    start = {"messages": [HumanMessage(QUESTION)]}
    end = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    (message,) = [m for m in end["messages"] if isinstance(m, ToolMessage)]
    return str(message.text)


BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@BOTH
@pytest.mark.parametrize(
    ("asked", "compressed"),
    [
        (asks(2_000), True),
        (asks(300), False),  # shortened below 1,024 tokens, it would never be read at a discount
        (asks(2_000, "gpt-4.1-mini-2025-04-14"), True),
        (asks(2_000, "o9-large"), False),  # whose tokens are others: the messages are counted
        (asks(None), False),
    ],
    ids=["long", "short", "snapshot", "another", "untold"],
)
async def test_what_the_provider_has_counted_is_what_stands_in_front(
    sync: bool, asked: Reply, compressed: bool, chat_openai: MakeModel, scripted: ScriptedServer,
    ledger: Ledger, handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.script(asked, Reply("done"))
    made = create_agent(chat_openai(MODEL), [report], middleware=[middleware()])
    found = await output(made, sync, {"callbacks": [handler]})
    assert (tokens(found) <= BUDGET) if compressed else (found == REPORT)
    (effect,) = ledger.effects(lever="compression.payload")
    assert effect.detail.get("reason") == (None if compressed else "cache")
    # $0.40 a million, openai.com/api/pricing, read 2026-11-20: what is left out is not paid once.
    saved = tokens(REPORT) - tokens(found)
    assert effect.net_nanos == saved * 400


async def test_what_the_application_knows_counts_too(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    for facts, compressed in (
        (PrefixFacts(ahead=Ahead(prefix_tokens=1_100)), True),  # system prompt and tools
        (PrefixFacts(ahead=Ahead(prefix_tokens=0), caches=False), True),
        (PrefixFacts(ahead=Ahead(prefix_tokens=0), min_tokens=3_000), False),
        (None, True),
    ):
        scripted.script(asks(2_000) if facts and facts.min_tokens else asks(300), Reply("done"))
        made = create_agent(chat_openai(MODEL), [report], middleware=[middleware(facts)])
        found = await output(made, True)
        assert (tokens(found) <= BUDGET) if compressed else (found == REPORT)


@BOTH
async def test_what_has_entered_stays_byte_for_byte(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    """The first output enters while too little stands in front, the second when enough does."""
    with Archive.open("memory://") as archive:
        made = create_agent(
            chat_openai(MODEL), [report], middleware=[middleware(archive=archive)],
            checkpointer=InMemorySaver(),
        )  # fmt: skip
        config: Any = {"configurable": {"thread_id": "t"}}
        for turn, input_tokens in enumerate((300, 1_200, 2_500)):
            scripted.script(asks(input_tokens), Reply("done"))
            start = {"messages": [HumanMessage(f"{QUESTION} ({turn})")]}
            _ = made.invoke(start, config) if sync else await made.ainvoke(start, config)
    sent = [request.body["messages"] for request in scripted.requests]
    for earlier, later in pairwise(sent):
        assert later[: len(earlier)] == earlier
    outputs = [message["content"] for message in sent[-1] if message["role"] == "tool"]
    assert outputs[0] == REPORT
    assert [tokens(each) <= BUDGET for each in outputs] == [False, True, True]


# -- by the state alone ------------------------------------------------------------------------


def request(messages: Sequence[AnyMessage]) -> ToolCallRequest:
    call: Any = {"name": "report", "args": {"about": "bridges"}, "id": "1", "type": "tool_call"}
    runtime: Any = SimpleNamespace(config={})
    return ToolCallRequest(
        tool_call=call, tool=report, state={"messages": [*messages]}, runtime=runtime
    )


def compressed(made: ToolOutputMiddleware, messages: Sequence[AnyMessage]) -> bool:
    found = made.wrap_tool_call(request(messages), lambda _: ToolMessage(REPORT, tool_call_id="1"))
    return bool(found.text != REPORT)


def history(count: int) -> list[AnyMessage]:
    """Messages without usage, of about 100 tokens each."""
    kinds = (HumanMessage, AIMessage, HumanMessage, ToolMessage)
    return [
        kinds[n % 4](prose("glaciers", 5), **({"tool_call_id": "0"} if n % 4 == 3 else {}))
        for n in range(count)
    ]


def test_where_no_usage_is_reported_messages_are_counted() -> None:
    made = middleware()
    assert [compressed(made, history(n)) for n in (0, 3, 30)] == [False, False, True]
    with_prompt = [SystemMessage(prose("comets", 60)), *history(1)]
    assert compressed(made, with_prompt)
    estimated = middleware(model="gpt-99-imagined")
    # An estimate is a little too high: half of it is sure.
    enough = next(n for n in range(40) if compressed(made, history(n)))
    assert not compressed(estimated, history(enough))


def test_a_state_of_another_kind_shows_nothing() -> None:
    made = middleware()
    for state in ([], None, {"messages": None}, SimpleNamespace()):
        asked = request([])
        object.__setattr__(asked, "state", state)
        found = made.wrap_tool_call(asked, lambda _: ToolMessage(REPORT, tool_call_id="1"))
        assert found.text == REPORT


def test_a_hundred_messages_cost_a_call_next_to_nothing() -> None:
    messages = history(100)
    made, plain = middleware(), middleware(None)

    def fastest(each: ToolOutputMiddleware) -> float:
        return min(own_seconds(lambda: compressed(each, messages)) for _ in range(9))

    assert compressed(made, messages)
    assert compressed(plain, messages)
    assert fastest(made) - fastest(plain) < 0.01
