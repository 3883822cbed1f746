"""`DocumentCompressor`: of the documents that were found, what a query needs."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from langchain_core.callbacks.base import Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, InstanceOf, PrivateAttr

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.extract import Extraction, Kind, Passage
from frugal_chains.compression.words import WordScorer
from frugal_chains.dispatch import ContextCompressor, kept_in
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import Around, around
from langchain_frugal._likeness import EmbedTexts, likeness_of
from langchain_frugal.compression._copies import own_copy
from langchain_frugal.compression._labels import Label, label_of

logger = logging.getLogger("langchain_frugal")

KEY = "frugal"
"""Of the metadata that is added where it is asked for."""


class DocumentCompressor(BaseDocumentCompressor):
    """Keeps the sentences of documents that a query needs, to a budget of tokens.

        compressor = DocumentCompressor(
            budget_tokens=1000, model="gpt-4.1-mini", label="[{n}] {title}\\n"
        )
        retriever = ContextualCompressionRetriever(
            base_compressor=compressor, base_retriever=found
        )
        chain = {"context": retriever | compressor.text_of, ...} | prompt | model

    Documents come back as copies, in the same order, each with its id and its metadata; those of
    which nothing is kept are left out. A call is left alone with `enabled=False`, or with
    `{"compress": False}` under `configurable` or `metadata` of its config (inside a retriever that
    is called by itself: `metadata`).

    Args:
        budget_tokens: Of all kept texts with their labels and the joiners between them; or how
            that depends on who will answer: a `route` in the config names the tier.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        label: How the application cites a document: see `Label`. Kept documents are numbered anew,
            which is never longer than the numbers they were found under.
        joiner: What the application writes between documents.
        embedder: `Embeddings`, or a function of texts such as `LocalEmbedder(layers=6)`.
        embedding_timeout_s: How long it may take; then words alone decide.
        words: What scores the words of a text, such as `LLMLingua2(folder)` of
            `frugal_chains.local` (extra `llmlingua`): beside the best sentences, which stay whole,
            others are then kept by their main words, numbers, ids and negations first. None: every
            sentence stays whole.
        words_timeout_s: How long that may take, loading weights included; then every sentence
            stays whole.
        kind: What the documents are; None: told from each text.
        patterns: Of the application: what they match is never cut.
        details: Add `metadata["frugal"]`: where the kept parts stood in the original, in
            characters, and the score of the best one. Off by default: what is in the metadata ends
            up in prompts and indexes.
        archive: Where the originals of shortened documents are put; the handle is then in
            `metadata["frugal"]`, details or not.
        enabled: False: documents pass as they are.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.

    Raises:
        ValidationError: pydantic's, of an argument that makes no sense, such as a budget below 1
            token.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", frozen=True)

    budget_tokens: int | InstanceOf[ContextBudget]
    model: str = ""
    provider: str = ""
    label: Label = ""
    joiner: str = "\n\n"
    embedder: InstanceOf[Embeddings] | EmbedTexts | None = None
    embedding_timeout_s: float = 10.0
    words: WordScorer | None = None
    words_timeout_s: float = 10.0
    kind: Kind | None = None
    patterns: tuple[re.Pattern[str], ...] = ()
    details: bool = False
    archive: InstanceOf[Archive] | None = None
    enabled: bool = True
    counter: InstanceOf[TokenCounter] | None = None
    prices: InstanceOf[PriceBook] | None = None

    _compressor: ContextCompressor = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        self._compressor = ContextCompressor(
            self.budget_tokens,
            model=self.model,
            provider=self.provider,
            likeness=likeness_of(self.embedder),
            likeness_timeout_s=self.embedding_timeout_s,
            words=self.words,
            words_timeout_s=self.words_timeout_s,
            kind=self.kind,
            joiner=self.joiner,
            patterns=self.patterns,
            counter=self.counter,
            prices=self.prices,
        )

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The part of the documents that the query needs."""
        call = around(callbacks=callbacks)
        if not self._has_work(documents, call):
            return [*documents]
        found = self._compressor.compress(
            query,
            self._passages(documents),
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        _warn(found.warnings)
        return self._kept(documents, found.extraction)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """As `compress_documents`."""
        call = around(callbacks=callbacks)
        if not self._has_work(documents, call):
            return [*documents]
        found = await self._compressor.acompress(
            query,
            self._passages(documents),
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        _warn(found.warnings)
        if self.archive is not None:  # a file: not the loop's time
            return await asyncio.to_thread(self._kept, documents, found.extraction)
        return self._kept(documents, found.extraction)

    def text_of(self, documents: Sequence[Document]) -> str:
        """Documents as they were counted: labels, texts, and joiners between them."""
        return self.joiner.join(
            label_of(self.label, document, number) + document.page_content
            for number, document in enumerate(documents, 1)
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """With other arguments. What it works with is shared, also by a deep copy."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **(update or {})})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copied chain compresses with the same one: nothing about it changes."""
        return self

    # -- parts ---------------------------------------------------------------------------------

    def _has_work(self, documents: Sequence[Document], call: Around) -> bool:
        return self.enabled and call.wanted and bool(documents)

    def _passages(self, documents: Sequence[Document]) -> list[Passage]:
        return [
            Passage(text=document.page_content, label=label_of(self.label, document, number))
            for number, document in enumerate(documents, 1)
        ]

    def _kept(self, documents: Sequence[Document], found: Extraction) -> list[Document]:
        return [
            self._copied(document, text, number, found)
            for number, (document, text) in enumerate(zip(documents, found.texts, strict=True))
            if text is not None
        ]

    def _copied(self, document: Document, text: str, number: int, found: Extraction) -> Document:
        fields = {
            name: own_copy(value)
            for name, value in document.__dict__.items()
            if not isinstance(value, str | None)
        }
        added: dict[str, Any] = {}
        if self.details:
            added["kept"] = [list(span) for span in found.kept[number]]
            added["score"] = found.scores[number] if found.scores else None
        if self.archive is not None and text != document.page_content:
            handle = kept_in(self.archive, document.page_content)
            added |= {"handle": handle} if handle else {}
        if added:
            before = fields["metadata"].get(KEY)
            fields["metadata"][KEY] = {**(before if isinstance(before, dict) else {}), **added}
        return document.model_copy(update={**fields, "page_content": text})


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        logger.warning("%s", warning)
