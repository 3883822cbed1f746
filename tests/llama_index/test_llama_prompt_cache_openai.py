"""What `cached_llm` tells OpenAI: keys, breakpoints from GPT-5.6 on, and no `CachePoint`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import CacheControl, CachePoint
from llama_index.core.llms import ChatMessage, TextBlock
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from frugal_chains import Ledger
from llama_index_frugal import cached_llm, track_cost
from tests.llama_index.caching import (
    CHATS,
    RULES,
    WatchedOpenAI,
    chat_in,
    everything,
    look_up,
    looks_once,
    system,
)
from tests.llama_index.remembering import question, talk, user
from tests.servers import Reply, ScriptedServer, ToolCall

Make = Callable[..., Any]
POINT = CachePoint(cache_control=CacheControl(type="ephemeral"))
KEY = "prompt_cache_key"
MARK = "prompt_cache_breakpoint"


class Order(BaseModel):
    """An order."""

    number: str


def asked(scripted: ScriptedServer) -> Any:
    return scripted.requests[-1].body


def breakpoints(body: Any) -> list[str]:
    """Types of the parts that have one."""
    rows = body.get("messages", body.get("input"))
    return [
        part["type"]
        for row in rows
        if isinstance(row.get("content"), list)
        for part in row["content"]
        if MARK in part
    ]


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("way", CHATS)
async def test_every_way_to_chat_has_a_key(
    way: str, responses: bool, scripted: ScriptedServer, openai_llm: Make, responses_llm: Make
) -> None:
    make = responses_llm if responses else partial(openai_llm, reuse_client=False)
    llm = cached_llm(make(), salt="tenant")
    messages = [system(RULES), user("Hi.")]
    for _ in range(2):
        await chat_in(llm, way, messages)
    one, other = (request.body for request in scripted.requests)
    assert one[KEY] == other[KEY]
    assert len(one[KEY]) <= 64
    assert "tenant" not in one[KEY]
    await chat_in(make(), way, messages)
    plain = asked(scripted)
    assert {k: v for k, v in one.items() if k != KEY} == plain
    await chat_in(cached_llm(make(), salt="another"), way, messages)
    assert asked(scripted)[KEY] != one[KEY]


async def test_an_agents_usage_is_booked_as_told(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    scripted.cache = cache = WatchedOpenAI()
    scripted.always(looks_once)
    llm = cached_llm(openai_llm())
    agent = FunctionAgent(llm=llm, tools=[look_up], system_prompt=RULES, streaming=False)
    memory = everything()
    with track_cost(ledger):
        for at in range(3):
            await agent.run(question(at, 60), memory=memory)
    assert len({request.body[KEY] for request in scripted.requests}) == 1
    used = [row.usage for row in sorted(ledger.attempts(), key=lambda row: row.id)]
    assert [u.cache_read_tokens for u in used] == [told.cache_read for told in cache.told]
    assert all(u.cache_read_tokens > 0 for u in used[1:])
    assert [*ledger.effects(lever="prompt_cache.mark")] == []  # it caches by itself


def test_a_key_of_the_caller_stays(scripted: ScriptedServer, openai_llm: Make) -> None:
    llm = cached_llm(openai_llm(additional_kwargs={KEY: "mine"}))
    llm.chat([system(RULES), user("Hi.")])
    assert asked(scripted)[KEY] == "mine"
    llm = cached_llm(openai_llm())
    llm.chat([system(RULES), user("Hi.")], extra_body={"more": 1})
    assert KEY in asked(scripted)
    assert asked(scripted)["more"] == 1
    llm.chat([system(RULES), user("Hi.")], extra_body={KEY: "yours", "more": 1})
    assert (asked(scripted)[KEY], asked(scripted)["more"]) == ("yours", 1)


@pytest.mark.parametrize("way", CHATS)
async def test_cache_points_are_left_out(
    way: str, scripted: ScriptedServer, openai_llm: Make
) -> None:
    messages = [
        ChatMessage(role="system", blocks=[TextBlock(text=RULES), POINT]),
        ChatMessage(role="user", blocks=[TextBlock(text="Hi."), POINT]),
    ]
    given = copy.deepcopy(messages)
    with pytest.raises(ValueError, match="CachePoint"):
        openai_llm().chat(messages)
    await chat_in(cached_llm(openai_llm()), way, messages)
    assert asked(scripted)["messages"][1]["content"] == "Hi."
    assert messages == given


@pytest.mark.parametrize("responses", [False, True])
def test_breakpoints_from_gpt_5_6_on(
    responses: bool, scripted: ScriptedServer, openai_llm: Make, responses_llm: Make
) -> None:
    llm = (responses_llm if responses else openai_llm)("gpt-5.6-sol", temperature=1.0, **(
        {} if responses else {"reuse_client": False}
    ))  # fmt: skip
    seen = []
    cached = cached_llm(llm, volatile=lambda text: "Now it is" in text)
    for at in range(3):
        messages = [system(RULES), *talk(3), user(question(9)), user(f"Now it is {at}.")]
        cached.chat(messages)
        seen.append(asked(scripted))
        llm.chat(messages)
        body = asked(scripted)
        assert _plain(seen[-1]) == _plain(body)
    for body in seen:
        assert 1 <= len(breakpoints(body)) <= 4
        # openai 2.54 `ResponseInputTextParam.type`: "Always `input_text`", others are refused.
        assert set(breakpoints(body)) == {"input_text" if responses else "text"}
        assert body["prompt_cache_options"]["mode"] == "explicit"  # the end is written in vain
        assert not any("Now it is" in str(part) and MARK in str(part) for part in _rows(body))


def _rows(body: Any) -> list[Any]:
    rows: list[Any] = body.get("messages", body.get("input"))
    return rows


def _plain(body: Any) -> Any:
    """Without what was added; a text is the list of one part."""
    rows = []
    for row in _rows(body):
        content = row.get("content")
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        rows.append({**row, "content": content})
    return [body.get("tools"), body["model"], rows]


def test_structured_answers(
    scripted: ScriptedServer, openai_llm: Make, responses_llm: Make
) -> None:
    scripted.always(
        lambda r: (
            Reply(tool_calls=(ToolCall(r.body["tools"][0]["function"]["name"], {"number": "W1"}),))
            if r.body.get("tools")
            else Reply('{"number": "W1"}')
        )
    )
    prompt = ChatPromptTemplate([system(RULES), user("{text}")])
    for llm in (cached_llm(openai_llm("gpt-4o")), cached_llm(responses_llm("gpt-4o"))):
        assert llm.structured_predict(Order, prompt, text="W1").number == "W1"
        assert asked(scripted)[KEY]


def test_tools_are_part_of_the_key(scripted: ScriptedServer, openai_llm: Make) -> None:
    tools = [FunctionTool.from_defaults(look_up)]
    llm = cached_llm(openai_llm())
    llm.chat_with_tools(tools, chat_history=[system(RULES), user("Hi.")])
    llm.chat_with_tools(tools, chat_history=[system(RULES), user("Ho.")])
    llm.chat_with_tools([], chat_history=[system(RULES), user("Hi.")])
    one, two, three = (request.body[KEY] for request in scripted.requests)
    assert one == two != three


def test_a_server_that_only_speaks_alike_is_sent_nothing_new(
    scripted: ScriptedServer, openai_llm: Make
) -> None:
    for model in ("gpt-4o-mini", "llama-3.3-70b"):
        llm = openai_llm(model, cls=OpenAILike, is_chat_model=True)
        llm.chat([system(RULES), user("Hi.")])
        cached_llm(llm).chat([system(RULES), ChatMessage(blocks=[TextBlock(text="Hi."), POINT])])
        plain, cached = (request.body for request in scripted.requests[-2:])
        assert cached == plain


def test_a_model_that_is_not_openais_has_no_key(
    scripted: ScriptedServer, responses_llm: Make
) -> None:
    llm = cached_llm(responses_llm("llama-3.3-70b", context_window=8_000))
    llm.chat([system(RULES), user("Hi.")])
    assert KEY not in asked(scripted)


def test_the_switch(scripted: ScriptedServer, openai_llm: Make, responses_llm: Make) -> None:
    for make in (openai_llm, responses_llm):
        llm = cached_llm(make())
        with instrument_tags({"prompt_cache": False}):
            llm.chat([system(RULES), user("Hi.")])
            chunks = llm.stream_chat([system(RULES), user("Hi.")])
        assert list(chunks)  # sent here by the class of responses
        assert [KEY in request.body for request in scripted.requests] == [False] * 2
        del scripted.requests[:]
