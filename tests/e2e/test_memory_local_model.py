"""A real model behind both memories: after a compaction its server soon reads its cache again.

The server reports how many tokens of a prompt it took from its cache, over HTTP; nothing here is
worked out by this library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx
import pytest
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from frugal_chains.dispatch import Compaction
from frugal_chains.local import LocalModel
from frugal_chains.memory import CompactionPolicy, WaterMark
from langchain_frugal.memory import compact_messages
from llama_index_frugal import SummarizingMemory

MODEL = "gpt-4o-mini"
SYSTEM = (
    "You keep a ship's log. Answer in a few words. " + "The ship sails on, day and night. " * 120
)
QUESTIONS = [
    f"Day {day}: the wind is {wind}, we passed {place} and the cook made {dish}. What next?"
    for day, (wind, place, dish) in enumerate(
        [
            ("calm", "Cork", "rice"),
            ("strong", "Vigo", "stew"),
            ("weak", "Brest", "soup"),
            ("cold", "Gijon", "fish"),
            ("warm", "Porto", "cake"),
        ],
        start=1,
    )
]
POLICY = CompactionPolicy(
    trigger=WaterMark(high_tokens=120),
    keep_tokens=80,
    summary_tokens=32,
    segments_tokens=128,
    least_dropped_tokens=40,
)
RECOVERED = 0.9
"""Of what stands at the beginning of two prompts in a row."""


class Reported(NamedTuple):
    prompt: int
    cached: int


class Wire:
    """What the server reports of each answer."""

    def __init__(self) -> None:
        self.reported: list[Reported] = []
        self.client = httpx.Client(event_hooks={"response": [self._read]})

    def _read(self, response: httpx.Response) -> None:
        response.read()
        usage = response.json()["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        self.reported.append(Reported(usage["prompt_tokens"], cached))


@pytest.fixture
def wire() -> Iterator[Wire]:
    found = Wire()
    yield found
    found.client.close()


def langchain_turns(
    local: LocalModel, wire: Wire, told: Callable[[Compaction], None]
) -> Iterator[None]:
    model = ChatOpenAI(
        model=MODEL, base_url=local.openai_base_url, api_key="none", http_client=wire.client,
        max_tokens=12, temperature=0, max_retries=0,
    )  # fmt: skip
    step = compact_messages(model, policy=POLICY, on_compaction=told)
    history: list[BaseMessage] = [SystemMessage(SYSTEM)]
    for question in QUESTIONS:
        history.append(HumanMessage(question))
        history.append((step | model).invoke(history))
        yield


def llama_turns(
    local: LocalModel, wire: Wire, told: Callable[[Compaction], None]
) -> Iterator[None]:
    llm = OpenAI(
        model=MODEL, api_base=local.openai_base_url, api_key="none", http_client=wire.client,
        max_tokens=12, temperature=0, max_retries=0,
    )  # fmt: skip
    memory = SummarizingMemory.from_defaults(
        llm=llm, policy=POLICY, system_prompt=SYSTEM, on_compaction=told
    )
    engine = SimpleChatEngine.from_defaults(
        llm=llm, memory=memory, prefix_messages=[ChatMessage(role="system", content=SYSTEM)]
    )
    for question in QUESTIONS:
        engine.chat(question)
        yield


@pytest.mark.parametrize("turns", [langchain_turns, llama_turns])
def test_the_cache_is_read_again_by_the_turn_after_a_compaction(
    local_model: LocalModel,
    wire: Wire,
    turns: Callable[[LocalModel, Wire, Callable[[Compaction], None]], Iterator[None]],
) -> None:
    events: list[Compaction] = []
    compacted: list[int] = []
    for number, _ in enumerate(turns(local_model, wire, events.append)):
        if len(events) > len(compacted):
            compacted.append(number)
    assert len(wire.reported) == len(QUESTIONS)
    assert compacted, "nothing was compacted"
    for at in compacted:
        before, here = wire.reported[at - 1], wire.reported[at]
        assert here.cached < before.prompt  # the old turns are gone from what the server saw
        if at + 1 < len(wire.reported) and at + 1 not in compacted:
            after = wire.reported[at + 1]
            assert after.cached >= RECOVERED * here.prompt
