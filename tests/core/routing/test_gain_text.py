"""One form of a text: what may change without changing a decision."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.routing._ngrams import buckets, windows, word_hashes
from frugal_chains.routing._text import canonical, words
from frugal_chains.routing.gain._encode import _counted
from tests.own_time import own_seconds

ASCII = st.text(st.characters(codec="ascii"), max_size=200)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("What is  2+2?", "what is 2+2?"),
        ("Please, what is\n2+2? Thanks!", "what is 2+2?"),
        ("Hello there! Could you please tell me: what is 2+2? Thank you so much.", "what is 2+2?"),
        ("Kindly answer: what is 2+2?", "what is 2+2?"),
        ("Hello, could you please add 2 Thank you!", "add 2"),
        ("What is 2+2, please?", "what is 2+2?"),
        ("\uff37\uff28\uff21\uff34 is 2+2?", "what is 2+2?"),
        ("thanks", "thanks"),
        ("Hi", "hi"),
        ("Highland cows", "highland cows"),
        ("pleased to meet", "pleased to meet"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_what_does_not_change_the_question_is_gone(written: str, expected: str) -> None:
    assert canonical(written) == expected


@given(ASCII)
def test_case_and_white_space_change_nothing(text: str) -> None:
    spaced = "  " + "\t\n ".join(text.split()) + " "
    assert canonical(text.upper()) == canonical(text.lower()) == canonical(spaced)


@given(st.text(max_size=200))
def test_it_never_makes_a_text_empty(text: str) -> None:
    assert bool(canonical(text)) == bool(text.split())


@given(st.text(max_size=200))
def test_words_lose_nothing_but_white_space(text: str) -> None:
    assert "".join(words(canonical(text))) == "".join(canonical(text).split())


@pytest.mark.parametrize("text", ["please " * 200_000, "thanks " * 200_000, "a" * 1_000_000])
def test_time_is_linear(text: str) -> None:
    assert own_seconds(lambda: words(canonical(text))) < 5


def test_scripts_without_spaces_are_cut_into_signs() -> None:
    assert words("東京は") == ["東", "京", "は"]


def test_hashes_are_the_same_in_another_process() -> None:
    code = (
        "from frugal_chains.routing._ngrams import buckets, word_hashes;"
        "print(buckets(word_hashes(['what', 'is', 'it']), 18).tolist())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == str(buckets(word_hashes(["what", "is", "it"]), 18).tolist())


@given(st.lists(st.text(st.characters(categories=("L",)), min_size=1, max_size=5), max_size=20))
def test_buckets_are_one_for_each_word_and_each_pair(cut: list[str]) -> None:
    found = buckets(word_hashes(cut), 18)
    assert len(found) == max(0, 2 * len(cut) - 1)
    assert not len(found) or (found.min() >= 0 and found.max() < 2**18)


def test_windows_tell_the_order_of_words() -> None:
    one, other = word_hashes(["a", "b", "c"]), word_hashes(["b", "a", "c"])
    assert len(windows(one, 3)) == 1
    assert windows(one, 3)[0] != windows(other, 3)[0]
    assert not len(windows(one, 4))
    assert np.array_equal(windows(word_hashes(["x", "a", "b", "c"]), 3)[1:], windows(one, 3))


def test_a_pair_is_a_feature_of_its_own_and_has_an_order() -> None:
    one = buckets(word_hashes(["dog", "bites", "man"]), 18).tolist()
    other = buckets(word_hashes(["man", "bites", "dog"]), 18).tolist()
    assert len(set(one)) == 5
    assert set(one[:3]) == set(other[:3])
    assert not set(one[3:]) & set(other)


@given(st.lists(st.integers(0, 20)))
def test_n_grams_are_counted_as_numpy_does(grams: list[int]) -> None:
    given_grams = np.array(grams, dtype=np.int32)
    found, counts = _counted(given_grams)
    expected, expected_counts = np.unique(given_grams, return_counts=True)
    assert found.tolist() == expected.tolist()
    assert counts.tolist() == expected_counts.tolist()
