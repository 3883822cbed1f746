"""Budgets that hold: the call is not sent, nothing stays reserved, the user's limiter is obeyed."""

from __future__ import annotations

import asyncio
import copy
import pickle
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index_instrumentation.dispatcher import instrument_tags
from llama_index_instrumentation.event_handlers import BaseEventHandler
from pydantic import BaseModel

from frugal_chains import Budget, BudgetExceeded, Ledger
from frugal_chains.errors import LedgerCorrupt
from frugal_chains.tracking import Tracker
from llama_index_frugal import BudgetRateLimiter, CostEventHandler, CostSpanHandler, track_cost
from tests.llama_index.asking import MESSAGES, WAYS, ask, only, rows
from tests.servers import Reply, ScriptedServer, ToolCall

Make = Callable[..., Any]

NOTHING = Budget.usd(0, per="lifetime")
# gpt-4o-mini: $0.15 input, $0.60 output per million tokens. A call with a cap of 1000 tokens of
# output may cost $0.0006 and a little for its input.
CAP = {"max_tokens": 1000}
FOR_THREE = Budget.usd("0.00185", per="lifetime")


def states(ledger: Ledger, budget: Budget) -> tuple[Decimal, Decimal]:
    """What a budget has spent, and what it holds for calls that are still running."""
    (state,) = Tracker(ledger, budgets=[budget]).pressure()
    return state.spent_usd, budget.limit_usd - state.spent_usd - state.left_usd


@pytest.mark.parametrize("way", WAYS)
async def test_refused_call_is_not_sent(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    budgets = [NOTHING]
    with track_cost(ledger, budgets=budgets) as spent, pytest.raises(BudgetExceeded) as refusal:
        await ask(openai_llm(**CAP), way)
    assert scripted.requests == []
    assert (rows(ledger), spent.attempts) == ([], 0)
    assert refusal.value.scope == "lifetime"
    assert Decimal("0.0006") < refusal.value.needed_usd < Decimal("0.0007")
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (str(again), again.limit_usd) == (str(refusal.value), 0)


@pytest.mark.parametrize("way", WAYS)
async def test_budget_holds_and_leaves_nothing_reserved(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = openai_llm(**CAP)
    with track_cost(ledger, budgets=[FOR_THREE]) as spent:
        for _ in range(5):
            await ask(llm, way)
        llm.max_tokens = 5000
        with pytest.raises(BudgetExceeded):
            await ask(llm, way)
    assert len(scripted.requests) == len(rows(ledger)) == 5
    assert states(ledger, FOR_THREE) == (spent.cost_usd, 0)
    assert llm.rate_limiter is None


async def test_concurrent_calls_do_not_overshoot(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """All are asked before the first is answered: only those that fit are sent."""
    scripted.always(Reply("some", delay_s=0.2))
    llm = openai_llm(**CAP)
    with track_cost(ledger, budgets=[FOR_THREE]):
        calls = [llm.achat(MESSAGES) for _ in range(12)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BudgetExceeded)]
    assert (len(refused), len(scripted.requests), len(rows(ledger))) == (9, 3, 3)
    assert states(ledger, FOR_THREE)[1] == 0
    assert llm.rate_limiter is None


def test_concurrent_threads_do_not_overshoot(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", delay_s=0.2))
    llm = openai_llm(**CAP)

    def call(_: int) -> str:
        try:
            return str(llm.complete("how many?").text)
        except BudgetExceeded:
            return "refused"

    with track_cost(ledger, budgets=[FOR_THREE]), ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(call, range(12)))
    assert sorted(answers) == ["refused"] * 9 + ["some"] * 3
    assert len(scripted.requests) == 3
    assert llm.rate_limiter is None


async def test_each_block_has_its_own_budget_on_a_shared_llm(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", delay_s=0.1))
    llm = openai_llm(**CAP)

    async def block(budgets: tuple[Budget, ...], name: str) -> int:
        with track_cost(ledger, budgets=budgets, tenant=name):
            results = await asyncio.gather(
                *(llm.achat(MESSAGES) for _ in range(4)), return_exceptions=True
            )
        return sum(isinstance(result, BudgetExceeded) for result in results)

    per_tenant = Budget.usd("0.00185", per="day", tag="tenant")
    refused = await asyncio.gather(
        block((per_tenant,), "a"), block((per_tenant,), "b"), block((), "c")
    )
    assert refused == [1, 1, 0]
    assert llm.rate_limiter is None


async def test_budget_per_tag_reads_the_tags_of_llama_index(
    openai_llm: Make, ledger: Ledger
) -> None:
    budget = Budget.usd("0.0007", per="lifetime", tag="user")
    llm = openai_llm(**CAP)
    with track_cost(ledger, budgets=[budget]):
        for user in ("ann", "bob"):
            with instrument_tags({"user": user}):
                llm.chat(MESSAGES)
        with instrument_tags({"user": "cyd"}), pytest.raises(BudgetExceeded, match="user=cyd"):
            llm.chat(MESSAGES, max_tokens=2000)


class Bean(BaseModel):
    count: int


async def test_wrapper_s_inner_call_is_what_the_budget_holds(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply('{"count": 3}'))
    llm = openai_llm("gpt-4o", max_tokens=100).as_structured_llm(Bean)
    with track_cost(ledger, budgets=[Budget.usd("0.0015")]):
        assert llm.chat(MESSAGES).raw.count == 3
    with track_cost(ledger, budgets=[NOTHING]), pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES)
    assert len(scripted.requests) == 1
    assert only(ledger).usage.source == "provider"


class Fallback(OpenAI):
    """A real model that may ask another one: by its fields it looks like a wrapper."""

    fallback: Any = None


class FallbackByHand(Fallback):
    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> Any:
        return super().chat(messages, **kwargs)


@pytest.mark.parametrize("cls", [Fallback, FallbackByHand])
@pytest.mark.parametrize("way", ["chat", "acomplete", "stream_chat"])
async def test_model_that_holds_another_is_held_itself(
    way: str, cls: Any, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = openai_llm(cls=cls, fallback=openai_llm(), **CAP)
    with track_cost(ledger, budgets=[NOTHING]), pytest.raises(BudgetExceeded):
        await ask(llm, way)
    assert (rows(ledger), scripted.requests) == ([], [])
    # Room for one call: nothing of an outer hold is left when the inner call asks.
    with track_cost(ledger, budgets=[Budget.usd("0.0007", per="lifetime")]):
        await ask(llm, way)
    assert "budget not held" not in only(ledger).note


class Box:
    def __init__(self, llm: Any) -> None:
        self.llm = llm


class Hiding(CustomLLM):
    """A wrapper whose inner LLM is in no field of its own."""

    box: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="wrapper")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return self.box.llm.complete(prompt)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield from self.box.llm.stream_complete(prompt)


@pytest.mark.parametrize("way", WAYS)
async def test_wrapper_whose_llm_is_in_a_plain_object_passes(
    way: str, openai_llm: Make, ledger: Ledger
) -> None:
    with track_cost(ledger, budgets=[FOR_THREE]):
        await ask(Hiding(box=Box(openai_llm(**CAP))), way)
        with pytest.raises(BudgetExceeded):
            await ask(Hiding(box=Box(openai_llm(max_tokens=5000))), way)
    assert only(ledger).model == "gpt-4o-mini"
    assert "budget not held" not in only(ledger).note


@pytest.mark.parametrize("box", [None, {"llm": 1}, Box(None), Box(Box), MockEmbedding(embed_dim=2)])
async def test_custom_llm_that_holds_no_llm_is_a_model_without_a_price(
    box: Any, ledger: Ledger
) -> None:
    with track_cost(ledger, budgets=[FOR_THREE]), pytest.raises(BudgetExceeded, match="no price"):
        Hiding(box=box).complete("how many?")
    assert rows(ledger) == []


async def test_unpriced_model_is_refused_with_the_way_out(ledger: Ledger) -> None:
    refusal = pytest.raises(BudgetExceeded, match=r"prices\.toml")
    with track_cost(ledger, budgets=[Budget.usd(1)]), refusal:
        MockLLM().chat(MESSAGES)
    assert rows(ledger) == []


async def test_warning_budget_lets_calls_pass(openai_llm: Make, ledger: Ledger) -> None:
    with track_cost(ledger, budgets=[Budget.usd(0, on_exceeded="warn")]):
        openai_llm().chat(MESSAGES)
    assert "passed: warn" in only(ledger).note


async def test_failed_call_gives_its_reservation_back(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(status=500))
    with track_cost(ledger, budgets=[FOR_THREE]):
        for _ in range(5):
            with pytest.raises(Exception, match="500"):
                openai_llm(**CAP).chat(MESSAGES)
    assert states(ledger, FOR_THREE) == (0, 0)


async def test_other_tasks_run_while_a_budget_waits_for_its_ledger(
    openai_llm: Make, scripted: ScriptedServer, tmp_path: Path
) -> None:
    books = tmp_path / "books.db"
    with Ledger.open(f"sqlite:///{books}") as ledger:
        budget = Budget.usd("0.0007", per="lifetime")
        with (
            track_cost(ledger, budgets=[budget], feature="search"),
            closing(sqlite3.connect(books, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            running = asyncio.create_task(openai_llm(**CAP).achat(MESSAGES))
            await asyncio.sleep(0.2)  # which a blocked loop would not return from before the lock
            assert scripted.requests == []
            other.execute("ROLLBACK")
            await running
            # Apart, because of two that wait either may be the first when the lock is gone.
            other.execute("BEGIN IMMEDIATE")
            given_up = asyncio.create_task(openai_llm(**CAP).achat(MESSAGES))
            await asyncio.sleep(0.2)
            given_up.cancel()
            await asyncio.wait([given_up], timeout=0.2)
            assert given_up.cancelled()
            other.execute("ROLLBACK")
        assert (only(ledger).tags, only(ledger).note) == ({"feature": "search"}, "")
        for _ in range(50):  # the hold of the call that was given up comes after it, and goes
            if states(ledger, budget)[1] == 0:
                break
            await asyncio.sleep(0.05)
        assert states(ledger, budget) == (only(ledger).cost_usd, 0)


# -- agents and engines ------------------------------------------------------------------------


def beans(kind: str = "pinto") -> str:
    """Count beans."""
    return f"{kind}: 3"


async def test_agent_stops_when_its_run_has_no_budget_left(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("beans", {"kind": "pinto"}),)))
    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(beans)], llm=openai_llm("gpt-4o", max_tokens=100)
    )
    # gpt-4o: $10 per million tokens of output: a call may cost $0.001 and some input.
    with track_cost(ledger, budgets=[Budget.usd("0.003", per="run")]):
        with pytest.raises(BudgetExceeded, match="run"):
            await agent.run("how many?")
        sent = len(scripted.requests)
        assert 1 < sent < 12
        assert len({row.operation_id for row in rows(ledger)}) == 1
        with pytest.raises(BudgetExceeded):
            await agent.run("a new run has a new budget")
    assert len(scripted.requests) == 2 * sent
    assert len(rows(ledger)) == 2 * sent


async def test_embeddings_are_held_too(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    embedding = openai_embedding()
    documents = [Document(text="Pinto beans are beans.")]
    with track_cost(ledger, budgets=[NOTHING]):
        with pytest.raises(BudgetExceeded):
            VectorStoreIndex.from_documents(documents, embed_model=embedding)
        with pytest.raises(BudgetExceeded):
            await embedding.aget_query_embedding("how many?")
    assert (scripted.requests, rows(ledger)) == ([], [])
    assert embedding.rate_limiter is None


async def test_batches_that_fit_are_sent_and_booked(
    openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Three batches at once, room for two: one is refused, and two have been sent."""
    embedding = openai_embedding(embed_batch_size=1)
    texts = ["bean " * 1000] * 3  # text-embedding-3-small: $0.02 per million tokens
    budget = Budget.usd("0.00005", per="lifetime")
    with track_cost(ledger, budgets=[budget]) as spent, pytest.raises(BudgetExceeded):
        await embedding.aget_text_embedding_batch(texts)
    assert [row.status for row in rows(ledger)] == ["aborted"] * 2
    assert states(ledger, budget) == (spent.cost_usd, 0)
    assert Decimal("0.000039") < spent.cost_usd < Decimal("0.000042")


# -- the user's own limiter --------------------------------------------------------------------


class Counting(BaseRateLimiter):
    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1


async def test_the_user_s_limiter_is_asked_and_given_back(openai_llm: Make, ledger: Ledger) -> None:
    llm = openai_llm(**CAP)
    llm.rate_limiter = counting = Counting()
    with track_cost(ledger, budgets=[FOR_THREE]):
        llm.chat(MESSAGES)
        await llm.achat(MESSAGES)
        list(llm.stream_chat(MESSAGES))
        assert llm.rate_limiter is counting
    assert counting.asked == 3


async def test_limiter_set_while_a_call_runs_is_kept(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", delay_s=0.2))
    llm, counting = openai_llm(), Counting()
    with track_cost(ledger, budgets=[FOR_THREE]):
        running = asyncio.create_task(llm.achat(MESSAGES, **CAP))
        await asyncio.sleep(0.05)
        llm.rate_limiter = counting
        await running
    assert llm.rate_limiter is counting


class Slow(MockLLM):
    """A mock by a name that has a price, which can be copied while it answers."""

    @classmethod
    def class_name(cls) -> str:
        return "openai_llm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="gpt-4o-mini")

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        await asyncio.sleep(0.05)
        return CompletionResponse(text="some")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda llm: pickle.loads(pickle.dumps(llm))])
async def test_llm_copied_while_a_call_runs_works(
    duplicate: Callable[[Any], Any], ledger: Ledger
) -> None:
    llm = Slow(max_tokens=1000)
    with track_cost(ledger, budgets=[FOR_THREE]):
        running = asyncio.create_task(llm.acomplete("how many?"))
        await asyncio.sleep(0.01)
        copied = duplicate(llm)
        await running
        await copied.acomplete("how many?")
    assert llm.rate_limiter is None
    assert (await copied.acomplete("how many?")).text == "some"
    assert len(rows(ledger)) == 2


class Pausing(BaseEventHandler):
    """Holds one thread between the announcement of its call and the question for its budget."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        late = threading.current_thread().name == "late"
        if late and event.class_name() == "LLMChatStartEvent":
            PAUSED.set()
            assert GO_ON.wait(5)


PAUSED, GO_ON = threading.Event(), threading.Event()


def test_gate_stays_until_the_last_call_has_left(
    dispatcher: Any, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm, refused = openai_llm(**CAP), []

    def late() -> None:
        try:
            llm.chat(MESSAGES, max_tokens=5000)
        except BudgetExceeded as refusal:
            refused.append(refusal)

    handlers = list(dispatcher.event_handlers)
    with track_cost(ledger, budgets=[FOR_THREE]):
        dispatcher.add_event_handler(Pausing())
        thread = threading.Thread(target=late, name="late")
        thread.start()
        assert PAUSED.wait(5)
        llm.chat(MESSAGES)
        GO_ON.set()
        thread.join()
        dispatcher.event_handlers = [*handlers, *dispatcher.event_handlers[len(handlers) : -1]]
    assert (len(refused), len(scripted.requests)) == (1, 1)
    assert llm.rate_limiter is None


# -- BudgetRateLimiter -------------------------------------------------------------------------


async def test_limiter_books_and_holds_without_a_block(
    openai_llm: Make, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    inner = Counting()
    budget = Budget.usd("0.00125", per="lifetime")
    limiter = BudgetRateLimiter(budgets=[budget], ledger=ledger, inner=inner)
    llm, embedding, other = openai_llm(**CAP), openai_embedding(), openai_llm()
    llm.rate_limiter = embedding.rate_limiter = limiter
    embedding.get_query_embedding("how many?")
    await llm.achat(MESSAGES)
    other.chat(MESSAGES)
    with pytest.raises(BudgetExceeded):
        llm.complete("how many?", max_tokens=2500)
    assert sorted(row.purpose for row in rows(ledger)) == ["answer", "embed"]
    assert inner.asked == 3
    assert states(ledger, budget)[1] == 0


async def test_limiter_and_block_share_one_row_and_both_budgets(
    openai_llm: Make, ledger: Ledger
) -> None:
    llm = openai_llm(**CAP)
    llm.rate_limiter = BudgetRateLimiter(budgets=[Budget.usd("0.001", per="lifetime")])
    with track_cost(ledger, budgets=[FOR_THREE], feature="search") as spent:
        llm.chat(MESSAGES)
    assert only(ledger).tags == {"feature": "search"}
    assert (spent.attempts, spent.cost_usd) == (1, only(ledger).cost_usd)
    with track_cost(ledger, budgets=[FOR_THREE]), pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES, max_tokens=1700)  # the limiter's own
    with track_cost(ledger, budgets=[NOTHING]), pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES)  # the block's
    assert states(ledger, FOR_THREE)[1] == 0


class Wrapping(Hiding):
    inner: Any

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return self.inner.complete(prompt)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield from self.inner.stream_complete(prompt)


# StructuredLLM has no streams of completions.
@pytest.mark.parametrize("way", [way for way in WAYS if "stream_complete" not in way])
@pytest.mark.parametrize("block", [True, False], ids=["in a block", "alone"])
@pytest.mark.parametrize("wrap", ["structured", "custom", "custom in custom"])
async def test_limiter_of_a_wrapper_holds_the_calls_inside(
    wrap: str, block: bool, way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply('{"count": 3}'))
    inner = openai_llm("gpt-4o", max_tokens=100)
    llm: Any = inner.as_structured_llm(Bean)
    if wrap != "structured":
        llm = Wrapping(box=None, inner=inner)
    if wrap == "custom in custom":
        llm = Wrapping(box=None, inner=llm)
    budget = Budget.usd("0.0015", per="lifetime")  # a call may cost $0.001 and some input
    llm.rate_limiter = BudgetRateLimiter(budgets=[budget], ledger=ledger)
    with track_cost(ledger) if block else nullcontext():
        await ask(llm, way)
        assert len(scripted.requests) == 1
        assert (only(ledger).model, only(ledger).provider) == ("gpt-4o", "openai")
        assert "budget not held" not in only(ledger).note
        inner.max_tokens = 1000
        with pytest.raises(BudgetExceeded):
            await ask(llm, way)
    assert len(scripted.requests) == len(rows(ledger)) == 1
    assert states(ledger, budget)[1] == 0
    assert inner.rate_limiter is None


async def test_limiters_of_wrapper_and_inner_llm_both_hold_a_lazy_stream(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    inner = openai_llm(**CAP)
    inner.rate_limiter = BudgetRateLimiter(budgets=[NOTHING], ledger=ledger)
    with track_cost(ledger):
        stream = Wrapping(box=None, inner=inner).stream_complete("how many?")
    with pytest.raises(BudgetExceeded):
        list(stream)
    assert (rows(ledger), scripted.requests) == ([], [])


async def test_limiter_without_books_lets_no_call_pass(
    openai_llm: Make, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    books = tmp_path / "books.db"
    books.write_text("no ledger, but a text that is long enough to be looked at " * 20)
    monkeypatch.setenv("FRUGAL_LEDGER", str(books))
    llm = openai_llm(**CAP)
    llm.rate_limiter = BudgetRateLimiter(budgets=[FOR_THREE])
    with pytest.raises(LedgerCorrupt):
        llm.chat(MESSAGES)
    with pytest.raises(LedgerCorrupt):
        await llm.acomplete("how many?")
    assert scripted.requests == []
    caplog.clear()  # its tracebacks keep the limiter alive


async def test_limiter_is_found_inside_another(openai_llm: Make, ledger: Ledger) -> None:
    class Outer(Counting):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def acquire(self, num_tokens: int = 0) -> None:
            self.inner.acquire(num_tokens)

    llm = openai_llm(**CAP)
    llm.rate_limiter = Outer(BudgetRateLimiter(budgets=[FOR_THREE], ledger=ledger))
    for _ in range(4):
        llm.chat(MESSAGES)
    with pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES, max_tokens=4000)
    assert [row.note for row in rows(ledger)] == [""] * 4


async def test_copied_llm_spends_from_the_same_limiter(openai_llm: Make, ledger: Ledger) -> None:
    llm = openai_llm(**CAP)
    llm.rate_limiter = BudgetRateLimiter(budgets=[FOR_THREE], ledger=ledger)
    copied = copy.deepcopy(llm)
    assert copied.rate_limiter is llm.rate_limiter


def test_limiter_that_is_gone_takes_the_handlers_along(dispatcher: Any, ledger: Ledger) -> None:
    before = len(dispatcher.event_handlers)
    limiter = BudgetRateLimiter(budgets=[FOR_THREE], ledger=ledger)
    assert len(dispatcher.event_handlers) == before + 1
    del limiter
    assert len(dispatcher.event_handlers) == before


# -- handlers of one's own ---------------------------------------------------------------------


def test_budgets_of_handlers_that_the_user_installs(
    dispatcher: Any, openai_llm: Make, ledger: Ledger
) -> None:
    events = CostEventHandler(ledger, budgets=[NOTHING])
    spans = CostSpanHandler(events)
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    try:
        with pytest.raises(BudgetExceeded):
            openai_llm().chat(MESSAGES)
        with track_cost(ledger, budgets=[FOR_THREE]), pytest.raises(BudgetExceeded):
            openai_llm(**CAP).chat(MESSAGES)
    finally:
        dispatcher.event_handlers = [h for h in dispatcher.event_handlers if h is not events]
        dispatcher.span_handlers = [h for h in dispatcher.span_handlers if h is not spans]
    assert rows(ledger) == []
    assert states(ledger, FOR_THREE) == (0, 0)


def test_thread_that_waits_for_a_slow_limiter_does_not_hold_others(
    openai_llm: Make, ledger: Ledger
) -> None:
    waiting, go = threading.Event(), threading.Event()

    class Waiting(Counting):
        def acquire(self, num_tokens: int = 0) -> None:
            waiting.set()
            assert go.wait(5)

    slow = openai_llm(**CAP)
    slow.rate_limiter = Waiting()
    with track_cost(ledger, budgets=[Budget.usd("0.0007", per="lifetime")]):
        thread = threading.Thread(target=slow.chat, args=(MESSAGES,))
        thread.start()
        assert waiting.wait(5)
        openai_llm(**CAP).chat(MESSAGES)  # has all the room: nothing is held while waiting
        go.set()
        thread.join()
    assert len(rows(ledger)) == 2


async def test_every_answer_of_a_call_without_a_cap_is_held(
    openai_llm: Make, ledger: Ledger
) -> None:
    held: list[Decimal] = []
    for options in ({}, {"n": 3}):
        with track_cost(ledger, budgets=[NOTHING]), pytest.raises(BudgetExceeded) as refusal:
            openai_llm().chat(MESSAGES, **options)
        held.append(refusal.value.needed_usd)
    assert held[1] > held[0] * Decimal("2.99")
