"""What goes wrong: providers, keys, classifiers, budgets. The request goes on, or says why."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelError
from langchain_openai import ChatOpenAI

import frugal_chains
from frugal_chains import Budget, Ledger
from frugal_chains.dispatch import UserCheck
from frugal_chains.routing import Cascade, RoutingPolicy, Rule, SimilarTo
from frugal_chains.tracking import Tracker
from langchain_frugal import (
    BudgetExceeded,
    CostCallbackHandler,
    RequestRefused,
    RoutingChatModel,
    track_cost,
)
from tests.langchain.routers import CASCADE, POLICY, STRONG, WAYS, WEAK, Runs
from tests.servers import Reply, ScriptedServer, Tokens


@pytest.fixture
def tiers(chat_openai: Any) -> dict[str, Any]:
    make = {"stream_usage": True}
    return {"gatekeeper": chat_openai(WEAK, **make), "workhorse": chat_openai(STRONG, **make)}


@pytest.fixture
def router(tiers: dict[str, Any]) -> RoutingChatModel:
    return RoutingChatModel(tiers, policy=POLICY)


def _models(scripted: ScriptedServer) -> list[str]:
    return [request.body["model"] for request in scripted.requests]


# -- providers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_when_a_provider_fails_the_next_one_answers(
    way: str, router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.script(Reply(status=503), Reply("here"))
    runs, handler = Runs(), CostCallbackHandler(ledger)
    assert await WAYS[way](router, "hello", {"callbacks": [runs, handler]}) == "here"
    assert _models(scripted) == [WEAK, STRONG]
    assert runs.seen.count("LLM error") == 1
    assert runs.seen[-1] == "RoutingChatModel end"
    rows = list(ledger.attempts())
    assert [(row.status, row.error_kind) for row in rows] == [("error", "overloaded"), ("ok", "")]
    assert handler.total.cost_usd == rows[1].cost_usd


@pytest.mark.parametrize("way", WAYS)
async def test_when_all_fail_the_error_is_that_of_who_was_meant_to_answer(
    way: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=429), Reply(status=500))
    runs = Runs()
    with pytest.raises(openai.RateLimitError):
        await WAYS[way](router, "hello", {"callbacks": [runs]})
    assert runs.seen[-1] == "RoutingChatModel error"


async def test_a_request_that_is_wrong_is_not_tried_elsewhere(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=400))
    with pytest.raises(openai.BadRequestError):
        await router.ainvoke("hello")
    assert _models(scripted) == [WEAK]


@pytest.mark.parametrize("way", ["stream", "astream", "v3", "av3"])
async def test_from_the_first_piece_on_nobody_else_is_asked(
    way: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply("one two three", fail_after_chunks=3))
    with pytest.raises(openai.APIError):
        await WAYS[way](router, "hello", {})
    assert _models(scripted) == [WEAK]


def test_an_answer_says_who_failed_before(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=503), Reply("here"), Reply(status=503), Reply("here"))
    mark = router.invoke("hello").response_metadata["frugal"]
    assert mark["candidate"] == "workhorse"
    assert mark["others"] == [{"candidate": "gatekeeper", "why": "error: overloaded"}]
    first = next(router.stream("hello"))
    assert first.response_metadata["frugal"]["others"] == mark["others"]


def test_a_model_that_keeps_failing_is_left_alone(
    router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    for _ in range(3):
        scripted.script(Reply(status=503), Reply("here"))
        router.invoke("hello")
    assert router.invoke("hello").response_metadata["frugal"]["candidate"] == "workhorse"
    assert _models(scripted)[-2:] == [STRONG, STRONG]
    assert "failures in a row" in router.explain("hello")


@pytest.mark.parametrize("way", ["stream", "astream", "v3", "av3"])
async def test_a_stream_that_breaks_off_counts_as_a_failure(
    way: str, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    for _ in range(3):
        scripted.script(Reply("one two three four", cut_after_chunks=3, cut_cleanly=False))
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
            await WAYS[way](router, "hello", {})
    assert "3 failures in a row" in router.explain("hello")


def test_a_kept_draft_says_why_it_was_kept(tiers: Any, scripted: ScriptedServer) -> None:
    router = RoutingChatModel(tiers, policy=CASCADE)
    scripted.script(Reply("perhaps"), Reply(status=500))
    answer = router.invoke("is it?")
    assert answer.text == "perhaps"
    mark = answer.response_metadata["frugal"]
    assert mark["candidate"] == "gatekeeper"
    assert {"candidate": "workhorse", "why": "error: server"} in mark["others"]


# -- keys --------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_made_is_left_out_and_said_so(
    chat_openai: Any, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    tiers = {"gatekeeper": lambda: ChatOpenAI(model=WEAK), "workhorse": chat_openai(STRONG)}
    router = RoutingChatModel(
        tiers,
        policy=RoutingPolicy(default_tier="gatekeeper"),
        candidates={"gatekeeper": {"model": WEAK, "provider": "openai"}},  # else it has no price
    )
    mark = router.invoke("hello").response_metadata["frugal"]
    assert mark["candidate"] == "workhorse"
    assert "others" not in mark  # it was not even tried
    assert "gatekeeper is left out: it could not be made: OpenAIError" in mark["warnings"][0]
    assert "left out: it could not be made" in router.explain("hello")


def test_without_any_model_the_error_is_that_of_its_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    router = RoutingChatModel({"workhorse": lambda: ChatOpenAI(model=STRONG)})
    with pytest.raises(openai.OpenAIError, match="api_key"):
        router.invoke("hello")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_falls_back(
    status: int, router: RoutingChatModel, scripted: ScriptedServer
) -> None:
    scripted.script(Reply(status=status), Reply("here"))
    assert router.invoke("hello").text == "here"


def test_a_key_that_is_missed_at_the_call_falls_back(
    chat_openai: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    tiers = {
        "gatekeeper": ChatAnthropic(model="claude-haiku-4-5"),
        "workhorse": chat_openai(STRONG),
    }
    router = RoutingChatModel(tiers, policy=RoutingPolicy(default_tier="gatekeeper"))
    assert router.invoke("hello", route="gatekeeper").text == "hello"


# -- classifiers -------------------------------------------------------------------------------


class Vectors(Embeddings):
    """Two directions: proofs, and all else."""

    def __init__(self, *, fails: bool = False, delay_s: float = 0.0) -> None:
        self.fails, self.delay_s = fails, delay_s
        self.asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        time.sleep(self.delay_s)
        if self.fails:
            raise ConnectionError("no embeddings today")
        return [[1.0, 0.0] if "prove" in text else [0.0, 1.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        pytest.fail("examples are embedded as documents, so questions have to be too")


def _by_meaning() -> RoutingPolicy:
    near = SimilarTo.embedded(["prove it"], Vectors().embed_documents, at_least=0.9)
    return RoutingPolicy(
        rules=(Rule(name="proof", when=near, to="workhorse"),), default_tier="gatekeeper"
    )


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_questions_are_embedded_where_the_policy_compares_meanings(
    way: str, tiers: Any
) -> None:
    vectors = Vectors()
    router = RoutingChatModel(tiers, policy=_by_meaning(), embedder=vectors)
    await WAYS[way](router, [("system", "You prove."), ("user", "go on, prove")], {})
    assert vectors.asked == ["go on, prove"]
    assert router.decide("go on, prove").candidate == "workhorse"
    assert vectors.asked == ["go on, prove"]  # an agent asks the same question many times
    assert router.decide("hello").candidate == "gatekeeper"


class OpenAIEmbeddings(Vectors):
    """Of a provider, with a client for each way of calling."""

    model = "text-embedding-3-small"

    def __init__(self) -> None:
        super().__init__()
        self.awaited = 0

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        return self.embed_documents(texts)


async def test_in_an_event_loop_the_question_is_embedded_with_await(
    tiers: Any, ledger: Ledger
) -> None:
    vectors = OpenAIEmbeddings()
    router = RoutingChatModel(tiers, policy=_by_meaning(), embedder=vectors)
    router.invoke("prove one")
    assert vectors.awaited == 0
    config: Any = {"callbacks": [CostCallbackHandler(ledger)]}
    await router.ainvoke("tell me a joke about beans", config)
    assert vectors.awaited == 1
    (row,) = ledger.attempts()
    # 6 tokens by its tokenizer page, $0.02 a million, openai.com/api/pricing, 2026-11-21.
    assert (row.decision or {})["routing"]["deciding_nanos"] == 6 * 20


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("vectors", "warning"),
    [
        (Vectors(fails=True), "without the embedder: ConnectionError"),
        (Vectors(delay_s=1), "without the embedder: no answer within 0.05 s"),
        (None, "there is no embedder"),
    ],
    ids=["raises", "hangs", "missing"],
)
async def test_an_embedder_that_fails_costs_no_answer(
    way: str, vectors: Any, warning: str, tiers: Any
) -> None:
    router = RoutingChatModel(
        tiers, policy=_by_meaning(), embedder=vectors, embedding_timeout_s=0.05
    )
    began = time.perf_counter()
    assert await WAYS[way](router, "prove it", {}) == "prove it"
    assert time.perf_counter() - began < 0.9
    assert any(warning in each for each in router.decide("prove that").warnings)


class Classifier:
    """A gain model of the user's."""

    names: Sequence[str] = ("gatekeeper", "workhorse")
    needs_embedding = False

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s

    def predict(self, question: str, embedding: Any = None) -> Mapping[str, float]:
        time.sleep(self.delay_s)
        raise RuntimeError("no classes today")


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("delay_s", [0.0, 1.5], ids=["raises", "hangs"])
async def test_a_classifier_that_fails_costs_no_answer(
    way: str, delay_s: float, tiers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._router._FOREIGN_S", 0.2)
    gain: Any = Classifier(delay_s)
    policy = RoutingPolicy(gain=gain, default_tier="workhorse")
    router = RoutingChatModel(tiers, policy=policy)
    began = time.perf_counter()
    answer = await router.ainvoke("hello") if way == "ainvoke" else router.invoke("hello")
    assert time.perf_counter() - began < 1.4
    mark = answer.response_metadata["frugal"]
    assert (mark["candidate"], mark["reason"]) == ("workhorse", "fail_open")
    assert "the router failed" in mark["warnings"][0]


# -- the gate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_a_known_answer_needs_no_model_and_is_in_the_books(
    way: str, router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    runs, handler = Runs(), CostCallbackHandler(ledger)
    config: Any = {"callbacks": [runs, handler]}
    assert await WAYS[way](router, "What are your opening hours?", config) == "From 9 to 5."
    assert scripted.requests == []
    (row,) = ledger.attempts()
    assert (row.status, row.model, row.cost_usd) == ("cached", "canned:hours", 0)
    assert row.decision is not None
    assert row.decision["routing"]["reason"] == "gate:hours"
    assert runs.seen.count("LLM start") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_guardrail_refuses_and_is_in_the_books(
    way: str, router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    with pytest.raises(RequestRefused, match="No secrets"):
        await WAYS[way](router, "the password?", {"callbacks": [CostCallbackHandler(ledger)]})
    assert scripted.requests == []
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.cost_usd) == ("error", "refused", 0)
    assert row.model == "guardrail:secrets"


def test_a_refusal_is_both_librarys_error_and_not_retried(router: RoutingChatModel) -> None:
    with pytest.raises(RequestRefused) as refused:
        router.invoke("the password?")
    assert isinstance(refused.value, ModelError)
    assert isinstance(refused.value, frugal_chains.errors.RequestRefused)
    assert not refused.value.is_retryable


def test_a_refused_request_for_a_schema_is_refused(router: RoutingChatModel) -> None:
    with pytest.raises(RequestRefused):
        router.with_structured_output({"title": "t", "type": "object"}).invoke("the password?")


def test_who_asks_for_a_model_gets_past_no_guardrail(router: RoutingChatModel) -> None:
    with pytest.raises(RequestRefused):
        router.invoke("the password?", route="workhorse")


# -- budgets -----------------------------------------------------------------------------------


def test_a_budget_stops_the_request_and_no_other_model_is_tried(
    router: RoutingChatModel, scripted: ScriptedServer, ledger: Ledger
) -> None:
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd("0.000001", per="day")])
    for way in (router.invoke, lambda *a: list(router.stream(*a))):
        with pytest.raises(BudgetExceeded):
            way("prove it", {"callbacks": [handler]})
    assert scripted.requests == []


def test_a_budget_that_ends_at_an_escalation_is_told(
    tiers: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """And not hidden behind the draft that did not hold."""
    router = RoutingChatModel(tiers, policy=CASCADE)
    scripted.always(Reply("perhaps", usage=Tokens(fresh=40_000, visible=10)))  # 6 thousandths
    budget = Budget.usd("0.011", per="day")  # room for the longest draft, and no stronger answer
    with track_cost(ledger, budgets=[budget]), pytest.raises(BudgetExceeded):
        router.invoke("is it?")
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("where", ["handler", "block"])
def test_a_budget_may_ask_for_less(
    where: str, tiers: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    router = RoutingChatModel(tiers, policy=replace(POLICY, default_tier="workhorse"))
    budget = Budget.usd("0.005", per="day", on_exceeded="downgrade")
    scripted.always(Reply("so", usage=Tokens(fresh=1000, visible=300)))  # 5.5 thousandths
    if where == "handler":
        config: Any = {"callbacks": [CostCallbackHandler(ledger, budgets=[budget])]}
        chosen = [router.invoke("hello", config) for _ in range(2)]
    else:
        with track_cost(ledger, budgets=[budget]):
            chosen = [router.invoke("hello") for _ in range(2)]
    marks = [answer.response_metadata["frugal"] for answer in chosen]
    assert [mark["candidate"] for mark in marks] == ["workhorse", "gatekeeper"]
    assert marks[1]["reason"] == "budget"


def test_a_budget_of_a_run_is_that_of_the_run_around(
    tiers: Any, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Two calls of one chain share it, the next chain has one of its own."""
    from langchain_core.runnables import RunnableLambda

    router = RoutingChatModel(tiers, policy=replace(POLICY, default_tier="workhorse"))
    budget = Budget.usd("0.005", per="run", on_exceeded="downgrade")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    scripted.always(Reply("so", usage=Tokens(fresh=1000, visible=300)))
    twice = RunnableLambda(lambda q: [router.invoke(q), router.invoke(q)])
    for _ in range(2):
        answers = twice.invoke("hello", {"callbacks": [handler]})
        names = [answer.response_metadata["frugal"]["candidate"] for answer in answers]
        assert names == ["workhorse", "gatekeeper"]


@pytest.mark.parametrize("way", ["ainvoke", "astream", "abatch", "agenerate", "av3"])
async def test_a_slow_check_does_not_hold_the_event_loop(
    way: str, tiers: Any, scripted: ScriptedServer
) -> None:
    def slow(*_: object) -> bool:
        began.set()
        return released.wait(2)

    began, released = threading.Event(), threading.Event()
    cascade = Cascade(validators=(UserCheck(slow, timeout_s=4),))
    router = RoutingChatModel(
        tiers, policy=RoutingPolicy(default_tier="gatekeeper", cascade=cascade)
    )
    answering = asyncio.create_task(WAYS[way](router, "hello", {}))
    while not began.is_set():
        await asyncio.sleep(0.005)
    released.set()  # by this loop, which would hang if it waited for the check
    assert await answering == "hello"
    assert _models(scripted) == [WEAK]


async def test_budgets_are_read_for_a_decision_off_the_event_loop(
    tiers: Any, scripted: ScriptedServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, released = threading.Event(), threading.Event()

    def slow(*_: object) -> list[Any]:
        began.set()
        assert released.wait(4), "the loop was held"
        return []

    monkeypatch.setattr(Tracker, "pressure", slow)
    budget = Budget.usd(1, per="day", on_exceeded="downgrade")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    router = RoutingChatModel(tiers)
    answering = asyncio.create_task(router.ainvoke("hello", {"callbacks": [handler]}))
    while not began.is_set():
        await asyncio.sleep(0.005)
    released.set()  # by this loop
    answer = await answering
    assert answer.response_metadata["frugal"].get("warnings") is None


async def test_a_classifier_that_is_slow_does_not_hold_the_event_loop(tiers: Any) -> None:
    gain: Any = Classifier(0.5)
    router = RoutingChatModel(tiers, policy=RoutingPolicy(gain=gain))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.02)
            beats += 1

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    assert (await router.ainvoke("hello")).text == "hello"
    heart.cancel()
    assert beats > 10


def test_the_row_of_a_refusal_and_of_a_known_answer_say_why(
    router: RoutingChatModel, ledger: Ledger
) -> None:
    config: Any = {"callbacks": [CostCallbackHandler(ledger)]}
    mark = router.invoke("your opening hours?", config).response_metadata["frugal"]
    assert (mark["candidate"], mark["reason"]) == ("canned:hours", "gate:hours")
    assert "tier" not in mark
    with pytest.raises(RequestRefused):
        router.invoke("the password?", config)
    said = [(row.decision or {})["routing"] for row in ledger.attempts()]
    assert [(each["action"], each["reason"]) for each in said] == [
        ("answer", "gate:hours"),
        ("refuse", "gate:secrets"),
    ]


def test_a_known_answer_is_not_kept_by_the_cache_of_langchain(
    router: RoutingChatModel, tiers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy may say something else tomorrow."""
    monkeypatch.setattr("langchain_core.globals._llm_cache", InMemoryCache())
    assert router.invoke("your opening hours?").text == "From 9 to 5."
    later = replace(POLICY.canned_answers[0], answer="Closed.")
    changed = RoutingChatModel(tiers, policy=replace(POLICY, canned_answers=(later,)))
    assert changed.invoke("your opening hours?").text == "Closed."
