"""The index of what was said: BM25 as `text.bm25` has it, whatever was added, cut or forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts, Role, ToolCallFacts
from frugal_chains.memory._recall_forms import forms
from frugal_chains.memory._recall_index import (
    ANSWERED,
    ASKED,
    READ_CHARS,
    TOLD,
    RecallIndex,
    message_text,
    passages_of,
)
from frugal_chains.text import bm25
from tests.core.memory.asked_later import asked_later
from tests.own_time import own_seconds

WORDS = st.sampled_from(
    ("code", "door", "Lisbon", "4711", "the", "of", "red", "Ärger", "東京", "it?", "yes.", "no!")
)
TEXTS = st.lists(WORDS, max_size=40).map(" ".join)  # a passage has 16 terms and more
ROLES: st.SearchStrategy[Role] = st.sampled_from(("system", "user", "assistant", "tool"))
HISTORIES = st.lists(
    st.builds(
        lambda role, text, call: MessageFacts(
            role=role,
            text=text,
            tool_calls=(ToolCallFacts(name="look", arguments='{"at": "door"}'),)
            if call and role == "assistant"
            else (),
        ),
        ROLES,
        TEXTS,
        st.booleans(),
    ),
    max_size=8,
)


def indexed(messages: list[MessageFacts]) -> RecallIndex:
    index = RecallIndex()
    index.add(messages)
    return index


def state(index: RecallIndex, query: list[str]) -> tuple[object, ...]:
    return (
        index.messages,
        [index.turn(number) for number in range(index.turns)],
        index.turn_of_passages().tolist(),
        index.message_of_passages().tolist(),
        index.kind_of_passages().tolist(),
        index.scores(query).tolist(),
        [index.having(term).tolist() for term in query],
    )


def said(role: Role, text: str, *, calls: int = 0) -> MessageFacts:
    made = tuple(ToolCallFacts(name="find_flight", arguments='{"to": "OSL"}') for _ in range(calls))
    return MessageFacts(role=role, text=text, tool_calls=made)


@given(HISTORIES, st.lists(WORDS, max_size=6))
def test_scores_are_those_of_bm25_on_the_same_passages(
    messages: list[MessageFacts], query: list[str]
) -> None:
    asked = [term for word in query for term in forms(word)]
    units = [
        forms(message_text(message)[each.start : each.end])
        for message in messages
        if message.role != "system"
        for each in passages_of(message_text(message))
    ]

    found = indexed(messages).scores(asked).tolist()

    assert found == pytest.approx(bm25(asked, units), rel=1e-12, abs=1e-12)


@given(HISTORIES, HISTORIES, st.integers(0, 10), st.lists(WORDS, max_size=4))
def test_cutting_and_going_on_is_as_if_it_had_always_been_so(
    first: list[MessageFacts], then: list[MessageFacts], cut: int, query: list[str]
) -> None:
    asked = [term for word in query for term in forms(word)]
    index = indexed(first)

    index.truncate(cut)
    index.add(then)

    assert state(index, asked) == state(indexed(first[:cut] + then), asked)


@given(HISTORIES, st.integers(0, 8))
def test_one_by_one_is_all_at_once(messages: list[MessageFacts], cut: int) -> None:
    index = indexed(messages[:cut])
    for message in messages[cut:]:
        index.add([message])

    assert state(index, ["door"]) == state(indexed(messages), ["door"])


@given(HISTORIES)
def test_turns_part_the_messages(messages: list[MessageFacts]) -> None:
    index = indexed(messages)

    turns = [list(index.turn(number)) for number in range(index.turns)]

    assert [each for turn in turns for each in turn] == list(range(len(messages)))
    for turn in turns:
        assert all(messages[each].role != "user" for each in turn[1:])


def test_a_step_of_an_agent_is_a_turn_with_its_results() -> None:
    index = indexed(
        [
            said("user", "Fly me to Oslo."),
            said("assistant", "", calls=2),
            said("tool", "SK 801"),
            said("tool", "DY 5"),
            said("assistant", "", calls=1),
            said("tool", "SK 801 is booked"),
            said("assistant", "Done."),
            said("user", "Thanks"),
        ]
    )

    assert [index.turn(number) for number in range(index.turns)] == [
        range(4),
        range(4, 7),
        range(7, 8),
    ]


def test_a_history_that_begins_with_a_result() -> None:
    index = indexed([said("tool", "SK 801"), said("assistant", "", calls=1), said("tool", "no")])

    assert [index.turn(number) for number in range(index.turns)] == [range(1), range(1, 3)]


def test_scores_of_what_is_left_after_the_oldest_were_forgotten() -> None:
    texts = ["door", "door door door", "red door", "door door", "blue", "door door door door"]
    index = RecallIndex(max_passages=4)
    for text in texts:
        index.add([said("user", text)])

    left = [texts[each] for each in index.message_of_passages().tolist()]
    assert len(left) <= 4
    expected = bm25(["door"], [text.split() for text in left])
    assert index.scores(["door"]).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_turn_that_was_cut_before_its_results_goes_on() -> None:
    index = indexed([said("user", "Fly me."), said("assistant", "", calls=1), said("tool", "no")])

    index.truncate(2)
    index.add([said("assistant", "", calls=1), said("tool", "yes")])

    assert [index.turn(number) for number in range(index.turns)] == [range(4)]


def test_arguments_of_calls_are_found_and_system_messages_are_not() -> None:
    index = indexed([said("system", "Be brief about OSL."), said("assistant", "", calls=1)])

    assert index.message_of_passages()[index.having("osl")].tolist() == [1]


def test_who_said_a_passage_and_how() -> None:
    index = indexed(
        [
            said("user", "The code is 4711. What opens the door? Explain the lock to me."),
            said("assistant", "A key."),
        ]
    )

    assert index.kind_of_passages().tolist() == [TOLD, ASKED, ASKED, ANSWERED]


def test_of_a_huge_message_the_two_ends_are_read() -> None:
    text = "start here. " + "filler words. " * 400_000 + "the end."

    index = indexed([said("user", text)])

    assert len(index.having("start")) == len(index.having("end")) == 1
    assert index.passages < READ_CHARS / 10


def test_the_oldest_messages_are_forgotten_whole() -> None:
    index = RecallIndex(max_passages=8)
    for number in range(20):
        index.add([said("user", f"fact{number} is here.")])

    assert index.passages <= 8
    held = index.message_of_passages().tolist()
    assert held == list(range(held[0], 20))
    for number in range(20):
        found = index.message_of_passages()[index.having(f"fact{number}")].tolist()
        assert found == ([number] if number in held else [])
    index.truncate(19)
    assert len(index.having("fact19")) == 0
    assert index.turn(index.turns - 1) == range(18, 19)


def test_fewer_than_four_passages_are_refused() -> None:
    assert RecallIndex(max_passages=4).passages == 0
    with pytest.raises(MemoryPlanError, match="max_passages is 3"):
        RecallIndex(max_passages=3)


def test_a_message_costs_its_own_words_however_long_the_conversation_is() -> None:
    turns = asked_later(3, turn_tokens=40)
    more = [said("user", turn.question) for turn in turns] * 48
    index = RecallIndex()

    index.add(more[:1000])
    early = min(own_seconds(lambda: index.add(more[:300])) for _ in range(3))
    index.add(more[: 10_000 - index.messages])
    late = min(own_seconds(lambda: index.add(more[:300])) for _ in range(3))

    assert index.messages > 10_000
    assert late < 3 * early
