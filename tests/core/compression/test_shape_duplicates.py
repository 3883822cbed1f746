"""Repetitions folded to a reference, and unfolded again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.shape import ShapeError, fold_duplicates, unfold_duplicates

BODY = [f"line {i} says that value {i * 7} belongs to customer {i * 13}" for i in range(30)]


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_a_repeated_output_refers_to_the_first() -> None:
    texts = ["\n".join(BODY), "other", "\n".join(BODY), "\n".join(BODY)]
    folded = fold_duplicates(texts, count)
    assert folded.texts == (texts[0], "other", "[same as output 1]", "[same as output 1]")
    assert folded.texts[0] is texts[0]
    assert folded.folded == (2, 3)
    assert folded.tokens_before == sum(map(count, texts))
    assert folded.tokens_after == sum(map(count, folded.texts))
    assert folded.saved_tokens == 2 * (count(texts[0]) - count("[same as output 1]"))
    assert unfold_duplicates(folded.texts) == tuple(texts)


def test_a_repeated_passage_refers_to_its_lines() -> None:
    texts = ["\n".join(["head", *BODY[:20]]), "\n".join(["top", *BODY[5:12], "end"])]
    folded = fold_duplicates(texts, count, label="document")
    assert folded.texts[1] == (
        'top\n[lines 7-13 of document 1 again, from "line 5 says that value 3"]\nend'
    )
    assert unfold_duplicates(folded.texts, label="document") == tuple(texts)


def test_of_several_places_the_first_is_referred_to() -> None:
    texts = ["\n".join([*BODY[:9], "a"]), "\n".join([*BODY[:9], "b"]), "\n".join([*BODY[:9], "c"])]
    folded = fold_duplicates(texts, count).texts
    assert ["lines 1-9 of output 1 again" in text for text in folded] == [False, True, True]


def test_one_long_line_is_a_passage() -> None:
    long = " ".join(BODY[:6])
    texts = [f"a\n{long}\nb", f"c\n{long}"]
    folded = fold_duplicates(texts, count)
    assert folded.texts[1] == 'c\n[line 2 of output 1 again, from "line 0 says that value 0"]'
    assert unfold_duplicates(folded.texts) == tuple(texts)


def test_passages_can_be_left_alone() -> None:
    texts = ["\n".join(BODY), "\n".join([*BODY, "more"])]
    assert fold_duplicates(texts, count, passages=False).texts == tuple(texts)


def test_short_repetitions_stay() -> None:
    texts = ["ok", "ok", "a\nb\nc\nd", "a\nb\nc\ne"]
    folded = fold_duplicates(texts, count)
    assert folded.texts == tuple(texts)
    assert folded.reason == "no repetition"


def test_a_reference_of_the_same_length_is_none() -> None:
    texts = ["\n".join(BODY)] * 2
    assert fold_duplicates(texts, lambda text: 5).texts == tuple(texts)


def test_an_earlier_text_never_changes_because_of_a_later_one() -> None:
    texts = ["\n".join(BODY), "\n".join(BODY[3:]), "\n".join(BODY)]
    for end in range(1, 4):
        assert (
            fold_duplicates(texts[:end], count).texts == fold_duplicates(texts, count).texts[:end]
        )


@pytest.mark.parametrize("line", ["[same as output 1]", '[lines 1-2 of output 1 again, from "x"]'])
def test_texts_that_hold_what_reads_like_a_reference_stay(line: str) -> None:
    texts = ["\n".join(BODY), f"a\n{line}", "\n".join(BODY)]
    folded = fold_duplicates(texts, count)
    assert folded.texts == tuple(texts)
    assert "reads like a reference" in folded.reason


@pytest.mark.parametrize("text", ["[same as output 2]", '[lines 4-9 of output 1 again, from "x"]'])
def test_a_reference_to_nothing_is_refused(text: str) -> None:
    with pytest.raises(ShapeError, match=r"there|before"):
        unfold_duplicates(["a\nb", text])


lines = st.sampled_from(
    [*BODY[:8], " ".join(BODY[:6]), "", "x", "output 1", "[same as output 1]x", "\r"]
)
payloads = st.lists(st.lists(lines, max_size=12).map("\n".join), max_size=6)


@given(payloads)
def test_what_is_folded_unfolds_and_is_never_longer(texts: list[str]) -> None:
    folded = fold_duplicates(texts, count)
    assert unfold_duplicates(folded.texts) == tuple(texts)
    for before, after in zip(texts, folded.texts, strict=True):
        assert count(after) <= count(before)
    assert folded.folded == tuple(i for i, t in enumerate(texts) if t != folded.texts[i])


def test_many_lines_in_bounded_time() -> None:
    text = "\n".join(["same line of some length"] * 50_000)
    folded = fold_duplicates([text, text + "x", text[:-1]], count)
    assert unfold_duplicates(folded.texts) == (text, text + "x", text[:-1])
    assert folded.saved_tokens > 0


def test_a_passage_stays_where_its_reference_costs_more_or_hardly_less() -> None:
    rule = "=" * 300  # a word of no meaning, and cheap

    def words(text: str) -> int:
        return len(text.split())

    texts = ["\n".join([*BODY, rule]), "\n".join(["top", rule, *BODY])]
    folded = fold_duplicates(texts, words)
    assert folded.texts[1].split("\n")[:2] == ["top", rule]
    assert len(folded.texts[1].split("\n")) == 3
    assert unfold_duplicates(folded.texts) == tuple(texts)
    short = ["\n".join(BODY[:4]), "\n".join(["top", *BODY[:3]])]  # 146 characters in common
    assert fold_duplicates(short, count).texts == tuple(short)
