"""Agents whose requests a provider's prompt cache is asked about, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from tests.langchain.remembering import said
from tests.servers import AnthropicPromptCache, ManualClock, Reply, Request, ToolCall
from tests.servers.reply import Tokens

MakeModel = Callable[..., Any]
SONNET = "claude-sonnet-4-5"
SYSTEM = "You help people with parcels. " + said(0, 60)
"""About 1,200 tokens: more than Sonnet keeps at least."""

WEIGHTS = Tokens(fresh=1000, cache_read=100, cache_write_5m=1250, cache_write_1h=2000)
"""Of a token, in thousandths of a fresh one (platform.claude.com, pricing, read 2026-11-22)."""


@tool
def look(at: int) -> str:
    """Looks at the page of a number."""
    return said(at, 12)


@tool
def weigh(number: int) -> int:
    """Weighs a parcel by its number, in grams."""
    return number


def agent(model: Any, *made: Any, **more: Any) -> Any:
    more.setdefault("checkpointer", InMemorySaver())
    more.setdefault("system_prompt", SYSTEM)
    return create_agent(model, more.pop("tools", [look, weigh]), middleware=made, **more)


def thread(name: str = "one", **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}, **more}


def looks_and_answers(request: Request) -> Reply:
    """A script: each question is answered after one look at a page."""
    number = len(request.body["messages"])
    last = request.body["messages"][-1]
    if "tool_result" in str(last) or last["role"] == "tool":
        return Reply(said(number, 4))
    return Reply(tool_calls=(ToolCall("look", {"at": number}, f"toolu_{number}"),))


async def turns(made: Any, sync: bool, count: int, config: Any = None, first: int = 0) -> None:
    for number in range(first, first + count):
        asks = {"messages": [HumanMessage(said(number, 3))]}
        if sync:
            made.invoke(asks, config or thread())
        else:
            await made.ainvoke(asks, config or thread())


def tokens_of(
    bodies: Iterable[Mapping[str, Any]], gaps_s: Sequence[float] = (), least: int = 1024
) -> list[Tokens]:
    """What Anthropic would have read and written of these requests, with a cache of their own."""
    clock = ManualClock()
    cache, found = AnthropicPromptCache(clock=clock, min_tokens=least), []
    for number, body in enumerate(bodies):
        clock.advance(gaps_s[number] if number < len(gaps_s) else 10.0)
        found.append(cache.look_up(body))
    return found


def bill(tokens: Iterable[Tokens]) -> float:
    """In fresh tokens."""
    return (
        sum(
            each.fresh * WEIGHTS.fresh
            + each.cache_read * WEIGHTS.cache_read
            + each.cache_write_5m * WEIGHTS.cache_write_5m
            + each.cache_write_1h * WEIGHTS.cache_write_1h
            for each in tokens
        )
        / 1000
    )


def unmarked(bodies: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The same requests without any marker."""
    return [_without(body) for body in copy.deepcopy(list(bodies))]


def unmarked_lists(bodies: Iterable[Mapping[str, Any]]) -> list[Any]:
    """As `unmarked`, with every text as the list of one block that it stands for."""
    found = unmarked(bodies)
    for body in found:
        for holder, key in [(body, "system"), *((m, "content") for m in body["messages"])]:
            if isinstance(holder.get(key), str):
                holder[key] = [{"type": "text", "text": holder[key]}]
    return found


def markers(body: Any) -> list[dict[str, Any]]:
    """All of a request, in the order in which they stand in it."""
    if isinstance(body, Mapping):
        own = [body["cache_control"]] if "cache_control" in body else []
        order = ("tools", "system", "messages")
        keys = sorted(body, key=lambda key: order.index(key) if key in order else -1)
        return own + [found for key in keys for found in markers(body[key])]
    if isinstance(body, list):
        return [found for each in body for found in markers(each)]
    return []


def _without(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _without(value) for key, value in body.items() if key != "cache_control"}
    return [_without(each) for each in body] if isinstance(body, list) else body
