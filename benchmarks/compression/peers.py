"""Other libraries' compressors, each used as its own documentation has it.

Each is imported when it is first asked for; one that is not installed is named and left out.
Where a library takes no budget in tokens it gets the setting that comes nearest, and its actual
ratio stands beside what it keeps.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from compression.protocol import Contender, Count, Passage, rendered, whole
from frugal_chains.local import LocalEmbedder

PACKAGES: Final = (
    "langchain-classic",
    "langchain-community",
    "llama-index-core",
    "headroom-ai",
    "litellm",
    "llmlingua",
    "torch",
    "transformers",
)
"""Whose versions belong to the figures."""
_MODEL: Final = "gpt-4o"
"""What headroom and litellm count tokens for; o200k."""
_SAMPLE: Final = 100
"""Questions of a set that slow ones are run on."""
_SLOW: Final = 20
"""Prompts that a compressor with a model is timed on."""


class PeerAbsent(Exception):
    """The library is not installed."""


def contenders(vectors: Vectors) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and a sentence for each that is not."""
    found: list[Contender] = []
    absent: list[str] = []
    for make in (_langchain, _llama_index, _headroom, _litellm):
        try:
            found += make(vectors)
        except PeerAbsent as reason:
            absent.append(str(reason))
    return found, absent


@dataclass(slots=True)
class Vectors:
    """The local embedder with all its layers, and what it has embedded.

    A passage stands in many prompts of a set, so vectors are kept, except where time is taken.
    """

    keep: bool = True
    _embedder: LocalEmbedder = field(
        default_factory=lambda: LocalEmbedder(layers=6, max_tokens=256)
    )
    _kept: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, text: str) -> list[float]:
        if not self.keep:
            return self._embedder.embed(text)
        if text not in self._kept:
            self._kept[text] = self._embedder.embed(text)
        return self._kept[text]


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise PeerAbsent(
            f"{package} is left out ({error}): "
            "pip install -r requirements/bench-compression.txt brings it"
        ) from None


def _langchain(vectors: Vectors) -> list[Contender]:
    _imported("langchain_community")
    module = _imported("langchain_classic.retrievers.document_compressors")
    documents = _imported("langchain_core.documents")
    embeddings = _imported("langchain_core.embeddings")

    class Local(embeddings.Embeddings):  # type: ignore[misc, name-defined]
        """The local embedder as LangChain wants it."""

        def __init__(self, embed: Vectors) -> None:
            self.embed = embed

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [self.embed(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return self.embed(text)

    def using(embed: Vectors) -> Callable[..., list[str]]:
        local = Local(embed)

        def compress(
            query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
        ) -> list[str]:
            given = [
                documents.Document(passage.text, metadata={"at": at})
                for at, passage in enumerate(passages)
            ]
            best = module.EmbeddingsFilter(embeddings=local, k=len(given)).compress_documents(
                given, query
            )
            kept = [""] * len(passages)
            for document in best:  # the first k are what a filter with that k returns
                at = document.metadata["at"]
                kept[at] = passages[at].text
                if count(rendered(passages, kept)) > budget_tokens:
                    kept[at] = ""
                    break
            return kept

        return compress

    return [
        Contender(
            name="LangChain EmbeddingsFilter",
            compress=using(vectors),
            sets=("nq20",),
            sample=_SAMPLE,
            timed=using(Vectors(keep=False)),
            timed_prompts=_SLOW,
            note="the largest k that fits the budget; it takes none itself",
        )
    ]


def _llama_index(vectors: Vectors) -> list[Contender]:
    optimizer = _imported("llama_index.core.postprocessor").SentenceEmbeddingOptimizer
    schema = _imported("llama_index.core.schema")
    base = _imported("llama_index.core.base.embeddings.base").BaseEmbedding

    class Local(base):  # type: ignore[misc, valid-type]
        """The local embedder as LlamaIndex wants it."""

        embed: Any

        def _get_query_embedding(self, query: str) -> list[float]:
            vector: list[float] = self.embed(query)
            return vector

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_query_embedding(text)

    def optimized(local: Any, query: str, text: str, share: float, **options: Any) -> str:
        # It raises where its share of the sentences rounds to none: one sentence is then asked for.
        pieces = len(optimizer(embed_model=local)._tokenizer_fn(text))
        share = min(max(share, (1 + 1e-9) / max(pieces, 1)), 1.0)
        shorten = optimizer(embed_model=local, percentile_cutoff=share, **options)
        node = schema.NodeWithScore(node=schema.TextNode(text=text))
        (shortened,) = shorten.postprocess_nodes([node], query_str=query)
        kept: str = shortened.node.get_content()
        return kept

    def each_node(embed: Vectors) -> Callable[..., list[str]]:
        local = Local(embed=embed)

        def compress(
            query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
        ) -> list[str]:
            share = budget_tokens / count(whole(passages))
            return [optimized(local, query, passage.text, share) for passage in passages]

        return compress

    def one_node(embed: Vectors) -> Callable[..., str]:
        local = Local(embed=embed)

        def compress(
            query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
        ) -> str:
            text = whole(passages)
            share = budget_tokens / count(text)
            return optimized(local, query, text, share, context_before=0, context_after=0)

        return compress

    fresh = Vectors(keep=False)
    return [
        Contender(
            name="LlamaIndex SentenceEmbeddingOptimizer",
            compress=each_node(vectors),
            sets=("nq20",),
            sample=_SAMPLE,
            timed=each_node(fresh),
            timed_prompts=_SLOW,
            note="percentile_cutoff = 1/ratio, a sentence of context on each side by default",
        ),
        Contender(
            name="LlamaIndex SentenceEmbeddingOptimizer, one node, no context",
            compress=one_node(vectors),
            sets=("nq20",),
            sample=_SAMPLE,
            timed=one_node(fresh),
            timed_prompts=_SLOW,
            note="all passages as one node, so that sentences compete across passages; the labels "
            "are sentences like any other, and what is kept stands in the order of similarity",
        ),
    ]


def _headroom(vectors: Vectors) -> list[Contender]:
    os.environ.setdefault("HEADROOM_OFFLINE", "1")  # else it looks for updates and prices
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    module = _imported("headroom")
    logging.getLogger("headroom").setLevel(logging.ERROR)

    def compress(
        query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> str:
        """As a JSON tool result, the only place where it shortens passages at all."""
        content = (
            passages[0].text
            if len(passages) == 1
            else json.dumps([_record(passage) for passage in passages])
        )
        call = {"name": "search", "arguments": json.dumps({"query": query})}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": query},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": content},
        ]
        result = module.compress(
            messages,
            model=_MODEL,
            protect_recent=0,
            target_ratio=_share(content, budget_tokens, count),
        )
        text: str = result.messages[-1]["content"]
        return text

    return [
        Contender(
            name="headroom-ai",
            compress=compress,
            sets=("nq20", "kv75", "taubench"),
            sample=_SAMPLE,
            note="passages as a JSON tool result; it takes no budget; what it cuts out can be "
            "fetched again by a tool, which is not counted here",
        )
    ]


def _share(content: str, budget_tokens: int, count: Count) -> float:
    return min(budget_tokens / max(count(content), 1), 1.0)


def _record(passage: Passage) -> Mapping[str, str]:
    return {"source": passage.label.strip(), "text": passage.text}


def _litellm(vectors: Vectors) -> list[Contender]:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it downloads one
    module = _imported("litellm")

    def compress(
        query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> str:
        """A message for each passage, the question last: it scores messages, not passages."""
        messages = [
            {"role": "user", "content": passage.label + passage.text} for passage in passages
        ]
        result = module.compress(
            [*messages, {"role": "user", "content": query}],
            model=_MODEL,
            compression_trigger=1,
            compression_target=budget_tokens,
        )
        return "\n\n".join(message["content"] for message in result["messages"][:-1])

    return [
        Contender(
            name="litellm.compress",
            compress=compress,
            sets=("nq20", "kv75"),
            note="what it drops leaves a line for its retrieval tool, which is counted; the tool's "
            "definition is not",
        )
    ]
