"""`DocumentCompressor` with a scorer of words: ids and metadata kept, the budget exact."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest
from langchain_core.documents import Document

from frugal_chains.archive import Archive
from frugal_chains.compression.words import WordScore
from langchain_frugal import DocumentCompressor
from tests.langchain.compressing import ANSWER, MODEL, QUESTION, documents, snapshot, tokens

BUDGET = 150
FILLER = frozenset({"has", "been", "written", "about", "and", "of", "it", "tells", "in", "is"})


def weigh(text: str) -> list[WordScore]:
    """A scorer that thinks little of small words, and nothing of numbers."""
    return [
        WordScore(m.start(), m.end(), 0.0 if m[0][0].isdigit() else float(m[0] not in FILLER))
        for m in re.finditer(r"[\w,]+", text)
    ]


def fails(text: str) -> list[WordScore]:
    raise MemoryError("no room for weights")


def hangs(text: str) -> list[WordScore]:
    time.sleep(0.6)
    return weigh(text)


def compressor(words: object, **options: object) -> DocumentCompressor:
    return DocumentCompressor.model_validate(
        {"budget_tokens": BUDGET, "model": MODEL, "label": "[{n}] {title}\n", "words": words}
        | options
    )


async def both(made: DocumentCompressor, found: list[Document]) -> list[Document]:
    """What it returns, which has to be the same with and without await."""
    sync = made.compress_documents(found, QUESTION)
    assert snapshot(await made.acompress_documents(found, QUESTION)) == snapshot(sync)
    return [*sync]


async def test_words_go_to_the_exact_budget_and_documents_stay_themselves() -> None:
    found = documents()
    before = snapshot(found)
    made = compressor(weigh, details=True)
    kept = await both(made, found)
    whole = await both(compressor(None, details=True), found)
    assert snapshot(found) == before
    assert 0.97 * BUDGET <= tokens(made.text_of(kept)) <= BUDGET
    holder = next(document for document in kept if document.id == "doc-4")
    # The best sentences stay whole; others lose words, and no number.
    assert ANSWER in holder.page_content
    assert "Much rivers, chapter 0 rivers the north." in holder.page_content
    assert holder.metadata["source"] == found[4].metadata["source"]
    spans = holder.metadata["frugal"]["kept"]
    parts = "".join(found[4].page_content[start:end] for start, end in spans)
    assert "".join(parts.split()) == "".join(holder.page_content.split())
    # More of the documents' sentences have left something.
    assert sum(d.page_content.count("north") for d in kept) > sum(
        d.page_content.count("north") for d in whole
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [(fails, "MemoryError"), (hangs, "no answer within 0.05 s")],
    ids=["raises", "hangs"],
)
async def test_a_scorer_that_fails_or_hangs_leaves_sentences_whole(
    words: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = documents()
    with caplog.at_level(logging.WARNING, "langchain_frugal"):
        kept = await both(compressor(words, words_timeout_s=0.05), found)
    assert snapshot(kept) == snapshot(await both(compressor(None), found))
    assert any(ANSWER in document.page_content for document in kept)
    assert caplog.messages == [f"compressed without the scorer of words: {why}"] * 2


async def test_originals_of_what_lost_words_are_in_the_archive() -> None:
    found = documents()
    with Archive.open("memory://") as archive:
        for document in await both(compressor(weigh, archive=archive), found):
            original = found[int((document.id or "").removeprefix("doc-"))]
            assert archive.get(document.metadata["frugal"]["handle"]) == original.page_content


async def test_many_at_a_time_say_what_one_says() -> None:
    made, found = compressor(weigh), documents()
    one = snapshot(made.compress_documents(found, QUESTION))
    many = await asyncio.gather(*(made.acompress_documents(found, QUESTION) for _ in range(8)))
    assert all(snapshot(each) == one for each in many)
