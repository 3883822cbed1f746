"""Every call on the right block, run and tags: tasks, threads, nested blocks, agents, engines."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.llms import CustomLLM, LLMMetadata, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index_instrumentation.dispatcher import instrument_tags

from frugal_chains import Ledger
from frugal_chains.tracking import Tracker, operation, use_tracker
from llama_index_frugal import TrackedEmbedding, track_cost
from tests.llama_index.asking import MESSAGES, only, rows
from tests.servers import Reply, Request, ScriptedServer, ToolCall

Make = Callable[..., Any]


def by_tag(ledger: Ledger, name: str) -> Counter[str]:
    return Counter(row.tags.get(name, "") for row in rows(ledger))


# -- blocks ------------------------------------------------------------------------------------


async def test_concurrent_blocks_keep_their_calls_apart(openai_llm: Make, ledger: Ledger) -> None:
    async def block(name: str, calls: int) -> int:
        with track_cost(ledger, block=name) as spent:
            await asyncio.gather(*(llm.achat(MESSAGES) for _ in range(calls)))
        return spent.attempts

    llm = openai_llm()
    asked = {"a": 20, "b": 20, "c": 20}
    spent = await asyncio.gather(*(block(name, calls) for name, calls in asked.items()))
    assert spent == [20, 20, 20]
    assert by_tag(ledger, "block") == asked


def test_blocks_in_threads_keep_their_calls_apart(ledger: Ledger) -> None:
    def block(name: str) -> int:
        with track_cost(ledger, block=name) as spent:
            for _ in range(10):
                MockLLM().complete("hi")
        return spent.attempts

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(block, "abcd")) == [10] * 4
    assert by_tag(ledger, "block") == dict.fromkeys("abcd", 10)


def test_call_belongs_to_the_innermost_block(ledger: Ledger) -> None:
    with track_cost(ledger, block="outer") as outer:
        MockLLM().complete("hi")
        with track_cost(block="inner") as inner:
            MockLLM().complete("hi")
        MockLLM().complete("hi")
    MockLLM().complete("unseen")
    assert by_tag(ledger, "block") == {"outer": 2, "inner": 1}
    assert (outer.attempts, inner.attempts) == (2, 1)


def test_block_left_by_an_error_is_over(dispatcher: Any, ledger: Ledger) -> None:
    installed = list(dispatcher.event_handlers)
    with pytest.raises(KeyError), track_cost(ledger):
        raise KeyError("mine")
    MockLLM().complete("unseen")
    assert rows(ledger) == []
    assert dispatcher.event_handlers == installed


def test_raw_thread_takes_its_block_along(ledger: Ledger) -> None:
    with track_cost(ledger, block="mine"):
        threads = [threading.Thread(target=MockLLM().complete, args=("hi",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert by_tag(ledger, "block") == {"mine": 3}


def test_thread_may_be_given_a_tracker(ledger: Ledger) -> None:
    tracker = Tracker(ledger, tags={"block": "given"})

    def work() -> None:
        with use_tracker(tracker):
            MockLLM().complete("hi")

    thread = threading.Thread(target=work)
    with track_cost(ledger, block="around"):
        thread.start()
        thread.join()
    assert by_tag(ledger, "block") == {"given": 1}


async def test_to_thread_keeps_the_block(ledger: Ledger) -> None:
    with track_cost(ledger, block="mine"):
        await asyncio.to_thread(MockLLM().complete, "hi")
    assert by_tag(ledger, "block") == {"mine": 1}


# -- tags --------------------------------------------------------------------------------------


def test_tags_of_the_block_the_operation_and_llama_index(ledger: Ledger) -> None:
    tags = {"tenant": "inner", "user": 7, "text": "a whole prompt " * 10, "object": object()}
    with (
        track_cost(ledger, tenant="acme", feature="search"),
        operation("op-1", step="one"),
        instrument_tags(tags),
    ):
        MockLLM().complete("hi")
    row = only(ledger)
    assert row.operation_id == "op-1"
    assert row.tags == {"tenant": "inner", "feature": "search", "step": "one", "user": "7"}


class Lazy(CustomLLM):
    """A wrapper whose stream asks the LLM inside when it is first read."""

    inner: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="lazy")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any: ...

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield from self.inner.stream_complete(prompt)


def _in_a_thread(llm: Any) -> Any:
    thread = threading.Thread(target=llm.complete, args=("hi",))
    thread.start()
    return thread.join


def _in_a_pool(llm: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(llm.complete, "hi").result


def _in_a_stream(llm: Any) -> Any:
    stream = llm.stream_complete("hi")
    return lambda: list(stream)


def _in_a_lazy_stream(llm: Any) -> Any:
    return _in_a_stream(Lazy(inner=llm))


def _in_a_lazy_stream_of_a_lazy_stream(llm: Any) -> Any:
    return _in_a_stream(Lazy(inner=Lazy(inner=llm)))


@pytest.mark.parametrize(
    "begin",
    [_in_a_thread, _in_a_pool, _in_a_stream, _in_a_lazy_stream, _in_a_lazy_stream_of_a_lazy_stream],
    ids=lambda f: f.__name__,
)
async def test_tags_of_llama_index_go_along_to_where_a_call_ends(
    begin: Callable[[Any], Any], openai_llm: Make, ledger: Ledger
) -> None:
    with track_cost(ledger, feature="search"), instrument_tags({"user": "ann"}):
        finish = begin(openai_llm())
    with instrument_tags({"step": "reading"}):
        finish()
    row = only(ledger)
    assert (row.tags["feature"], row.tags["user"]) == ("search", "ann")


# -- agents ------------------------------------------------------------------------------------


def beans(kind: str = "pinto") -> str:
    """Count beans."""
    return f"{kind}: 3"


def _tool_then_answer(request: Request) -> Reply:
    if any(message["role"] == "tool" for message in request.body["messages"]):
        return Reply("three")
    return Reply(tool_calls=(ToolCall("beans", {"kind": "pinto"}),))


def _agent(llm: Any, **options: Any) -> FunctionAgent:
    return FunctionAgent(
        name="counter", description="counts", tools=[FunctionTool.from_defaults(beans)],
        llm=llm, **options,
    )  # fmt: skip


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("kind", ["agent", "workflow"])
async def test_agent_run_is_one_operation_of_one_row_per_call(
    kind: str, streaming: bool, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(_tool_then_answer)
    llm = openai_llm("gpt-4o")
    if streaming:
        llm.additional_kwargs = {"stream_options": {"include_usage": True}}
    agent: Any = _agent(llm, streaming=streaming)
    if kind == "workflow":
        agent = AgentWorkflow(agents=[agent], root_agent="counter")
    with track_cost(ledger, feature="agent"), instrument_tags({"user": "ann"}):
        answer = await agent.run("how many secret beans?")
    assert str(answer) == "three"
    first, second = rows(ledger)
    assert len(scripted.requests) == 2
    assert first.usage.source == second.usage.source == "provider"
    assert first.streamed is second.streamed is streaming
    assert first.operation_id == second.operation_id != first.run_id
    assert first.thread_id == second.thread_id != ""
    assert first.tags["user"] == first.tags["feature"].replace("agent", "ann")
    # What the step was given is text of the user: it stays off the books.
    assert "secret" not in repr((first, second))
    assert "llamaindex.run_id" not in first.tags


async def test_agent_awaited_after_the_block_belongs_to_it(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(_tool_then_answer)
    with track_cost(ledger, feature="agent") as spent:
        run = _agent(openai_llm("gpt-4o")).run("how many?")
    assert rows(ledger) == []
    await run
    assert by_tag(ledger, "feature") == {"agent": 2}
    assert spent.attempts == 2


async def test_two_agent_runs_are_two_operations(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(_tool_then_answer)
    agent = _agent(openai_llm("gpt-4o"))
    with track_cost(ledger):
        await asyncio.gather(agent.run("one?"), agent.run("two?"))
    assert sorted(Counter(row.operation_id for row in rows(ledger)).values()) == [2, 2]
    assert len({row.thread_id for row in rows(ledger)}) == 2


async def test_call_after_an_agent_run_is_an_operation_of_its_own(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """`agent.run` leaves its span id behind in the context of its caller."""
    scripted.always(_tool_then_answer)
    llm = openai_llm("gpt-4o")
    with track_cost(ledger):
        await _agent(llm).run("how many?")
        llm.chat(MESSAGES)
        llm.chat(MESSAGES)
    operations = [row.operation_id for row in rows(ledger)]
    assert len(set(operations)) == 3
    assert operations[2] == rows(ledger)[2].run_id


# -- engines -----------------------------------------------------------------------------------

DOCUMENTS = [Document(text=f"Bean number {number} is a pinto bean.") for number in range(5)]


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
async def test_query_engine_is_one_operation(
    mode: str, openai_llm: Make, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("three"))
    embedding = openai_embedding()
    with track_cost(ledger, feature="index"):
        index = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=embedding)
    engine = index.as_query_engine(llm=openai_llm(), response_mode=mode, similarity_top_k=2)
    with track_cost(ledger, feature="query") as spent:
        engine.query("how many?")
        await engine.aquery("how many?")
    indexed = [row for row in rows(ledger) if row.tags["feature"] == "index"]
    asked = [row for row in rows(ledger) if row.tags["feature"] == "query"]
    assert [row.purpose for row in indexed] == ["embed"]
    assert len(scripted.requests) == len(rows(ledger)) == 1 + spent.attempts
    operations = Counter(row.operation_id for row in asked)
    assert len(operations) == 2
    assert len(set(operations.values())) == 1
    assert {row.purpose for row in asked} == {"embed", "answer"}


async def test_streaming_query_read_after_the_block(
    openai_llm: Make, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("three"))
    index = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=openai_embedding())
    engine = index.as_query_engine(llm=openai_llm(), streaming=True)
    with track_cost(ledger, feature="query"):
        response = engine.query("how many?")
    assert "".join(response.response_gen).strip() == "three"
    embedded, answered = rows(ledger)
    assert (answered.status, answered.streamed) == ("ok", True)
    assert answered.operation_id == embedded.operation_id
    assert answered.tags == {"feature": "query"}


async def test_query_engine_inside_an_agent_belongs_to_the_agent_s_run(
    openai_llm: Make, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    index = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=openai_embedding())

    def reply(request: Request) -> Reply:
        if "tools" in request.body and request.body["messages"][-1]["role"] == "user":
            return Reply(tool_calls=(ToolCall("search", {"input": "how many?"}),))
        return Reply("three")

    scripted.always(reply)
    engine = index.as_query_engine(llm=openai_llm("gpt-4o-mini"))
    tool = QueryEngineTool.from_defaults(engine, name="search", description="searches")
    agent = FunctionAgent(tools=[tool], llm=openai_llm("gpt-4o"))
    with track_cost(ledger):
        await agent.run("how many?")
    assert [row.model for row in rows(ledger)] == [
        "gpt-4o", "text-embedding-3-small", "gpt-4o-mini", "gpt-4o",
    ]  # fmt: skip
    assert len({row.operation_id for row in rows(ledger)}) == 1


def test_what_a_step_of_a_workflow_was_given_is_no_tag_however_short(ledger: Ledger) -> None:
    """Workflows put up to 200 characters of it beside their other tags."""
    given = {"llamaindex.step.input_summary": "my secret", "llamaindex.step.input_event": "Asked"}
    with track_cost(ledger), instrument_tags(given):
        MockLLM().complete("hi")
    assert only(ledger).tags == {"llamaindex.step.input_event": "Asked"}


def test_embeddings_of_an_agent_s_run_carry_its_id(openai_embedding: Make, ledger: Ledger) -> None:
    with track_cost(ledger), instrument_tags({"llamaindex.run_id": "run-1"}):
        MockLLM().complete("hi")
        openai_embedding().get_query_embedding("hi")
        TrackedEmbedding(openai_embedding()).get_query_embedding("hi")
    assert [row.thread_id for row in rows(ledger)] == ["run-1"] * 3
