"""`NodeCompressor`: of the nodes that were found, what a query needs."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import ConfigDict, Field, InstanceOf, PrivateAttr, field_serializer
from pydantic.json_schema import SkipJsonSchema

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.extract import Extraction, Kind, Passage
from frugal_chains.compression.words import WordScorer
from frugal_chains.dispatch import Compressed, ContextCompressor, kept_in
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._around import Around, around
from llama_index_frugal._likeness import EmbedTexts, asked, likeness_of
from llama_index_frugal.compression._copies import with_text
from llama_index_frugal.compression._labels import Label, passage_of

logger = logging.getLogger("llama_index_frugal")
dispatcher = get_dispatcher(__name__)

_MANY_NODES: Final = 200
"""To copy one takes about 0.1 ms."""

Read = Sequence[Passage | None]
"""By node; None: its text is not ours to cut."""


class NodeCompressor(BaseNodePostprocessor):
    """Keeps the sentences of nodes that a query needs, to a budget of tokens.

        compressor = NodeCompressor(budget_tokens=1000, model="gpt-4.1-mini")
        engine = index.as_query_engine(node_postprocessors=[compressor])

    Put it last of the `node_postprocessors` of a query or chat engine. Nodes come back as copies,
    in the same order, each with its id, score, metadata and relationships; those of which nothing
    is kept are left out. What counts is what the prompt will hold: the metadata that a node's
    templates write beside its text counts too, and is not cut. Images, other nodes whose text is
    not the whole of them, and nodes whose templates do not show their text, pass as they are,
    beside the budget.

    Inside a block of `instrument_tags({"compress": False})` nodes pass as they are; the tag `route`
    names the tier that will answer.

    Args:
        budget_tokens: Of all that is kept, with its metadata and the joiners between nodes; or how
            that depends on who will answer.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        label: What the engine writes before the text of a node, beside its metadata: see `Label`.
            For a `CitationQueryEngine` that is `"Source {n}:\\n"`, and its `citation_chunk_size`
            should not be below the budget: each chunk is written with the metadata anew.
        joiner: What stands between nodes in the prompt.
        embedder: A `BaseEmbedding`, or a function of texts such as `LocalEmbedder(layers=6)`.
        embedding_timeout_s: How long it may take; then words alone decide.
        words: What scores the words of a text, such as `LLMLingua2(folder)` of
            `frugal_chains.local` (extra `llmlingua`): beside the best sentences, which stay whole,
            others are then kept by their main words, numbers, ids and negations first. None: every
            sentence stays whole.
        words_timeout_s: How long that may take, loading weights included; then every sentence
            stays whole.
        kind: What the nodes are; None: told from each text.
        patterns: Of the application: what they match is never cut.
        details: Add `metadata["frugal"]`: where the kept parts stood in the original, in
            characters, and the score of the best one. Neither models nor embeddings see it.
        archive: Where the originals of shortened nodes are put; the handle is then in
            `metadata["frugal"]`, details or not.
        enabled: False: nodes pass as they are.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.

    `to_dict` has the settings that are data; embedder, words, patterns, archive, counter and prices
    are not, nor is a label that is a function. A pickle has them all, or fails.

    Raises:
        CompressionError: a budget below 1 token.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    # Engines set `callback_manager`; all else was read when the compressor was made.
    budget_tokens: int | ContextBudget = Field(frozen=True)
    model: str = Field(default="", frozen=True)
    provider: str = Field(default="", frozen=True)
    label: Label = Field(default="", frozen=True)
    joiner: str = Field(default="\n\n", frozen=True)
    embedder: SkipJsonSchema[InstanceOf[BaseEmbedding] | EmbedTexts | None] = Field(
        default=None, frozen=True, exclude=True
    )
    embedding_timeout_s: float = Field(default=10.0, frozen=True)
    words: SkipJsonSchema[WordScorer | None] = Field(default=None, frozen=True, exclude=True)
    words_timeout_s: float = Field(default=10.0, frozen=True)
    kind: Kind | None = Field(default=None, frozen=True)
    patterns: SkipJsonSchema[tuple[re.Pattern[str], ...]] = Field(
        default=(), frozen=True, exclude=True
    )
    details: bool = Field(default=False, frozen=True)
    archive: SkipJsonSchema[InstanceOf[Archive] | None] = Field(
        default=None, frozen=True, exclude=True
    )
    enabled: bool = Field(default=True, frozen=True)
    counter: SkipJsonSchema[InstanceOf[TokenCounter] | None] = Field(
        default=None, frozen=True, exclude=True
    )
    prices: SkipJsonSchema[InstanceOf[PriceBook] | None] = Field(
        default=None, frozen=True, exclude=True
    )

    _compressor: ContextCompressor = PrivateAttr()
    _told_of: set[str] = PrivateAttr(default_factory=set)

    if not TYPE_CHECKING:  # for type checkers the fields say what it takes
        # Beside pydantic's validation, which would wrap the error of a budget in one of its own.
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self._compressor = self._made()

    def _made(self) -> ContextCompressor:
        return ContextCompressor(
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

    @classmethod
    def class_name(cls) -> str:
        return "NodeCompressor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        call = around()
        read = self._read(nodes, call)
        passages = [passage for passage in read if passage is not None]
        if not passages:
            return [*nodes]
        with asked(query_bundle) as query:
            found = self._compressor.compress(
                query,
                passages,
                tier=call.tier,
                operation_id=call.operation_id,
                trackers=call.trackers,
            )
        return self._kept(nodes, read, _told(found))

    @dispatcher.span  # the base class has none here, as it is not abstract
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        call = around()
        read = self._read(nodes, call)
        passages = [passage for passage in read if passage is not None]
        if not passages:
            return [*nodes]
        with asked(query_bundle) as query:
            found = await self._compressor.acompress(
                query,
                passages,
                tier=call.tier,
                operation_id=call.operation_id,
                trackers=call.trackers,
            )
        extraction = _told(found)
        # Neither a file nor many copies are the loop's time.
        if self.archive is not None or len(nodes) > _MANY_NODES:
            return await asyncio.to_thread(self._kept, nodes, read, extraction)
        return self._kept(nodes, read, extraction)

    # -- as a part of an application -----------------------------------------------------------

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """With other arguments. What it works with is shared, also by a deep copy."""
        return type(self)(**{**self._fields(), **(update or {})})

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        # LlamaIndex leaves out what cannot be pickled without a word: an archive must not be lost.
        # Handlers of callbacks belong to a process.
        fields = {n: value for n, value in self._fields().items() if n != "callback_manager"}
        return _rebuilt, (type(self), fields)

    @field_serializer("budget_tokens")
    def _budget_as_data(self, budget: int | ContextBudget) -> Any:
        if isinstance(budget, int):
            return budget
        limit = None if budget.limit_usd is None else str(budget.limit_usd)
        return {**asdict(budget), "limit_usd": limit}

    @field_serializer("label")
    def _label_as_data(self, label: Label) -> str:
        return label if isinstance(label, str) else ""

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    # -- parts ---------------------------------------------------------------------------------

    def _read(self, nodes: Sequence[NodeWithScore], call: Around) -> Read:
        if not (self.enabled and call.wanted):
            return [None] * len(nodes)
        read = [passage_of(each.node, self.label, n) for n, each in enumerate(nodes, 1)]
        for kind in sorted({
            each.node.class_name()
            for each, passage in zip(nodes, read, strict=True)
            if passage is None
        } - self._told_of):  # fmt: skip
            self._told_of.add(kind)
            logger.warning(
                "a node is passed as it is, because it has no text of its own to cut: %s", kind
            )
        return read

    def _kept(
        self, nodes: Sequence[NodeWithScore], read: Read, found: Extraction
    ) -> list[NodeWithScore]:
        kept: list[NodeWithScore] = []
        number = -1
        for each, passage in zip(nodes, read, strict=True):
            if passage is None:
                kept.append(each)
                continue
            number += 1
            if (text := found.texts[number]) is not None:
                kept.append(with_text(each, text, self._added(passage.text, text, number, found)))
        return kept

    def _added(self, before: str, text: str, number: int, found: Extraction) -> dict[str, Any]:
        added: dict[str, Any] = {}
        if self.details:
            added["kept"] = [list(span) for span in found.kept[number]]
            added["score"] = found.scores[number] if found.scores else None
        if (
            self.archive is not None
            and text != before
            and (handle := kept_in(self.archive, before))
        ):
            added["handle"] = handle
        return added


def _told(found: Compressed) -> Extraction:
    for warning in found.warnings:
        logger.warning("%s", warning)
    return found.extraction


def _rebuilt(cls: type[NodeCompressor], fields: Mapping[str, Any]) -> NodeCompressor:
    return cls(**fields)
