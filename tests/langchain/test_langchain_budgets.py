"""Budgets hold, say why, and leave nothing behind; agents can stop politely."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

import frugal_chains
from frugal_chains import Budget, Ledger
from langchain_frugal import BudgetExceeded, BudgetMiddleware, CostCallbackHandler, track_cost
from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

# gpt-4o-mini: $0.15 in, $0.60 out per million tokens (openai.com/api/pricing, read 2026-11-21).
# "hello" is 1 token in a frame of 7: with a cap of 100 a call may cost 1.2 + 60 micro-USD.
WORST_USD = (8 * Decimal("0.15") + 100 * Decimal("0.6")) / 1_000_000
USAGE = Tokens(fresh=8, visible=100)


def _reserved(ledger: Ledger, handler: CostCallbackHandler) -> list[int]:
    return [s.reserved_nanos for s in handler.tracker.pressure()]


def _always(scripted: ScriptedServer, reply: Reply) -> None:
    scripted.script(*[reply] * 200)


def test_a_budget_stops_the_call_that_would_pass_it_and_not_one_before(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD * 3, per="day")])
    model, config = chat_openai(max_tokens=100), {"callbacks": [handler]}
    for _ in range(3):
        model.invoke("hello", config=config)
    with pytest.raises(BudgetExceeded) as refused:
        model.invoke("hello", config=config)
    error = refused.value
    assert (error.scope, error.spent_usd, error.limit_usd) == ("day", WORST_USD * 3, WORST_USD * 3)
    assert error.needed_usd == WORST_USD
    assert "on_exceeded='warn'" in str(error)
    assert len(scripted.requests) == 3
    assert _reserved(ledger, handler) == [0]
    assert len(list(ledger.attempts())) == 3


def test_the_refusal_is_both_librarys_error_and_survives_pickling() -> None:
    error = BudgetExceeded(
        scope="day, tenant=acme", spent_usd=Decimal(4), limit_usd=Decimal(5), needed_usd=Decimal(2)
    )
    assert isinstance(error, ModelError)
    assert isinstance(error, frugal_chains.BudgetExceeded)
    assert not error.is_retryable
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is BudgetExceeded
    assert (str(again), again.limit_usd, again.scope) == (str(error), Decimal(5), error.scope)


def test_several_answers_hold_as_many_output_caps(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD * 2, per="day")])
    with pytest.raises(BudgetExceeded) as refused:
        chat_openai(max_tokens=100, n=3).generate([[HumanMessage("hello")]], callbacks=[handler])
    assert refused.value.needed_usd == WORST_USD + 200 * Decimal("0.6") / 1_000_000
    assert scripted.requests == []


@pytest.mark.parametrize("how", ["threads", "tasks", "batch"])
async def test_no_overshoot_under_concurrency(
    how: str, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE, delay_s=0.02))
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD * 10, per="lifetime")])
    model, config = chat_openai(max_tokens=100), {"callbacks": [handler]}
    if how == "tasks":
        calls = (model.ainvoke("hello", config=config) for _ in range(40))
        results = await asyncio.gather(*calls, return_exceptions=True)
    elif how == "threads":
        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(model.invoke, "hello", config) for _ in range(40)]
            results = [f.exception() or f.result() for f in futures]
    else:
        config = {**config, "max_concurrency": 16}
        results = await asyncio.to_thread(
            model.batch, ["hello"] * 40, config, return_exceptions=True
        )
    refused = [r for r in results if isinstance(r, BudgetExceeded)]
    assert (len(refused), len(scripted.requests)) == (30, 10)
    assert ledger.totals()[0].cost_usd == WORST_USD * 10
    assert _reserved(ledger, handler) == [0]


def test_each_value_of_a_tag_has_its_own_budget(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    budget = Budget.usd(WORST_USD, per="day", tag="tenant")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    model = chat_openai(max_tokens=100)

    def call(tenant: str) -> None:
        model.invoke("hello", config={"callbacks": [handler], "metadata": {"tenant": tenant}})

    call("acme")
    call("beta")
    with pytest.raises(BudgetExceeded, match="tenant=acme"):
        call("acme")


def test_per_run_is_one_outermost_call_and_per_operation_is_what_operation_groups(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    model = chat_openai(max_tokens=100)
    twice = model | (lambda m: [HumanMessage("hello")]) | model
    with track_cost(ledger, budgets=[Budget.usd(WORST_USD, per="run")]):
        model.invoke("hello")
        model.invoke("hello")  # another run, a fresh budget
        with pytest.raises(BudgetExceeded, match="run"):
            twice.invoke("hello")
    with track_cost(ledger, budgets=[Budget.usd(WORST_USD, per="operation")]):
        model.invoke("hello")
        with frugal_chains.operation():
            model.invoke("hello")
            with pytest.raises(BudgetExceeded, match="operation"):
                model.invoke("hello")


def test_warn_lets_pass_and_says_so_once(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    budget = Budget.usd(WORST_USD, per="day", on_exceeded="warn")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    for _ in range(4):
        chat_openai(max_tokens=100).invoke("hello", config={"callbacks": [handler]})
    assert caplog.text.count("budget [day] exceeded") == 1
    assert ["warn" in row.note for row in ledger.attempts()] == [False, True, True, True]


def test_downgrade_is_a_signal_that_can_be_read(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    budget = Budget.usd(WORST_USD * 2, per="day", on_exceeded="downgrade")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    model, config = chat_openai(max_tokens=100), {"callbacks": [handler]}
    model.invoke("hello", config=config)
    (state,) = handler.tracker.pressure()
    assert (state.left_usd, state.budget.on_exceeded) == (WORST_USD, "downgrade")
    for _ in range(2):
        model.invoke("hello", config=config)
    (state,) = handler.tracker.pressure()
    assert state.exceeded
    assert state.left_usd == 0


def test_an_unpriced_model_cannot_be_held_by_a_dollar_budget(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(5)])
    with pytest.raises(BudgetExceeded, match=r"prices\.toml"):
        chat_openai("zeta-9000").invoke("hello", config={"callbacks": [handler]})
    assert scripted.requests == []


def test_failed_and_cancelled_calls_give_back_what_they_held(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    scripted.script(Reply(status=500), Reply("late", delay_s=2), Reply("one two three four"))
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(1, per="day")])
    model, config = chat_openai(max_tokens=100, stream_usage=True), {"callbacks": [handler]}
    with pytest.raises(Exception, match="500"):
        model.invoke("hello", config=config)

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(model.ainvoke("hello", config=config), 0.1)
        await asyncio.sleep(0.05)

    asyncio.run(cancelled())
    stream = model.stream("hello", config=config)
    next(stream)
    stream.close()
    (state,) = handler.tracker.pressure()
    assert state.reserved_nanos == 0
    assert state.spent_usd == ledger.totals()[0].cost_usd > 0


def test_fallbacks_are_asked_one_by_one_and_a_cheaper_model_may_still_fit(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD, per="day")])
    dear, cheap = chat_openai("gpt-4o", max_tokens=100), chat_openai(max_tokens=100)
    answer = dear.with_fallbacks([cheap]).invoke("hello", config={"callbacks": [handler]})
    assert answer.content == "hi"
    assert [row.model for row in ledger.attempts()] == ["gpt-4o-mini"]


# -- agents ------------------------------------------------------------------------------------


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word} means something"


def _calls_a_tool_for_ever(scripted: ScriptedServer) -> None:
    call = ToolCall("look_up", {"word": "x"})
    _always(scripted, Reply(None, tool_calls=(call,), usage=Tokens(fresh=40, visible=100)))


async def _run(agent: Any, is_async: bool, config: Any) -> Any:
    question = {"messages": [("user", "go")]}
    return await agent.ainvoke(question, config) if is_async else agent.invoke(question, config)


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_agent_is_stopped_by_the_handlers_budget(
    is_async: bool, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _calls_a_tool_for_ever(scripted)
    agent = create_agent(chat_openai(max_tokens=100), [look_up])
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd("0.0008", per="run")])
    config = {"callbacks": [handler], "recursion_limit": 60}
    with pytest.raises(BudgetExceeded):
        await _run(agent, is_async, config)
    total = ledger.totals()[0]
    assert Decimal("0.0006") < total.cost_usd <= Decimal("0.0008")
    assert total.operations == 1


def test_retry_middleware_does_not_swallow_the_refusal_nor_turn_it_into_an_answer(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    agent = create_agent(
        chat_openai(max_tokens=100), [], middleware=[ModelRetryMiddleware(max_retries=3)]
    )
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(0, per="run")])
    with pytest.raises(BudgetExceeded):
        agent.invoke({"messages": [("user", "go")]}, {"callbacks": [handler]})
    assert scripted.requests == []


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_middleware_ends_the_agent_with_an_answer(
    is_async: bool, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _calls_a_tool_for_ever(scripted)
    middleware = BudgetMiddleware([Budget.usd("0.0008", per="run")], ledger=ledger)
    agent = create_agent(chat_openai(max_tokens=100), [look_up], middleware=[middleware])
    config = {"recursion_limit": 60}
    for run in (1, 2):  # every invocation has a fresh budget
        result = await _run(agent, is_async, config)
        last = result["messages"][-1]
        assert isinstance(last, AIMessage)
        assert "budget" in last.content
        assert last.response_metadata["budget"]["limit_usd"] == "0.000800000"
        assert Decimal("0.0006") < middleware.total.cost_usd / run <= Decimal("0.0008")
    assert ledger.totals()[0].operations == 2


def test_the_middleware_beside_a_handler_counts_once_and_keeps_both_budgets(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _calls_a_tool_for_ever(scripted)
    middleware = BudgetMiddleware([Budget.usd(1, per="run")], ledger=ledger)
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd("0.0008", per="run")])
    agent = create_agent(chat_openai(max_tokens=100), [look_up], middleware=[middleware])
    result = agent.invoke(
        {"messages": [("user", "go")]}, {"callbacks": [handler], "recursion_limit": 60}
    )
    assert result["messages"][-1].response_metadata["budget"]["limit_usd"] == "0.000800000"
    assert handler.total.attempts == middleware.total.attempts == len(scripted.requests)
    assert ledger.totals()[0].attempts == len(scripted.requests)


def test_fallback_middleware_is_asked_again_for_each_model(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    agent = create_agent(
        chat_openai("gpt-4o", max_tokens=100),
        [],
        middleware=[ModelFallbackMiddleware(chat_openai(max_tokens=100))],
    )
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD * 2, per="run")])
    agent.invoke({"messages": [("user", "hello")]}, {"callbacks": [handler]})
    assert [row.model for row in ledger.attempts()] == ["gpt-4o-mini"]


def test_agents_name_themselves_their_nodes_and_their_threads(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    agent = create_agent(chat_openai(), [look_up], name="librarian")
    handler = CostCallbackHandler(ledger)
    agent.invoke(
        {"messages": [("user", "go")]},
        {"callbacks": [handler], "configurable": {"thread_id": "t-9"}},
    )
    (row,) = ledger.attempts(thread_id="t-9")
    assert (row.tags["agent"], row.tags["node"]) == ("librarian", "model")


async def _three_calls(model: Any, how: str, callbacks: Any) -> None:
    questions = [[HumanMessage("hello")]] * 3
    match how:
        case "invoke":
            model.batch(questions, {"callbacks": callbacks, "max_concurrency": 1})
        case "ainvoke":
            await model.abatch(questions, {"callbacks": callbacks, "max_concurrency": 1})
        case "generate":
            model.generate(questions, callbacks=callbacks)
        case "agenerate":
            await model.agenerate(questions, callbacks=callbacks)


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "generate", "agenerate"])
@pytest.mark.parametrize("first", ["open", "stop"])
async def test_a_refusal_leaves_nothing_in_the_books_of_another_ledger(
    first: str, how: str, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    _always(scripted, Reply("hi", usage=USAGE))
    with Ledger.open("memory://") as other:
        handlers = {
            "open": CostCallbackHandler(other, budgets=[Budget.usd(1, per="day")]),
            "stop": CostCallbackHandler(ledger, budgets=[Budget.usd(WORST_USD * 2, per="day")]),
        }
        callbacks = [handlers.pop(first), *handlers.values()]
        with pytest.raises(BudgetExceeded):
            await _three_calls(chat_openai(max_tokens=100), how, callbacks)
        sent = 2 if how.endswith("invoke") else 0
        assert len(scripted.requests) == sent
        for handler in callbacks:
            assert _reserved(handler.ledger, handler) == [0]
            assert [row.status for row in handler.ledger.attempts()] == ["ok"] * sent
