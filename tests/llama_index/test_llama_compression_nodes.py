"""`NodeCompressor`: what becomes of nodes, and what must not."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core import Document, MockEmbedding
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import ValidationError

from frugal_chains import Ledger
from frugal_chains.archive import Archive, handle_of
from frugal_chains.compression import ContextBudget
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCounter
from llama_index_frugal import NodeCompressor, track_cost

MODEL = "gpt-4.1-mini"
QUERY = "How long do lentils boil?"
ANSWER = "Lentils boil for twenty minutes."

WORDS = [
    "The market opens at nine on Saturdays.",
    ANSWER,
    "Nobody knows who painted the old door.",
    "Rain is expected in the north of the country.",
    "The museum shows coins and letters of two kings.",
]


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, model=MODEL).tokens


def content(nodes: Sequence[NodeWithScore]) -> str:
    """As the compact synthesizer writes it."""
    return "\n\n".join(n.node.get_content(metadata_mode=MetadataMode.LLM) for n in nodes)


def found(number: int, text: str = " ".join(WORDS), **fields: Any) -> NodeWithScore:
    node = TextNode(
        id_=f"node-{number}",
        text=text,
        embedding=[0.5, float(number)],
        metadata={"title": f"Page {number}", "secret": "s", "pages": [number, {"of": 9}]},
        excluded_llm_metadata_keys=["secret"],
        excluded_embed_metadata_keys=["pages"],
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book", metadata={"by": ["me"]}),
            NodeRelationship.CHILD: [RelatedNodeInfo(node_id="part")],
        },
        start_char_idx=10,
        end_char_idx=10 + len(text),
        **fields,
    )
    return NodeWithScore(node=node, score=1 / (number + 1))


ROOM = tokens("title: Page 0\npages: [0, {'of': 9}]\n\n" + ANSWER)
"""For one node that has nothing but the answer left."""


def compressor(budget_tokens: Any = 90, **options: Any) -> NodeCompressor:
    return NodeCompressor(budget_tokens=budget_tokens, model=MODEL, **options)


# -- what stays --------------------------------------------------------------------------------


async def test_all_but_the_text_is_as_it_was() -> None:
    nodes = [found(n) for n in range(4)]
    before = copy.deepcopy(nodes)
    for kept in (
        compressor(150).postprocess_nodes(nodes, query_str=QUERY),
        await compressor(150).apostprocess_nodes(nodes, query_str=QUERY),
    ):
        assert nodes == before
        assert [n.node_id for n in kept] == [f"node-{n}" for n in range(4)]
        for old, new in zip(nodes, kept, strict=True):
            assert new.text != old.text
            assert ANSWER in new.text
            assert new.model_dump(exclude={"node": {"text"}}) == old.model_dump(
                exclude={"node": {"text"}}
            )
            assert new.get_score() == old.get_score()


def test_nothing_that_can_change_is_shared() -> None:
    nodes = [found(0)]
    before = copy.deepcopy(nodes)
    for budget in (60, 10_000):
        (kept,) = compressor(budget, details=True).postprocess_nodes(nodes, query_str=QUERY)
        kept.score = 7
        kept.node.metadata["pages"][1]["of"] = 0
        kept.node.metadata["new"] = 1
        kept.node.excluded_llm_metadata_keys.append("title")
        kept.node.excluded_embed_metadata_keys.clear()
        kept.node.relationships[NodeRelationship.SOURCE].metadata["by"].append("you")  # type: ignore[union-attr]
        kept.node.relationships[NodeRelationship.CHILD].clear()  # type: ignore[union-attr]
        kept.node.embedding.clear()  # type: ignore[union-attr]
        kept.node.set_content("else")
        assert nodes == before


def test_nodes_of_which_nothing_is_kept_are_left_out() -> None:
    texts = [WORDS[0], WORDS[1], WORDS[2]]
    nodes = [found(n, text, metadata_template="") for n, text in enumerate(texts)]
    kept = compressor(8).postprocess_nodes(nodes, query_str=QUERY)
    assert [(n.node_id, n.text) for n in kept] == [("node-1", ANSWER)]


def test_what_fits_is_whole() -> None:
    nodes = [found(n, "  Two spaces before,\n\n and a break. ") for n in range(3)]
    kept = compressor(1000).postprocess_nodes(nodes, query_str=QUERY)
    assert kept == nodes
    assert all(new.node is not old.node for old, new in zip(nodes, kept, strict=True))


@pytest.mark.parametrize("cls", [Document, Node, IndexNode, TextNode])
def test_every_class_of_text(cls: type) -> None:
    text = " ".join(WORDS)
    engine = threading.Lock()  # stands for what no copy can be made of
    fields: dict[str, Any] = {"metadata": {"title": "A"}, "id_": "x"}
    if cls is IndexNode:
        fields |= {"index_id": "i", "obj": engine}
    if cls is Node:
        fields["text_resource"] = MediaResource(text=text, mimetype="text/markdown")
    else:
        fields["text"] = text
    node = cls(**fields)
    (kept,) = compressor(14).postprocess_nodes([NodeWithScore(node=node)], query_str=QUERY)
    assert type(kept.node) is cls
    assert kept.node.get_content() == ANSWER
    assert node.get_content() == text
    if cls is IndexNode:
        assert kept.node.obj is engine  # type: ignore[attr-defined]
    if cls is Node:
        assert kept.node.text_resource.mimetype == "text/markdown"  # type: ignore[attr-defined]


def test_images_pass_untouched_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    words = " ".join(WORDS)
    image = NodeWithScore(node=ImageNode(text=words, image="aGk=", id_="image"), score=0.5)
    mixed = NodeWithScore(node=Node(
        text_resource=MediaResource(text=words), image_resource=MediaResource(data=b"aGk="),
    ))  # fmt: skip
    silent = NodeWithScore(node=Node(id_="nothing"))
    nodes = [image, found(1), mixed, silent]
    with caplog.at_level(logging.WARNING, "llama_index_frugal"):
        post = compressor(ROOM)
        kept = post.postprocess_nodes(nodes, query_str=QUERY)
        assert kept[0] is image
        assert kept[2] is mixed
        assert kept[3] is silent
        assert kept[1].text == ANSWER
        post.postprocess_nodes(nodes, query_str=QUERY)
        assert post.postprocess_nodes([image]) == [image]
    assert [record.args for record in caplog.records] == [("ImageNode",), ("Node",)]


# -- the budget --------------------------------------------------------------------------------

_TEMPLATES = st.sampled_from([
    "{metadata_str}\n\n{content}",
    "{content}",
    "{content}\n\n{metadata_str}",
    "<doc {metadata_str}>{content}</doc>",
    "Text: {content} -- Source: {metadata_str}",
    "{metadata_str}",
])  # fmt: skip
_SENTENCES = st.lists(st.sampled_from([*WORDS, "Ja.", "1.2.3 -- <b>x</b>", "Z" * 30]), max_size=6)
_SPACE = st.sampled_from(["", " ", "\n", "\n\n  "])


@st.composite
def _nodes(draw: st.DrawFn) -> NodeWithScore:
    text = draw(_SPACE) + " ".join(draw(_SENTENCES)) + draw(_SPACE)
    return NodeWithScore(node=TextNode(
        text=text,
        text_template=draw(_TEMPLATES),
        metadata=draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(WORDS), max_size=2)),
        metadata_template=draw(st.sampled_from(["{key}: {value}", "[{value}]"])),
        excluded_llm_metadata_keys=draw(st.lists(st.just("a"), max_size=1)),
    ))  # fmt: skip


_HIDDEN = [  # the second text stands in the prompt as metadata alone, which are not cut
    NodeWithScore(node=TextNode(text="")),
    NodeWithScore(node=TextNode(
        text=WORDS[0],
        text_template="{metadata_str}",
        metadata={"a": WORDS[0], "b": WORDS[0]},
    )),
]  # fmt: skip
_TAGGED = [  # "></" is one token where no text stands between the tags
    NodeWithScore(node=TextNode(text=f"{WORDS[0]} {WORDS[0]}")),
    NodeWithScore(node=TextNode(
        text=" ".join([*[WORDS[0]] * 4, "Z" * 30]),
        text_template="<doc {metadata_str}>{content}</doc>",
        metadata={"a": WORDS[0]},
    )),
]  # fmt: skip


@example(nodes=_HIDDEN, budget=13, query="")
@example(nodes=_TAGGED, budget=79, query="")
@given(nodes=st.lists(_nodes(), max_size=5), budget=st.integers(1, 120), query=st.sampled_from([
    "", QUERY, "coins",
]))  # fmt: skip
def test_the_budget_holds_for_what_the_prompt_will_hold(
    nodes: list[NodeWithScore], budget: int, query: str
) -> None:
    kept = compressor(budget).postprocess_nodes(nodes, query_str=query)
    ours = [n for n in kept if all(n is not old for old in nodes)]  # the others are not ours to cut
    assert tokens(content(ours)) <= budget
    old = {n.node_id: n.text for n in nodes}
    assert all(set(n.text.split()) <= set(old[n.node_id].split()) for n in kept)


@pytest.mark.parametrize(
    ("template", "label", "tail"),
    [
        ("{content}\n{metadata_str}", "", f"\nsays: {ANSWER}"),
        ("{metadata_str}\n{content}", f"says: {ANSWER}\n", ""),
        ("<{metadata_str}|{content}>", f"<says: {ANSWER}|", ">"),
        ("{content}|{metadata_str}|{content}", f"{ANSWER}|says: {ANSWER}|", ""),
    ],
)
def test_metadata_may_say_what_the_text_says(template: str, label: str, tail: str) -> None:
    from llama_index_frugal.compression._labels import passage_of

    node = TextNode(text=ANSWER, text_template=template, metadata={"says": ANSWER})
    passage = passage_of(node, "", 1)
    assert passage is not None
    assert (passage.text, passage.label, passage.tail) == (ANSWER, label, tail)


@pytest.mark.parametrize("text", [ANSWER, "says", ""])
def test_a_node_whose_template_hides_its_text_passes_as_it_is(text: str) -> None:
    hidden = NodeWithScore(
        node=TextNode(text=text, text_template="{metadata_str}", metadata={"says": ANSWER})
    )
    kept = compressor(12).postprocess_nodes([hidden, found(1)], query_str=QUERY)
    assert kept[0] is hidden


def test_what_the_engine_writes_counts() -> None:
    nodes = [found(n) for n in range(3)]
    labels = ["Source 1:\n", "Source 2:\n", "Source 3:\n"]
    for label in ("Source {n}:\n", lambda node, n: f"Source {n}:\n"):
        kept = compressor(100, label=label, joiner="\n---\n").postprocess_nodes(
            nodes, query_str=QUERY
        )
        written = [
            n.node.get_content(metadata_mode=MetadataMode.LLM).replace(n.text, label + n.text)
            for n, label in zip(kept, labels, strict=False)
        ]
        assert 90 <= tokens("\n---\n".join(written)) <= 100


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("[{n}] {title} {id}|", "[1] Page 7 node-7|"),
        ("{none}{title!r}|", "'Page 7'|"),
        ("{title.upper}{title:>x}|", "Page 7|"),
    ],
)
def test_labels_are_lenient(label: str, shown: str) -> None:
    from llama_index_frugal.compression._labels import passage_of

    passage = passage_of(found(7).node, label, 1)
    assert passage is not None
    assert passage.label == "title: Page 7\npages: [7, {'of': 9}]\n\n" + shown


def test_tiers_have_budgets_of_their_own() -> None:
    post = compressor(ContextBudget(tokens=500, by_tier={"specialist": 40}))
    nodes = [found(n) for n in range(3)]
    with instrument_tags({"route": "specialist"}):
        assert tokens(content(post.postprocess_nodes(nodes, query_str=QUERY))) <= 40
    assert post.postprocess_nodes(nodes, query_str=QUERY) == nodes


def test_it_can_be_switched_off() -> None:
    nodes = [found(n) for n in range(3)]
    assert compressor(1, enabled=False).postprocess_nodes(nodes, query_str=QUERY) == nodes
    with instrument_tags({"compress": False}):
        assert compressor(1).postprocess_nodes(nodes, query_str=QUERY) == nodes
    assert compressor(1).postprocess_nodes(nodes, query_str=QUERY) == []


# -- what is added -----------------------------------------------------------------------------


async def test_originals_are_in_the_archive() -> None:
    archive = Archive.open("memory://")
    nodes = [found(0), found(1, ANSWER)]
    post = compressor(60, archive=archive)
    for kept in (
        post.postprocess_nodes(nodes, query_str=QUERY),
        await post.apostprocess_nodes(nodes, query_str=QUERY),
    ):
        cut, whole = kept
        assert cut.metadata["frugal"] == {"handle": handle_of(nodes[0].text)}
        assert archive.get(cut.metadata["frugal"]["handle"]) == nodes[0].text
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert "frugal" not in cut.get_content(metadata_mode=mode)
        assert "frugal" not in whole.metadata
        assert whole.node.excluded_llm_metadata_keys == ["secret"]
        assert tokens(content(kept)) <= 60


def test_details_say_where_the_kept_parts_stood() -> None:
    node = found(0)
    (kept,) = compressor(ROOM, details=True).postprocess_nodes([node], query_str=QUERY)
    told = kept.metadata["frugal"]
    assert "".join(node.text[start:end] for start, end in told["kept"]) == kept.text == ANSWER
    assert told["score"] > 0
    json.dumps(kept.metadata)
    again = compressor(ROOM, details=True, archive=Archive.open("memory://"))
    (kept,) = again.postprocess_nodes([kept], query_str=QUERY)
    assert kept.node.excluded_llm_metadata_keys == ["secret", "frugal"]


def test_an_archive_that_is_closed_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive.open("memory://")
    archive.close()
    (kept,) = compressor(ROOM, archive=archive).postprocess_nodes([found(0)], query_str=QUERY)
    assert kept.text == ANSWER
    assert "frugal" not in kept.metadata
    assert "an original is not kept" in caplog.text


# -- embedders ---------------------------------------------------------------------------------


class Topics(BaseEmbedding):
    """Embeds by one word, and writes down what it was asked."""

    asked: list[Any] = []  # noqa: RUF012 - a field
    error: Any = None

    def _vector(self, kind: str, text: str) -> list[float]:
        self.asked.append((kind, text, threading.current_thread() is threading.main_thread()))
        if self.error is not None:
            raise self.error
        return [1.0, 0.0] if "coins" in text or "treasure" in text else [0.0, 1.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector("query", query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector("text", text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vector("aquery", query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._vector("atext", text)


def by_function(texts: Sequence[str]) -> list[list[float]]:
    topics = Topics()
    return [topics._vector("", text) for text in texts]


@pytest.mark.parametrize("embedder", [Topics(), by_function])
async def test_an_embedder_finds_what_words_do_not(embedder: Any) -> None:
    nodes = [found(n, text, metadata_template="") for n, text in enumerate(WORDS)]
    for post in (compressor(14, embedder=embedder), compressor(14)):
        kept = post.postprocess_nodes(nodes, query_str="Is there treasure?")
        akept = await post.apostprocess_nodes(nodes, query_str="Is there treasure?")
        assert kept == akept
        assert ("coins" in content(kept)) is (post.embedder is not None)


async def test_queries_are_embedded_as_queries_and_once() -> None:
    nodes = [found(n) for n in range(2)]
    embedding = Topics()
    post = compressor(ROOM, embedder=embedding)
    post.postprocess_nodes(nodes, query_str=QUERY)
    assert [each[:2] for each in embedding.asked[:1]] == [("query", QUERY)]
    assert {kind for kind, *_ in embedding.asked} == {"query", "text"}
    del embedding.asked[:]
    await post.apostprocess_nodes(nodes, query_str=QUERY)
    assert {(kind, on_loop) for kind, _, on_loop in embedding.asked} == {
        ("aquery", True), ("atext", True),
    }  # fmt: skip


@pytest.mark.parametrize("wrapped", [lambda e: e, lambda e: lambda texts: [
    e._vector("query", text) for text in texts
]])  # fmt: skip
def test_embedding_strings_of_a_query_are_what_is_embedded(wrapped: Any) -> None:
    nodes = [found(n, text, metadata_template="") for n, text in enumerate(WORDS)]
    embedding = Topics()
    bundle = QueryBundle("Is it there?", custom_embedding_strs=["treasure", "more treasure"])
    kept = compressor(14, embedder=wrapped(embedding)).postprocess_nodes(nodes, bundle)
    assert [text for _, text, _ in embedding.asked[:2]] == ["treasure", "more treasure"]
    assert "coins" in content(kept)


@pytest.mark.parametrize("bundle", [None, QueryBundle(""), QueryBundle("", None, [""])])
async def test_without_a_query_nothing_is_embedded(bundle: QueryBundle | None) -> None:
    embedding = Topics()
    nodes = [found(n) for n in range(2)]
    post, plain = compressor(60, embedder=embedding), compressor(60)
    kept = post.postprocess_nodes(nodes, bundle)
    assert kept == await post.apostprocess_nodes(nodes, bundle)
    assert kept == plain.postprocess_nodes(nodes, bundle)
    assert kept[0].text.startswith(WORDS[0])  # from the first on
    assert embedding.asked == []


def test_words_of_a_query_that_has_only_embedding_strings() -> None:
    bundle = QueryBundle("", custom_embedding_strs=["museum", "coins"])
    (kept,) = compressor(ROOM + 8).postprocess_nodes([found(0)], bundle)
    assert kept.text == WORDS[4]
    (first,) = compressor(ROOM + 8).postprocess_nodes([found(0)])
    assert first.text != WORDS[4]


async def test_an_embedder_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [found(n) for n in range(2)]
    post = compressor(60, embedder=Topics(error=OSError("no network")))
    expected = compressor(60).postprocess_nodes(nodes, query_str=QUERY)
    assert post.postprocess_nodes(nodes, query_str=QUERY) == expected
    assert await post.apostprocess_nodes(nodes, query_str=QUERY) == expected
    assert caplog.text.count("without the embedder: OSError") == 2


async def test_an_embedder_that_hangs_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()

    def hangs(texts: Sequence[str]) -> list[list[float]]:
        stop.wait(10)
        return by_function(texts)

    post = compressor(ROOM, embedder=hangs, embedding_timeout_s=0.05)
    began = time.monotonic()
    assert post.postprocess_nodes([found(0)], query_str=QUERY)[0].text == ANSWER
    assert (await post.apostprocess_nodes([found(0)], query_str=QUERY))[0].text == ANSWER
    stop.set()
    assert time.monotonic() - began < 5
    assert caplog.text.count("without the embedder") == 2


# -- the books ---------------------------------------------------------------------------------


def test_effects_are_in_the_ledger(ledger: Ledger) -> None:
    nodes = [found(n) for n in range(3)]
    with track_cost(ledger, feature="x"):
        kept = compressor(90).postprocess_nodes(nodes, query_str=QUERY)
        compressor(9000).postprocess_nodes(nodes, query_str=QUERY)
    compressor(90).postprocess_nodes(nodes, query_str=QUERY)
    cut, whole = ledger.effects()
    assert (cut.lever, cut.model, cut.exact) == ("compression.extract", MODEL, True)
    assert (cut.tokens_before, cut.tokens_after) == (tokens(content(nodes)), tokens(content(kept)))
    assert cut.detail == {"reason": "budget", "budget_tokens": 90, "passages": 3, "dropped": 0}
    assert cut.tags == {"feature": "x"}
    assert whole.tokens_after == whole.tokens_before
    assert cut.operation_id != whole.operation_id != ""


# -- many at a time ----------------------------------------------------------------------------


async def test_parallel_use(ledger: Ledger) -> None:
    post = compressor(90, embedder=Topics(), archive=Archive.open("memory://"))
    nodes = [found(n) for n in range(3)]
    queries = [QUERY, "What does the museum show?", "Where will there be rain?"] * 8
    expected = {q: post.postprocess_nodes(nodes, query_str=q) for q in queries}
    with track_cost(ledger):
        with ThreadPoolExecutor(8) as pool:
            threads = [*pool.map(lambda q: post.postprocess_nodes(nodes, query_str=q), queries)]
        tasks = await asyncio.gather(
            *(post.apostprocess_nodes(nodes, query_str=query) for query in queries)
        )
    assert threads == tasks == [expected[query] for query in queries]
    assert len([*ledger.effects()]) == 2 * len(queries)


async def test_a_cancelled_task_leaves_nothing_behind(ledger: Ledger) -> None:
    class Slow(Topics):
        async def _aget_query_embedding(self, query: str) -> list[float]:
            await asyncio.sleep(60)
            return []

    post = compressor(90, embedder=Slow())
    nodes = [found(n) for n in range(3)]
    with track_cost(ledger):
        task = asyncio.create_task(post.apostprocess_nodes(nodes, query_str=QUERY))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [*ledger.effects()] == []
        plain = compressor(90)
        assert len(await plain.apostprocess_nodes(nodes, query_str=QUERY)) == 3
    assert len([*ledger.effects()]) == 1


# -- bad input ---------------------------------------------------------------------------------


def test_no_nodes() -> None:
    assert compressor().postprocess_nodes([]) == []


def test_half_a_character() -> None:
    text = "An odd \ud800 sign. " + " ".join(WORDS)
    (kept,) = compressor(45).postprocess_nodes([found(0, text)], query_str="odd sign")
    assert "\ud800" in kept.text


def test_metadata_that_holds_itself() -> None:
    node = found(0)
    node.metadata["self"] = node.metadata
    (kept,) = compressor(90).postprocess_nodes([node], query_str=QUERY)
    assert ANSWER in kept.text
    assert kept.metadata["self"] is kept.metadata is not node.metadata


def test_metadata_without_a_copy() -> None:
    node, lock = found(0), threading.Lock()
    node.metadata["lock"] = lock
    node.node.excluded_llm_metadata_keys.append("lock")
    (kept,) = compressor(ROOM).postprocess_nodes([node], query_str=QUERY)
    assert kept.text == ANSWER
    assert kept.metadata["lock"] is lock
    kept.metadata["pages"][1]["of"] = 0
    kept.node.excluded_llm_metadata_keys.clear()
    assert node.metadata["pages"] == [0, {"of": 9}]
    assert node.node.excluded_llm_metadata_keys == ["secret", "lock"]


def test_templates_that_fail_are_for_the_engine_to_tell() -> None:
    broken = found(0, text_template="{none}")
    assert compressor(40).postprocess_nodes([broken], query_str=QUERY) == [broken]
    without = found(0, text_template="{metadata_str}")
    assert compressor(1).postprocess_nodes([without], query_str=QUERY) == [without]


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_nothing_is_told(budget: int) -> None:
    with pytest.raises(CompressionError, match="1 token or more"):
        compressor(budget)


# -- as a component ----------------------------------------------------------------------------


def test_settings_as_data() -> None:
    limit = ContextBudget(tokens=900, by_tier={"a": 5}, limit_usd=Decimal("0.001"))
    for budget in (900, limit):
        post = compressor(
            budget, label="[{n}]", kind="prose", details=True,
            embedder=MockEmbedding(8), archive=Archive.open("memory://"),
        )  # fmt: skip
        data = json.loads(post.to_json())
        assert data["class_name"] == NodeCompressor.class_name() == "NodeCompressor"
        assert not {"embedder", "archive", "counter", "prices", "patterns"} & {*data}
        again = NodeCompressor.from_dict(data)
        assert again.to_dict() == post.to_dict()
        assert again.budget_tokens == budget
    assert compressor(label=lambda node, n: "").to_dict()["label"] == ""


def test_settings_have_a_schema() -> None:
    names = {*NodeCompressor.model_json_schema()["properties"]}
    assert names >= {"budget_tokens", "model", "label", "kind", "class_name"}
    assert not names & {"embedder", "archive", "counter", "prices", "patterns"}


def test_a_label_that_fails_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        compressor(label=lambda node, n: str(n // 0)).postprocess_nodes([found(0)])


async def test_many_nodes_are_copied_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_index_frugal.compression import _nodes

    threads: list[threading.Thread] = []
    real = _nodes.with_text

    def watched(*args: Any) -> NodeWithScore:
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(_nodes, "with_text", watched)
    await compressor(10**6).apostprocess_nodes([found(n) for n in range(201)])
    assert threading.main_thread() not in threads
    await compressor(10**6).apostprocess_nodes([found(0)])
    assert threads[-1] is threading.main_thread()


def test_settings_do_not_change() -> None:
    post = compressor()
    with pytest.raises(ValidationError, match="frozen"):
        post.budget_tokens = 5
    with pytest.raises(ValidationError, match="not permitted"):
        compressor(budget=5)
    assert post.model_copy(update={"budget_tokens": 5}).budget_tokens == 5


def test_copies_work_with_the_same_parts() -> None:
    archive, nodes = Archive.open("memory://"), [found(0)]
    post = compressor(ROOM, archive=archive, embedder=by_function)
    for again in (copy.copy(post), copy.deepcopy(post), post.model_copy(deep=True)):
        assert again.archive is archive
        assert again.embedder is by_function
        assert again.postprocess_nodes(nodes, query_str=QUERY)[0].text == ANSWER


def test_a_pickle_has_everything_or_fails() -> None:
    post = compressor(ROOM, embedder=by_function, details=True)
    again = pickle.loads(pickle.dumps(post))
    assert again.embedder is by_function
    assert again.to_dict() == post.to_dict()
    assert again.postprocess_nodes([found(0)], query_str=QUERY)[0].text == ANSWER
    with pytest.raises(TypeError):
        pickle.dumps(compressor(ROOM, archive=Archive.open("memory://")))
