"""Few-shot examples chosen to a budget."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.prompt import PromptError, PromptExample, choose_examples


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def examples(*texts: str) -> list[PromptExample]:
    return [PromptExample(text=text) for text in texts]


PETS = examples(
    "the cat sleeps all day",
    "a train leaves at noon",
    "the cat sleeps all night",
    "dogs chase a cat outside",
    "stocks fell on monday",
)


def test_the_most_relevant_ones_are_kept_in_their_own_order() -> None:
    plan = choose_examples(PETS, "train for my dogs", count, 10)
    assert plan.kept == (1, 3)
    assert plan.text == "a train leaves at noon\n\ndogs chase a cat outside"
    assert (plan.tokens_after, plan.reason) == (10, "chosen")


def test_the_best_one_can_come_last() -> None:
    plan = choose_examples(PETS, "train at noon for dogs", count, 10, order="best_last")
    assert plan.kept == (3, 1)


def test_two_alike_are_not_both_chosen() -> None:
    near = choose_examples(PETS, "cat sleeps all day", count, 10, diversity=0)
    far = choose_examples(PETS, "cat sleeps all day", count, 10, diversity=0.6, min_relevance=0.0)
    assert near.kept == (0, 2)
    assert far.kept[0] == 0
    assert far.kept != (0, 2)


def test_one_of_each_label_comes_first() -> None:
    labelled = [
        PromptExample(text=e.text, label=label)
        for e, label in zip(PETS, ("cat", "train", "cat", "dog", "money"), strict=True)
    ]
    plan = choose_examples(labelled, "cat sleeps", count, 20)
    assert plan.missing_labels == ()
    tight = choose_examples(labelled, "cat sleeps", count, 9)
    # Five tokens for the best cat; of the other labels only money has one of four.
    assert (tight.kept, tight.missing_labels) == ((0, 4), ("train", "dog"))


def test_a_budget_is_not_filled_up_with_what_is_about_something_else() -> None:
    assert choose_examples(PETS, "train", count, 20).kept == (1,)
    assert len(choose_examples(PETS, "train", count, 20, min_relevance=0.0).kept) == 4


def test_vectors_decide_where_no_word_is_shared() -> None:
    vectors = [(1.0, 0.0), (0.0, 1.0), (1.0, 0.1), (0.9, 0.1), (-1.0, 0.2)]
    plan = choose_examples(PETS, "zug", count, 5, query_vector=(0.0, 2.0), vectors=vectors)
    assert plan.kept == (1,)


@pytest.mark.parametrize("budget", [0, 1])
def test_no_room_is_no_example(budget: int) -> None:
    plan = choose_examples(PETS, "cat", count, budget)
    assert (plan.kept, plan.text, plan.tokens_after) == ((), "", 0)


def test_all_that_fit_are_all_kept_and_so_are_all_when_switched_off() -> None:
    assert choose_examples(PETS, "cat", count, 1000).reason == "all fit"
    off = choose_examples(PETS, "cat", count, 3, enabled=False)
    assert (off.reason, off.kept, off.diff()) == ("off", (0, 1, 2, 3, 4), "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"query_vector": (1.0,)},
        {"query_vector": (1.0,), "vectors": [(1.0,)]},
        {"query_vector": (1.0,), "vectors": [(float("nan"),)] * 5},
        {"query_vector": (1.0,), "vectors": [(1.0, 2.0)] * 5},
        {"diversity": 1.5},
        {"at_most": -1},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PromptError):
        choose_examples(PETS, "x", count, 3, **wrong)  # type: ignore[arg-type]


texts = st.lists(st.sampled_from(["cat", "dog", "train", "noon", "a,", "the."]), max_size=9).map(
    " ".join
)
some = st.lists(
    st.builds(
        lambda text, label: PromptExample(text=text, label=label),
        texts | st.text(max_size=20),
        st.sampled_from(["", "x", "y"]),
    ),
    max_size=9,
)


@given(
    some, texts, st.integers(0, 60), st.floats(0, 1), st.sampled_from([None, 0, 1, 3]),
    st.sampled_from(["original", "best_last"]),
)  # fmt: skip
def test_never_over_the_budget_and_the_same_every_time(
    chosen_from: list[PromptExample],
    query: str,
    budget: int,
    diversity: float,
    at_most: int | None,
    order: str,
) -> None:
    def choose() -> object:
        return choose_examples(
            chosen_from, query, count, budget,
            diversity=diversity, at_most=at_most, order=order,  # type: ignore[arg-type]
        )  # fmt: skip

    plan = choose()
    assert plan == choose()
    assert plan.tokens_after == count(plan.text) <= budget
    assert sorted((*plan.kept, *plan.dropped)) == list(range(len(chosen_from)))
    assert plan.text == "\n\n".join(chosen_from[i].text for i in plan.kept)
    if order == "original":
        assert list(plan.kept) == sorted(plan.kept)
    if at_most is not None:
        assert len(plan.kept) <= at_most


@given(some, st.integers(0, 60))
def test_a_count_that_grows_at_seams_does_not_break_the_budget(
    chosen_from: list[PromptExample], budget: int
) -> None:
    def seams(text: str) -> int:
        return count(text) + 2 * text.count("\n\n") ** 2

    assert (
        choose_examples(chosen_from, "cat", seams, budget, min_relevance=0.0).tokens_after <= budget
    )


def test_ten_thousand_examples_take_bounded_time() -> None:
    many = [PromptExample(text=f"example {n} about cat {n % 7}") for n in range(10_000)]
    plan = choose_examples(many, "cat 3", count, 5_000)
    assert plan.tokens_after <= 5_000
