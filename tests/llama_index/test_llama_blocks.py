"""`track_cost` blocks: inside each other, and the threads that calls are made in."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import pytest
from llama_index.core.llms import ChatMessage, ChatResponse, CustomLLM, MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.llms.openai import OpenAI
from llama_index_instrumentation.dispatcher import instrument_tags

from frugal_chains import Budget, BudgetExceeded, Ledger
from frugal_chains.tracking import operation
from llama_index_frugal import track_cost
from tests.llama_index.asking import MESSAGES, ask, only, rows
from tests.servers import Reply, ScriptedServer, Tokens

Make = Callable[..., Any]

TIGHT_USD = "0.0012"
ANSWER = Reply("some", usage=Tokens(fresh=7000, visible=5))
"""gpt-4o-mini: 7000 in at $0.15 and 5 out at $0.60 per million, $0.001053: the first call fits
into `TIGHT_USD`, no second one does beside its output cap of 1000 tokens, $0.0006
(openai.com/api/pricing, read 2026-11-21)."""


def in_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def in_pool(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("way", ["chat", "astream_chat"])
async def test_an_inner_block_does_not_leave_the_budgets_of_the_outer_one(
    way: str, scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    scripted.script(ANSWER)
    llm = openai_llm(max_tokens=1000)
    budgets = [Budget.usd(TIGHT_USD, per="lifetime")]
    with track_cost(ledger, budgets=budgets, block="outer") as outer:
        with track_cost(feature="search") as first:
            await ask(llm, "chat")
        with track_cost(feature="search") as second, pytest.raises(BudgetExceeded):
            await ask(llm, way)
    assert only(ledger).tags == {"feature": "search"}
    assert (outer.attempts, first.attempts, second.attempts) == (0, 1, 0)
    assert len(scripted.requests) == 1
    assert llm.rate_limiter is None


def test_an_inner_block_adds_its_budgets_and_ends_with_them(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    llm = openai_llm()
    with track_cost(ledger, budgets=[Budget.usd(1)]):
        with track_cost(budgets=[Budget.usd(0)]), pytest.raises(BudgetExceeded):
            llm.chat(MESSAGES)
        llm.chat(MESSAGES)
    assert len(scripted.requests) == 1


def test_a_block_on_another_ledger_has_budgets_of_its_own(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    llm = openai_llm()
    with Ledger.open("memory://") as other, track_cost(ledger, budgets=[Budget.usd(0)]):
        with track_cost(other):
            llm.chat(MESSAGES)
            with track_cost(ledger), pytest.raises(BudgetExceeded):
                llm.chat(MESSAGES)
        assert [len(rows(books)) for books in (ledger, other)] == [0, 1]


@pytest.mark.parametrize("way", [in_thread, in_pool])
@pytest.mark.parametrize(
    ("per", "tag"), [("run", None), ("operation", None), ("lifetime", "tenant")]
)
def test_budgets_of_an_operation_hold_in_its_threads(
    per: Any, tag: str | None, way: Callable[..., Any], scripted: ScriptedServer,
    openai_llm: Make, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.script(ANSWER)
    llm = openai_llm(max_tokens=1000)
    with (
        track_cost(ledger, budgets=[Budget.usd(TIGHT_USD, per=per, tag=tag)]),
        operation("request", run_id="run", tenant="acme"),
        instrument_tags({"user": "ann"}),
    ):
        way(lambda: llm.chat(MESSAGES))
        with pytest.raises(BudgetExceeded):
            way(lambda: llm.chat(MESSAGES))
    row = only(ledger)
    assert (row.operation_id, row.tags) == ("request", {"tenant": "acme", "user": "ann"})


# -- wrappers whose inner call is made in a thread ---------------------------------------------


class Aside(CustomLLM):
    """A wrapper that asks the LLM inside it in a thread, to give up in time."""

    inner: Any
    way: Any

    @property
    def metadata(self) -> Any:
        return self.inner.metadata

    @llm_chat_callback()
    def chat(self, messages: Any, **options: Any) -> ChatResponse:
        answer: ChatResponse = self.way(lambda: self.inner.chat(messages))
        return answer

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **options: Any) -> Any:
        return self.way(lambda: self.inner.complete(prompt))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **options: Any) -> Any:
        raise NotImplementedError


class AsideOpenAI(OpenAI):
    """The same by inheritance: both calls have a price."""

    @llm_chat_callback()
    def chat(self, messages: Any, **options: Any) -> ChatResponse:
        return in_pool(lambda: super(AsideOpenAI, self).chat(messages))  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", [in_thread, in_pool])
@pytest.mark.parametrize("ask_by", ["chat", "complete"])
def test_a_wrapper_that_asks_in_a_thread_is_not_booked_beside_its_inner_call(
    ask_by: str, way: Callable[..., Any], scripted: ScriptedServer, openai_llm: Make,
    ledger: Ledger,
) -> None:  # fmt: skip
    llm = Aside(inner=openai_llm(), way=way)
    with track_cost(ledger) as spent:
        getattr(llm, ask_by)(MESSAGES if ask_by == "chat" else "how many?")
    row = only(ledger)
    assert (row.provider, row.model, spent.attempts) == ("openai", "gpt-4o-mini", 1)
    assert row.operation_id.startswith("Aside.")


def test_a_subclass_that_asks_in_a_thread_is_booked_and_held_once(
    scripted: ScriptedServer, openai_llm: Make, ledger: Ledger
) -> None:
    llm = openai_llm(cls=AsideOpenAI)
    with track_cost(ledger, budgets=[Budget.usd(1, per="lifetime")]):
        llm.chat(MESSAGES)
    assert only(ledger).note == ""
    with track_cost(ledger, budgets=[Budget.usd(0)]), pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES)
    assert len(scripted.requests) == 1
    assert len(rows(ledger)) == 1


def test_a_thread_that_outlives_the_call_it_began_in_makes_calls_of_its_own(
    ledger: Ledger,
) -> None:
    """Its span id is carried, but a parent counts only while it is open."""
    go = threading.Event()
    threads: list[threading.Thread] = []

    def later() -> None:
        go.wait(5)
        MockLLM().complete("later")

    def begin(call: Callable[[], Any]) -> Any:
        threads.append(threading.Thread(target=later))
        threads[0].start()
        return call()

    with track_cost(ledger, block="a"):
        Aside(inner=MockLLM(), way=begin).complete("now")
    go.set()
    threads[0].join()
    assert [row.tags for row in rows(ledger)] == [{"block": "a"}] * 2
    assert len({row.operation_id for row in rows(ledger)}) == 2


# -- who is in a block -------------------------------------------------------------------------


async def test_a_worker_of_anyio_books_what_comes_from_elsewhere_elsewhere(
    ledger: Ledger,
) -> None:
    """As FastAPI runs its requests: in tasks of their own, on the same worker threads."""
    workers = set()

    def complete() -> None:
        workers.add(threading.get_ident())
        MockLLM().complete("hi")

    async def request(tenant: str) -> None:
        if not tenant:
            await anyio.to_thread.run_sync(complete)
            return
        with track_cost(ledger, tenant=tenant):
            await anyio.to_thread.run_sync(complete)

    for tenant in ("a", "", "b", ""):
        await asyncio.create_task(request(tenant))
    assert len(workers) == 1
    assert [row.tags for row in rows(ledger)] == [{"tenant": "a"}, {"tenant": "b"}]


def test_a_generator_may_leave_its_block_in_another_context(ledger: Ledger) -> None:
    def stream() -> Iterator[Any]:
        with track_cost(ledger):
            yield MockLLM().chat([ChatMessage("hi")])
            yield None

    before = threading.Thread.start, ThreadPoolExecutor.submit
    generator = stream()
    contextvars.copy_context().run(next, generator)
    assert list(generator) == [None]
    MockLLM().complete("unseen")
    only(ledger)
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before
