"""`NodeCompressor` with a scorer of words: ids and scores kept, the budget exact."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import time
from collections.abc import Sequence

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

from frugal_chains.compression.words import WordScore
from frugal_chains.tokens import TokenCounter
from llama_index_frugal import NodeCompressor

MODEL = "gpt-4.1-mini"
QUERY = "How long do lentils boil?"
TEXT = (
    "The market, as we have it here, opens at nine on Saturdays. "
    "Lentils boil, as far as I can tell, for 20 minutes, and salt is not advisable. "
    "Nobody knows, as it were, who painted the old door. "
    "Many people, of whom there are a lot, prefer beans. "
)
BUDGET = 64


def tokens(nodes: Sequence[NodeWithScore]) -> int:
    """As the compact synthesizer writes them."""
    text = "\n\n".join(each.node.get_content(metadata_mode=MetadataMode.LLM) for each in nodes)
    return TokenCounter().count_text(text, model=MODEL).tokens


def weigh(text: str) -> list[WordScore]:
    """Long words weigh more, numbers and `not` nothing."""
    found = re.finditer(r"\w+", text)
    return [
        WordScore(m.start(), m.end(), 0 if m[0][0].isdigit() or m[0] == "not" else len(m[0]))
        for m in found
    ]


def fails(text: str) -> list[WordScore]:
    raise MemoryError("no room for weights")


def hangs(text: str) -> list[WordScore]:
    time.sleep(0.6)
    return weigh(text)


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(
            node=TextNode(id_=f"node-{n}", text=TEXT, metadata={"title": f"Page {n}"}),
            score=1 / (n + 1),
        )
        for n in range(2)
    ]


async def both(made: NodeCompressor) -> list[NodeWithScore]:
    """What it returns, which has to be the same with and without await."""
    kept = made.postprocess_nodes(nodes(), query_str=QUERY)
    assert await made.apostprocess_nodes(nodes(), query_str=QUERY) == kept
    return kept


async def test_words_go_to_the_exact_budget_and_nodes_stay_themselves() -> None:
    given = nodes()
    before = copy.deepcopy(given)
    made = NodeCompressor(budget_tokens=BUDGET, model=MODEL, words=weigh, details=True)
    assert made.postprocess_nodes(given, query_str=QUERY) == await both(made)
    assert given == before
    kept = await both(made)
    assert 0.95 * BUDGET <= tokens(kept) <= BUDGET
    for each in kept:
        old = before[int(each.node_id[-1])]
        assert (each.score, each.metadata["title"]) == (old.score, old.metadata["title"])
        spans = each.metadata["frugal"]["kept"]
        parts = "".join(TEXT[start:end] for start, end in spans)
        assert "".join(parts.split()) == "".join(each.text.split())
    best, other = (each.text for each in kept)
    assert "Lentils boil, as far as I can tell, for 20 minutes, and salt is not advisable." in best
    # Of a sentence that has no room in the budget: atoms, whatever they weigh, and long words.
    assert "as far as" not in other
    assert "for 20 minutes" in other
    assert "not advisable" in other


@pytest.mark.parametrize(
    ("words", "why"),
    [(fails, "MemoryError"), (hangs, "no answer within 0.05 s")],
    ids=["raises", "hangs"],
)
async def test_a_scorer_that_fails_or_hangs_leaves_sentences_whole(
    words: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"budget_tokens": BUDGET, "model": MODEL, "words_timeout_s": 0.05}
    with caplog.at_level(logging.WARNING, "llama_index_frugal"):
        kept = await both(NodeCompressor(**options, words=words))  # type: ignore[arg-type]
    assert kept == await both(NodeCompressor(**options))  # type: ignore[arg-type]
    assert caplog.messages == [f"compressed without the scorer of words: {why}"] * 2


def test_a_scorer_is_no_data_but_goes_with_a_pickle_and_a_copy() -> None:
    made = NodeCompressor(budget_tokens=BUDGET, model=MODEL, words=weigh, words_timeout_s=3)
    assert json.loads(json.dumps(made.to_dict()))["words_timeout_s"] == 3
    assert "words" not in made.to_dict()
    assert "words" not in NodeCompressor.model_json_schema()["properties"]
    kept = made.postprocess_nodes(nodes(), query_str=QUERY)
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert again.words is weigh
        assert again.postprocess_nodes(nodes(), query_str=QUERY) == kept
