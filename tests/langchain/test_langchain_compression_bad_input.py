"""What nobody should hand to a compressor and somebody will: bounded time, and never a failure."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, ToolMessage

from langchain_frugal import DocumentCompressor, PromptCompressor
from tests.langchain.compressing import ANSWER, MODEL, QUESTION, documents, prose, tokens

NAMES = "ninety nine names of nothing are read aloud in a long hall before anyone may sit to eat. "


def compressor(budget_tokens: int = 150, **options: Any) -> DocumentCompressor:
    return DocumentCompressor(budget_tokens=budget_tokens, model=MODEL, **options)


@pytest.mark.parametrize("query", ["", " \n", "\0", "\ud800", "?" * 10_000, "\u200b"])
async def test_queries_that_ask_nothing(query: str) -> None:
    made = compressor()
    kept = made.compress_documents(documents(), query)
    assert kept
    assert [*await made.acompress_documents(documents(), query)] == kept
    assert tokens(made.text_of(kept)) <= 150


@pytest.mark.parametrize("query", ["", QUESTION])
def test_empty_documents(query: str) -> None:
    empty = [Document("", metadata={"n": n}) for n in range(5)]
    assert compressor().compress_documents(empty, query) == empty
    kept = compressor().compress_documents([*empty, *documents()], query)
    assert all(document.page_content for document in kept)


def test_a_budget_that_holds_no_word_keeps_no_document() -> None:
    made = compressor(1, label="[{n}] {title}\n")
    assert made.compress_documents(documents(), QUESTION) == []


ODD = {
    "halves of pairs": "\ud800 \udfff stand alone here. " * 400,
    "binary": bytes(range(256)).decode("latin-1") * 40,
    "NUL": "a\0b. " * 2_000,
    "CRLF": "One line of many here.\r\n" * 400,
    "one word": "x" * 20_000,
    "right to left": "שלום עולם. \u202e" * 500,
    "nesting": "[" * 5_000 + "]" * 5_000,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
async def test_odd_texts(text: str) -> None:
    found = [Document("Some words about wells. They are deep."), Document(text)]
    made = compressor()
    kept = made.compress_documents(found, "wells")
    assert kept == [*await made.acompress_documents(found, "wells")]
    sent = made.text_of(kept).encode(errors="replace").decode()
    assert tokens(sent) <= 150
    assert "wells" in sent

    compress = PromptCompressor(150, model=MODEL)
    messages = [HumanMessage("wells"), ToolMessage(text, tool_call_id="a")]
    before = [message.model_dump() for message in messages]
    (_, output) = compress.invoke(messages)
    assert [message.model_dump() for message in messages] == before
    assert tokens(output.text.encode(errors="replace").decode()) <= 150


class _Alone:
    """Has no copy."""

    def __deepcopy__(self, memo: object) -> object:
        raise TypeError("one of a kind")


def test_metadata_that_cannot_be_copied() -> None:
    found = documents()
    lock, alone, deep = threading.Lock(), _Alone(), []  # type: ignore[var-annotated]
    for _ in range(5_000):
        deep = [deep]
    found[4].metadata |= {"lock": lock, "alone": alone, "deep": deep}
    found[4].metadata["self"] = found[4].metadata
    kept = compressor().compress_documents(found, QUESTION)
    (holder,) = [document for document in kept if ANSWER in document.page_content]
    assert holder.metadata["lock"] is lock
    assert holder.metadata["alone"] is alone
    assert holder.metadata["deep"] is deep
    assert holder.metadata is not found[4].metadata
    assert holder.metadata["pages"] is not found[4].metadata["pages"]


def test_metadata_that_holds_itself_does_so_in_the_copy() -> None:
    found = documents()
    found[4].metadata["self"] = found[4].metadata
    kept = compressor(details=True).compress_documents(found, QUESTION)
    (holder,) = [document for document in kept if ANSWER in document.page_content]
    assert holder.metadata["self"] is holder.metadata


def test_one_document_of_five_megabytes() -> None:
    long = prose("wells", 1) + " " + NAMES * 28_000 + ANSWER + " " + NAMES * 28_000
    assert len(long) > 4_800_000
    begun = time.perf_counter()
    (kept,) = compressor().compress_documents([Document(long)], QUESTION)
    assert ANSWER in kept.page_content
    assert time.perf_counter() - begun < 60


def test_ten_thousand_documents() -> None:
    found = [Document(f"Note {n} is about wells. It says {n}.", id=str(n)) for n in range(10_000)]
    found[7_000] = Document(ANSWER, id="x", metadata={"a": [1]})
    begun = time.process_time()
    kept = compressor().compress_documents(found, QUESTION)
    assert time.process_time() - begun < 10
    assert any(document.page_content == ANSWER for document in kept)
