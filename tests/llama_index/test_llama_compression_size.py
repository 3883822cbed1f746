"""Compression of what is larger than anything a retriever finds: bounded time, and a budget."""

from __future__ import annotations

import json
import time

from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool

from frugal_chains.tokens import TokenCounter
from llama_index_frugal import NodeCompressor, compressed_tool

MODEL = "gpt-4.1-mini"
MOST_S = 10.0
"""Of processor time."""


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, model=MODEL).tokens


def test_one_node_of_five_megabytes() -> None:
    text = "bean " * 500_000 + ". Lentils boil for twenty minutes. " + " bean" * 500_000
    node, began = NodeWithScore(node=TextNode(text=text)), time.process_time()
    (kept,) = NodeCompressor(budget_tokens=500, model=MODEL).postprocess_nodes(
        [node], query_str="How long do lentils boil?"
    )
    assert time.process_time() - began < MOST_S
    assert "Lentils boil for twenty minutes." in kept.text
    assert tokens(kept.text) <= 500


def test_ten_thousand_nodes() -> None:
    nodes = [NodeWithScore(node=TextNode(
        text=f"Bean {n} is a bean. It boils for {n} minutes.", embedding=[0.1] * 100,
        metadata={"page": n},
    ), score=0.5) for n in range(10_000)]  # fmt: skip
    began = time.process_time()
    kept = NodeCompressor(budget_tokens=2000, model=MODEL).postprocess_nodes(
        nodes, query_str="How long does bean 77 boil?"
    )
    assert time.process_time() - began < MOST_S
    written = "\n\n".join(n.get_content(metadata_mode=MetadataMode.LLM) for n in kept)
    assert "Bean 77 is" in written
    assert tokens(written) <= 2000


def test_one_output_of_a_megabyte() -> None:
    rows = [{"id": f"A{n}", "note": "nothing to say about this one", "n": n} for n in range(20_000)]

    def everything() -> str:
        """All of it."""
        return json.dumps(rows)

    tool = compressed_tool(FunctionTool.from_defaults(everything), 500, model=MODEL)
    began = time.process_time()
    output = tool()
    assert time.process_time() - began < MOST_S
    assert 0 < tokens(output.content) <= 500
    assert len(output.raw_output) > 1_000_000
