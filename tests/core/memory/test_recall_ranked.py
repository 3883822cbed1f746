"""Which turns are recalled before others, where not all of them may be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from frugal_chains.facts import MessageFacts
from frugal_chains.memory._recall import RecallPlan, RecallPolicy, recall
from frugal_chains.memory._recall_index import RecallIndex

FILLER = [
    ("How does yeast make dough rise?", "It eats sugar and gives off gas."),
    ("Explain inflation to a beginner.", "Prices go up, so money buys less."),
    ("Why do leaves turn brown?", "The green pigment goes away in autumn."),
    ("What is a good telescope?", "One with a steady mount and a wide lens."),
]
ONE = RecallPolicy(most_turns=1, always=True)


def recalled(
    turns: Sequence[tuple[str, str]],
    question: str,
    *,
    policy: RecallPolicy | None = None,
    cosines: Sequence[float] | None = None,
    kept_turns: int = 4,
) -> RecallPlan:
    """Of these turns with others behind, of which so many are still in the context."""
    messages = [
        said
        for asked, answered in (*turns, *FILLER)
        for said in (
            MessageFacts(role="user", text=asked),
            MessageFacts(role="assistant", text=answered),
        )
    ]
    index = RecallIndex()
    index.add(messages)
    kept = range(len(messages) - 2 * kept_turns, len(messages))
    return recall(
        index, question, messages=messages, kept=kept, count=len, policy=policy, cosines=cosines
    )


LAMP = ("The lamp costs 40 euros.", "Noted.")


def test_of_equal_turns_the_newest_first() -> None:
    question = "What does the lamp cost?"
    assert recalled([LAMP, FILLER[0], LAMP, FILLER[0]], question, policy=ONE).turns == (2,)
    assert recalled([LAMP] * 9, question, policy=RecallPolicy(always=True)).turns == (4, 5, 6, 7, 8)


def test_a_name_counts_more_than_another_word() -> None:
    named, other = ("The Lisbon lamp is 40.", "Noted."), ("The garden lamp is 50.", "Noted.")
    for turns in ([named, other], [other, named]):
        found = recalled(turns, "How much is the garden or Lisbon lamp?", policy=ONE)
        assert found.turns == (turns.index(named),)


def test_what_was_told_comes_before_what_was_answered_and_asked() -> None:
    told = ("The lamp costs 40 euros.", "Ok.")
    answered = ("Ok.", "The lamp costs 40 euros.")
    asked = ("The lamp costs 40 euros?", "Ok.")
    question = "What does the lamp cost?"
    for turns, first in (
        ([told, answered, asked], 0), ([asked, answered], 1), ([answered, asked], 0),
    ):  # fmt: skip
        assert recalled(turns, question, policy=ONE).turns == (first,)


@pytest.mark.parametrize(("near_best", "turns"), [(1.0, (1,)), (0.5, (0, 1)), (0.0, (0, 1, 2))])
def test_others_need_a_share_of_the_best_score(near_best: float, turns: tuple[int, ...]) -> None:
    said = [
        ("The red lamp is new.", "Ok."),
        ("The red lamp of the hall is new.", "Ok."),
        ("The hall is long and has a window that looks out on the lake.", "Ok."),
    ]
    policy = RecallPolicy(near_best=near_best, always=True)
    assert recalled(said, "Is the red lamp of the hall new?", policy=policy).turns == turns


def test_where_little_speaks_for_it_only_the_best_two() -> None:
    question = "Which lamp did we say?"
    points = recalled([LAMP] * 9, question, policy=RecallPolicy(always=True)).points
    for least, turns in ((points, 2), (points - 0.9, 2), (points - 1.0, 5)):
        plan = recalled([LAMP] * 9, question, policy=RecallPolicy(least_points=least))
        assert (plan.reason, len(plan.turns)) == ("points_back", turns)


def test_recalling_always_recalls_all_good_turns() -> None:
    for always, turns in ((True, 5), (False, 0)):
        policy = RecallPolicy(always=always)
        plan = recalled([LAMP] * 9, "Write a haiku about a lamp.", policy=policy)
        assert len(plan.turns) == turns


def test_an_embedder_ranks_what_the_words_find() -> None:
    cosines = [0.1] * 8
    cosines[1] = 0.9
    found = recalled([LAMP] * 4, "What does the lamp cost?", policy=ONE, cosines=cosines)
    assert found.turns == (1,)


def test_an_embedder_has_half_a_say_however_near_its_cosines_are() -> None:
    longer = ("The lamp costs 40 euros and is for the hall of the house by the lake.", "Noted.")
    turns, question = [longer, LAMP], "What does the lamp cost?"
    assert recalled(turns, question, policy=ONE).turns == (1,)
    nearest_is_longer = [0.51, *[0.50] * 5]
    assert recalled(turns, question, policy=ONE, cosines=nearest_is_longer).turns == (0,)


def test_cosines_below_the_mean_are_all_the_same() -> None:
    cosines = [0.2, 0.1, *[0.9] * 4]
    found = recalled([LAMP] * 2, "What does the lamp cost?", policy=ONE, cosines=cosines)
    assert found.turns == (1,)  # the newest


def test_what_is_in_the_context_is_not_recalled_beside_what_is_not() -> None:
    policy = RecallPolicy(always=True)
    found = recalled([LAMP] * 3, "What does the lamp cost?", policy=policy, kept_turns=5)
    assert found.turns == (0, 1)


def test_what_an_embedder_finds_in_the_context_is_not_recalled() -> None:
    cosines = [0.1, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9]
    policy = RecallPolicy(alike=0.5)
    found = recalled(
        FILLER, "Tell me about astronomy.", policy=policy, cosines=cosines, kept_turns=2
    )
    assert (found.reason, found.turns) == ("alike", (1,))
    cosines[1] = 0.49
    found = recalled(
        FILLER, "Tell me about astronomy.", policy=policy, cosines=cosines, kept_turns=2
    )
    assert (found.reason, found.turns) == ("not_said", ())
