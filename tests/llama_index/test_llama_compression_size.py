"""Compression of what is larger than anything a retriever finds: bounded time, and a budget."""

from __future__ import annotations

import json

from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool, ToolOutput

from frugal_chains.tokens import TokenCounter
from llama_index_frugal import NodeCompressor, compressed_tool
from tests.own_time import own_seconds

MODEL = "gpt-4.1-mini"
MOST_S = 10.0
"""Of processor time."""


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, model=MODEL).tokens


def compressed(
    nodes: list[NodeWithScore], question: str, budget_tokens: int
) -> list[NodeWithScore]:
    compressor, kept = NodeCompressor(budget_tokens=budget_tokens, model=MODEL), []
    assert (
        own_seconds(lambda: kept.extend(compressor.postprocess_nodes(nodes, query_str=question)))
        < MOST_S
    )
    return kept


def test_one_node_of_five_megabytes() -> None:
    text = "bean " * 500_000 + ". Lentils boil for twenty minutes. " + " bean" * 500_000
    node = NodeWithScore(node=TextNode(text=text))
    kept = compressed([node], "How long do lentils boil?", budget_tokens=500)
    assert "Lentils boil for twenty minutes." in kept[0].text
    assert tokens(kept[0].text) <= 500


def test_ten_thousand_nodes() -> None:
    nodes = [NodeWithScore(node=TextNode(
        text=f"Bean {n} is a bean. It boils for {n} minutes.", embedding=[0.1] * 100,
        metadata={"page": n},
    ), score=0.5) for n in range(10_000)]  # fmt: skip
    kept = compressed(nodes, "How long does bean 77 boil?", budget_tokens=2000)
    written = "\n\n".join(n.get_content(metadata_mode=MetadataMode.LLM) for n in kept)
    assert "Bean 77 is" in written
    assert tokens(written) <= 2000


def test_one_output_of_a_megabyte() -> None:
    rows = [{"id": f"A{n}", "note": "nothing to say about this one", "n": n} for n in range(20_000)]

    def everything() -> str:
        """All of it."""
        return json.dumps(rows)

    tool = compressed_tool(FunctionTool.from_defaults(everything), 500, model=MODEL)
    outputs: list[ToolOutput] = []
    assert own_seconds(lambda: outputs.append(tool())) < MOST_S
    assert 0 < tokens(outputs[0].content) <= 500
    assert len(outputs[0].raw_output) > 1_000_000
