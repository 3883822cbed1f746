"""Dropping words: never over the budget, no word cut or altered, and no atom."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.extract import Passage, extract
from frugal_chains.compression.words import (
    Dropped,
    WordScore,
    drop_words,
    extract_then_words,
)
from frugal_chains.errors import CompressionError
from frugal_chains.text import atoms
from frugal_chains.tokens import TokenCounter
from tests.own_time import own_seconds

COUNTER = TokenCounter()


def o200k(text: str) -> int:
    return COUNTER.count_text(text, model="gpt-4o", provider="openai").tokens


def count_words(text: str) -> int:
    return len(text.split())


def by_length(text: str) -> list[WordScore]:
    """Long words weigh more: a scorer whose choices can be told by looking."""
    return [WordScore(m.start(), m.end(), len(m.group())) for m in re.finditer(r"\w+", text)]


def scored(text: str, seed: int) -> list[WordScore]:
    chance = random.Random(seed)
    return [
        WordScore(m.start(), m.end(), chance.random()) for m in re.finditer(r"\w+|[^\w\s]", text)
    ]


def kept_texts(text: str, found: Dropped) -> list[str]:
    return [text[start:end] for start, end in found.kept]


# -- what is kept ------------------------------------------------------------------------------


def test_the_words_of_highest_score_stay_in_their_order() -> None:
    text = "The committee will of course publish its recommendations in an appendix"
    found = drop_words(text, by_length(text), budget_tokens=5, count=count_words)
    assert found.text == "committee course publish recommendations appendix"
    assert found.reason == "budget"
    assert (found.tokens_before, found.tokens_after) == (11, 5)
    parts = ["committee", "course publish", "recommendations", "appendix"]
    assert kept_texts(text, found) == parts


def test_a_comma_goes_with_its_word() -> None:
    """Whatever its own score is: it says nothing for or against the word."""
    text = "First, wash, then, perhaps, dry everything"
    commas = [WordScore(m.start(), m.end(), 0.1) for m in re.finditer(",", text)]
    scores = sorted([*by_length(text), *commas])
    found = drop_words(text, scores, budget_tokens=2, count=count_words)
    assert found.text == "perhaps, everything"


def test_a_line_break_in_what_is_dropped_stays_one() -> None:
    text = "Agenda\n\n- an introduction\n- a conclusion"
    found = drop_words(text, by_length(text), budget_tokens=3, count=count_words)
    assert found.text == "Agenda\nintroduction\nconclusion"


def test_equal_scores_keep_the_earlier_word() -> None:
    text = "aaa bbb ccc ddd"
    even = [WordScore(m.start(), m.end(), 0.5) for m in re.finditer(r"\w+", text)]
    assert drop_words(text, even, budget_tokens=2, count=count_words).text == "aaa bbb"


def test_scripts_without_spaces_are_parted_at_the_scores_and_get_no_spaces() -> None:
    text = "図書館は毎日開館します"
    words = [(0, 3, 0.9), (3, 4, 0.1), (4, 6, 0.8), (6, 8, 0.7), (8, 11, 0.2)]
    found = drop_words(text, [WordScore(*each) for each in words], budget_tokens=7, count=len)
    assert found.text == "図書館毎日開館"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It costs 1,250.50 USD in https://shop.example.com/a?id=42 today", "1,250.50 USD"),
        ("Refunds are really not available for such tickets", "not available"),
        ("Please call it as run_job(3, 'x y') for this purpose", "run_job(3, 'x y')"),
    ],
)
def test_an_atom_stays_whole_with_the_score_of_its_best_part(text: str, kept: str) -> None:
    at = text.index(kept.split()[0])
    found = drop_words(
        text, [WordScore(at, at + 2, 1)], budget_tokens=count_words(kept), count=count_words
    )
    assert found.text == kept


def test_what_remains_is_not_read_as_another_number() -> None:
    """Without `of` the two numbers would be one, of six figures."""
    text = "They did 120 of 500 km before noon"
    keep = [WordScore(m.start(), m.end(), 1) for m in re.finditer(r"120|500 km", text)]
    found = drop_words(text, keep, budget_tokens=3, count=count_words)
    assert found.text == "120\n500 km"


def test_other_words_go_before_an_atom() -> None:
    """The scorer thinks nothing of numbers and negations, and much of long words."""
    text = "Passengers may not rebook economy tickets beyond 24 hours beforehand"
    least = {"not", "rebook", "24", "hours"}
    low = [s._replace(keep=0) if text[s.start : s.end] in least else s for s in by_length(text)]
    found = drop_words(text, low, budget_tokens=6, count=count_words)
    assert found.text == "Passengers not rebook 24 hours beforehand"


def test_scores_below_zero_have_their_order_too() -> None:
    text = "aaa bbb ccc ddd"
    logits = [WordScore(0, 3, -9.0), WordScore(4, 7, -1.0), WordScore(8, 11, -2.0)]
    found = drop_words(text, logits, budget_tokens=3, count=count_words)
    assert found.text == "aaa bbb ccc"
    assert drop_words(text, logits, budget_tokens=2, count=count_words).text == "bbb ccc"


def test_a_pattern_of_the_caller_is_kept_whole() -> None:
    text = "Ask for the Blue Danube Suite when you arrive at the desk"
    own = re.compile("Blue Danube Suite")
    found = drop_words(
        text, [WordScore(12, 16, 1)], budget_tokens=4, count=count_words, patterns=[own]
    )
    assert found.text == "Ask Blue Danube Suite"


def test_the_budget_is_filled() -> None:
    words = ["river", "bridge", "tower", "between", "London", "engineer", "Victorian", "steel"]
    chance = random.Random(7)
    text = " ".join(chance.choice(words) for _ in range(800))
    for budget in (40, 100, 333, 700):
        found = drop_words(text, scored(text, budget), budget_tokens=budget, count=o200k)
        assert 0.97 * budget <= found.tokens_after <= budget


# -- properties --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "tower", "Bridge,", "(built", "1894)", "not available", "never", "12 km", "$3.50", "of",
        "300", "v2.1.0", "a/b/c.py", "https://x.example/y?z=1", "`make it so`", '"quite so"', "…",
        "can't", "北京", "不支持", "図書館は", "3 of 500", "naïve", "\x00", "\ud800", "🙂", "A-17",
    ]
)  # fmt: skip
TEXTS = st.lists(
    st.tuples(PIECES, st.sampled_from([" ", "  ", "\n", "\r\n", "\t", "", "\n\n"])), max_size=40
).map(lambda parts: "".join(piece + gap for piece, gap in parts))


@given(text=TEXTS, seed=st.integers(0, 99), budget=st.integers(1, 60))
def test_budget_order_and_atoms_hold_for_any_text(text: str, seed: int, budget: int) -> None:
    found = drop_words(text, scored(text, seed), budget_tokens=budget, count=len)
    assert len(found.text) == found.tokens_after <= budget
    # What stays are stretches of the original in their order, and nothing else but white space.
    at, last = 0, -1
    for start, end in found.kept:
        assert last < start < end
        at = found.text.index(text[start:end], at) + end - start
        last = end
    parts = kept_texts(text, found)
    assert "".join(found.text.split()) == "".join("".join(parts).split())
    for atom in atoms(text):
        inside = [s for s in found.kept if s[0] < atom.end and atom.start < s[1]]
        assert not inside or (inside[0][0] <= atom.start and atom.end <= inside[0][1])
    # No word is cut, and none has grown together with another.
    spaced = [run for run in text.split() if run.isascii()]
    assert all(run in spaced for run in found.text.split() if run.isascii() and text.isascii())


@given(text=TEXTS | st.text(), seed=st.integers(0, 9))
def test_a_budget_for_all_changes_nothing(text: str, seed: int) -> None:
    found = drop_words(text, scored(text, seed), budget_tokens=max(1, len(text)), count=len)
    assert found.text == text
    assert found.reason == "fits"
    assert found.tokens_before == found.tokens_after == len(text)


@given(text=TEXTS, seed=st.integers(0, 9), budget=st.integers(1, 60))
def test_the_same_input_gives_the_same_text(text: str, seed: int, budget: int) -> None:
    one, two = (
        drop_words(text, scored(text, seed), budget_tokens=budget, count=len) for _ in range(2)
    )
    assert one == two


# -- sentences, then words ---------------------------------------------------------------------

BRIDGES = [
    Passage(
        label="[1] Hats\n", text="Hats are worn on heads. Some are made of felt. Most are not."
    ),
    Passage(
        label="[2] Tower Bridge\n",
        text="Tower Bridge crosses the Thames.  It was built between 1886 and 1894. Many people "
        "like it. Its bascules are opened by hydraulic engines about 800 times a year.",
    ),
]


def page(passages: Sequence[Passage], texts: Sequence[str | None]) -> str:
    pairs = zip(passages, texts, strict=True)
    return "\n\n".join(each.label + text + each.tail for each, text in pairs if text is not None)


def test_words_go_from_the_sentences_that_are_kept() -> None:
    query = "When was Tower Bridge built, and how often is it opened?"
    found = extract_then_words(
        query, BRIDGES, budget_tokens=32, count=o200k, words=by_length, rate=0.6
    )
    assert found.tokens_after == o200k(page(BRIDGES, found.texts)) <= 32
    assert found.texts[0] is None
    assert "hydraulic" in (found.texts[1] or "")
    text = BRIDGES[1].text
    parts = [text[start:end] for start, end in found.kept[1]]
    assert "".join((found.texts[1] or "").split()) == "".join("".join(parts).split())
    assert found.tokens_before == o200k(page(BRIDGES, [p.text for p in BRIDGES]))


def test_of_the_best_sentences_no_word_goes() -> None:
    best = "Its bascules are opened by hydraulic engines about 800 times a year."
    query: dict[str, Any] = {"budget_tokens": 40, "count": o200k, "words": by_length, "rate": 0.6}
    asked = "How often is Tower Bridge opened by its engines?"
    assert best in (extract_then_words(asked, BRIDGES, **query).texts[1] or "")
    from_all = extract_then_words(asked, BRIDGES, whole=0, **query)
    assert best not in (from_all.texts[1] or "")
    assert "hydraulic" in (from_all.texts[1] or "")


def test_the_best_sentence_is_found_wherever_it_stands() -> None:
    best = "So the old ferry to Aldermoor leaves daily before breakfast."
    others = [f"Of the place in the list at {n} there is a lot to tell." for n in range(40)]
    text = " ".join([*others[:30], best, *others[30:]])
    given: dict[str, Any] = {"count": count_words, "words": by_length, "rate": 0.5}
    asked = "When does the ferry to Aldermoor leave?", [Passage(text=text)]
    found = extract_then_words(*asked, budget_tokens=30, **given)
    assert best in (found.texts[0] or "")
    # Where not even one sentence has room for itself, words go from all.
    narrow = extract_then_words(*asked, budget_tokens=8, **given)
    assert narrow == extract_then_words(*asked, budget_tokens=8, whole=0, **given)
    assert "Aldermoor" in (narrow.texts[0] or "")


def test_what_the_query_names_goes_last() -> None:
    orders = " ".join(f"Order ORD-{n} was delivered punctually yesterday." for n in range(40, 60))
    found = extract_then_words(
        "ORD-57",
        [Passage(text=orders)],
        budget_tokens=1,
        count=count_words,
        words=lambda text: [s._replace(keep=-s.start) for s in by_length(text)],
        rate=0.05,
    )
    assert found.texts == ("ORD-57",)


def test_the_scorer_is_asked_within_what_waits_for_it() -> None:
    asked: list[str] = []

    def scorer(text: str) -> list[WordScore]:
        asked.append(text)
        return by_length(text)

    def refuses(work: object) -> list[list[WordScore]]:
        raise TimeoutError("busy")

    query: dict[str, Any] = {"budget_tokens": 32, "count": o200k, "words": scorer, "rate": 0.6}
    with pytest.raises(TimeoutError, match="busy"):
        extract_then_words("How often is Tower Bridge opened?", BRIDGES, within=refuses, **query)
    assert asked == []
    now = extract_then_words("How often?", BRIDGES, within=lambda work: work(), **query)
    assert now == extract_then_words("How often?", BRIDGES, **query)
    assert all(asked)  # nothing is asked of a passage that is not kept


@pytest.mark.parametrize("budget", [1, 8, 20, 45, 60, 500])
def test_without_words_or_at_rate_1_it_is_extraction(budget: int) -> None:
    query = "When was Tower Bridge built?"
    asked = extract(query, BRIDGES, budget_tokens=budget, count=o200k)
    for words, rate in ((None, 0.5), (by_length, 1.0)):
        assert asked == extract_then_words(
            query, BRIDGES, budget_tokens=budget, count=o200k, words=words, rate=rate
        )


def test_json_keeps_its_form() -> None:
    rows = [Passage(text='{"rows": [{"city": "Oslo", "note": "' + "cold and dark " * 20 + '"}]}')]
    asked = extract("Oslo", rows, budget_tokens=30, count=o200k)
    assert asked == extract_then_words(
        "Oslo", rows, budget_tokens=30, count=o200k, words=by_length
    )  # fmt: skip


@given(
    texts=st.lists(TEXTS, min_size=1, max_size=4),
    budget=st.integers(1, 120),
    rate=st.sampled_from([0.3, 0.7, 0.9]),
    whole=st.sampled_from([0, 0.4, 0.7, 1]),
)
def test_the_budget_holds_with_labels_tails_and_joiners(
    texts: list[str], budget: int, rate: float, whole: float
) -> None:
    passages = [Passage(text=text, label=f"[{n}] ", tail=">") for n, text in enumerate(texts)]
    found = extract_then_words(
        "bridge", passages, budget_tokens=budget, count=len, words=by_length, rate=rate, whole=whole
    )
    assert len(page(passages, found.texts)) == found.tokens_after <= budget
    for passage, text, spans in zip(passages, found.texts, found.kept, strict=True):
        parts = "".join(passage.text[start:end] for start, end in spans)
        assert "".join((text or "").split()) == "".join(parts.split())


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "budget", "message"),
    [
        ([], 0, "budget_tokens is 0"),
        ([WordScore(0, 99, 1.0)], 5, "0 to 99; the text has 11"),
        ([WordScore(3, 3, 1.0)], 5, "3 to 3"),
        ([WordScore(0, 2, float("nan"))], 5, "nan"),
        ([WordScore(4, 6, 1.0), WordScore(0, 5, 1.0)], 5, "score 1 begins at 0"),
    ],
)
@pytest.mark.parametrize("text", ["hello world"])
def test_what_cannot_be_is_refused(
    text: str, scores: list[WordScore], budget: int, message: str
) -> None:
    with pytest.raises(CompressionError, match=message):
        drop_words(text, scores, budget_tokens=budget, count=len)


@pytest.mark.parametrize(
    ("name", "share"),
    [("rate", 0), *((name, x) for name in ("rate", "whole") for x in (-1, 1.01, float("nan")))],
)
def test_what_is_no_share_is_refused(name: str, share: float) -> None:
    given: Any = {name: share}
    with pytest.raises(CompressionError, match=f"{name} is"):
        extract_then_words("q", BRIDGES, budget_tokens=9, count=len, words=by_length, **given)


def test_a_text_without_words_or_with_one_too_long_is_empty() -> None:
    assert drop_words(" \n" * 9, [], budget_tokens=5, count=len).text == ""
    found = drop_words("x" * 99, [], budget_tokens=5, count=len)
    assert (found.text, found.kept, found.reason) == ("", (), "too_small")


@pytest.mark.parametrize(
    "text", ["x" * 5_000_000, "a b " * 100_000, "[" * 1000 + "1 " * 1000, "中" * 200_000]
)
def test_long_texts_take_bounded_time(text: str) -> None:
    def dropped() -> None:
        found = drop_words(text, [WordScore(0, 1, 1.0)], budget_tokens=1000, count=len)
        assert found.tokens_after <= 1000

    assert own_seconds(dropped) < 20
