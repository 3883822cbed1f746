"""`DocumentCompressor` alone: what it keeps, what it leaves to the caller, what it writes down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from frugal_chains import Ledger
from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from langchain_frugal import CostCallbackHandler, DocumentCompressor, track_cost
from tests.langchain.compressing import (
    ANSWER,
    MODEL,
    QUESTION,
    bag,
    documents,
    snapshot,
    tokens,
)

LABEL = "[{n}] {title}\n"


def compressor(budget_tokens: Any = 150, **options: Any) -> DocumentCompressor:
    return DocumentCompressor(**{
        "budget_tokens": budget_tokens, "model": MODEL, "label": LABEL, **options
    })  # fmt: skip


async def both(made: DocumentCompressor, found: Sequence[Document], query: str) -> list[Document]:
    """What it returns, which has to be the same with and without await."""
    sync = made.compress_documents(found, query)
    assert snapshot(await made.acompress_documents(found, query)) == snapshot(sync)
    return [*sync]


async def test_the_answer_stays_and_so_does_its_citation() -> None:
    found = documents()
    kept = await both(compressor(), found, QUESTION)
    (holder,) = [document for document in kept if ANSWER in document.page_content]
    assert (holder.id, holder.metadata) == (found[4].id, found[4].metadata)
    assert len(kept) < len(found)
    ids = [document.id for document in found]
    assert [ids.index(document.id) for document in kept] == sorted(
        ids.index(document.id) for document in kept
    )


@given(
    budget=st.integers(1, 900),
    query=st.sampled_from([QUESTION, "", "glaciers", "zzz"]),
    joiner=st.sampled_from(["\n\n", "\n---\n", ""]),
    count=st.integers(1, 12),
)
@settings(max_examples=40)
def test_the_budget_holds_for_the_text_that_is_sent(
    budget: int, query: str, joiner: str, count: int
) -> None:
    found = documents(count)
    made = compressor(budget, joiner=joiner)
    kept = made.compress_documents(found, query)
    assert tokens(made.text_of(kept)) <= budget
    originals = {document.id: document for document in found}
    for document in kept:
        for sentence in document.page_content.split(". "):
            assert sentence.rstrip(".") in originals[document.id].page_content
        assert document.metadata == originals[document.id].metadata


def test_what_fits_is_kept_to_the_letter() -> None:
    found = documents(3, sentences=2)
    assert snapshot(compressor(5000).compress_documents(found, QUESTION)) == snapshot(found)


def test_the_documents_of_the_caller_are_not_touched_and_nothing_is_shared() -> None:
    found = documents()
    before = snapshot(found)
    kept = compressor(details=True).compress_documents(found, QUESTION)
    for document in kept:
        document.metadata["pages"].append("x")
        document.metadata["new"] = 1
    assert snapshot(found) == before


class Cited(Document):
    """A document of the application's own kind."""

    page: int = 0


def test_a_subclass_of_document_stays_one() -> None:
    found = [Cited(page_content=d.page_content, page=7, metadata=d.metadata) for d in documents()]
    assert {(type(d), d.page) for d in compressor().compress_documents(found, QUESTION)} == {
        (Cited, 7)
    }


def test_details_say_where_the_kept_parts_stood_and_only_if_asked() -> None:
    found = documents()
    for document in compressor().compress_documents(found, QUESTION):
        assert "frugal" not in document.metadata
    originals = {document.id: document.page_content for document in found}
    for document in compressor(details=True).compress_documents(found, QUESTION):
        source, spans = originals[document.id], document.metadata["frugal"]["kept"]
        position = 0
        for start, end in spans:
            position = document.page_content.index(source[start:end], position) + end - start
        assert document.metadata["frugal"]["score"] > 0
        assert "handle" not in document.metadata["frugal"]


async def test_an_archive_keeps_the_originals_of_what_was_shortened() -> None:
    found = documents()
    found[4].metadata["frugal"] = {"mine": 1}
    with Archive.open("memory://") as archive:
        kept = await both(compressor(archive=archive), found, QUESTION)
        (holder,) = [document for document in kept if ANSWER in document.page_content]
        own = holder.metadata["frugal"]
        assert own["mine"] == 1
        assert archive.get(own["handle"]) == found[4].page_content
        assert own["handle"] not in holder.page_content
        whole = compressor(9000, archive=archive).compress_documents(found, QUESTION)
        assert whole[4].metadata == found[4].metadata


def test_an_archive_that_takes_nothing_is_no_reason_for_no_answer() -> None:
    with Archive.open("memory://", max_bytes=10) as archive:
        kept = compressor(archive=archive).compress_documents(documents(), QUESTION)
    assert any(ANSWER in document.page_content for document in kept)
    assert all("frugal" not in document.metadata for document in kept)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("", ""),
        ("[{n}] {title}\n", "[2] Cats\n"),
        ("({id}) {nothing} {{x}} {odd:d}", "(b)  {x} text"),
        ("{title.__class__}{title[0]}{}", ""),
        (lambda document, number: f"<{number} {document.metadata['title']}>", "<2 Cats>"),
    ],
)
def test_labels(label: Any, expected: str) -> None:
    found = [
        Document("One.", id="a", metadata={"title": "Dogs", "odd": 1}),
        Document("Two.", id="b", metadata={"title": "Cats", "odd": "text"}),
    ]
    text = compressor(label=label, joiner="|").text_of(found)
    assert text.split("|")[1] == expected + "Two."


# -- embedders -----------------------------------------------------------------------------------

VOCABULARY = ["length", "crossing", "metres", "wells"]
UNLIKE_WORDS = "crossing"
"""Stands in none of the documents; an embedder knows what it is like."""


class Asymmetric(Embeddings):
    """Notes what it is asked in which way, and finds the document with metres."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(("documents", len(texts)))
        return bag(VOCABULARY)(texts)

    def embed_query(self, text: str) -> list[float]:
        self.asked.append(("query", 1))
        return [0.0, 0.0, 1.0, 0.0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(("adocuments", len(texts)))
        return bag(VOCABULARY)(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.asked.append(("aquery", 1))
        return [0.0, 0.0, 1.0, 0.0]


async def test_embeddings_embed_queries_as_queries_and_natively_async() -> None:
    embedder = Asymmetric()
    made = compressor(embedder=embedder)
    kept = await both(made, documents(), UNLIKE_WORDS)
    assert [how for how, _ in embedder.asked] == ["query", "documents", "aquery", "adocuments"]
    assert any(document.id == "doc-4" for document in kept)


async def test_a_function_of_texts_is_an_embedder_too() -> None:
    threads = set()

    def embed(texts: Sequence[str]) -> list[list[float]]:
        threads.add(threading.current_thread())
        return [[1.0, 0.0] if t == UNLIKE_WORDS or ANSWER in t else [0.0, 1.0] for t in texts]

    kept = await both(compressor(embedder=embed), documents(), UNLIKE_WORDS)
    assert any(document.id == "doc-4" for document in kept)
    assert threading.current_thread() not in threads  # a loop has other things to do


async def test_an_embedder_that_fails_or_hangs_leaves_words_to_decide() -> None:
    class Hanging(Asymmetric):
        async def aembed_query(self, text: str) -> list[float]:
            await asyncio.sleep(60)
            raise AssertionError

        def embed_query(self, text: str) -> list[float]:
            raise RuntimeError("no network")

    made = compressor(embedder=Hanging(), embedding_timeout_s=0.05)
    plain = compressor().compress_documents(documents(), QUESTION)
    assert await both(made, documents(), QUESTION) == plain


# -- the books -----------------------------------------------------------------------------------


async def test_the_effect_is_written_to_the_block_around_it(ledger: Ledger) -> None:
    found = documents()
    made = compressor()
    with track_cost(ledger, feature="search"):
        kept = made.compress_documents(found, QUESTION)
        await made.acompress_documents(found, QUESTION)
    first, second = ledger.effects()
    assert first.lever == second.lever == "compression.extract"
    assert (first.tags["feature"], first.exact, first.model) == ("search", True, MODEL)
    assert first.tokens_before == pytest.approx(tokens(made.text_of(found)), abs=len(found))
    assert first.tokens_after == pytest.approx(tokens(made.text_of(kept)), abs=len(kept))
    assert first.tokens_after == second.tokens_after <= 150


async def test_in_a_chain_the_effect_belongs_to_the_operation_of_the_model_call(
    ledger: Ledger, handler: CostCallbackHandler, chat_openai: Any
) -> None:
    made = compressor()
    chain = (
        RunnableLambda(
            lambda query: made.text_of(made.compress_documents(documents(), query)),
            afunc=lambda query: _text(made, query),
        )
        | chat_openai()
    )
    chain.invoke(QUESTION, {"callbacks": [handler]})
    await chain.ainvoke(QUESTION, {"callbacks": [handler]})
    calls = [attempt.operation_id for attempt in ledger.attempts()]
    assert [effect.operation_id for effect in ledger.effects()] == calls
    assert len(set(calls)) == 2


async def _text(made: DocumentCompressor, query: str) -> str:
    return made.text_of(await made.acompress_documents(documents(), query))


def test_handlers_in_the_callbacks_are_asked_for_their_books(
    ledger: Ledger, handler: CostCallbackHandler
) -> None:
    compressor().compress_documents(documents(), QUESTION, callbacks=[handler])
    assert len([*ledger.effects()]) == 1


# -- switches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["configurable", "metadata"])
async def test_a_call_can_be_left_alone(where: str, ledger: Ledger) -> None:
    found = documents()
    step: Any = RunnableLambda(lambda query: compressor().compress_documents(found, query))
    with track_cost(ledger):
        kept = step.invoke(QUESTION, {where: {"compress": False}})
        assert len(step.invoke(QUESTION, {where: {"compress": True}})) < len(kept)
        assert await both(compressor(enabled=False), found, QUESTION) == found
    assert kept == found
    assert len([*ledger.effects()]) == 1


def test_the_tier_that_will_answer_has_a_budget_of_its_own() -> None:
    made = compressor(ContextBudget(tokens=400, by_tier={"specialist": 60}))
    step: Any = RunnableLambda(lambda query: made.compress_documents(documents(), query))
    wide = made.text_of(step.invoke(QUESTION))
    narrow = made.text_of(step.invoke(QUESTION, {"configurable": {"route": "specialist"}}))
    assert tokens(narrow) <= 60 < tokens(wide) <= 400


def test_a_budget_in_dollars_is_one_of_tokens_at_list_prices() -> None:
    # gpt-4.1-mini: 0.40 USD for a million input tokens, so 0.00012 USD buy 300.
    budget = ContextBudget(tokens=9000, limit_usd=Decimal("0.00012"), least_tokens=50)
    made = compressor(budget)
    assert 200 < tokens(made.text_of(made.compress_documents(documents(), QUESTION))) <= 300


def test_a_copy_works_with_its_own_arguments() -> None:
    made = compressor(400)
    small = made.model_copy(update={"budget_tokens": 40}, deep=True)
    kept = [len(m.text_of(m.compress_documents(documents(), QUESTION))) for m in (small, made)]
    assert tokens(small.text_of(small.compress_documents(documents(), QUESTION))) <= 40
    assert kept[0] < kept[1]


@pytest.mark.parametrize(
    "wrong", [{"budget_tokens": 0}, {"budget_tokens": 9, "budget": 3}, {"label": 3}]
)
def test_arguments_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        DocumentCompressor(**wrong)


# -- many at a time ------------------------------------------------------------------------------


async def test_many_at_a_time_say_what_one_says(ledger: Ledger) -> None:
    found = documents()
    made = compressor()
    expected = snapshot(made.compress_documents(found, QUESTION))
    with track_cost(ledger):
        several = await asyncio.gather(
            *(made.acompress_documents(found, QUESTION) for _ in range(20))
        )
        with ThreadPoolExecutor(8) as pool:
            several += pool.map(lambda _: made.compress_documents(found, QUESTION), range(20))
    assert all(snapshot(kept) == expected for kept in several)
    assert len([*ledger.effects()]) >= 20  # a pool's threads may have begun outside of the block


async def test_a_cancelled_task_is_cancelled() -> None:
    begun = asyncio.Event()

    class Slow(Asymmetric):
        async def aembed_query(self, text: str) -> list[float]:
            begun.set()
            await asyncio.sleep(60)
            raise AssertionError

    task = asyncio.ensure_future(
        compressor(embedder=Slow()).acompress_documents(documents(), QUESTION)
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
