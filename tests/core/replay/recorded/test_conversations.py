"""Calls that continue one another are found by what their requests repeat."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.replay.recorded import read_recording
from frugal_chains.replay.recorded._conversations import Conversations


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def line(messages: list[dict[str, str]], answer: str, model: str = "m") -> str:
    body: dict[str, Any] = {"request": {"model": model, "messages": messages}}
    body["response"] = {"choices": [{"message": said("assistant", answer)}]}
    return json.dumps(body)


def told(*lines: str) -> list[str]:
    return [call.conversation for call in read_recording(lines)]


SYSTEM = said("system", "Be brief.")


def test_two_conversations_that_interleave_and_begin_alike_are_told_apart() -> None:
    hi = [SYSTEM, said("user", "hi")]
    assert told(
        line(hi, "Hello Ann."),
        line(hi, "Hello Bob."),
        line([*hi, said("assistant", "Hello Ann."), said("user", "bye")], "Bye."),
        line([*hi, said("assistant", "Hello Bob."), said("user", "bye")], "Bye."),
    ) == ["from line 1", "from line 2", "from line 1", "from line 2"]


def test_an_answer_that_was_sent_back_in_other_words_still_continues() -> None:
    hi = [SYSTEM, said("user", "hi")]
    back = [*hi, said("assistant", "Hello."), said("user", "bye")]
    assert told(line(hi, "<thinking>\nHello. "), line(back, "Bye.")) == ["from line 1"] * 2


def test_a_repeated_request_another_model_and_another_beginning_are_new() -> None:
    hi = [SYSTEM, said("user", "hi")]
    longer = [*hi, said("assistant", "Hello."), said("user", "bye")]
    assert told(
        line(hi, "Hello."),
        line(hi, "Hello."),
        line(longer, "Bye.", model="other"),
        line(longer[1:], "Bye."),
    ) == ["from line 1", "from line 2", "from line 3", "from line 4"]


def test_what_the_recording_names_is_not_told_again() -> None:
    hi = [said("user", "hi")]
    first = {**json.loads(line(hi, "Hello.")), "thread_id": "t-1"}
    second = line([*hi, said("assistant", "Hello."), said("user", "bye")], "Bye.")
    assert told(json.dumps(first), second) == ["t-1", "from line 2"]


def test_only_so_many_are_remembered() -> None:
    remembered = Conversations(remembered=2)
    names = []
    for number in range(1, 12):
        asked = RequestFacts(messages=(MessageFacts(role="user", text=str(number)),))
        answer = MessageFacts(role="assistant", text="yes")
        names.append(remembered.of(asked, answer, model="m", line=number))
    assert names == [f"from line {number}" for number in range(1, 12)]
    table = remembered._ends
    assert len(table._young) + len(table._old) <= 2 * 4

    def later(number: int) -> str:
        told = (str(number), "yes", "more")
        roles = ("user", "assistant", "user")
        messages = tuple(
            MessageFacts(role=role, text=text)  # type: ignore[arg-type]
            for role, text in zip(roles, told, strict=True)
        )
        return remembered.of(RequestFacts(messages=messages), None, model="m", line=99)

    assert later(11) == "from line 11"
    assert later(1) == "from line 99"


TURNS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=12)


@given(TURNS)
def test_conversations_with_openings_of_their_own_are_always_found(
    turns: list[tuple[int, str]],
) -> None:
    """Against a second account of who said what, kept by the test."""
    histories: dict[int, list[dict[str, str]]] = {}
    lines, expected, began = [], [], {}
    for number, (who, word) in enumerate(turns, start=1):
        history = histories.setdefault(who, [said("user", f"I am {who}")])
        if who in began:
            history.append(said("user", word))
        began.setdefault(who, number)
        lines.append(line(history, f"answer {number}"))
        expected.append(f"from line {began[who]}")
        history.append(said("assistant", f"answer {number}"))
    assert told(*lines) == expected
