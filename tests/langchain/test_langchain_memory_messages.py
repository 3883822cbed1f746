"""Messages as a history, and what is sent of them: cheap keys, whole groups, nothing mutated."""

from __future__ import annotations

import binascii
import copy
import hashlib
import json
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.utils.function_calling import convert_to_openai_function
from langchain_openai import ChatOpenAI

from frugal_chains.dispatch.memory import Turn
from frugal_chains.memory import MemoryState, Segment, Shown, group_messages
from langchain_frugal._stand_ins import is_ours
from langchain_frugal.memory import pinned
from langchain_frugal.memory._keys import key_of
from langchain_frugal.memory._messages import facts_at, history_of, sent
from tests.langchain.remembering import conversation, tool_round
from tests.own_time import own_seconds

CALL = {"name": "look", "args": {"at": 1}, "id": "c1", "type": "tool_call"}
MESSAGE = AIMessage("Hello", id="a1", tool_calls=[CALL])
EDITS: dict[str, dict[str, Any]] = {
    "text": {"content": "Hallo"},
    "text of the same length": {"content": "Jello"},
    "arguments": {"tool_calls": [{**CALL, "args": {"at": 2}}]},
    "call id": {"tool_calls": [{**CALL, "id": "c2"}]},
    "no calls": {"tool_calls": []},
    "blocks": {"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
    "function": {"tool_calls": [], "additional_kwargs": {"function_call": {"name": "x"}}},
    "malformed call": {"invalid_tool_calls": [{**CALL, "args": "{", "error": "no JSON"}]},
    "name": {"name": "researcher"},
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("id", ["a1", None], ids=["with id", "without"])
def test_an_edited_message_has_another_key(edit: str, id: str | None) -> None:
    message = MESSAGE.model_copy(update={"id": id})
    assert key_of(message) == key_of(copy.deepcopy(message))
    assert key_of(message) != key_of(message.model_copy(update=EDITS[edit]))


def test_keys_tell_apart_who_says_it_and_what_is_answered() -> None:
    alike = [
        HumanMessage("x"), AIMessage("x"), SystemMessage("x"), ToolMessage("x", tool_call_id="1"),
        ToolMessage("x", tool_call_id="2"), HumanMessage(["x"]), HumanMessage([{"text": "x"}]),
        HumanMessage([{"type": "x"}]), HumanMessage(["x", "x"]), HumanMessage(["xx"]),
        ChatMessage("x", role="user"), ChatMessage("x", role="system"),
        HumanMessage("x", name="Ann"), HumanMessage("x", name="Bob"),
    ]  # fmt: skip
    keys = {key_of(message) for message in alike}
    assert len(keys) == len(alike)
    named = {key_of(message.model_copy(update={"id": "1"})) for message in alike[5:]}
    assert len(named) == 9


def test_keys_are_the_same_in_every_process() -> None:
    # States are kept in checkpoints: these may not change from version to version without care.
    assert key_of(HumanMessage("Hi", id="q1")) == f"q1:2:{binascii.crc32(b'Hi'):x}"
    whole = hashlib.blake2b(b"human:0:Hi", digest_size=12).hexdigest()
    assert key_of(HumanMessage("Hi")) == whole


def test_without_ids_a_key_says_what_is_said() -> None:
    one, other = HumanMessage("Hi", id="1"), HumanMessage("Hi", id="2")
    assert key_of(one) != key_of(other)
    assert key_of(one, ids=False) == key_of(other, ids=False) == key_of(HumanMessage("Hi"))


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without"])
def test_a_thousand_messages_are_read_in_three_milliseconds(ids: bool) -> None:
    messages = conversation(500, ids=ids)
    assert min(own_seconds(lambda: history_of(messages)) for _ in range(40)) <= 0.003


def test_large_images_are_read_without_copies_of_them() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000_000}}
    message = HumanMessage([{"type": "text", "text": "What is it?"}, image], id="1")
    assert min(own_seconds(lambda: key_of(message)) for _ in range(3)) <= 0.05


def test_what_is_sent_is_the_same_objects_and_nothing_is_changed() -> None:
    messages = [SystemMessage("Be kind"), *conversation(2), HumanMessage("And now?")]
    before = copy.deepcopy(messages)
    segment = Segment(id="cmp-1", text="Notes", tokens=2, end=3, kept=(0,), digest="")
    view = (Shown(position=0), Shown(segment=segment), *(Shown(position=at) for at in (3, 4, 5)))
    turn = Turn(
        view=view, recalled="Earlier: Oslo", question=5, state=MemoryState(), reason="off",
        shortened=((3, "cut"),),
    )  # fmt: skip
    shown = sent(turn, messages)
    assert [type(one).__name__ for one in shown] == [
        "SystemMessage", "HumanMessage", "HumanMessage", "AIMessage", "HumanMessage",
        "HumanMessage",
    ]  # fmt: skip
    assert shown[0] is messages[0]
    assert shown[1].content == "Notes"
    assert shown[1].id == "cmp-1"
    assert (shown[2].content, shown[2].id) == ("cut", messages[3].id)
    assert shown[3] is messages[4]
    assert shown[4] is messages[5]
    assert shown[5].content == "Earlier: Oslo"
    assert [is_ours(one) for one in shown] == [False, True, False, False, False, True]
    assert messages == before


def test_a_pinned_message_is_a_copy_and_no_provider_hears_of_the_pin() -> None:
    plain = AIMessage("The code is 4711", id="1")
    marked = pinned(plain)
    assert marked is not plain
    assert plain.response_metadata == {}
    assert history_of([plain, marked]).pinned == [1]
    assert history_of([plain, marked], pin=lambda one: one.id == "1").pinned == [0, 1]
    for made in (
        ChatOpenAI(model="gpt-5.1", api_key="x"),
        ChatAnthropic(model="claude-sonnet-4-5", api_key="x"),
    ):
        one, other = (
            json.dumps(made._get_request_payload([HumanMessage("Hi"), message]), default=str)
            for message in (plain, marked)
        )
        assert one == other


def test_a_summary_is_marked_and_no_provider_hears_of_the_mark() -> None:
    segment = Segment(id="cmp-1", text="Notes", tokens=2, end=0, digest="")
    turn = Turn(view=(Shown(segment=segment),), state=MemoryState(), reason="rent")
    (shown,) = sent(turn, [])
    for made in (
        ChatOpenAI(model="gpt-5.1", api_key="x"),
        ChatOpenAI(model="gpt-5.1", api_key="x", use_responses_api=True),
        ChatAnthropic(model="claude-sonnet-4-5", api_key="x"),
    ):
        assert json.dumps(made._get_request_payload([shown]), default=str) == json.dumps(
            made._get_request_payload([HumanMessage("Notes")]), default=str
        )


# -- groups --------------------------------------------------------------------------------------


def groups_of(messages: list[BaseMessage]) -> tuple[tuple[int, ...], list[int]]:
    from frugal_chains.dispatch.memory._history import Weights

    held = Weights().conversation(history_of(messages)).messages
    found = group_messages(held)
    return found.starts, sorted(found.broken)


def test_calls_and_results_are_one_group() -> None:
    messages = [HumanMessage("Q"), *tool_round(1), AIMessage("A")]
    assert groups_of(messages) == ((0, 1, 4), [])


def test_calls_of_openais_older_kind_keep_their_result() -> None:
    schema = convert_to_openai_function({"title": "look", "type": "object", "properties": {}})
    call = {"function_call": {"name": schema["name"], "arguments": "{}"}}
    messages: list[BaseMessage] = [
        HumanMessage("Q"), AIMessage("", additional_kwargs=call),
        FunctionMessage("42", name="look"), AIMessage("A"),
    ]  # fmt: skip
    assert groups_of(messages) == ((0, 1, 3), [])


def test_a_malformed_call_that_was_answered_is_a_call() -> None:
    invalid = {"name": "look", "args": "{", "id": "c1", "error": "no JSON", "type": "invalid"}
    asks: Any = AIMessage("", invalid_tool_calls=[invalid])  # type: ignore[list-item]
    answer = ToolMessage("That was no JSON.", tool_call_id="c1")
    assert groups_of([HumanMessage("Q"), asks, answer, AIMessage("A")]) == ((0, 1, 3), [])
    assert groups_of([HumanMessage("Q"), asks, AIMessage("A")]) == ((0, 1, 2), [])


def test_roles_that_are_no_classes_of_langchain() -> None:
    said = [ChatMessage("x", role=role) for role in ("Assistant", "system", "moderator")]
    roles = [facts_at(said, at).role for at in range(3)]
    assert roles == ["assistant", "system", "user"]


def test_images_and_reasoning_count() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    message = HumanMessage([{"type": "text", "text": "What is it?"}, image])
    thought = AIMessage(
        [{"type": "thinking", "thinking": "Let me see", "signature": "s"},
         {"type": "text", "text": "A cat"}]
    )  # fmt: skip
    assert facts_at([message], 0).images == 1
    assert facts_at([thought], 0).text == "Let me see\nA cat"


def test_cache_markers_make_no_other_message() -> None:
    """They move from call to call; a middleware makes a block of a text to hold one."""
    marker = {"type": "ephemeral"}
    plain = HumanMessage("Where is my parcel?", id="m1")
    marked = HumanMessage(
        [{"type": "text", "text": "Where is my parcel?", "cache_control": marker}], id="m1"
    )
    other = HumanMessage(
        [{"type": "text", "text": "Where is it?", "cache_control": marker}], id="m1"
    )
    assert key_of(plain) == key_of(marked) != key_of(other)
    assert key_of(plain, ids=False) == key_of(marked, ids=False)
    assert key_of(other, ids=False) != key_of(plain, ids=False)
    two: list[Any] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    ended = [two[0], {**two[1], "cache_control": marker}]
    pointed = [*two, {"cachePoint": {"type": "default"}}]
    keys = {key_of(HumanMessage(content, id="m2")) for content in (two, ended, pointed)}
    assert len(keys) == 1
