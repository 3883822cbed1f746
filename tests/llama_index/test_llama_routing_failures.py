"""What goes wrong on the way: providers that fail, streams that break, keys that are missing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from llama_index.core.llms import ChatMessage, LLMMetadata, MockLLM

from frugal_chains import Budget, BudgetExceeded, Ledger
from frugal_chains.dispatch import UserCheck
from frugal_chains.facts import RequestFacts
from frugal_chains.money import usd_from_nanos
from frugal_chains.routing import CannedAnswer, Cascade, Keywords, RoutingPolicy, Rule, Signal
from frugal_chains.routing.cascade import AnswerFacts, Verdict
from frugal_chains.tracking import Tracker
from llama_index_frugal import RoutingLLM, track_cost
from tests.llama_index.asking import MESSAGES, PROMPT, WAYS, ask, rows
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]

CHEAP_FIRST = RoutingPolicy(default_tier="gatekeeper")


@pytest.fixture
def router(openai_llm: Make) -> Make:
    def make(policy: RoutingPolicy | None = CHEAP_FIRST, **options: Any) -> RoutingLLM:
        tiers = {
            "gatekeeper": openai_llm("gpt-4.1-nano"),
            "workhorse": openai_llm("gpt-4.1-mini"),
            "specialist": openai_llm("gpt-4.1"),
        }
        return RoutingLLM(tiers, policy, **options)

    return make


def models_asked(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_the_next_model_answers_for_one_whose_provider_fails(
    way: str, status: int, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply(status=status), Reply("here"))
    with track_cost(ledger) as spent:
        answer = await ask(router(), way)
    assert str(answer).removeprefix("assistant: ") == "here"
    assert models_asked(scripted) == ["gpt-4.1-nano", "gpt-4.1-mini"]
    failed, kept = rows(ledger)
    assert (failed.status, failed.cost_usd, kept.status) == ("error", 0, "ok")
    assert kept.cost_usd == spent.cost_usd
    assert kept.decision is not None
    assert kept.decision["routing"]["step"]["candidate"] == "workhorse"
    note = answer.additional_kwargs["frugal"]
    assert (note["chosen"], note["candidate"]) == ("gatekeeper", "workhorse")
    assert note["model"] == "gpt-4.1-mini"


@pytest.mark.parametrize("way", WAYS)
async def test_when_nobody_answers_the_error_is_of_the_model_meant_to(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    scripted.script(*(Reply(status=status) for status in (429, 500, 503)))
    with pytest.raises(openai.RateLimitError):
        await ask(router(), way)
    assert len(scripted.requests) == 3


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_that_is_wrong_is_wrong_for_all(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=400))
    with pytest.raises(openai.BadRequestError):
        await ask(router(), way)
    assert len(scripted.requests) == 1


async def test_a_model_without_a_key_is_replaced(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = openai_llm("gpt-4.1-nano", api_key=None)
    llm = RoutingLLM({"gatekeeper": keyless, "workhorse": openai_llm("gpt-4.1-mini")}, CHEAP_FIRST)
    with track_cost(ledger):
        for way in WAYS[:2]:
            assert (await ask(llm, way)).additional_kwargs["frugal"]["candidate"] == "workhorse"
    assert models_asked(scripted) == ["gpt-4.1-mini"] * 2
    first = rows(ledger)[0]
    assert (first.status, first.error_kind, first.cost_usd) == ("error", "auth", 0)


async def test_a_model_that_keeps_failing_is_left_alone(
    router: Make, scripted: ScriptedServer
) -> None:
    llm = router()

    def answer(request: Any) -> Reply:
        return Reply(status=500) if request.body["model"] == "gpt-4.1-nano" else Reply("here")

    scripted.always(answer)
    for _ in range(5):
        llm.chat(MESSAGES)
    assert models_asked(scripted).count("gpt-4.1-nano") == 3
    assert "failures in a row" in llm.decide(PROMPT).weighed[0].excluded


async def test_the_bill_is_the_sum_of_the_attempts(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Drafts, failures, streams, canned answers and refusals included, to the nano-dollar."""

    def unsure(request: RequestFacts, answer: AnswerFacts) -> Verdict:
        return Verdict(code="short") if len(answer.text) < 20 else Verdict()

    policy = RoutingPolicy(
        default_tier="gatekeeper",
        cascade=Cascade(validators=(unsure,)),
        canned_answers=(CannedAnswer(name="hi", when=Keywords("hello"), answer="Hello."),),
    )
    llm = router(policy)
    scripted.script(Reply("short"), Reply(status=500), Reply("an answer that is long enough"))
    with track_cost(ledger) as spent:
        llm.complete("hello")
        for way in WAYS:
            await ask(llm, way)
    attempts = rows(ledger)
    assert {a.status for a in attempts} == {"ok", "error", "cached"}
    assert {a.purpose for a in attempts} == {"answer", "draft"}
    assert len(attempts) == len(scripted.requests) + 1 == spent.attempts
    billed = sum(a.price.nanos or 0 for a in attempts)
    assert billed > 0
    assert spent.cost_usd == usd_from_nanos(billed)
    (total,) = ledger.totals()
    assert total.cost_usd == spent.cost_usd


@pytest.mark.parametrize("way", WAYS)
async def test_a_budget_without_room_for_the_stronger_model_is_heard(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """It is neither an error to fall back from, nor one to keep a rejected draft for."""

    def unsure(request: RequestFacts, answer: AnswerFacts) -> Verdict:
        return Verdict(code="unsure")

    llm = router(RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(unsure,))))
    # 100 tokens of output cost $0.00004 of the cheapest model, $0.00016 of the next one.
    budgets = [Budget.usd("0.0001", per="lifetime")]
    with track_cost(ledger, budgets=budgets), pytest.raises(BudgetExceeded):
        await ask(llm, way, max_tokens=100)
    assert models_asked(scripted) == ["gpt-4.1-nano"]


# -- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [way for way in WAYS if "stream" in way])
async def test_a_stream_that_has_begun_is_not_replaced(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply("one two three four", cut_after_chunks=3, cut_cleanly=False))
    with track_cost(ledger), pytest.raises(httpx.RemoteProtocolError):
        await ask(router(), way)
    assert models_asked(scripted) == ["gpt-4.1-nano"]
    (attempt,) = rows(ledger)
    assert attempt.error_kind == "connection"


async def test_a_dropped_stream_closes_that_of_the_model(
    router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("one two three four five six seven"))
    with track_cost(ledger):
        chunks = router().stream_chat(MESSAGES)
        next(chunks)
        next(chunks)
        chunks.close()
        achunks = await router().astream_chat(MESSAGES)
        await anext(achunks)
        await anext(achunks)
        await achunks.aclose()
    assert [(a.status, a.error_kind) for a in rows(ledger)] == [("aborted", "closed")] * 2
    assert all(a.decision for a in rows(ledger))


async def test_a_stream_is_closed_at_once_and_not_when_nobody_holds_it() -> None:
    held: list[Any] = []
    closed: list[str] = []

    def chunks() -> Any:
        try:
            while True:
                yield MockLLM().chat(MESSAGES)
        finally:
            closed.append("sync")

    async def achunks() -> Any:
        try:
            while True:
                yield MockLLM().chat(MESSAGES)
        finally:
            closed.append("async")

    class Endless(MockLLM):
        def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
            held.append(chunks())
            return held[-1]

        async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
            held.append(achunks())
            return held[-1]

    llm = RoutingLLM({"workhorse": Endless()})
    stream = llm.stream_chat(MESSAGES)
    next(stream)
    stream.close()
    astream = await llm.astream_chat(MESSAGES)
    await anext(astream)
    await astream.aclose()
    assert closed == ["sync", "async"]


@pytest.mark.parametrize("way", ["stream_chat", "stream_chat_with_tools"])
def test_a_stream_that_is_read_elsewhere_is_booked_where_it_was_asked_for(
    way: str, router: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """The first model fails only when its stream is read: the second one is called outside."""
    scripted.script(Reply(status=500), Reply("here"))
    with track_cost(ledger):
        llm = router()
        with_tools = way == "stream_chat_with_tools"
        chunks = llm.stream_chat_with_tools([], PROMPT) if with_tools else llm.stream_chat(MESSAGES)
    assert list(chunks)[-1].message.content == "here"
    assert [(a.model, a.status) for a in rows(ledger)] == [
        ("gpt-4.1-nano", "error"), ("gpt-4.1-mini", "ok"),
    ]  # fmt: skip


def test_an_empty_stream_is_an_answer() -> None:
    class Silent(MockLLM):
        def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
            return iter(())

    assert list(RoutingLLM({"workhorse": Silent()}).stream_chat(MESSAGES)) == []


# -- giving up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["achat", "acomplete", "astream_chat"])
async def test_a_cancelled_request_goes_to_nobody_else(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    scripted.always(Reply("late", delay_s=5.0))
    task = asyncio.create_task(ask(router(), way))
    while not scripted.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(scripted.requests) == 1


# -- deciding ----------------------------------------------------------------------------------


class Raises(Signal):
    def why(self, seen: Any) -> str:
        raise RuntimeError("a classifier of my own")


class Hangs(Signal):
    def why(self, seen: Any) -> str:
        import time

        time.sleep(3.0)
        return "too late"


def with_signal(signal: Signal) -> RoutingPolicy:
    return RoutingPolicy(rules=(Rule(name="own", when=signal, to="specialist"),))


async def test_when_the_router_fails_the_default_tier_answers(
    router: Make, scripted: ScriptedServer
) -> None:
    llm = router(with_signal(Raises()))
    for answer in (llm.chat(MESSAGES), await llm.achat(MESSAGES)):
        note = answer.additional_kwargs["frugal"]
        assert (note["reason"], note["candidate"]) == ("fail_open", "workhorse")
        assert note["warnings"][0] == "the router failed: RuntimeError"
    assert models_asked(scripted) == ["gpt-4.1-mini"] * 2


async def test_a_classifier_that_hangs_does_not_hold_up_other_tasks(
    router: Make, scripted: ScriptedServer
) -> None:
    llm = router(with_signal(Hangs()))
    asking = asyncio.create_task(llm.achat(MESSAGES))
    ticks = 0
    while not asking.done():
        await asyncio.sleep(0.02)
        ticks += 1
    assert (await asking).additional_kwargs["frugal"]["reason"] == "fail_open"
    assert ticks > 20
    assert models_asked(scripted) == ["gpt-4.1-mini"]


def test_the_window_of_a_model_counts(openai_llm: Make, scripted: ScriptedServer) -> None:
    class Small(MockLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(context_window=50, model_name="small", is_chat_model=True)

    llm = RoutingLLM({"gatekeeper": Small(), "workhorse": openai_llm("gpt-4.1-mini")}, CHEAP_FIRST)
    answer = llm.chat([ChatMessage(role="user", content="many words " * 100)])
    assert answer.additional_kwargs["frugal"]["candidate"] == "workhorse"
    decision = llm.decide("short", max_tokens=100)
    assert "100 of output do not fit" in decision.weighed[0].excluded


def test_signals_look_at_what_differs(router: Make) -> None:
    policy = RoutingPolicy(rules=(Rule(name="hard", when=Keywords("proof"), to="specialist"),))
    llm = router(policy)
    head = [
        ChatMessage(role="system", content="You write proofs. " * 50 + "A proof is a proof."),
        ChatMessage(role="user", content="Example: a proof of one."),
        ChatMessage(role="assistant", content="One is one."),
    ]
    plain = llm.decide([*head, ChatMessage(role="user", content="How are you?")])
    hard = llm.decide([*head, ChatMessage(role="user", content="A  PROOF of two,\nplease")])
    assert (plain.reason, hard.reason) == ("default", "rule:hard")


@pytest.mark.parametrize("way", ["achat", "acomplete", "astream_chat", "astream_complete"])
async def test_a_slow_check_does_not_hold_the_event_loop(
    way: str, router: Make, scripted: ScriptedServer
) -> None:
    def slow(_: RequestFacts, answer: AnswerFacts) -> bool:
        began.set()
        return released.wait(2)

    began, released = threading.Event(), threading.Event()
    check = UserCheck(slow, timeout_s=4)
    llm = router(RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(check,))))
    answering = asyncio.create_task(ask(llm, way))
    while not began.is_set():
        await asyncio.sleep(0.005)
    released.set()  # by this loop, which would hang if it waited for the check
    await answering
    assert models_asked(scripted) == ["gpt-4.1-nano"]


async def test_budgets_are_read_for_a_decision_off_the_event_loop(
    router: Make, scripted: ScriptedServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, released = threading.Event(), threading.Event()

    def slow(*_: object) -> list[Any]:
        began.set()
        assert released.wait(4), "the loop was held"
        return []

    monkeypatch.setattr(Tracker, "pressure", slow)
    with track_cost(ledger, budgets=[Budget.usd(1, per="day", on_exceeded="downgrade")]):
        answering = asyncio.create_task(ask(router(), "achat"))
        while not began.is_set():
            await asyncio.sleep(0.005)
        released.set()  # by this loop
        await answering
    (attempt,) = rows(ledger)
    assert "warnings" not in (attempt.decision or {})["routing"]


@pytest.mark.parametrize("way", [way for way in WAYS if "stream" in way])
async def test_a_stream_that_breaks_off_counts_as_a_failure(
    way: str, openai_llm: Make, scripted: ScriptedServer
) -> None:
    tiers = {"gatekeeper": openai_llm("gpt-4.1-nano"), "specialist": openai_llm("gpt-4.1")}
    llm = RoutingLLM(tiers, RoutingPolicy(default_tier="gatekeeper"))
    for _ in range(3):
        scripted.script(Reply("one two three four", cut_after_chunks=3, cut_cleanly=False))
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
            await ask(llm, way)
    assert "3 failures in a row" in llm.explain(PROMPT)
