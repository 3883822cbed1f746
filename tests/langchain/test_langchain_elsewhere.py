"""What LangChain reports in other ways or not at all: embeddings, decision models, graphs."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableSerializable
from langchain_openai import OpenAIEmbeddings
from langgraph.graph import END, START, MessagesState, StateGraph

from frugal_chains import Budget, Ledger
from frugal_chains.errors import LedgerError
from langchain_frugal import BudgetExceeded, CostCallbackHandler, TrackedEmbeddings, track_cost
from tests.servers import Reply, ScriptedServer, Tokens


@pytest.fixture
def openai_embeddings(scripted: ScriptedServer) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=scripted.openai_base_url,
        api_key="test",
        check_embedding_ctx_length=False,
        max_retries=0,
    )


async def test_embeddings_are_booked_by_text_sync_and_async(
    openai_embeddings: Embeddings, ledger: Ledger
) -> None:
    tracked = TrackedEmbeddings(openai_embeddings, ledger=ledger)
    assert len(tracked.embed_documents(["hello world", "hello"])) == 2
    tracked.embed_query("hello world")
    await tracked.aembed_documents(["hello world", "hello"])
    await tracked.aembed_query("hello world")
    rows = list(ledger.attempts())
    # cl100k_base: "hello world" is 2 tokens, "hello" 1; text-embedding-3-small costs $0.02 per
    # million (openai.com/api/pricing, read 2026-11-21).
    assert [row.usage.input_tokens for row in rows] == [3, 2, 3, 2]
    assert {(r.purpose, r.provider, r.model, r.status) for r in rows} == {
        ("embed", "openai", "text-embedding-3-small", "ok")
    }
    assert rows[0].cost_usd == 3 * Decimal("0.02") / 1_000_000


def test_a_failed_embedding_is_an_error_row(
    scripted: ScriptedServer, openai_embeddings: Embeddings, ledger: Ledger
) -> None:
    scripted.script(Reply(status=429))
    with pytest.raises(Exception, match="429"):
        TrackedEmbeddings(openai_embeddings, ledger=ledger).embed_query("hello")
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.cost_usd) == ("error", "rate_limit", 0)


async def test_a_cancelled_embedding_is_booked(ledger: Ledger) -> None:
    class Slow(DeterministicFakeEmbedding):
        model: str = "text-embedding-3-small"

        async def aembed_query(self, text: str) -> list[float]:
            await asyncio.sleep(5)
            return []

    tracked = TrackedEmbeddings(Slow(size=2), provider="openai", ledger=ledger)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tracked.aembed_query("hello world"), 0.05)
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.usage.input_tokens) == ("aborted", "cancelled", 2)


def test_embeddings_join_the_block_around_them_and_obey_its_budget(
    scripted: ScriptedServer, openai_embeddings: Embeddings, ledger: Ledger
) -> None:
    tracked = TrackedEmbeddings(openai_embeddings)
    budget = Budget.usd(Decimal("0.00000003"), per="lifetime")
    with track_cost(ledger, budgets=[budget], feature="index") as spent:
        tracked.embed_query("hello")
        with pytest.raises(BudgetExceeded):
            tracked.embed_query("hello")
    assert (spent.attempts, len(scripted.requests)) == (1, 1)
    assert next(ledger.attempts()).tags == {"feature": "index"}


def test_embeddings_used_outside_any_block_still_join_a_later_one(
    openai_embeddings: Embeddings, ledger: Ledger, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FRUGAL_LEDGER", f"sqlite:///{tmp_path}/outside.db")
    tracked = TrackedEmbeddings(openai_embeddings)
    tracked.embed_query("hello")
    with track_cost(ledger) as spent:
        tracked.embed_query("hello")
    assert spent.attempts == 1


def test_a_ledger_that_cannot_be_opened_stops_no_embedding_that_needs_no_books(
    openai_embeddings: Embeddings, ledger: Ledger, tmp_path: Path, monkeypatch: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRUGAL_LEDGER", f"sqlite:///{tmp_path}/file/books.db")
    tracked = TrackedEmbeddings(openai_embeddings)
    assert tracked.embed_query("hello")
    assert tracked.embed_query("hello")
    assert caplog.text.count("embeddings will not be booked") == 1
    with track_cost(ledger) as spent:  # a block has books of its own
        tracked.embed_query("hello")
    assert spent.attempts == 1
    with pytest.raises(LedgerError):
        TrackedEmbeddings(openai_embeddings, budgets=[Budget.usd(1)])


class _Decides(RunnableSerializable[Any, Any]):
    """What langchain-core 1.8's `BaseDecisionModel` does: a chain run of run type `llm`."""

    fails: bool = False

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = config or {}
        config["metadata"] = {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}
        return self._call_with_config(self._answer, input, config, run_type="llm")

    def _answer(self, request: Any) -> Any:
        if self.fails:
            raise ValueError("no answer")
        usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        return SimpleNamespace(usage=usage, model="gpt-4o-mini", answers={"route": "a"})


def test_decision_models_are_booked_though_they_report_as_chains(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    _Decides().invoke({"state": "text", "questions": {}}, {"callbacks": [handler]})
    with pytest.raises(ValueError, match="no answer"):
        _Decides(fails=True).invoke({"state": "text"}, {"callbacks": [handler]})
    answered, failed = ledger.attempts()
    assert (answered.purpose, answered.status, answered.model) == ("classify", "ok", "gpt-4o-mini")
    assert answered.cost_usd == (100 * Decimal("0.15") + 10 * Decimal("0.6")) / 1_000_000
    assert (failed.purpose, failed.status) == ("classify", "error")


def test_a_refused_decision_leaves_nothing_behind(ledger: Ledger) -> None:
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(0)])
    chain = RunnableLambda(lambda q: q) | _Decides()
    with pytest.raises(BudgetExceeded):
        chain.invoke({"state": "text"}, {"callbacks": [handler]})
    assert not handler._decisions
    assert not handler._roots
    assert list(ledger.attempts()) == []


def test_the_real_decision_model_is_booked(handler: CostCallbackHandler, ledger: Ledger) -> None:
    decisions = pytest.importorskip(
        "langchain_core.decisions", reason="decision models came with langchain-core 1.8"
    )

    class Fixed(decisions.BaseDecisionModel):  # type: ignore[misc, name-defined]
        @property
        def _provider(self) -> str:
            return "openai"

        def _classify(self, state: Any, questions: Any) -> Any:
            return decisions.ClassifierResponse(
                model="gpt-4o-mini",
                answers={},
                usage={"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
            )

    Fixed(model="gpt-4o-mini").invoke({"state": "text", "questions": {}}, {"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.purpose, row.usage.input_tokens, row.model) == ("classify", 100, "gpt-4o-mini")


@pytest.mark.parametrize("mode", ["values", "messages"])
async def test_a_graph_books_each_node_once_however_it_is_streamed(
    mode: Any, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.script(*[Reply("one two", usage=Tokens(fresh=10, visible=2))] * 2)
    model = chat_openai(stream_usage=True)

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("first", answer)
    graph.add_node("second", answer)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    config = {"callbacks": [handler], "configurable": {"thread_id": "t-1"}}
    async for _ in graph.compile().astream(
        {"messages": [("user", "hello")]}, config, stream_mode=mode
    ):
        pass
    rows = list(ledger.attempts())
    assert [row.tags["node"] for row in rows] == ["first", "second"]
    assert [row.usage.input_tokens for row in rows] == [10, 10]
    assert {row.thread_id for row in rows} == {"t-1"}
    assert ledger.totals()[0].operations == 1


def test_a_plain_text_model_is_estimated(handler: CostCallbackHandler, ledger: Ledger) -> None:
    FakeListLLM(responses=["four words of text"]).invoke("hi", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.usage.source) == ("ok", "estimated")
    assert row.usage.output_tokens >= 4
    assert row.cost_usd is None


def test_an_image_counts_in_an_estimate(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.script(Reply("a cat", omit_usage=True))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    text = {"type": "text", "text": "what is this?"}
    chat_openai().invoke([("user", [text, picture])], config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert 80 < row.usage.input_tokens < 40_000  # the picture, not the base64 text of it


def test_tool_calls_in_the_history_count(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.script(Reply("done", omit_usage=True))
    call = {"name": "write", "args": {"text": "word " * 5000}, "id": "c1", "type": "tool_call"}
    messages = [
        ("user", "go"),
        AIMessage("", tool_calls=[call]),
        {"role": "tool", "content": "ok", "tool_call_id": "c1"},
    ]
    chat_openai().invoke(messages, config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.usage.input_tokens > 5000


def test_a_copied_handler_is_the_same_handler(handler: CostCallbackHandler) -> None:
    assert copy.deepcopy({"callbacks": [handler]})["callbacks"][0] is handler


def test_importing_the_adapter_does_not_import_langchain_itself() -> None:
    script = (
        "import sys, langchain_frugal; "
        "print([m for m in ('langchain', 'langgraph', 'openai', 'anthropic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
