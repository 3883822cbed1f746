"""Which sentences of a question are looked at, and what of them is the person's."""

from __future__ import annotations

import pytest

from frugal_chains.memory._recall_question import clauses

ITEMS = [f"item{first}{second}" for first in "bcdfghjk" for second in "bcdfghjk"]


def about(question: str) -> list[str]:
    """The terms of all clauses."""
    return [term for clause in clauses(question) for term in clause.terms]


@pytest.mark.parametrize(
    ("question", "looked_at"),
    [
        ("Where is the lamp?", ["lamp"]),
        ("The door. The lamp. The chair.", ["door", "lamp", "chair"]),
        ("The door. The lamp. The chair. The table.", ["tabl"]),
        ("The door. Where is the lamp? The chair. Which chair?", ["lamp", "chair"]),
    ],
    ids=["one", "few", "the-last", "those-that-ask"],
)
def test_of_many_sentences_those_that_ask_or_the_last(question: str, looked_at: list[str]) -> None:
    assert about(question) == looked_at


@pytest.mark.parametrize(("count", "dropped"), [(24, 0), (25, 1), (60, 36)])
def test_of_very_many_sentences_the_two_ends(count: int, dropped: int) -> None:
    question = " ".join(f"Where is {item}?" for item in ITEMS[:count])
    assert about(question) == ITEMS[:12] + ITEMS[12 + dropped : count]


def test_of_a_long_message_the_two_ends_are_read() -> None:
    def padded(chars: int) -> str:
        ends = "Where is the lamp? ", " And where is the chair?"
        middle = " Where is the door? "
        room = chars - len("".join(ends)) - len(middle)
        return ends[0] + "-" * (room // 2) + middle + "-" * (room - room // 2) + ends[1]

    assert len(padded(4_000)) == 4_000
    assert about(padded(4_000)) == ["lamp", "door", "chair"]
    assert about(padded(9_000)) == ["lamp", "chair"]


def test_three_words_behind_my_may_be_the_persons() -> None:
    (clause,) = clauses("What colour has my old garden chair near Lisbon?")
    assert clause.owned == {"old", "garden", "chair"}
    assert clause.names == {"lisbon"}


def test_of_what_asks_for_nothing_only_the_terms_are_known() -> None:
    (told,) = clauses("As we said, my lamp of Lisbon.")
    assert {"lamp", "lisbon"} <= set(told.terms)
    assert not any((told.asks, told.back, told.we, told.general, told.last))
    assert (told.names, told.owned) == (frozenset(), frozenset())
