"""`DocumentCompressor` in LangChain's own retriever and chains, and `langchain-tests` over both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="needs the package langchain-tests")
pytest.importorskip("langchain_classic", reason="needs the package langchain-classic")

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_tests.integration_tests import RetrieversIntegrationTests

from frugal_chains import Ledger
from langchain_frugal import CostCallbackHandler, DocumentCompressor, track_cost
from tests.langchain.compressing import (
    ANSWER,
    MODEL,
    QUESTION,
    Shelf,
    documents,
    snapshot,
    tokens,
)
from tests.servers import Reply, Request, ScriptedServer

MakeModel = Callable[..., Any]
BUDGET = 160


def compressor(budget_tokens: int = BUDGET, **options: Any) -> DocumentCompressor:
    return DocumentCompressor(
        budget_tokens=budget_tokens, model=MODEL, label="[{n}] {title}\n", **options
    )


class Compressed(ContextualCompressionRetriever):
    """Over a shelf of `k` documents, made with what the suite gives to one."""

    def __init__(self, k: int = 3, budget_tokens: int = 600) -> None:
        super().__init__(
            base_compressor=compressor(budget_tokens),
            base_retriever=Shelf(kept=documents(), k=k),
        )


class TestConformance(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return Compressed

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"k": 2}

    @property
    def retriever_query_example(self) -> str:
        return "bridges glaciers violins"


def rag(model: Any, made: DocumentCompressor, shelf: Shelf) -> Runnable[str, str]:
    found = ContextualCompressionRetriever(base_compressor=made, base_retriever=shelf)
    prompt = ChatPromptTemplate(
        [("system", "Answer from the sources and cite them.\n\n{context}"), ("user", "{question}")]
    )
    return (
        {"context": found | made.text_of, "question": RunnablePassthrough()}
        | prompt
        | model
        | StrOutputParser()
    )


def shelf() -> Shelf:
    return Shelf(kept=documents(), k=8)


def cites_what_it_reads(request: Request) -> Reply:
    """Answers from the passage that holds the answer, and cites its label."""
    context = request.body["messages"][0]["content"].split("\n\n", 1)[1]
    (source,) = [part for part in context.split("\n\n") if ANSWER in part]
    return Reply(f"{ANSWER} {source.splitlines()[0]}")


def context_of(scripted: ScriptedServer) -> str:
    sent: str = scripted.requests[-1].body["messages"][0]["content"]
    return sent.split("\n\n", 1)[1]


async def test_citations_survive_in_a_chain(
    chat_openai: MakeModel, scripted: ScriptedServer
) -> None:
    scripted.always(cites_what_it_reads)
    held = shelf()
    before = snapshot(held.kept)
    chain = rag(chat_openai(MODEL), compressor(), held)
    answer = chain.invoke(QUESTION)
    assert answer == await chain.ainvoke(QUESTION)
    assert "] On orchards" in answer  # where the answer stands
    assert 0.8 * BUDGET < tokens(context_of(scripted)) <= BUDGET
    assert snapshot(held.kept) == before


async def test_every_question_of_a_batch_has_its_own_effect(
    chat_openai: MakeModel, scripted: ScriptedServer, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.always(cites_what_it_reads)
    chain = rag(chat_openai(MODEL), compressor(), shelf())
    config: Any = {"callbacks": [handler]}
    answers = await chain.abatch([QUESTION] * 6, config)
    answers += await asyncio.to_thread(chain.batch, [QUESTION] * 6, config)
    assert len({*answers}) == 1
    effects = [effect.operation_id for effect in ledger.effects()]
    assert sorted(effects) == sorted(attempt.operation_id for attempt in ledger.attempts())
    assert len({*effects}) == 12


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_retriever_by_itself_joins_what_is_around_it(sync: bool, ledger: Ledger) -> None:
    found = ContextualCompressionRetriever(base_compressor=compressor(), base_retriever=shelf())
    config: Any = {"metadata": {"compress": False}}
    with track_cost(ledger, feature="search"):
        kept = found.invoke(QUESTION) if sync else await found.ainvoke(QUESTION)
        whole = found.invoke(QUESTION, config) if sync else await found.ainvoke(QUESTION, config)
    assert len(kept) < len(whole) == 8
    (effect,) = ledger.effects()
    assert effect.tags["feature"] == "search"
    assert effect.operation_id


def test_it_works_in_a_pipeline() -> None:
    def shout(found: Sequence[Document], **_: Any) -> Sequence[Document]:
        return [d.model_copy(update={"page_content": d.page_content.upper()}) for d in found]

    class Shouting(DocumentCompressor):
        def compress_documents(
            self, documents: Sequence[Document], query: str, callbacks: Any = None
        ) -> Sequence[Document]:
            return shout(super().compress_documents(documents, query, callbacks))

    pipeline = DocumentCompressorPipeline(
        transformers=[compressor(400), Shouting(budget_tokens=100, model=MODEL)]
    )
    kept = pipeline.compress_documents(documents(), QUESTION)
    assert any(ANSWER.upper() in document.page_content for document in kept)


def test_nothing_found_is_nothing_compressed(ledger: Ledger) -> None:
    with track_cost(ledger):
        empty = ContextualCompressionRetriever(
            base_compressor=compressor(), base_retriever=Shelf(kept=[])
        )
        assert empty.invoke(QUESTION) == []
        assert compressor().compress_documents([], QUESTION) == []
    assert [*ledger.effects()] == []
