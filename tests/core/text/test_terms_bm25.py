"""Terms of texts in several scripts, and BM25 against its formula."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.text import (
    LEAST_STEM,
    bm25,
    bm25_of_counts,
    content_terms,
    inverse_frequencies,
    stem,
    terms,
    words,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("The cats' whiskers, 2024!", ["the", "cat", "whisker", "2024"]),
        ("cities city", ["city", "city"]),
        ("movies movie, prices price", ["movy", "movy", "pric", "pric"]),
        ("winning, winnings: wins", ["winn", "winn", "win"]),
        ("is as us", ["is", "as", "us"]),  # no ending is taken off so short a word
        ("Émile's CAFÉ naïve", ["emil", "s", "caf", "naiv"]),
        ("STRASSE straße", ["strass", "strass"]),
        ("snake_case kebab-case", ["snak", "cas", "kebab", "cas"]),
        ("東京都は", ["東京", "京都", "都は"]),
        ("水", ["水"]),
        ("GPT4の価格", ["gpt4", "の価", "価格"]),
        ("ﾃﾞｰﾀ", ["デー", "ータ"]),  # half-width is the same word
        ("मौसम कैसा", ["मौसम", "कैसा"]),
        ("سَلَام سلام", ["سلام", "سلام"]),
        ("\ud800 x", ["x"]),
    ],
)
def test_terms(text: str, found: list[str]) -> None:
    assert terms(text) == found


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_are_runs_of_letters_and_digits(text: str) -> None:
    assert words(text) == re.findall(r"[a-z0-9]+", text.lower())


@given(st.text("abcdefgilnosty", min_size=1, max_size=12))
def test_a_stem_begins_as_its_word(word: str) -> None:
    assert stem(word)[:LEAST_STEM] == word[:LEAST_STEM]


def test_marks_that_are_no_accents_stay() -> None:
    """Vowel signs of Devanagari are like accents for Unicode, and not for readers."""
    assert terms("कि") != terms("का")


@given(st.text())
def test_letters_in_capitals_give_the_same_terms(text: str) -> None:
    if text.upper().lower() == text.lower():
        assert terms(text.upper()) == terms(text.lower())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("When was the bridge built?", ["bridg", "built"]),
        ("who are you", ["who", "are", "you"]),  # nothing else is there
        ("", []),
    ],
)
def test_content_terms(query: str, found: list[str]) -> None:
    assert content_terms(query) == found


UNITS = [["red", "car", "red"], ["blue", "car"], ["green", "boat", "on", "a", "sea"]]


def test_bm25_is_its_formula() -> None:
    """By hand: 3 texts of 10 terms in all; `red` is in one of them, twice, `car` in two."""
    mean = 10 / 3
    red, car = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)

    def part(idf: float, times: int, length: int) -> float:
        return idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))

    assert bm25(["red", "car"], UNITS) == pytest.approx(
        [part(red, 2, 3) + part(car, 1, 3), part(car, 1, 2), 0]
    )
    assert bm25(["red", "car"], UNITS, rarity=2)[1] == pytest.approx(part(car * car, 1, 2))


def test_nothing_to_score() -> None:
    assert bm25(["x"], []) == []
    assert bm25([], UNITS) == [0, 0, 0]
    assert bm25(["x"], [[], []]) == [0, 0]


def test_counted_texts_score_the_same() -> None:
    counts = [{"red": 2, "car": 1}, {"car": 1}, {}]
    assert bm25_of_counts(counts, [3, 2, 5]) == bm25({"car", "red"}, UNITS)
    assert inverse_frequencies(counts) == {
        "red": pytest.approx(math.log(1 + 2.5 / 1.5)),
        "car": pytest.approx(math.log(1 + 1.5 / 2.5)),
    }


WORDS = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=6), st.permutations(range(6)))
def test_order_changes_no_score(query: list[str], units: list[list[str]], order: list[int]) -> None:
    scores = bm25(query, units)
    kept = [at for at in order if at < len(units)]
    mixed = bm25(sorted(query, reverse=True) * 2, [units[at] for at in kept])
    assert mixed == pytest.approx([scores[at] for at in kept])
    for unit, score in zip(units, scores, strict=True):
        assert (score > 0) == bool(set(query) & set(unit))
