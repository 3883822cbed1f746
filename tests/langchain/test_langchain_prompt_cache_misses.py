"""Why less was read than there was: said by name, with what it cost, and never with a text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_frugal import PromptCacheMiddleware, cached
from langchain_frugal.prompt_cache import CacheMiss
from tests.langchain.caching import (
    SONNET,
    SYSTEM,
    MakeModel,
    agent,
    look,
    markers,
    thread,
    weigh,
)
from tests.langchain.remembering import said
from tests.servers import (
    AnthropicPromptCache,
    ManualClock,
    OpenAIPromptCache,
    Reply,
    ScriptedServer,
)


@tool
def send(number: int) -> int:
    """Sends a parcel by its number."""
    return number


@pytest.fixture
def misses() -> list[CacheMiss]:
    return []


@pytest.fixture
def caching(scripted: ScriptedServer) -> Iterator[ScriptedServer]:
    scripted.always(Reply(said(1)))
    scripted.cache = AnthropicPromptCache(clock=ManualClock())
    return scripted


def say(made: Any, number: int, name: str = "one") -> None:
    made.invoke({"messages": [HumanMessage(said(number))]}, thread(name))


@pytest.mark.parametrize(
    ("changed", "name", "cause"),
    [
        ({"tools": [look, weigh, send]}, "tool send", "tool-added"),
        ({"tools": [look]}, "tool weigh", "tool-removed"),
        (
            {"tools": [look, weigh.model_copy(update={"description": "Other words."})]},
            "tool weigh",
            "tool-changed",
        ),
        ({"system_prompt": SYSTEM + "!"}, "system prompt", "system-changed"),
        ({"model": "claude-sonnet-4-6"}, "claude-sonnet-4-6", "model-changed"),
    ],
    ids=["added", "removed", "words", "system", "model"],
)
def test_what_has_changed_in_mid_conversation_is_named(
    changed: dict[str, Any], name: str, cause: str, chat_anthropic: MakeModel,
    caching: ScriptedServer, misses: list[CacheMiss],
) -> None:  # fmt: skip
    middleware = PromptCacheMiddleware(on_miss=misses.append)
    made = agent(chat_anthropic(SONNET), middleware)
    for number in range(3):
        say(made, number)
    assert misses == []
    model = chat_anthropic(changed.pop("model", SONNET))
    made = agent(model, middleware, checkpointer=made.checkpointer, **changed)
    for number in range(3, 5):
        say(made, number)
    (miss,) = misses
    assert (miss.block, miss.diagnosis.cause) == (name, cause)
    assert miss.conversation.startswith("one")
    assert miss.diagnosis.missed_tokens > 1200
    # $3 a million fresh, 1.25x to write, 0.1x to read: what was missed was written again.
    assert miss.diagnosis.cost_nanos == pytest.approx(
        miss.diagnosis.missed_tokens * 3000 * 1.15, rel=0.02
    )
    assert said(1)[:30] not in repr(misses)


def test_an_edited_message_is_told_by_its_number(
    chat_anthropic: MakeModel, caching: ScriptedServer, misses: list[CacheMiss]
) -> None:
    model = cached(chat_anthropic(SONNET), on_miss=misses.append)
    talk: list[Any] = [SystemMessage(SYSTEM)]
    for number in range(3):
        talk += [HumanMessage(said(number)), AIMessage("Yes.")]
    asks = {"metadata": {"thread_id": "one"}}
    model.invoke([*talk, HumanMessage("Well?")], asks)
    talk[3] = HumanMessage("Something else.")
    model.invoke([*talk, HumanMessage("Well?"), AIMessage("Yes."), HumanMessage("So?")], asks)
    (miss,) = misses
    assert (miss.block, miss.diagnosis.cause) == ("message 3", "message-changed")


@pytest.mark.parametrize("streamed", [False, True])
def test_models_say_it_as_well_and_whole_conversations_say_nothing(
    streamed: bool, chat_anthropic: MakeModel, caching: ScriptedServer, misses: list[CacheMiss]
) -> None:
    model = cached(chat_anthropic(SONNET), on_miss=misses.append)
    asks: Any = {"metadata": {"thread_id": "one"}}
    for words in (SYSTEM, SYSTEM, "Other. " + SYSTEM):
        talk = [SystemMessage(words), HumanMessage("Well?")]
        if streamed:
            list(model.stream(talk, asks))
        else:
            model.invoke(talk, asks)
    (miss,) = misses
    assert (miss.block, miss.diagnosis.cause) == ("system prompt", "system-changed")


def test_requests_for_summaries_and_other_agents_of_the_thread_are_not_compared(
    chat_anthropic: MakeModel, caching: ScriptedServer, misses: list[CacheMiss]
) -> None:
    model = cached(chat_anthropic(SONNET), on_miss=misses.append)
    about = {
        "one": {"thread_id": "one", "lc_agent_name": "one"},
        "two": {"thread_id": "one", "lc_agent_name": "two"},
        "summary": {"thread_id": "one", "lc_agent_name": "one", "lc_source": "summarization"},
    }
    for name in ("one", "two", "summary", "one", "two"):
        talk = [SystemMessage(f"You are {name}. {SYSTEM}"), HumanMessage("Well?")]
        model.invoke(talk, {"metadata": about[name]})
    assert misses == []
    assert len(caching.requests) == 5


def test_openais_are_told_too(
    chat_openai: MakeModel, scripted: ScriptedServer, misses: list[CacheMiss]
) -> None:
    scripted.always(Reply(said(1)))
    scripted.cache = OpenAIPromptCache()
    middleware = PromptCacheMiddleware(on_miss=misses.append)
    made = agent(chat_openai("gpt-4.1"), middleware)
    for number in range(3):
        say(made, number)
    assert misses == []
    made = agent(
        chat_openai("gpt-4.1"), middleware, tools=[send, look], checkpointer=made.checkpointer
    )
    say(made, 3)
    (miss,) = misses
    assert miss.diagnosis.cause == "tool-changed"


def test_an_expired_entry_is_told_and_not_written_again_where_all_expire(
    chat_anthropic: MakeModel, caching: ScriptedServer, misses: list[CacheMiss]
) -> None:
    middleware = PromptCacheMiddleware(ttl="5m", on_miss=misses.append)
    clock = ManualClock(1_760_000_000.0)
    assert isinstance(caching.cache, AnthropicPromptCache)
    caching.cache.clock = clock
    middleware._marking._keeper._clock = clock
    assert middleware._misses is not None
    middleware._misses.now_s = clock
    made = agent(chat_anthropic(SONNET), middleware)
    for number in range(4):
        say(made, number)
        clock.advance(400)
    (miss,) = misses
    assert (miss.diagnosis.cause, miss.block) == ("expired", "")
    assert miss.diagnosis.since_s == 1_760_000_400.0
    assert markers(caching.requests[0].body)
    assert [markers(request.body) for request in caching.requests[2:]] == [[], []]


def test_the_log_has_it_where_nobody_is_told(
    chat_anthropic: MakeModel, caching: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = PromptCacheMiddleware(diagnose=True)
    made = agent(chat_anthropic(SONNET), middleware)
    say(made, 0)
    made = agent(chat_anthropic(SONNET), middleware, tools=[look, weigh, send],
                 checkpointer=made.checkpointer)  # fmt: skip
    with caplog.at_level(logging.WARNING, logger="frugal_chains.dispatch"):
        say(made, 1)
    (record,) = caplog.records
    assert "tool-added (tool send)" in record.getMessage()
    assert "harbour" not in record.getMessage()


def test_the_providers_own_word_is_handed_on(
    chat_anthropic: MakeModel, caching: ScriptedServer, misses: list[CacheMiss]
) -> None:
    """As a response carries it whose request had asked for it (a beta)."""
    from frugal_chains.prompt_cache import read_reason

    theirs = {"cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 1200}}
    middleware = PromptCacheMiddleware(on_miss=misses.append)

    from langchain.agents.middleware import AgentMiddleware

    class Says(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            response = handler(request)
            response.result[0].response_metadata["diagnostics"] = theirs
            return response

    made = agent(chat_anthropic(SONNET), middleware, Says())
    say(made, 0)
    made = agent(chat_anthropic(SONNET), middleware, Says(), tools=[look],
                 checkpointer=made.checkpointer)  # fmt: skip
    say(made, 1)
    (miss,) = misses
    assert miss.diagnosis.theirs == read_reason({"diagnostics": theirs})
    assert miss.diagnosis.agrees is True


def test_a_callback_that_fails_harms_no_answer(
    chat_anthropic: MakeModel, caching: ScriptedServer
) -> None:
    middleware = PromptCacheMiddleware(on_miss=lambda miss: 1 / 0)
    made = agent(chat_anthropic(SONNET), middleware)
    say(made, 0)
    made = agent(chat_anthropic(SONNET), middleware, tools=[look], checkpointer=made.checkpointer)
    say(made, 1)
    assert len(caching.requests) == 2
    assert json.dumps(made.get_state(thread()).values["messages"][-1].content)
