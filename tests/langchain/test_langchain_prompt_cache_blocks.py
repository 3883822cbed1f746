"""Blocks are read as langchain-anthropic sends them: as many, in the same order, and a marker that
is put on one stands on that one on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from frugal_chains.prompt_cache import CacheMarker, CachePlan
from frugal_chains.providers import cache_controls
from langchain_frugal.prompt_cache._apply import Parts, applied
from langchain_frugal.prompt_cache._read import Read, RequestReader
from tests.langchain.caching import SONNET, look, weigh

MODEL = ChatAnthropic(model=SONNET, api_key="test")  # type: ignore[call-arg]
CONTROLS = cache_controls("anthropic", SONNET)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
DATA = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
SECRET = {"type": "redacted_thinking", "data": "x"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(number: int) -> Any:
    return {"name": "look", "args": {"at": number}, "id": f"toolu_{number}"}


def used(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "name": "look", "input": {"at": number}, "id": f"toolu_{number}"}


def result(number: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "7"}


ODD: dict[str, list[BaseMessage]] = {
    "texts": [SystemMessage("s"), HumanMessage("q"), AIMessage("a"), HumanMessage("q")],
    "lists": [
        SystemMessage([text("one"), text("two")]),
        HumanMessage([text("q"), IMAGE, text(""), DATA, text("r")]),
        AIMessage([THINKING, SECRET, text("a"), text(" ")]),
        HumanMessage(["plain", text("q")]),
    ],
    "system-twice": [SystemMessage("one"), SystemMessage([text("two")]), HumanMessage("q")],
    "no-system": [HumanMessage("q"), AIMessage(""), HumanMessage("q")],
    "calls": [
        HumanMessage("q"),
        AIMessage("I look.", tool_calls=[call(1), call(2)]),
        ToolMessage("7", tool_call_id="toolu_1"),
        ToolMessage([text("7"), text("8")], tool_call_id="toolu_2"),
        HumanMessage("Go on."),
    ],
    "calls-in-content": [
        HumanMessage("q"),
        AIMessage([THINKING, text("I look."), used(1), used(2)], tool_calls=[call(1), call(2)]),
        HumanMessage([result(1)]),
        ToolMessage([result(2)], tool_call_id="toolu_2"),
        AIMessage([text("Done.")]),
        HumanMessage("q"),
    ],
    "calls-before-texts": [
        HumanMessage("q"),
        AIMessage([used(1), text("Meanwhile."), used(2)], tool_calls=[call(1), call(2)]),
        ToolMessage("7", tool_call_id="toolu_1"),
        ToolMessage("8", tool_call_id="toolu_2"),
    ],
    "streamed": [
        HumanMessage("q"),
        AIMessage([{**used(1), "input": {}, "partial_json": '{"at": 1}', "index": 0}]),
        ToolMessage("", tool_call_id="toolu_1", status="error"),
    ],
}


def read(messages: list[BaseMessage]) -> tuple[Read, Parts]:
    parts = Parts(tools=[look, weigh], messages=messages, settings={})
    found = RequestReader().read(
        parts.tools, parts.messages, form="anthropic", controls=CONTROLS, model=SONNET
    )
    return found, parts


def wire(parts: Parts) -> list[Any]:
    """The blocks of the request that langchain-anthropic makes of it."""
    bound: Any = MODEL.bind_tools(parts.tools)
    body = MODEL._get_request_payload(parts.messages, **bound.kwargs)
    groups = [body["tools"], body.get("system") or [], *(m["content"] for m in body["messages"])]
    return [
        block
        for group in groups
        for block in ([text(group)] if isinstance(group, str) else group)
        if block != text("")
    ]


@pytest.mark.parametrize("name", sorted(ODD))
def test_as_many_blocks_in_the_same_order(name: str) -> None:
    found, parts = read(ODD[name])
    kinds = []
    for block in wire(parts):
        kind = block.get("type", "")
        kinds.append({"tool_use": "calls", "tool_result": "results"}.get(kind, ""))
    assert [block.run for block in found.blocks] == kinds
    for block, sent in zip(found.blocks, wire(parts), strict=True):
        if sent.get("type") == "text":
            assert block.text.endswith(sent["text"])


@pytest.mark.parametrize("name", sorted(ODD))
def test_each_marker_stands_on_its_block_and_nothing_else_is_other(name: str) -> None:
    found, parts = read(ODD[name])
    plain = wire(parts)
    marked = 0
    for index, block in enumerate(found.blocks):
        if not block.markable:
            continue
        marked += 1
        plan = CachePlan(markers=(CacheMarker(index=index, ttl="1h", reason="stable-end"),))
        sent = wire(applied(plan, found, parts, "anthropic"))
        assert sent[index].pop("cache_control") == {"type": "ephemeral", "ttl": "1h"}
        assert json.dumps(sent) == json.dumps(plain)
    assert marked >= 3


def test_what_anthropic_refuses_to_mark_is_never_marked() -> None:
    """platform.claude.com, prompt caching, "What can be cached", read 2026-11-22."""
    for messages in ODD.values():
        found, parts = read(messages)
        for block, sent in zip(found.blocks, wire(parts), strict=True):
            if sent.get("type") in ("thinking", "redacted_thinking") or sent == text(" "):
                assert not block.markable


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_plan_can_be_applied_and_nothing_given_is_changed(data: st.DataObject) -> None:
    messages = ODD[data.draw(st.sampled_from(sorted(ODD)))]
    found, parts = read(messages)
    before = json.dumps([message.model_dump() for message in messages], default=str)
    can = [index for index, block in enumerate(found.blocks) if block.markable]
    chosen = sorted(data.draw(st.sets(st.sampled_from(can), max_size=4)))
    system = [at for at, block in enumerate(found.blocks) if block.kind == "system"]
    may = found.may_reorder and len(system) > 1
    order = tuple(data.draw(st.permutations(system))) if may else ()
    plan = CachePlan(
        markers=tuple(CacheMarker(index=i, ttl="5m", reason="step") for i in chosen), order=order
    )
    sent = wire(applied(plan, found, parts, "anthropic"))
    assert sum("cache_control" in block for block in sent) == len(chosen)
    assert len(sent) == len(found.blocks)
    assert before == json.dumps([message.model_dump() for message in messages], default=str)
