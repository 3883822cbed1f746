"""What `cached_llm` sends to Anthropic, request by request, and what it leaves alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import AnthropicBedrock, AsyncAnthropicBedrock
from llama_index.core.base.llms.types import CacheControl, CachePoint, ImageBlock
from llama_index.core.llms import ChatMessage, MockLLM, TextBlock
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.anthropic.utils import messages_to_anthropic_messages
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from frugal_chains import Ledger
from frugal_chains.dispatch import CacheKeeper
from frugal_chains.memory._recall_render import HEADING
from llama_index_frugal import cached_llm, track_cost
from llama_index_frugal.memory._options import own_ttl
from tests.llama_index.asking import WAYS, ask, only
from tests.llama_index.caching import (
    CHATS,
    RULES,
    Watched,
    chat_in,
    look_up,
    marked_parts,
    markers,
    said,
    system,
    weigh,
    without_markers,
)
from tests.llama_index.remembering import assistant, question, talk, user, words
from tests.own_time import own_seconds
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

Make = Callable[..., Any]
TOOLS = [FunctionTool.from_defaults(look_up), FunctionTool.from_defaults(weigh)]
POINT = CachePoint(cache_control=CacheControl(type="ephemeral"))
LONG_POINT = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa7\x9a\xa0\xa0"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


class Order(BaseModel):
    """An order."""

    number: str


def asked(scripted: ScriptedServer) -> Any:
    return scripted.requests[-1].body


def long_talk() -> list[ChatMessage]:
    return [system(RULES), *talk(4), user(question(9))]


@pytest.mark.parametrize("way", CHATS)
async def test_every_way_to_chat(way: str, scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    llm = cached_llm(anthropic_llm())
    messages = long_talk()
    given = copy.deepcopy(messages)
    for _ in range(2):
        await chat_in(llm, way, messages)
    assert messages == given
    assert marked_parts(asked(scripted)) == ["system", "messages"]
    assert said(asked(scripted)) == RULES
    first, second = cache.told
    assert (first.cache_read, first.cache_write) == (0, first.input)
    assert (second.cache_read, second.cache_write) == (second.input, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_short_request_is_sent_as_it_is(
    way: str, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    await ask(anthropic_llm(), way)
    await ask(cached_llm(anthropic_llm()), way)
    plain, marked = (request.body for request in scripted.requests)
    assert marked == plain


def test_only_markers_are_added(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    messages = [
        system(RULES), ChatMessage(blocks=[TextBlock(text=question(0)), ImageBlock(image=PIXEL)]),
        assistant("A picture."), user("Weigh it."),
        ChatMessage(role="assistant", blocks=[TextBlock(text="Yes.")], additional_kwargs={
            "tool_calls": [{"id": "t1", "name": "weigh", "input": {"order": "W1"}}]}),
        ChatMessage(words("320"), role="tool", additional_kwargs={"tool_call_id": "t1"}),
    ]  # fmt: skip
    given = copy.deepcopy(messages)
    for llm in (anthropic_llm(), cached_llm(anthropic_llm())):
        llm.chat_with_tools(TOOLS, chat_history=messages)
    plain, marked = (request.body for request in scripted.requests)
    assert without_markers(marked) == without_markers(plain)
    assert markers(plain) == 0
    assert 2 <= markers(marked) <= 4
    assert [repr(m) for m in messages] == [repr(m) for m in given]


@pytest.mark.parametrize("cached", [True, False])
def test_five_markers_of_cache_idx_become_four(
    cached: bool, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    llm = anthropic_llm(cache_idx=-1)
    messages = [system(RULES), *talk(2), user(question(2))]
    given = copy.deepcopy(messages)
    if not cached:  # what the class does by itself
        with pytest.raises(Exception, match="maximum of 4"):
            llm.chat(messages)
        assert messages != given
        return
    cached_llm(llm).chat(messages)
    assert messages == given
    # The system prompt's, which the class loses, and the latest of the messages.
    assert marked_parts(asked(scripted)) == ["system", "messages", "messages", "messages"]
    assert cache.told[0].cache_write == cache.told[0].input
    assert llm.cache_idx == -1


def test_markers_of_the_caller_win(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    first = ChatMessage(role="user", blocks=[TextBlock(text=question(0)), LONG_POINT])
    rules = ChatMessage(
        role="system",
        blocks=[TextBlock(text=RULES), LONG_POINT, TextBlock(text="Be kind."), TextBlock(text=" ")],
    )
    messages = [rules, first, assistant(words("So")), user(question(1))]
    given = copy.deepcopy(messages)
    cached_llm(anthropic_llm()).chat(messages)
    body = asked(scripted)
    long = {"type": "ephemeral", "ttl": "1h"}
    assert [block["text"] for block in body["system"]] == [RULES + "\n", "Be kind.\n "]
    assert body["system"][0]["cache_control"] == long
    assert body["messages"][0]["content"][0]["cache_control"] == long
    assert markers(body) <= 4
    assert messages == given


def test_a_marker_inside_a_tools_result_stands_on_the_result(
    scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    call = ChatMessage(role="assistant", content="", additional_kwargs={
        "tool_calls": [{"id": "t1", "name": "weigh", "input": {"order": "W1"}}]})  # fmt: skip
    result = ChatMessage(
        role="tool", blocks=[TextBlock(text=words("320")), POINT],
        additional_kwargs={"tool_call_id": "t1"},
    )  # fmt: skip
    cached_llm(anthropic_llm()).chat([system(RULES), user("Weigh it."), call, result])
    block = asked(scripted)["messages"][-1]["content"][0]
    assert block["cache_control"]["type"] == "ephemeral"
    assert markers(block["content"]) == 0
    assert cache.told[0].cache_write == cache.told[0].input


def test_a_marker_beside_the_messages_counts(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    llm = cached_llm(anthropic_llm(additional_kwargs={"cache_control": {"type": "ephemeral"}}))
    llm.chat([system(RULES), *talk(2), user(question(3))])
    assert "cache_control" not in asked(scripted)
    assert "cache_control" in asked(scripted)["messages"][-1]["content"][-1]
    assert cache.told[0].cache_write == cache.told[0].input


def test_nothing_below_the_minimum(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    messages = [system(words("Rules", 600)), user("Hi.")]
    cached_llm(anthropic_llm()).chat(messages)
    assert markers(asked(scripted)) == 0
    longer = [system(RULES), user("Hi.")]  # enough for Sonnet, not for Haiku's 4,096
    cached_llm(anthropic_llm("claude-haiku-4-5")).chat(longer)
    assert markers(asked(scripted)) == 0
    cached_llm(anthropic_llm()).chat(longer)
    assert markers(asked(scripted)) > 0


def test_tools_that_change_lose_what_stands_behind_them(
    scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    many = [
        FunctionTool.from_defaults(look_up, name=f"tool_{at}", description=words("It", 150))
        for at in range(12)
    ]
    llm = cached_llm(anthropic_llm())
    history = [system(RULES), user(question(0))]
    for number in range(8):
        offered = [*many[number:], *many[:number]]
        with instrument_tags({"thread_id": "t1"}):
            answer = llm.chat_with_tools(offered, chat_history=[*history])
        history.append(answer.message)
        history.append(user(question(number)))
    written = [told.cache_write for told in cache.told]
    assert written[0] > 0
    assert written[4:] == [0] * 4  # nobody would read it
    # And tools that stay are read though the system prompt differs.
    del cache.told[:]
    llm = cached_llm(anthropic_llm())
    for number in range(8):
        llm.chat_with_tools(many, chat_history=[system(f"{number}. {RULES}"), user(question(0))])
    assert all(told.cache_read > 1_000 for told in cache.told[4:])


@pytest.mark.parametrize("apart", [False, True])
def test_a_turn_with_many_results(
    apart: bool, scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    """The provider looks 20 positions back; a run of results is one of them."""
    scripted.cache = cache = Watched()
    scripted.always(Reply("So."))
    llm = cached_llm(anthropic_llm())
    messages = [system(RULES), user(question(0))]
    llm.chat(messages)
    calls = [{"id": f"t{at}", "name": "weigh", "input": {"order": f"W{at}"}} for at in range(25)]
    for some in [[call] for call in calls] if apart else [calls]:
        messages.append(
            ChatMessage(role="assistant", content="Look.", additional_kwargs={"tool_calls": some})
        )
        messages += [
            ChatMessage(words("320", 30), role="tool", additional_kwargs={"tool_call_id": c["id"]})
            for c in some
        ]
    llm.chat(messages)
    first, second = cache.told
    assert second.cache_read == first.input
    assert second.cache_write == second.input - first.input


async def test_structured_answers(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    scripted.always(Reply('{"number": "W1"}'))
    prompt = ChatPromptTemplate([system(RULES), user("{text}")])
    llm = cached_llm(anthropic_llm("claude-sonnet-4-5", max_tokens=99))
    scripted.always(
        lambda r: (
            Reply(tool_calls=(ToolCall(r.body["tools"][0]["name"], {"number": "W1"}),))
            if r.body.get("tools")
            else Reply('{"number": "W1"}')
        )
    )
    assert llm.structured_predict(Order, prompt, text="W1").number == "W1"
    assert (await llm.astructured_predict(Order, prompt, text="W2")).number == "W1"
    assert (llm.as_structured_llm(Order).chat([system(RULES), user("W3")])).raw.number == "W1"
    assert [told.cache_read > 1_000 for told in cache.told[:2]] == [False, True]
    assert all(1 <= markers(request.body) <= 4 for request in scripted.requests)


def test_switches(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    llm = cached_llm(anthropic_llm())
    with instrument_tags({"prompt_cache": False}):
        chunks = llm.stream_chat(long_talk())
        llm.chat(long_talk())
    assert list(chunks)
    assert [markers(request.body) for request in scripted.requests] == [0, 0]
    llm.chat(long_talk())
    assert markers(asked(scripted)) > 0
    anthropic_llm().chat(long_talk())
    assert markers(asked(scripted)) == 0


class Broken(CacheKeeper):
    def plan(self, blocks: Any, **kwargs: Any) -> Any:
        raise RuntimeError(blocks[0].text)


async def test_when_anything_fails_the_request_is_sent_as_it_was(
    scripted: ScriptedServer, anthropic_llm: Make, caplog: pytest.LogCaptureFixture
) -> None:
    llm = cached_llm(anthropic_llm(), keeper=Broken())
    with caplog.at_level(logging.WARNING, "llama_index_frugal"):
        llm.chat(long_talk())
        await llm.achat(long_talk())
    assert [markers(request.body) for request in scripted.requests] == [0, 0]
    assert "sent as it was" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "parcels" not in caplog.text


@pytest.mark.parametrize("delta", ["cumulative", "output_only"])
def test_streams_are_booked_with_what_was_cached(
    delta: Any, scripted: ScriptedServer, anthropic_llm: Make, ledger: Ledger
) -> None:
    scripted.always(
        Reply("So.", usage=Tokens(fresh=10, cache_read=3_000, visible=5), delta_usage=delta)
    )
    with track_cost(ledger):
        assert list(cached_llm(anthropic_llm()).stream_chat(long_talk()))
    row = only(ledger)
    if delta == "cumulative":
        assert (row.usage.input_tokens, row.usage.cache_read_tokens) == (3_010, 3_000)
    else:  # the class drops them: what was sent is counted, and not 10 tokens
        assert row.usage.input_tokens > 2_500
        assert row.note


def test_copies(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    plain = anthropic_llm()
    llm = cached_llm(plain)
    assert isinstance(llm, Anthropic)
    assert (llm.class_name(), llm.metadata) == (plain.class_name(), plain.metadata)
    assert llm.to_dict() == plain.to_dict()
    again = cached_llm(cached_llm(llm))
    for one in (copy.deepcopy(llm), llm.model_copy(), again):
        one.chat(long_talk())
        assert 1 <= markers(asked(scripted)) <= 4
    assert type(again) is type(llm)
    mock = MockLLM()
    assert "Hi." in str(cached_llm(mock).chat([user("Hi.")]).message.content)


def test_recalled_text_at_the_end_is_not_written(
    scripted: ScriptedServer, anthropic_llm: Make
) -> None:
    scripted.cache = cache = Watched()
    shown = f'{HEADING}\n<earlier turn="1">\nuser: {words("W1")}\n</earlier>'
    cached_llm(anthropic_llm()).chat([*long_talk(), user(shown)])
    assert marked_parts(asked(scripted)) == ["system", "messages"]
    assert markers(asked(scripted)["messages"][-1]["content"][-1]) == 0
    assert cache.told[0].fresh > len(shown) // 4


def test_an_image_that_comes_or_goes_is_expected_to_lose_the_messages(
    scripted: ScriptedServer, anthropic_llm: Make, ledger: Ledger
) -> None:
    image = ChatMessage(blocks=[TextBlock(text="See?"), ImageBlock(image=PIXEL)])
    llm = cached_llm(anthropic_llm())
    with track_cost(ledger):
        for more in ([], [assistant("So."), user("And?")], [assistant("So."), image]):
            llm.chat([*long_talk(), *more])
    details = [effect.detail for effect in sorted(ledger.effects(), key=lambda each: each.id)]
    _, again, with_image = (int(detail["read_tokens"]) for detail in details)
    assert 0 < with_image < again  # the system prompt alone


def test_a_conversation_can_be_named(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    names: list[str] = []

    class Listens(CacheKeeper):
        def plan(self, *args: Any, **kwargs: Any) -> Any:
            names.append(kwargs["conversation"])
            return super().plan(*args, **kwargs)

    llm = cached_llm(anthropic_llm(), keeper=Listens())
    with instrument_tags({"thread_id": "t1"}):
        llm.chat(long_talk())
    with instrument_tags({"session_id": "s1"}):
        llm.chat(long_talk())
    llm.chat(long_talk())
    assert names == ["t1", "s1", ""]


def test_a_time_to_live_can_be_asked_for(scripted: ScriptedServer, anthropic_llm: Make) -> None:
    scripted.cache = cache = Watched()
    llm = cached_llm(anthropic_llm(), ttl="1h")
    llm.chat(long_talk())
    assert cache.told[0].cache_write_1h == cache.told[0].input
    assert llm.frugal_cache_ttl == "1h"


def test_memories_know_of_the_markers(anthropic_llm: Make, openai_llm: Make) -> None:
    assert own_ttl(cached_llm(anthropic_llm())) == "5m"
    assert own_ttl(anthropic_llm()) == own_ttl(cached_llm(openai_llm())) == ""


def test_who_serves_the_model_is_told_by_the_client() -> None:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    served = Anthropic(model="anthropic.claude-sonnet-4-5-20250929-v1:0", aws_region="x", **keys)
    llm = cached_llm(served)
    assert isinstance(llm._client, AnthropicBedrock)
    assert isinstance(llm._aclient, AsyncAnthropicBedrock)
    request = {"model": llm.model, "system": RULES, "messages": [{"role": "user", "content": "Hi"}]}
    given = copy.deepcopy(request)
    providers: list[str] = []

    class Listens(CacheKeeper):
        def plan(self, *args: Any, **kwargs: Any) -> Any:
            providers.append(kwargs["provider"])
            return super().plan(*args, **kwargs)

    body = cached_llm(served, keeper=Listens())._marking.marked(request)
    assert providers == ["aws"]
    assert 1 <= markers(body) <= 4
    assert request == given


def test_a_thousand_messages_are_marked_in_time(anthropic_llm: Make) -> None:
    marking = cached_llm(anthropic_llm())._marking
    messages, _ = messages_to_anthropic_messages([*talk(500)])
    request = {"model": "claude-sonnet-5", "system": RULES, "messages": messages}
    marking.marked(request)  # each text is counted once
    assert own_seconds(lambda: marking.marked(request)) < 0.5
