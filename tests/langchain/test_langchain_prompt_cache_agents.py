"""`PromptCacheMiddleware` in agents: what a provider is sent, reads, writes and bills."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_frugal import (
    PromptCacheMiddleware,
)
from tests.langchain.caching import (
    SONNET,
    SYSTEM,
    MakeModel,
    agent,
    bill,
    looks_and_answers,
    markers,
    thread,
    tokens_of,
    turns,
    unmarked,
)
from tests.langchain.remembering import (
    said,
)
from tests.servers import ManualClock, Reply, ScriptedServer, ToolCall

BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


class Prompts(AgentMiddleware[Any, Any, Any]):
    """Sets the system prompt of each call."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self._make = make

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(system_message=self._make()))


def bodies(scripted: ScriptedServer) -> list[Any]:
    return [request.body for request in scripted.requests]


# -- what is read, written and billed ------------------------------------------------------------


@BOTH
async def test_every_call_reads_all_that_the_one_before_was(
    sync: bool, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(looks_and_answers)
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    await turns(made, sync, 12)
    found = tokens_of(bodies(scripted))
    assert len(found) == 24
    assert found[0].cache_read == 0
    assert [later.cache_read for later in found[1:]] == [each.input for each in found[:-1]]
    assert [each.fresh for each in found] == [0] * 24


def test_the_bill_is_a_fraction_and_no_higher_than_the_stock_middlewares(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """Requests as the agent sends them with each of the two, billed by the same rules."""

    def billed(*made: Any) -> float:
        scripted.requests.clear()
        chat = agent(chat_anthropic(SONNET), *made)
        for number in range(12):
            chat.invoke({"messages": [HumanMessage(said(number, 3))]}, thread())
        return bill(tokens_of(bodies(scripted)))

    scripted.always(looks_and_answers)
    none = billed()
    ours = billed(PromptCacheMiddleware())
    stock = billed(AnthropicPromptCachingMiddleware())
    assert ours / none < 0.25
    assert ours <= stock


@pytest.mark.parametrize("size", [1, 20, 60], ids=["small", "middle", "large"])
@pytest.mark.parametrize("length", [2, 6])
def test_a_conversation_never_costs_more_than_without_markers(
    size: int, length: int, chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(looks_and_answers)
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(), system_prompt=said(0, size))
    for number in range(length):
        made.invoke({"messages": [HumanMessage(said(number, 3))]}, thread())
    sent = bodies(scripted)
    found, without = tokens_of(sent), bill(tokens_of(unmarked(sent)))
    # A conversation that ends with the first call worth a marker has paid the surcharge of that
    # one: a quarter of it. Nobody knows before that it ends.
    first = next((each for each in found if each.cache_write), None)
    ends_with_it = first is found[-1]
    assert bill(found) <= without + (0.25 * found[-1].cache_write if ends_with_it else 0)


def test_what_is_below_the_least_that_is_kept_is_not_marked(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("Yes."))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware(), system_prompt="Be brief.")
    made.invoke({"messages": [HumanMessage("Is it there?")]}, thread())
    assert markers(scripted.requests[0].body) == []
    made = agent(chat_anthropic("claude-haiku-4-5"), PromptCacheMiddleware())
    made.invoke({"messages": [HumanMessage("Is it there?")]}, thread("two"))
    assert markers(scripted.requests[1].body) == []


def test_twenty_five_results_in_one_turn_do_not_hide_what_stands_before(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    calls = tuple(ToolCall("weigh", {"number": n}, f"toolu_{n}") for n in range(25))
    scripted.script(Reply(said(1)), Reply(tool_calls=calls), Reply(said(2)))
    made = agent(chat_anthropic(SONNET), PromptCacheMiddleware())
    for number in range(2):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    found = tokens_of(bodies(scripted))
    assert len(found) == 3
    assert found[2].cache_read == found[1].input


def test_more_blocks_than_the_look_back_reaches_are_read_all_the_same(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    """The stock middleware reads the system prompt alone here."""

    def reads(*made: Any) -> tuple[int, int]:
        scripted.requests.clear()
        chat = agent(chat_anthropic(SONNET), *made)
        for number in (1, 30):
            asks = [HumanMessage(said(n)) for n in range(number)]
            chat.invoke({"messages": asks}, thread())
        first, second = tokens_of(bodies(scripted))
        return first.input, second.cache_read

    scripted.always(Reply(said(1)))
    all_of_it, ours = reads(PromptCacheMiddleware())
    _, stock = reads(AnthropicPromptCachingMiddleware())
    assert ours == all_of_it
    assert stock < all_of_it


# -- what changes from call to call ----------------------------------------------------------------


def test_volatile_blocks_of_the_system_prompt_come_behind_the_others(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    hours = itertools.count(10)

    def prompt() -> SystemMessage:
        return SystemMessage(
            [
                {"type": "text", "text": f"It is {next(hours)}:00."},
                {"type": "text", "text": SYSTEM},
            ]
        )

    made = agent(
        chat_anthropic(SONNET),
        Prompts(prompt),
        PromptCacheMiddleware(volatile=lambda message: str(message.text).startswith("It is 1")),
    )
    for number in range(4):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    texts = [[block["text"] for block in body["system"]] for body in bodies(scripted)]
    assert texts == [[SYSTEM, f"It is {hour}:00."] for hour in range(10, 14)]
    found = tokens_of(bodies(scripted))
    assert [each.cache_write for each in found][1:] == [0, 0, 0]
    assert {each.cache_read for each in found[1:]} == {found[0].cache_write}
    assert found[1].cache_read > 1200


def test_a_time_in_the_system_prompt_is_seen_and_no_longer_written(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(looks_and_answers)
    times = itertools.count()
    made = agent(
        chat_anthropic(SONNET),
        Prompts(lambda: SystemMessage(f"It is {next(times)} o'clock. {SYSTEM}")),
        PromptCacheMiddleware(),
    )
    for number in range(8):
        made.invoke({"messages": [HumanMessage(said(number, 3))]}, thread())
    sent = bodies(scripted)
    found = tokens_of(sent)
    assert [each.cache_write for each in found][1:] == [0] * 15
    with_stock = [{**body, "cache_control": {"type": "ephemeral"}} for body in unmarked(sent)]
    assert bill(found) <= bill(tokens_of(unmarked(sent))) * 1.02
    assert bill(found) < bill(tokens_of(with_stock)) * 0.85


def test_the_time_in_a_block_of_its_own_moves_behind_without_being_told(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    times = itertools.count()

    def prompt() -> SystemMessage:
        return SystemMessage(
            [
                {"type": "text", "text": f"It is {next(times)} o'clock."},
                {"type": "text", "text": SYSTEM},
            ]
        )

    made = agent(chat_anthropic(SONNET), Prompts(prompt), PromptCacheMiddleware())
    for number in range(5):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
    firsts = [body["system"][0]["text"] for body in bodies(scripted)]
    assert firsts == ["It is 0 o'clock.", SYSTEM, SYSTEM, SYSTEM, SYSTEM]
    assert min(each.cache_read for each in tokens_of(bodies(scripted))[2:]) > 1200


def test_pauses_of_minutes_get_the_long_time_to_live(
    chat_anthropic: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(Reply(said(1)))
    middleware, clock = PromptCacheMiddleware(), ManualClock(1_760_000_000.0)
    middleware._marking._keeper._clock = clock
    made = agent(chat_anthropic(SONNET), middleware)
    for number in range(6):
        made.invoke({"messages": [HumanMessage(said(number))]}, thread())
        clock.advance(1200)
    sent = bodies(scripted)
    assert {m["ttl"] for m in markers(sent[-1])} == {"1h"}
    gaps = [0.0] + [1200.0] * 5
    short = [json.loads(json.dumps(body).replace(', "ttl": "1h"', "")) for body in sent]
    assert bill(tokens_of(sent, gaps)) < 0.7 * bill(tokens_of(short, gaps))
