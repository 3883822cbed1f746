"""The same conversation in both frameworks: the same compactions, and the same text is sent."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, MessageRole

from frugal_chains.dispatch import Compaction
from frugal_chains.memory import CompactionPolicy, WaterMark
from langchain_frugal.memory import compact_messages
from llama_index_frugal import SummarizingMemory

WORDS = ("harbour", "rope", "anchor", "gull", "tide", "lantern", "crew", "storm", "map", "barrel")


class Said(NamedTuple):
    """One message of a conversation, in no framework's words."""

    role: str
    text: str
    call: str = ""
    """The id of the tool call that it asks for, or answers."""


def talk(seed: int, turns: int, *, tools: bool = False, system: bool = False) -> list[Said]:
    rng = random.Random(seed)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    said = [Said("system", "You keep a log. " * 90)] if system else []
    for turn in range(turns):
        said.append(
            Said("user", f"Order ORD-{seed}{turn:03} by Ms {words(1, 1).title()}: {words(40, 160)}")
        )
        if tools and turn % 2:
            said.append(Said("assistant", "", f"call_{turn}"))
            said.append(Said("tool", f"stock of {turn}: {words(60, 200)}", f"call_{turn}"))
        said.append(Said("assistant", words(60, 220)))
    return said


def of_langchain(said: Said) -> BaseMessage:
    if said.role == "tool":
        return ToolMessage(said.text, tool_call_id=said.call)
    if said.call:
        return AIMessage(
            said.text, tool_calls=[{"name": "stock", "args": {"of": "x"}, "id": said.call}]
        )
    kind = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}[said.role]
    return kind(said.text)


def of_llama_index(said: Said) -> ChatMessage:
    more: dict[str, Any] = {}
    if said.role == "tool":
        more = {"tool_call_id": said.call, "name": ""}
    elif said.call:
        arguments = json.dumps({"of": "x"})
        function = {"name": "stock", "arguments": arguments}
        more = {"tool_calls": [{"id": said.call, "type": "function", "function": function}]}
    return ChatMessage(role=MessageRole(said.role), content=said.text, additional_kwargs=more)


def langchain(conversation: list[Said], **options: Any) -> tuple[list[Compaction], list[list[str]]]:
    events: list[Compaction] = []
    step = compact_messages(on_compaction=events.append, recall_tokens=1000, **options)
    history: list[BaseMessage] = []
    sent: list[list[str]] = []
    for said in conversation:
        history.append(of_langchain(said))
        if said.role in ("user", "tool"):
            sent.append([message.text for message in step.invoke(history)])
    return events, sent


def llama_index(
    conversation: list[Said], model: str, **options: Any
) -> tuple[list[Compaction], list[list[str]]]:
    events: list[Compaction] = []
    memory = SummarizingMemory.from_defaults(
        model=model, on_compaction=events.append, recall_tokens=1000, **options
    )
    sent: list[list[str]] = []
    for said in conversation:
        memory.put(of_llama_index(said))
        if said.role in ("user", "tool"):
            sent.append([message.content or "" for message in memory.get()])
    return events, sent


@pytest.mark.parametrize(
    "policy",
    [
        CompactionPolicy(),
        CompactionPolicy(keep_tokens=600, trigger=WaterMark()),
        CompactionPolicy(keep_tokens=500, summary_tokens=40, segments_tokens=120),
        CompactionPolicy(limit_tokens=1500, keep_tokens=700),
    ],
    ids=["default", "water mark", "merging", "limit"],
)
@pytest.mark.parametrize("kind", ["chat", "tools", "system"])
@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-4o", "unheard-of"])
def test_both_send_the_same(model: str, kind: str, policy: CompactionPolicy) -> None:
    conversation = talk(3, 32, tools=kind == "tools", system=kind == "system")
    mine, sent = langchain(conversation, model=model, policy=policy)
    theirs, likewise = llama_index(conversation, model, policy=policy)
    assert sent == likewise
    assert mine or model == "unheard-of", "nothing was compacted"  # careful without prices
    assert [_told(event) for event in mine] == [_told(event) for event in theirs]


def _told(event: Compaction) -> Compaction:
    """Without what names messages: LangChain's have ids of their own."""
    return replace(event, id="", conversation="")
