"""The same passages compressed by both frameworks: the same text is kept."""

from __future__ import annotations

import asyncio
import re

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from frugal_chains.compression.words import WordScore, WordScorer
from langchain_frugal import DocumentCompressor
from llama_index_frugal import NodeCompressor

MODEL = "gpt-4.1-mini"
TEXTS = [
    "Hats are worn on heads. Some are made of felt. Most of them are not.",
    "Tower Bridge crosses the Thames. It was built between 1886 and 1894. Many people like it.",
    "The Thames is a river. It flows through London. Order ORD-7731 was lost in it.",
    '{"bridges": [{"name": "Tower Bridge", "built": 1894}, {"name": "Old Bridge", "built": 1566}]}',
    "Ann: the bridge is closed\nBob: since when\nAnn: since noon\nBob: oh\nAnn: yes\nBob: well",
]


PROSE = [*TEXTS[:3], "Lifts, as one may say, are slow. All in all they take 90 s, and do not fail."]


def weigh(text: str) -> list[WordScore]:
    """Long words weigh more."""
    return [WordScore(m.start(), m.end(), len(m[0])) for m in re.finditer(r"\w+", text)]


@pytest.mark.parametrize("budget_tokens", [15, 30, 60, 90, 500])
@pytest.mark.parametrize("query", ["When was Tower Bridge built?", "ORD-7731", "", "who said noon"])
@pytest.mark.parametrize(
    ("texts", "words"), [(TEXTS, None), (PROSE, weigh)], ids=["sentences", "words"]
)
async def test_both_keep_the_same(
    texts: list[str], words: WordScorer | None, query: str, budget_tokens: int
) -> None:
    documents = DocumentCompressor(budget_tokens=budget_tokens, model=MODEL, words=words)
    nodes = NodeCompressor(budget_tokens=budget_tokens, model=MODEL, words=words)
    found = [Document(text, id=str(at)) for at, text in enumerate(texts)]
    scored = [NodeWithScore(node=TextNode(text=text, id_=str(at))) for at, text in enumerate(texts)]
    kept = [(each.id, each.page_content) for each in documents.compress_documents(found, query)]
    same = [(each.node_id, each.text) for each in nodes.postprocess_nodes(scored, query_str=query)]
    assert kept == same
    again, likewise = await asyncio.gather(
        documents.acompress_documents(found, query),
        nodes.apostprocess_nodes(scored, query_str=query),
    )
    assert [(each.id, each.page_content) for each in again] == kept
    assert [(each.node_id, each.text) for each in likewise] == kept
