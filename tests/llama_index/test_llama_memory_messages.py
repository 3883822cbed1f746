"""ChatMessages as facts and keys, and plans as lists of ChatMessages."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import ChatMessage
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from frugal_chains.dispatch.memory import Turn
from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import RequestFacts
from frugal_chains.memory import MemoryState, Segment, Shown
from llama_index_frugal.memory import pinned
from llama_index_frugal.memory._messages import KEYS, Head, Keys, history_of, sent
from llama_index_frugal.memory._steps import with_steps
from tests.llama_index.remembering import assistant, talk, user
from tests.own_time import own_seconds

NOTHING = Head(RequestFacts(), "")


def history(messages: list[ChatMessage], **more: Any) -> Any:
    return history_of(messages, head=NOTHING, **more)


def old_call(id: str = "c1", arguments: str = '{"a": 1}') -> ChatMessage:
    """As OpenAI's class left it in `additional_kwargs`, an object of the SDK."""
    given = {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}
    call = ChatCompletionMessageFunctionToolCall.model_validate(given)
    return ChatMessage(role="assistant", content=None, additional_kwargs={"tool_calls": [call]})


def result(id: str = "c1", text: str = "done") -> ChatMessage:
    return ChatMessage(text, role="tool", additional_kwargs={"tool_call_id": id})


CALL = ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs={"a": 1})
ALIKE = {
    "text": (user("a"), user("a")),
    "old call": (old_call(), old_call()),
    "old call as JSON": (
        old_call(),
        ChatMessage.model_validate_json(old_call().model_dump_json()),
    ),
    "call block": (
        ChatMessage(role="assistant", blocks=[CALL]),
        ChatMessage(role="assistant", blocks=[CALL.model_copy()]),
    ),
    "a cache point more": (
        user("a"),
        ChatMessage(
            role="user",
            blocks=[
                TextBlock(text="a"),
                CachePoint(cache_control=CacheControl(type="ephemeral")),
            ],
        ),
    ),
}
OTHERS = {
    "text": (user("a"), user("b")),
    "role": (user("a"), assistant("a")),
    "call id": (old_call("c1"), old_call("c2")),
    "arguments": (old_call(arguments="{}"), old_call()),
    "answered call": (result("c1"), result("c2")),
    "an image more": (
        user("a"),
        ChatMessage(role="user", blocks=[TextBlock(text="a"), ImageBlock(image=b"x")]),
    ),
    "thoughts": (
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="a")]),
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="b")]),
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_the_same_content_has_the_same_key(name: str) -> None:
    one, other = ALIKE[name]
    assert KEYS.of(one) == KEYS.of(other) == Keys().of(copy.deepcopy(one))


@pytest.mark.parametrize("name", OTHERS)
def test_other_content_has_another_key(name: str) -> None:
    one, other = OTHERS[name]
    assert KEYS.of(one) != KEYS.of(other)


def test_a_message_that_is_written_into_has_another_key() -> None:
    message = ChatMessage(role="assistant", blocks=[TextBlock(text="a"), CALL.model_copy()])
    keys = [KEYS.of(message)]
    message.blocks[0].text = "b"  # type: ignore[union-attr]  # as agents do with their state
    keys.append(KEYS.of(message))
    message.blocks[1].tool_kwargs = {"a": 2}  # type: ignore[union-attr]
    keys.append(KEYS.of(message))
    message.additional_kwargs["tool_call_id"] = "c9"
    keys.append(KEYS.of(message))
    message.role = MessageRole.TOOL
    keys.append(KEYS.of(message))
    message.blocks = [*message.blocks, ImageBlock(image=b"x")]
    keys.append(KEYS.of(message))
    assert len(set(keys)) == 6


def test_keys_of_messages_that_are_gone_are_forgotten() -> None:
    keys, messages = Keys(), [*talk(50)]
    for message in messages:
        keys.of(message)
    assert len(keys._known) == 100
    del messages[:], message
    gc.collect()
    assert not keys._known


def test_a_thousand_messages_are_read_in_a_few_milliseconds() -> None:
    messages = [m for at in range(250) for m in (user(f"q{at}"), old_call(), result(), user("x"))]
    first = history(messages)
    seconds = min(own_seconds(lambda: history(messages)) for _ in range(5))
    assert history(messages).keys == first.keys
    assert seconds < 0.005, seconds


def test_facts_are_those_of_the_message() -> None:
    messages = [
        old_call(),
        result(),
        ChatMessage(role="user", blocks=[ImageBlock(image=b"x"), AudioBlock(audio=b"x")]),
        ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="a")]),
        ChatMessage("a", role="developer"),
        ChatMessage(role="user"),
    ]
    read = [history(messages).message(at) for at in range(6)]
    assert [one.role for one in read] == [
        "assistant",
        "tool",
        "user",
        "assistant",
        "system",
        "user",
    ]
    assert [c.id for c in read[0].tool_calls] == ["c1"]
    assert read[0].tool_calls[0].arguments == '{"a": 1}'
    assert read[1].tool_call_id == "c1"
    assert (read[2].images, read[2].audio) == (1, 1)
    assert read[3].text == "hm\na"
    assert read[5].text == ""


def test_pinned_messages_are_told_by_a_mark_or_by_a_predicate() -> None:
    plain = user("my allergies")
    messages = [user("a"), pinned(plain), assistant("b"), user("c")]
    assert list(history(messages).pinned) == [1]
    assert list(history(messages, pin=lambda m: m.content == "c").pinned) == [1, 3]
    assert not plain.additional_kwargs
    assert messages[1].content == "my allergies"
    with pytest.raises(MemoryPlanError, match="pin="):
        pinned(old_call())


def test_what_is_sent_are_the_same_objects_and_copies_of_what_was_cut() -> None:
    image = ImageBlock(image=b"x")
    long = ChatMessage(
        role="tool",
        blocks=[TextBlock(text="a" * 999), image, TextBlock(text="b")],
        additional_kwargs={"tool_call_id": "c1"},
    )
    messages = [user("old"), old_call(), long, user("now")]
    before = [m.model_dump() for m in messages]
    segment = Segment(id="s", text="said", tokens=1, end=1, digest="")
    turn = Turn(
        view=(Shown(segment=segment), *(Shown(position=at) for at in (1, 2, 3))),
        recalled="recalled",
        question=3,
        state=MemoryState(),
        reason="rent",
        shortened=((2, "a...b"),),
    )
    view = sent(turn, messages)
    assert [m.role.value for m in view] == ["user", "assistant", "tool", "user", "user"]
    assert (view[0].content, view[4].content) == ("said", "recalled")
    assert view[1] is messages[1]
    assert view[3] is messages[3]
    assert view[2].blocks == [TextBlock(text="a...b"), image]
    assert view[2].additional_kwargs == {"tool_call_id": "c1"}
    assert [m.model_dump() for m in messages] == before
    without = sent(turn, messages, without=3)
    assert [m.content for m in without[-1:]] == ["recalled"]
    assert len(without) == 4


STEP = "Thought: I look.\nAction: look_up\nAction Input: {'order': 'W1'}"


def test_steps_in_words_are_calls_and_results() -> None:
    messages = [user("q"), assistant(STEP), user("Observation: sent"), assistant(STEP)]
    plain = history(messages)
    read = with_steps(plain, messages)
    facts = [read.message(at) for at in range(4)]
    assert [one.role for one in facts] == ["user", "assistant", "tool", "assistant"]
    assert facts[1].text == "Thought: I look."
    assert [(c.name, c.arguments) for c in facts[1].tool_calls] == [("look_up", "{'order': 'W1'}")]
    assert facts[2].text == "sent"
    assert not facts[3].tool_calls  # nothing was observed yet
    assert [a == b for a, b in zip(plain.keys, read.keys, strict=True)] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "messages",
    [
        [user("Observation: the sky is blue")],
        [assistant("hello"), user("Observation: the sky is blue")],
        [assistant(STEP), user("what?")],
        [user(STEP), user("Observation: x")],
        [],
    ],
)
def test_other_messages_are_no_steps(messages: list[ChatMessage]) -> None:
    plain = history(messages)
    assert with_steps(plain, messages) is plain
