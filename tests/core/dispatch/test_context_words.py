"""`ContextCompressor` with a scorer of words: an exact budget, atoms kept, never a failure."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from frugal_chains import Ledger
from frugal_chains.compression.extract import Passage, extract
from frugal_chains.compression.words import WordScore
from frugal_chains.dispatch import Compressed, ContextCompressor, Likeness
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker

MODEL = {"model": "gpt-4o", "provider": "openai"}
QUERY = "When was Tower Bridge built, and how often is it opened?"
PASSAGES = [
    Passage(label="[1]\n", text="Hats are worn on heads, and some of the best are made of felt."),
    Passage(
        label="[2] Tower Bridge\n",
        text="Tower Bridge, as people often say, crosses the Thames. It was, all in all, built "
        "between 1886 and 1894. Many people like it. Its bascules are, on the whole, opened by "
        "hydraulic engines, and that is about 800 times a year.",
    ),
]
BUDGET = 44
"""Has room for one of the two sentences that answer, and for the main words of the other."""


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, **MODEL).tokens


def page(texts: Sequence[str | None]) -> str:
    pairs = zip(PASSAGES, texts, strict=True)
    return "\n\n".join(passage.label + text for passage, text in pairs if text is not None)


class Scorer:
    """Long words weigh more; numbers weigh nothing."""

    def __init__(self, *, fails: bool = False, delay_s: float = 0.0, odd: Any = None) -> None:
        self.fails, self.delay_s, self.odd = fails, delay_s, odd
        self.asked: list[str] = []

    def __call__(self, text: str) -> list[WordScore]:
        self.asked.append(text)
        time.sleep(self.delay_s)
        if self.fails:
            raise MemoryError("no room for weights")
        found = re.finditer(r"\w+", text)
        return self.odd or [
            WordScore(m.start(), m.end(), 0 if m[0].isdigit() else len(m[0]) / 20) for m in found
        ]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


async def _ask(compressor: ContextCompressor, **options: Any) -> Compressed:
    return compressor.compress(QUERY, PASSAGES, **options)


async def _aask(compressor: ContextCompressor, **options: Any) -> Compressed:
    return await compressor.acompress(QUERY, PASSAGES, **options)


both_ways = pytest.mark.parametrize("ask", [_ask, _aask], ids=["sync", "async"])


@both_ways
async def test_words_go_to_the_exact_budget_and_atoms_stay(ask: Any, ledger: Ledger) -> None:
    scorer = Scorer()
    compressor = ContextCompressor(BUDGET, words=scorer, **MODEL)
    found = await ask(compressor, trackers=[Tracker(ledger)])
    kept = found.extraction
    assert found.warnings == ()
    assert kept.texts[0] is None
    text = kept.texts[1] or ""
    assert tokens(page(kept.texts)) == kept.tokens_after <= BUDGET
    assert "It was, all in all, built between 1886 and 1894." in text
    assert "opened hydraulic engines" in text
    assert "800 times" in text  # a number, which has no weight here
    spans = [PASSAGES[1].text[start:end] for start, end in kept.kept[1]]
    assert "".join(text.split()) == "".join("".join(spans).split())
    assert len(scorer.asked) == 1
    (effect,) = ledger.effects()
    assert (effect.tokens_before, effect.tokens_after) == (kept.tokens_before, kept.tokens_after)
    assert effect.detail["budget_tokens"] == BUDGET


@both_ways
async def test_where_all_fits_no_word_is_scored(ask: Any) -> None:
    scorer = Scorer()
    found = await ask(ContextCompressor(500, words=scorer, **MODEL))
    assert (found.extraction.reason, scorer.asked) == ("fits", [])


@both_ways
@pytest.mark.parametrize(
    ("scorer", "warning"),
    [
        (Scorer(fails=True), "MemoryError"),
        (Scorer(delay_s=0.6), "no answer within 0.05 s"),
        (Scorer(odd=[WordScore(0, 10**6, 0.5)]), "CompressionError: score 0 is of 0 to 1000000"),
        (Scorer(odd=[WordScore(0, 2, float("nan"))]), "CompressionError: score 0 is nan"),
        (Scorer(odd=["word"]), "ValueError"),
    ],
    ids=["raises", "hangs", "elsewhere", "no-number", "no-score"],
)
async def test_a_scorer_that_fails_is_a_warning(scorer: Scorer, warning: str, ask: Any) -> None:
    compressor = ContextCompressor(BUDGET, words=scorer, words_timeout_s=0.05, **MODEL)
    began = time.perf_counter()
    found = await ask(compressor)
    assert time.perf_counter() - began < 0.5
    assert found.extraction == extract(QUERY, PASSAGES, budget_tokens=BUDGET, count=tokens)
    (said,) = found.warnings
    assert said.startswith(f"compressed without the scorer of words: {warning}")


@both_ways
async def test_a_scorer_and_an_embedder_may_both_fail(ask: Any) -> None:
    def of(query: str, texts: Sequence[str]) -> Sequence[float]:
        raise ConnectionError("no embeddings")

    async def aof(query: str, texts: Sequence[str]) -> Sequence[float]:
        return of(query, texts)

    found = await ask(
        ContextCompressor(
            BUDGET, words=Scorer(fails=True), likeness=Likeness(of=of, aof=aof), **MODEL
        )
    )
    assert [said.split(":")[0] for said in found.warnings] == [
        "compressed without the embedder",
        "compressed without the scorer of words",
    ]
    assert found.extraction == extract(QUERY, PASSAGES, budget_tokens=BUDGET, count=tokens)


async def test_the_event_loop_does_not_wait_for_words() -> None:
    scorer = Scorer(delay_s=0.2)
    compressor = ContextCompressor(BUDGET, words=scorer, **MODEL)
    work = asyncio.create_task(compressor.acompress(QUERY, PASSAGES))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.01)
        turns += bool(scorer.asked)
    assert turns > 3
    assert (await work).warnings == ()


def test_a_scorer_that_hangs_is_not_asked_for_ever() -> None:
    """Each hanging call has a thread; with four of them no further one is begun."""
    scorer = Scorer(delay_s=1.0)
    compressor = ContextCompressor(BUDGET, words=scorer, words_timeout_s=0.01, **MODEL)
    said = [compressor.compress(QUERY, PASSAGES).warnings[0] for _ in range(6)]
    assert len(scorer.asked) == 4
    assert "4 earlier calls of it still hang" in said[-1]


# -- whether an embedder is asked --------------------------------------------------------------


class Near:
    """An embedder for which all is alike."""

    def __init__(self) -> None:
        self.asked = 0

    def of(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.asked += 1
        return [0.5] * len(texts)

    async def aof(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return self.of(query, texts)


@both_ways
@pytest.mark.parametrize("spare", [-1, 0, 1])
async def test_an_embedder_is_asked_where_tokens_do_not_fit(spare: int, ask: Any) -> None:
    """By count, and not by length: there are five times as many characters."""
    near = Near()
    budget = tokens(page([passage.text for passage in PASSAGES])) + spare
    likeness = Likeness(of=near.of, aof=near.aof)
    found = await ask(ContextCompressor(budget, likeness=likeness, **MODEL))
    expected = ("budget", 1) if spare < 0 else ("fits", 0)
    assert (found.extraction.reason, near.asked) == expected


@both_ways
async def test_the_whole_is_counted_once(ask: Any) -> None:
    whole = page([passage.text for passage in PASSAGES])
    counted: list[str] = []

    class Counts(TokenCounter):
        def text_counter(self, *, model: str, provider: str | None = None) -> Any:
            count = super().text_counter(model=model, provider=provider)
            return lambda text: counted.append(text) or count(text)

    near = Near()
    likeness = Likeness(of=near.of, aof=near.aof)
    compressor = ContextCompressor(
        BUDGET, likeness=likeness, words=Scorer(), counter=Counts(), **MODEL
    )
    found = await ask(compressor)
    assert found.warnings == ()
    assert counted.count(whole) == 1
