"""No request is larger than its model's window has room for, wherever the memory stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from frugal_chains.memory import CompactionPolicy, WaterMark
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal import (
    CompactionMiddleware,
    SummarizingChatHistory,
    SummarizingMemory,
    compact_messages,
)
from tests.langchain.remembering import (
    answered_requests,
    answers_and_summaries,
    conversation,
    segments_in,
)
from tests.servers import Reply, ScriptedServer

MakeModel = Callable[..., Any]
NEVER = CompactionPolicy(trigger=WaterMark(high_tokens=900_000), keep_tokens=200)
"""Compacts where there is no room, and for no other reason."""
OLD = "gpt-4"
"""Reads 8,192 tokens (developers.openai.com, models, read 2026-11-22)."""
WINDOW = 8_192
LONG = conversation(40)
"""About 11,000 tokens."""


def tokens(messages: Sequence[BaseMessage]) -> int:
    count = TokenCounter().text_counter(model=OLD)
    return sum(count(str(message.content)) for message in messages)


def histories(model: Any, policy: CompactionPolicy) -> list[BaseMessage]:
    history = SummarizingChatHistory(model=model, policy=policy)
    history.add_messages(LONG)
    return history.messages


def classics(model: Any, policy: CompactionPolicy) -> list[BaseMessage]:
    memory = SummarizingMemory(model=model, policy=policy, return_messages=True)
    memory.chat_memory.add_messages(LONG)
    found: list[BaseMessage] = memory.load_memory_variables({"input": "Well?"})["history"]
    return found


def steps(model: Any, policy: CompactionPolicy) -> list[BaseMessage]:
    found: list[BaseMessage] = compact_messages(model, policy=policy).invoke(LONG)
    return found


@pytest.mark.parametrize("made", [histories, classics, steps])
def test_a_models_window_is_a_limit_that_nobody_has_to_give(made: Any) -> None:
    assert tokens(LONG) > 10_000
    view = made(OLD, NEVER)
    assert 500 < tokens(view) < WINDOW * 0.75
    assert len(made("gpt-4o", NEVER)) == len(LONG)  # 128,000
    assert len(made("a-model-of-our-own", NEVER)) == len(LONG)


def test_a_limit_of_the_callers_stays() -> None:
    own = CompactionPolicy(trigger=NEVER.trigger, keep_tokens=200, limit_tokens=20_000)
    assert steps(OLD, own) == LONG


def test_of_a_model_and_its_fallbacks_the_smallest_window_counts(chat_openai: MakeModel) -> None:
    model = chat_openai("gpt-4o").with_fallbacks([chat_openai(OLD)])
    assert tokens(steps(model, NEVER)) < WINDOW * 0.75
    assert steps(chat_openai("gpt-4o").with_fallbacks([chat_openai("gpt-4.1")]), NEVER) == LONG


def test_prices_that_cannot_be_read_are_no_reason_for_no_answer() -> None:
    class Failing(PriceBook):
        def context_window_tokens(self, model: str, provider: str | None = None) -> int | None:
            raise RuntimeError("no file")

    step = compact_messages(OLD, policy=NEVER, prices=Failing())
    assert step.invoke(LONG) == LONG


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_model_that_is_asked_in_anothers_place_gets_what_it_has_room_for(
    sync: bool, chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    answers = answers_and_summaries()
    scripted.always(
        lambda request: Reply(status=500) if request.body["model"] != OLD else answers(request)
    )
    made = create_agent(
        chat_openai("gpt-4o"),
        [],
        middleware=[ModelFallbackMiddleware(chat_openai(OLD)), CompactionMiddleware(NEVER)],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "one"}}
    given: Any = {"messages": [*LONG, HumanMessage("Well?")]}
    end = made.invoke(given, config) if sync else await made.ainvoke(given, config)
    assert len(end["messages"]) == len(LONG) + 2
    first, second = answered_requests(scripted)
    assert len(first["messages"]) == len(LONG) + 1
    assert segments_in(second)
    assert len(second["messages"]) < len(LONG) * 0.75
