"""`NodeCompressor` at work in LlamaIndex's own engines: prompts, sources and books."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core import MockEmbedding, PromptTemplate, VectorStoreIndex
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import Document, NodeRelationship, QueryBundle
from llama_index.core.tools import RetrieverTool
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler

from frugal_chains import Ledger
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import operation
from llama_index_frugal import CostEventHandler, CostSpanHandler, NodeCompressor, track_cost
from tests.llama_index.asking import rows
from tests.servers import Reply, Request, ScriptedServer

Make = Callable[..., Any]

MODEL = "gpt-4.1-mini"
BUDGET = 150
QUERY = "How long do lentils boil?"
ASIDE = (
    "The market opens at nine on Saturdays. Nobody knows who painted the old door. "
    "Rain is expected in the north of the country. The museum shows coins of two kings."
)
FACTS = {
    "Lentils": "Lentils boil for twenty minutes.",
    "Chickpeas": "Chickpeas boil for ninety minutes.",
    "Beans": "Pinto beans boil for an hour.",
    "Rice": "Basmati boils for twelve minutes.",
}
DOCUMENTS = [
    Document(
        text=f"{ASIDE} {fact} {ASIDE}",
        id_=title,
        metadata={"title": title, "file": f"/data/{title}.txt"},
        excluded_llm_metadata_keys=["file"],
    )
    for title, fact in FACTS.items()
]
OPEN, CLOSE = "<<<", ">>>"
TEMPLATE = PromptTemplate(f"{OPEN}{{context_str}}{CLOSE} {{query_str}}")
REFINE = PromptTemplate(f"{OPEN}{{context_msg}}{CLOSE} {{query_str}} {{existing_answer}}")


def tokens(text: str) -> int:
    return TokenCounter().count_text(text, model=MODEL).tokens


def contexts(scripted: ScriptedServer) -> list[str]:
    """What stood between the marks in every prompt."""
    prompts = [
        str(message["content"]) for request in scripted.requests
        for message in request.body["messages"]
    ]  # fmt: skip
    return [
        found for prompt in prompts for found in re.findall(f"{OPEN}(.*?){CLOSE}", prompt, re.S)
    ]


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=MockEmbedding(8))


@pytest.fixture
def compressor() -> NodeCompressor:
    return NodeCompressor(budget_tokens=BUDGET, model=MODEL)


# -- query engines -----------------------------------------------------------------------------

_WITH_PROMPTS = [
    ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.SIMPLE_SUMMARIZE,
    ResponseMode.ACCUMULATE, ResponseMode.COMPACT_ACCUMULATE,
]  # fmt: skip


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize("mode", _WITH_PROMPTS)
async def test_every_response_mode_reads_what_was_kept(
    mode: ResponseMode, use_async: bool, index: VectorStoreIndex, compressor: NodeCompressor,
    openai_llm: Make, scripted: ScriptedServer,
) -> None:  # fmt: skip
    scripted.always(Reply("Twenty minutes."))
    plain, engine = (
        index.as_query_engine(
            openai_llm(MODEL), similarity_top_k=4, response_mode=mode, node_postprocessors=post,
            text_qa_template=TEMPLATE, refine_template=REFINE,
        )
        for post in ([], [compressor])
    )  # fmt: skip
    before = {n.node_id: n for n in plain.retrieve(QueryBundle(QUERY))}
    response = await engine.aquery(QUERY) if use_async else engine.query(QUERY)
    read = "\n\n".join(contexts(scripted))
    if mode is ResponseMode.SIMPLE_SUMMARIZE:  # writes the list of one text into the prompt
        (read,) = ast.literal_eval(read)
    assert tokens(read) <= BUDGET < 8 * tokens(ASIDE)
    assert FACTS["Lentils"] in read
    assert [n.node_id for n in response.source_nodes] == list(before)
    for source in response.source_nodes:
        old = before[source.node_id]
        assert source.score == old.score
        assert source.metadata == old.metadata
        assert source.node.relationships == old.node.relationships
        assert source.node.excluded_llm_metadata_keys == old.node.excluded_llm_metadata_keys
        assert response.metadata[source.node_id] == old.metadata
        assert f"title: {source.metadata['title']}\n\n{source.text}" in read
        assert (source.text == old.text) is (source.metadata["title"] == "Lentils")


@pytest.mark.parametrize("streaming", [False, True])
def test_tree_summaries_and_streams(
    streaming: bool, index: VectorStoreIndex, compressor: NodeCompressor, openai_llm: Make,
    scripted: ScriptedServer,
) -> None:  # fmt: skip
    scripted.always(Reply("Twenty minutes."))
    engine = index.as_query_engine(
        openai_llm(MODEL), similarity_top_k=4, response_mode="tree_summarize", streaming=streaming,
        node_postprocessors=[compressor], summary_template=TEMPLATE,
    )  # fmt: skip
    response = engine.query(QUERY)
    assert str(response) == "Twenty minutes."
    (read,) = contexts(scripted)
    assert tokens(read) <= BUDGET
    assert len(response.source_nodes) == 4


def test_the_index_keeps_its_nodes(index: VectorStoreIndex, compressor: NodeCompressor) -> None:
    before = {id_: node.model_copy(deep=True) for id_, node in index.docstore.docs.items()}
    retriever = index.as_retriever(similarity_top_k=4)
    for _ in range(2):
        kept = compressor.postprocess_nodes(retriever.retrieve(QUERY), query_str=QUERY)
        assert len(kept) == 4
    assert index.docstore.docs == before


# -- citations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("use_async", [False, True])
async def test_citations_point_to_the_right_nodes(
    use_async: bool, index: VectorStoreIndex, openai_llm: Make, scripted: ScriptedServer
) -> None:
    def cites(request: Request) -> Reply:
        (sources,) = contexts(scripted)
        found = re.findall(r"title: (\w+)\s+Source (\d+):\s+(.*?)(?=\n\n|$)", sources, re.S)
        (number,) = (number for _, number, text in found if "Lentils boil" in text)
        return Reply(f"Twenty minutes [{number}].")

    scripted.always(cites)
    engine = CitationQueryEngine.from_args(
        index, openai_llm(MODEL), similarity_top_k=4, citation_qa_template=TEMPLATE,
        node_postprocessors=[
            NodeCompressor(budget_tokens=80, model=MODEL, label="Source {n}:\n")
        ],
    )  # fmt: skip
    response = await engine.aquery(QUERY) if use_async else engine.query(QUERY)
    (read,) = contexts(scripted)
    assert tokens(read) <= 80
    (cited,) = map(int, re.findall(r"\[(\d+)\]", str(response)))
    source = response.source_nodes[cited - 1].node
    assert source.metadata["title"] == "Lentils"
    assert source.get_content().startswith(f"Source {cited}:\n")
    assert FACTS["Lentils"] in source.get_content()
    assert source.relationships[NodeRelationship.SOURCE].node_id == "Lentils"


# -- chat engines, tools -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat"])
@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
async def test_chat_engines(
    mode: str, way: str, index: VectorStoreIndex, compressor: NodeCompressor, openai_llm: Make,
    scripted: ScriptedServer,
) -> None:  # fmt: skip
    scripted.always(Reply("Twenty minutes."))
    template = {"context_template": f"{OPEN}{{context_str}}{CLOSE} {{query_str}}"}
    if mode == "condense_plus_context":
        template = {"context_prompt": f"{OPEN}{{context_str}}{CLOSE} {{query_str}}"}
    engine = index.as_chat_engine(
        mode, openai_llm(MODEL), similarity_top_k=4, node_postprocessors=[compressor], **template
    )  # fmt: skip
    answer = getattr(engine, way)(QUERY)
    answer = await answer if way == "achat" else answer
    if way == "stream_chat":
        assert "".join(answer.response_gen) == "Twenty minutes."
    read = contexts(scripted)[-1]
    assert FACTS["Lentils"] in read
    assert tokens(read) <= BUDGET
    titles = [n.metadata["title"] for n in answer.source_nodes]
    assert re.findall(r"title: (\w+)", read) == titles


def test_a_retriever_tool(index: VectorStoreIndex, compressor: NodeCompressor) -> None:
    tool = RetrieverTool.from_defaults(
        index.as_retriever(similarity_top_k=4), node_postprocessors=[compressor]
    )
    output = tool(QUERY)
    assert FACTS["Lentils"] in output.content
    assert tokens(output.content.rstrip()) <= BUDGET + 4 * tokens("title = x\n")


# -- the books ---------------------------------------------------------------------------------


@pytest.mark.parametrize("use_async", [False, True])
async def test_effects_belong_to_the_operation_of_the_query(
    use_async: bool, index: VectorStoreIndex, compressor: NodeCompressor, openai_llm: Make,
    scripted: ScriptedServer, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.always(Reply("Twenty minutes."))
    engine = index.as_query_engine(openai_llm(MODEL), node_postprocessors=[compressor])
    with track_cost(ledger):
        if use_async:
            await asyncio.gather(*(engine.aquery(QUERY) for _ in range(5)))
        else:
            for _ in range(5):
                engine.query(QUERY)
        with operation(run_id="mine") as group:
            engine.query(QUERY)
    answers = [row.operation_id for row in rows(ledger) if row.model == MODEL]
    effects = [*ledger.effects(lever="compression.extract")]
    assert sorted(effect.operation_id for effect in effects) == sorted(answers)
    assert len({*answers}) == 6
    assert group.id in answers


def test_handlers_of_the_application_have_effects_too(
    index: VectorStoreIndex, compressor: NodeCompressor, openai_llm: Make,
    scripted: ScriptedServer, ledger: Ledger, dispatcher: Any,
) -> None:  # fmt: skip
    scripted.always(Reply("Twenty minutes."))
    engine = index.as_query_engine(openai_llm(MODEL), node_postprocessors=[compressor])
    events = CostEventHandler(ledger, tags={"by": "hand"})
    before = dispatcher.event_handlers, dispatcher.span_handlers
    dispatcher.event_handlers = [*before[0], events]
    dispatcher.span_handlers = [*before[1], CostSpanHandler(events)]
    try:
        engine.query(QUERY)
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = before
    (effect,) = ledger.effects()
    assert effect.tags == {"by": "hand"}
    assert {row.operation_id for row in rows(ledger)} == {effect.operation_id}


class Seen(BaseSpanHandler[BaseSpan]):
    """The names of all spans, and which were dropped."""

    names: list[str] = []  # noqa: RUF012 - a field

    def new_span(self, id_: str, *args: Any, **kwargs: Any) -> BaseSpan:
        self.names.append(id_.partition("-")[0])
        return BaseSpan(id_=id_)

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.names.append("/" + id_.partition("-")[0])

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.names.append("!" + id_.partition("-")[0])


@contextmanager
def seeing(dispatcher: Any) -> Iterator[list[str]]:
    before, seen = dispatcher.span_handlers, Seen()
    dispatcher.span_handlers = [*before, seen]
    try:
        yield seen.names
    finally:
        dispatcher.span_handlers = before


async def test_it_has_a_span_as_other_postprocessors_have(
    compressor: NodeCompressor, dispatcher: Any
) -> None:
    with seeing(dispatcher) as names:
        compressor.postprocess_nodes([])
        await compressor.apostprocess_nodes([])
    assert names == [
        "NodeCompressor._postprocess_nodes", "/NodeCompressor._postprocess_nodes",
        "NodeCompressor._apostprocess_nodes", "/NodeCompressor._apostprocess_nodes",
    ]  # fmt: skip
