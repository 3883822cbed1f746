"""Calls that arrive, stream or end in ways that the two big integrations do not show.

gpt-4o-mini: $0.15 in, $0.60 out per million tokens (openai.com/api/pricing, read 2026-11-21).
"hello" is 1 token in a frame of 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler
from langgraph.graph import END, START, MessagesState, StateGraph

from frugal_chains import Budget, Ledger
from frugal_chains.ledger import Attempt
from langchain_frugal import BudgetExceeded, CostCallbackHandler

MILLION = Decimal(1_000_000)
USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
CALL = {"name": "look_up", "args": '{"word": "x"}', "id": "c1", "index": 0}


class Model(BaseChatModel):
    """Says what it is told to say, in as many chunks as it is given."""

    chunks: Sequence[Any] = ()
    fails: Any = None
    """Raised after the last chunk."""
    answer: Any = None
    llm_output: Any = None
    params: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "odd"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.params

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        message = self.answer or AIMessage("hi", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=self.llm_output)


class Streamed(Model):
    delay_s: float = 0.0

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in self.chunks:
            yield ChatGenerationChunk(message=chunk)
        if self.fails:
            raise self.fails

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk
        await asyncio.sleep(self.delay_s)


def words(count: int) -> list[AIMessageChunk]:
    return [AIMessageChunk(" word") for _ in range(count)]  # one token each in o200k_base


async def _row_soon(ledger: Ledger) -> Attempt:
    deadline = time.monotonic() + 1
    while not (rows := list(ledger.attempts())) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    (row,) = rows
    return row


# -- streams inside of `ainvoke` ---------------------------------------------------------------


def _graph(model: BaseChatModel) -> Any:
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


class WantsEvents(BaseCallbackHandler, _V2StreamingCallbackHandler):
    """Makes `ainvoke` stream in the events of the v3 protocol, as LangGraph's reader of them."""


@pytest.mark.parametrize("how", ["events", "events v3", "graph"])
async def test_a_stream_cancelled_inside_of_ainvoke_is_booked_with_what_came(
    how: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    said = [*words(40), AIMessageChunk("", tool_call_chunks=[CALL])]
    model, config = Streamed(chunks=said, delay_s=5), {"callbacks": [handler]}

    async def read_all() -> None:
        if how == "graph":
            question = {"messages": [("user", "hello")]}
            async for _ in _graph(model).astream(question, config, stream_mode="messages"):
                pass
        elif how == "events":
            chain = RunnableLambda(lambda q: q) | RunnableLambda(model.ainvoke)
            async for _ in chain.astream_events("hello", config=config, version="v2"):
                pass
        else:
            await model.ainvoke("hello", {"callbacks": [handler, WantsEvents()]})

    task = asyncio.create_task(read_all())
    async with asyncio.timeout(10):
        while str(CALL["name"]) not in repr(handler._pieces):  # the last piece; v3 has more of them
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    row = await _row_soon(ledger)
    assert (row.status, row.usage.source, row.streamed) == ("aborted", "estimated", True)
    # 40 words; the call of the tool is at least its name and six signs of JSON.
    assert 48 <= row.usage.output_tokens < 60
    assert not handler._pieces


@pytest.mark.parametrize("how", ["stream", "invoke in a stream"])
def test_an_answer_that_breaks_off_with_an_error_status_was_billed(
    how: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    class Overloaded(Exception):
        status_code = 529

    model = Streamed(chunks=words(10), fails=Overloaded())
    chain = RunnableLambda(lambda q: model.invoke(q))

    async def read_all() -> None:
        config = {"callbacks": [handler]}
        if how == "stream":
            list(model.stream("hello", config))
        else:
            async for _ in chain.astream_events("hello", config, version="v2"):
                pass

    with pytest.raises(Overloaded):
        asyncio.run(read_all())
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.usage.source) == ("error", "overloaded", "estimated")
    assert (row.usage.input_tokens, row.usage.output_tokens) == (8, 10)


@pytest.mark.parametrize(
    ("reason", "status"),
    [({"done_reason": "stop"}, "ok"), ({"stopReason": "end_turn"}, "ok"), ({}, "aborted")],
)
def test_every_providers_word_for_a_whole_stream_is_known(
    reason: dict[str, str], status: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    last = AIMessageChunk("!", response_metadata={"model_provider": "any", **reason})
    list(Streamed(chunks=[*words(3), last]).stream("hello", {"callbacks": [handler]}))
    (row,) = ledger.attempts()
    assert row.status == status


# -- what the answer says of itself ------------------------------------------------------------


@pytest.mark.parametrize("usd", [0.5, 0])
def test_a_charge_in_the_usage_is_no_hit_of_the_cache(
    usd: float, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    # OpenRouter states its charge in the usage; a hit of the cache is told by a charge of 0
    # together with an `llm_output` of None.
    usage = {**USAGE, "total_cost": usd}
    if usd:
        chunk = AIMessageChunk("hi", usage_metadata=usage)
        list(Streamed(chunks=[chunk]).stream("hello", {"callbacks": [handler]}))
    else:
        answer = AIMessage("hi", usage_metadata=usage)
        Model(answer=answer, llm_output={"id": "x"}).invoke("hello", {"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.usage.input_tokens, row.usage.output_tokens) == ("ok", 10, 5)
    assert row.cost_usd == Decimal(str(usd))


def test_a_paid_answer_out_of_the_cache_is_paid_once(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    answer = AIMessage("hi", usage_metadata={**USAGE, "total_cost": 0.5})
    model = Model(answer=answer, llm_output={"id": "x"}, cache=InMemoryCache())
    for _ in range(2):
        model.invoke("hello", {"callbacks": [handler]})
    assert [(row.status, row.cost_usd, row.usage.total_tokens) for row in ledger.attempts()] == [
        ("ok", Decimal("0.5"), 15), ("cached", 0, 0),
    ]  # fmt: skip


def test_a_model_that_every_chunk_names_is_named_once(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    named = {"model_name": "gpt-4o-mini"}
    chunks = [AIMessageChunk(text, response_metadata=named) for text in ("a", "b", "c")]
    last = AIMessageChunk("", usage_metadata=USAGE)
    list(Streamed(chunks=[*chunks, last]).stream("hello", {"callbacks": [handler]}))
    (row,) = ledger.attempts()
    assert row.model == "gpt-4o-mini"


def test_an_end_that_cannot_be_read_still_ends_its_call(
    handler: CostCallbackHandler, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LLMResult, "generations", None, raising=False)
    end = handler.on_llm_end

    def unreadable(response: Any, **kwargs: Any) -> None:
        end(None, **kwargs)

    monkeypatch.setattr(handler, "on_llm_end", unreadable)
    Model().invoke("hello", {"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.usage.source, row.usage.input_tokens) == ("ok", "estimated", 8)
    assert "could not be read" in row.note


# -- what the request says of itself -----------------------------------------------------------


def test_a_run_id_may_be_a_string_of_the_applications_own(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    chain = RunnableLambda(lambda q: q) | Model()
    first, second = ({"run_id": f"request-{n}", "callbacks": [handler]} for n in (7, 8))
    chain.invoke("hello", first)
    list(Streamed(chunks=words(2)).stream("hello", second))
    inside, alone = ledger.attempts()
    assert (inside.operation_id, inside.parent_id) == ("request-7", "request-7")
    assert alone.operation_id == "request-8"


@pytest.mark.parametrize(
    ("config", "tags"),
    [({"metadata": {1: "x", "tenant": "acme"}}, {"tenant": "acme"}), ({"tags": [3]}, {})],
)
def test_labels_that_cannot_be_read_do_not_lose_the_call(
    config: Any, tags: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    RunnableLambda(Model().invoke).invoke("hello", {**config, "callbacks": [handler]})
    Model().invoke("hello", {**config, "callbacks": [handler]})
    rows = list(ledger.attempts())
    assert [(row.model, row.tags) for row in rows] == [("gpt-4o-mini", tags)] * 2
    assert rows[0].cost_usd == (10 * Decimal("0.15") + 5 * Decimal("0.6")) / MILLION
    assert rows[0].parent_id


def test_content_without_a_type_is_text(handler: CostCallbackHandler, ledger: Ledger) -> None:
    blocks = [{"type": None, "text": "hello"}, {"type": "text", "text": "hello"}]
    Model(answer=AIMessage("hi")).invoke([HumanMessage(blocks)], {"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.usage.input_tokens == 7 + 3  # hello, a line break, hello
    assert "unknown" not in row.note


@pytest.mark.parametrize(("source", "purpose"), [("summarization", "summary"), (["x"], "answer")])
def test_the_summarizing_middleware_names_the_purpose(
    source: Any, purpose: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    Model().invoke("hello", {"metadata": {"lc_source": source}, "callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.purpose == purpose


def test_the_second_attempt_of_a_whole_chain_is_a_retry(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    tries: list[str] = []

    def twice(message: AIMessage) -> AIMessage:
        tries.append("x")
        if len(tries) == 1:
            raise ValueError("not yet")
        return message

    inner = RunnableLambda(lambda q: q) | Model()
    chain = RunnableLambda(inner.invoke) | twice  # the model is two runs below the repeated one
    again = chain.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    again.invoke("hello", {"callbacks": [handler]})
    assert [row.purpose for row in ledger.attempts()] == ["answer", "retry"]
    assert not handler._retried


# -- caps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "output_tokens"),
    [
        # gpt-4o-mini writes at most 16,384 tokens (developers.openai.com, models).
        ({}, 16_384),
        ({"n": 5}, 5 * 16_384),
        ({"n": None}, 16_384),
        ({"n": 2, "best_of": 4, "max_tokens": 100}, 400),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": -1}, 16_384),
        ({"num_predict": -1}, 16_384),
        ({"max_tokens": None, "max_completion_tokens": 100}, 100),
        ({"max_tokens": "many", "max_output_tokens": 100}, 100),
    ],
)
def test_a_call_holds_the_most_it_may_answer(
    params: dict[str, Any], output_tokens: int, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd("0.000000001")])
    with pytest.raises(BudgetExceeded) as refused:
        Model(params=params).invoke("hello", {"callbacks": [handler]})
    expected = (8 * Decimal("0.15") + output_tokens * Decimal("0.6")) / MILLION
    assert refused.value.needed_usd == expected


@pytest.mark.parametrize("name", ["model_name", "model", "model_id"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_model_that_answered_is_booked_beside_the_one_asked(
    name: str, streamed: bool, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    said = {"usage_metadata": USAGE, "response_metadata": {name: "gpt-4o-mini-2024-07-18"}}
    config = {"callbacks": [handler]}
    if streamed:
        list(Streamed(chunks=[AIMessageChunk("hi", **said)]).stream("hello", config))
    else:
        Model(answer=AIMessage("hi", **said)).invoke("hello", config)
    (row,) = ledger.attempts()
    assert (row.model, row.model_asked) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini")


@pytest.mark.parametrize(
    "name", ["lc_internal_call", "lc_agent_name", "langgraph_node", "langgraph_step", "ls_provider"]
)
def test_what_the_frameworks_write_into_metadata_is_no_label(
    name: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    metadata = {name: "x", "tenant": "acme"}
    Model().invoke("hello", {"metadata": metadata, "callbacks": [handler]})
    (row,) = ledger.attempts()
    named = {"lc_agent_name": {"agent": "x"}, "langgraph_node": {"node": "x"}}
    assert row.tags == {"tenant": "acme", **named.get(name, {})}


def test_runs_of_any_depth_are_one_operation(handler: CostCallbackHandler, ledger: Ledger) -> None:
    model = Model()
    deep = RunnableLambda(model.invoke)
    for _ in range(3):
        deep = RunnableLambda(deep.invoke)
    outer = RunnableLambda(lambda q: [model.invoke(q), deep.invoke(q)])
    outer.invoke("hello", {"callbacks": [handler]})
    rows = list(ledger.attempts())
    assert len(rows) == 2
    assert len({row.operation_id for row in rows}) == 1
    assert len({row.parent_id for row in rows}) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_without_a_model_is_that_of_the_model_asked(
    streamed: bool, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    config = {"callbacks": [handler]}
    if streamed:
        list(Streamed(chunks=[AIMessageChunk("hi", usage_metadata=USAGE)]).stream("hello", config))
    else:
        Model().invoke("hello", config)
    (row,) = ledger.attempts()
    assert (row.model, row.model_asked) == ("gpt-4o-mini", "")
    assert row.cost_usd == (10 * Decimal("0.15") + 5 * Decimal("0.6")) / MILLION


@pytest.mark.parametrize(
    ("asked", "tier"), [("flex", "flex"), ("priority", "priority"), ("auto", "standard")]
)
def test_the_tier_asked_for_holds_where_the_answer_names_none(
    asked: str, tier: str, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    Model(params={"service_tier": asked}).invoke("hello", {"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert row.service_tier == tier
