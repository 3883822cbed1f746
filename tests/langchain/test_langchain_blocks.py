"""`track_cost` blocks: inside each other, in threads and pools, and after they have ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import pytest
from langchain_core.runnables import RunnableLambda

from frugal_chains import Budget, Ledger
from frugal_chains.tracking import operation
from langchain_frugal import BudgetExceeded, CostCallbackHandler, track_cost
from tests.servers import Reply, ScriptedServer, Tokens

TIGHT_USD = "0.0012"
ANSWER = Reply("some", usage=Tokens(fresh=7000, visible=5))
"""gpt-4o-mini: 7000 in at $0.15 and 5 out at $0.60 per million, $0.001053: the first call fits
into `TIGHT_USD`, no second one does beside its output cap of 1000 tokens, $0.0006
(openai.com/api/pricing, read 2026-11-21)."""


def direct(call: Callable[[], Any]) -> Any:
    return call()


def in_thread(call: Callable[[], Any]) -> Any:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def in_pool(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("way", [direct, in_thread, in_pool])
def test_an_inner_block_does_not_leave_the_budgets_of_the_outer_one(
    way: Callable[..., Any], scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    scripted.script(ANSWER)
    model = chat_openai(max_tokens=1000)

    def ask() -> None:
        with track_cost(feature="search") as inner:
            inners.append(inner)
            model.invoke("hello")

    inners: list[Any] = []
    budgets = [Budget.usd(TIGHT_USD, per="lifetime")]
    with track_cost(ledger, budgets=budgets, block="outer") as outer:
        ask()
        with pytest.raises(BudgetExceeded):
            way(ask)
    (row,) = ledger.attempts()
    assert row.tags == {"feature": "search"}
    assert (outer.attempts, [inner.attempts for inner in inners]) == (0, [1, 0])
    assert len(scripted.requests) == 1


def test_an_inner_block_adds_its_budgets_and_ends_with_them(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model = chat_openai()
    with track_cost(ledger, budgets=[Budget.usd(1)]):
        with track_cost(budgets=[Budget.usd(0)]), pytest.raises(BudgetExceeded):
            model.invoke("hello")
        model.invoke("hello")
    assert len(scripted.requests) == 1


def test_a_block_on_another_ledger_has_budgets_of_its_own(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model = chat_openai()
    with Ledger.open("memory://") as other, track_cost(ledger, budgets=[Budget.usd(0)]):
        with track_cost(other):
            model.invoke("hello")
            with track_cost(ledger), pytest.raises(BudgetExceeded):
                model.invoke("hello")
        assert [len(list(books.attempts())) for books in (ledger, other)] == [0, 1]


def test_a_block_in_a_node_holds_what_is_asked_of_the_run_and_of_the_block(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    """The run has the outer block's handler by then, the model gets both."""
    scripted.script(ANSWER)
    model = chat_openai(max_tokens=1000)

    def node(question: str) -> Any:
        with track_cost(feature="search") as inner:
            inners.append(inner)
            return model.invoke(question)

    inners: list[Any] = []
    chain = RunnableLambda(node)
    with track_cost(ledger, budgets=[Budget.usd(TIGHT_USD, per="lifetime")]) as outer:
        chain.invoke("hello")
        with pytest.raises(BudgetExceeded):
            chain.invoke("hello")
    assert len(scripted.requests) == 1
    assert (outer.attempts, inners[0].attempts, inners[1].attempts) == (1, 1, 0)


@pytest.mark.parametrize("way", [in_thread, in_pool])
@pytest.mark.parametrize(
    ("per", "tag"), [("run", None), ("operation", None), ("lifetime", "tenant")]
)
def test_budgets_of_an_operation_hold_in_its_threads(
    per: Any, tag: str | None, way: Callable[..., Any], scripted: ScriptedServer,
    chat_openai: Any, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.script(ANSWER)
    model = chat_openai(max_tokens=1000)
    with (
        track_cost(ledger, budgets=[Budget.usd(TIGHT_USD, per=per, tag=tag)]),
        operation("request", run_id="run", tenant="acme"),
    ):
        way(lambda: model.invoke("hello"))
        with pytest.raises(BudgetExceeded):
            way(lambda: model.invoke("hello"))
    (row,) = ledger.attempts()
    assert (row.operation_id, row.tags) == ("request", {"tenant": "acme"})


async def test_a_worker_of_anyio_books_what_comes_from_elsewhere_elsewhere(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    """As FastAPI runs its requests: in tasks of their own, on the same worker threads."""
    model, workers = chat_openai(), set()

    def ask() -> None:
        workers.add(threading.get_ident())
        model.invoke("hello")

    async def request(tenant: str) -> None:
        if not tenant:
            await anyio.to_thread.run_sync(ask)
            return
        with track_cost(ledger, tenant=tenant):
            await anyio.to_thread.run_sync(ask)

    for tenant in ("a", "", "b", ""):
        await asyncio.create_task(request(tenant))
    assert len(workers) == 1
    assert len(scripted.requests) == 4
    assert [row.tags for row in ledger.attempts()] == [{"tenant": "a"}, {"tenant": "b"}]


async def test_every_handler_of_a_cancelled_call_lets_go_of_it(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=5))
    first, second = CostCallbackHandler(ledger), CostCallbackHandler(ledger)
    call = chat_openai().ainvoke("hello", config={"callbacks": [first, second, first]})
    task = asyncio.create_task(call)
    while not scripted.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert (first._watches, second._watches) == ({}, {})
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind) == ("aborted", "cancelled")
