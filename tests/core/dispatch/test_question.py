"""Which text is embedded for a decision, what that costs, and that nothing waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from frugal_chains.dispatch import Embedded, EmbeddingModel, QuestionEmbedder, Router
from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import Keywords, RoutingPolicy, Rule, SimilarTo
from frugal_chains.routing.gain import BlendedGain, Example, fit_gain
from tests.core.routing.requests import THREE, Oracle, request

Ask = Callable[[QuestionEmbedder, RequestFacts], Awaitable[Embedded]]


class Letters:
    """Texts as one number each, and what it was asked for."""

    def __init__(self, *, fails: bool = False, delay_s: float = 0.0) -> None:
        self.fails, self.delay_s = fails, delay_s
        self.asked: list[str] = []

    def embed(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        time.sleep(self.delay_s)
        if self.fails:
            raise ConnectionError("no embeddings today")
        return [float(len(text)), 1.0]

    async def aembed(self, text: str) -> Sequence[float]:
        delay_s, self.delay_s = self.delay_s, 0.0
        await asyncio.sleep(delay_s)
        return self.embed(text)

    def model(self, model: str = "", provider: str = "") -> EmbeddingModel:
        return EmbeddingModel(embed=self.embed, aembed=self.aembed, model=model, provider=provider)


async def _embed(embedder: QuestionEmbedder, asked: RequestFacts) -> Embedded:
    return embedder.embed(asked)


async def _aembed(embedder: QuestionEmbedder, asked: RequestFacts) -> Embedded:
    return await embedder.aembed(asked)


both_ways = pytest.mark.parametrize("ask", [_embed, _aembed], ids=["sync", "async"])

NEAR = SimilarTo(("x",), 0.9, ((1.0, 0.0),))
BY_MEANING = RoutingPolicy(rules=(Rule(name="x", when=NEAR, to="specialist"),))


def embedder(
    letters: Letters, policy: RoutingPolicy = BY_MEANING, limit_s: float = 2.0, **named: Any
) -> QuestionEmbedder:
    return QuestionEmbedder(Router(THREE, policy), letters.model(**named), limit_s=limit_s)


# -- the text ----------------------------------------------------------------------------------


class Gain(Oracle):
    """A gain model that looks at embeddings, and knows a head."""

    needs_embedding = True

    def distinct(self, question: str) -> str:
        return question.removeprefix("Answer in one line. ")


HEADED = request("Answer in one line. Why is the sky blue?")


@pytest.mark.parametrize(
    ("policy", "asked", "text"),
    [
        (RoutingPolicy(), HEADED, ""),
        (RoutingPolicy(gain=Oracle(workhorse=1)), HEADED, ""),
        (BY_MEANING, HEADED, "answer in one line. why is the sky blue?"),
        (BY_MEANING, request("first", "hi", "Please,  then? Thanks!"), "then?"),
        (BY_MEANING, request(" \n"), ""),
        (BY_MEANING, RequestFacts(messages=()), ""),
        (RoutingPolicy(gain=Gain(workhorse=1)), HEADED, "Why is the sky blue?"),
        (RoutingPolicy(gain=Gain(workhorse=1)), request("Answer in one line. "),
         "answer in one line."),
        (replace(BY_MEANING, gain=Gain(workhorse=1)), HEADED, "Why is the sky blue?"),
        (replace(BY_MEANING, gain=Oracle(workhorse=1)), HEADED,
         "answer in one line. why is the sky blue?"),
    ],
)  # fmt: skip
def test_what_is_embedded_for_a_request(
    policy: RoutingPolicy, asked: RequestFacts, text: str
) -> None:
    assert Router(THREE, policy).embedded_text(asked) == text


HEAD = "You are the careful assistant of a large company and answer in one line only. " * 6


def calibrated() -> BlendedGain:
    """From 60 prompts that all begin with one head of 84 words."""
    hard, easy = ("proof", "theorem", "lemma"), ("river", "song", "city")
    rows = [
        Example(
            prompt=f"{HEAD}Tell of the {kind[n % 3]} number {n}.",
            scores={"gatekeeper": float(kind is easy), "specialist": 1.0},
            embedding=[float(kind is hard), float(kind is easy)],
        )
        for n in range(30)
        for kind in (hard, easy)
    ]
    return fit_gain(rows, ("gatekeeper", "specialist")).model


@both_ways
async def test_a_head_that_calibration_prompts_share_is_not_embedded(ask: Ask) -> None:
    letters = Letters()
    asking = embedder(letters, RoutingPolicy(gain=calibrated()))
    await ask(asking, request(f"{HEAD}Which bridge is old?"))
    (text,) = letters.asked
    assert "company" not in text
    assert text.replace(" ", "").endswith("whichbridgeisold?")
    await ask(asking, request(f"{HEAD}Which tower is old?"))
    assert letters.asked[1] == text.replace("bridge", "tower")


class BrokenGain(Gain):
    def distinct(self, question: str) -> str:
        raise ZeroDivisionError("gain model")


class HangingGain(Gain):
    def distinct(self, question: str) -> str:
        time.sleep(30)
        return ""


@both_ways
@pytest.mark.parametrize("gain", [BrokenGain(workhorse=1), HangingGain(workhorse=1)])
async def test_a_gain_model_that_fails_has_the_whole_question_embedded(
    gain: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._router._FOREIGN_S", 0.1)
    letters = Letters()
    await ask(embedder(letters, RoutingPolicy(gain=gain)), HEADED)
    assert letters.asked == ["answer in one line. why is the sky blue?"]
    assert "the whole question is embedded" in caplog.text


async def test_the_event_loop_does_not_wait_for_a_gain_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frugal_chains.dispatch.routing._router._FOREIGN_S", 0.3)
    asking = embedder(Letters(), RoutingPolicy(gain=HangingGain(workhorse=1)))
    work = asyncio.create_task(asking.aembed(HEADED))
    began = time.perf_counter()
    await asyncio.sleep(0.01)
    assert time.perf_counter() - began < 0.2
    await work


# -- asking once, and not for long -------------------------------------------------------------


@both_ways
async def test_a_question_is_embedded_once(ask: Ask) -> None:
    letters = Letters()
    asking = embedder(letters)
    one = await ask(asking, request("four"))
    assert one == Embedded(vector=(4.0, 1.0))
    assert (await ask(asking, request("four"))).vector == (4.0, 1.0)
    assert letters.asked == ["four"]


@both_ways
async def test_of_many_questions_the_last_256_used_are_remembered(ask: Ask) -> None:
    letters = Letters()
    asking = embedder(letters)
    for n in range(256):
        await ask(asking, request(f"question {n}"))
    await ask(asking, request("question 0"))
    await ask(asking, request("one more"))
    assert len(letters.asked) == 257
    await ask(asking, request("question 0"))
    assert len(letters.asked) == 257
    await ask(asking, request("question 1"))
    assert letters.asked[-1] == "question 1"


@both_ways
@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"fails": True}, "ConnectionError"),
        ({"delay_s": 0.5}, "no answer within 0.05 s"),
    ],
)
async def test_an_embedder_that_fails_or_hangs_is_a_warning(
    options: Any, warning: str, ask: Ask
) -> None:
    asking = embedder(Letters(**options), limit_s=0.05)
    began = time.perf_counter()
    found = await ask(asking, request("four"))
    assert time.perf_counter() - began < 0.4
    assert found == Embedded(warnings=(f"decided without the embedder: {warning}",))


@both_ways
async def test_a_timeout_of_the_embedders_own_is_told_by_its_class(ask: Ask) -> None:
    def slow(text: str) -> Sequence[float]:
        raise TimeoutError("read timed out")

    async def aslow(text: str) -> Sequence[float]:
        return slow(text)

    model = EmbeddingModel(embed=slow, aembed=aslow)
    found = await ask(QuestionEmbedder(Router(THREE, BY_MEANING), model, limit_s=1), request("x"))
    assert found.warnings == ("decided without the embedder: TimeoutError",)


@both_ways
async def test_what_is_no_vector_is_a_warning(ask: Ask) -> None:
    async def aembed(text: str) -> Any:
        return None

    model = EmbeddingModel(embed=lambda text: None, aembed=aembed)  # type: ignore[arg-type,return-value]
    found = await ask(QuestionEmbedder(Router(THREE, BY_MEANING), model, limit_s=1), request("x"))
    assert found.vector is None
    assert "TypeError" in found.warnings[0]


@both_ways
async def test_an_embedder_that_keeps_failing_is_left_alone_for_a_while(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("frugal_chains.dispatch.routing._question.time.monotonic", lambda: now_s)
    letters = Letters(fails=True)
    asking = embedder(letters)
    for n in range(6):
        found = await ask(asking, request(f"question {n}"))
    assert len(letters.asked) == 3
    assert found.warnings == ("decided without the embedder: it keeps failing",)
    now_s, letters.fails = 1016.0, False
    assert (await ask(asking, request("seven"))).vector == (5.0, 1.0)


@both_ways
async def test_failures_between_successes_are_not_keeping_on(ask: Ask) -> None:
    letters = Letters()
    asking = embedder(letters)
    for n in range(10):
        letters.fails = n % 3 != 2
        found = await ask(asking, request(f"question {n}"))
    assert len(letters.asked) == 10
    assert "ConnectionError" in found.warnings[0]


@both_ways
async def test_a_warning_does_not_repeat_what_an_error_says(ask: Ask) -> None:
    """Clients quote what they have sent, and providers keys; a warning is kept in the ledger."""
    model = EmbeddingModel(embed=lambda text: raises(text), aembed=lambda text: araises(text))
    found = await ask(QuestionEmbedder(Router(THREE, BY_MEANING), model, limit_s=1), request("x"))
    assert found.warnings == ("decided without the embedder: ValueError",)


def raises(text: str) -> Sequence[float]:
    raise ValueError(f"400: {text!r} and sk-live-1")


async def araises(text: str) -> Sequence[float]:
    return raises(text)


def test_a_decision_carries_the_warnings_of_the_adapter_and_of_the_embedder() -> None:
    found = embedder(Letters(fails=True)).embed(JOKE)
    decision = Router(THREE, BY_MEANING).plan(JOKE, embedded=found, warnings=("odd",)).decision
    assert decision.warnings[:2] == (
        "odd",
        "decided without the embedder: ConnectionError",
    )


def test_a_decision_looks_at_the_vector() -> None:
    router = Router(THREE, BY_MEANING)
    near, far = Embedded(vector=(5.0, 0.0)), Embedded(vector=(0.0, 5.0))
    decisions = [router.plan(JOKE, embedded=each).decision for each in (near, far)]
    assert [each.reason for each in decisions] == ["rule:x", "default"]


async def test_a_function_of_texts_does_not_hold_the_event_loop() -> None:
    began, released = threading.Event(), threading.Event()

    def slow(texts: Sequence[str], /) -> Sequence[Sequence[float]]:
        began.set()
        assert released.wait(4), "the loop was held"
        return [[1.0] for _ in texts]

    asking = QuestionEmbedder(Router(THREE, BY_MEANING), EmbeddingModel.of(slow), limit_s=9)
    work = asyncio.create_task(asking.aembed(request("four")))
    while not began.is_set():
        await asyncio.sleep(0.005)
    released.set()  # by this loop
    assert (await work).vector == (1.0,)


@both_ways
async def test_no_embedder_is_a_warning_where_one_is_needed(ask: Ask) -> None:
    asking = QuestionEmbedder(Router(THREE, BY_MEANING), None, limit_s=1)
    assert "there is no embedder" in (await ask(asking, request("x"))).warnings[0]
    asking = QuestionEmbedder(Router(THREE), None, limit_s=1)
    assert await ask(asking, request("x")) == Embedded()


def test_work_that_hangs_for_good_is_not_begun_again_and_again() -> None:
    release, begun = threading.Event(), []
    patience = Patience("test", 0.01)

    def work() -> bool:
        begun.append(1)
        return release.wait(30)

    try:
        for _ in range(4):
            with pytest.raises(GaveUp, match=r"no answer within 0\.01 s"):
                patience.wait_for(work)
        with pytest.raises(GaveUp, match="4 earlier calls of it still hang"):
            patience.wait_for(work)
        assert len(begun) == 4
    finally:
        release.set()


def test_work_that_hung_for_a_while_makes_room_when_it_ends() -> None:
    release = threading.Event()
    patience = Patience("test", 0.05)
    for _ in range(4):
        with pytest.raises(GaveUp, match="no answer"):
            patience.wait_for(lambda: release.wait(30))
    release.set()
    for thread in threading.enumerate():
        if thread.name == "test":
            thread.join(5)
    assert patience.wait_for(lambda: "done") == "done"


def test_work_sees_what_is_set_around_it() -> None:
    around: ContextVar[str] = ContextVar("around", default="")
    around.set("a run")
    assert Patience("test", 1).wait_for(around.get) == "a run"


def test_work_that_would_end_the_process_is_an_error_of_its_own() -> None:
    def work() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        Patience("test", 1).wait_for(work)


# -- what it costs -----------------------------------------------------------------------------

# cl100k_base, by OpenAI's tokenizer page: "tell me a joke about beans" is 6 tokens.
JOKE = request("tell me a joke about beans")
PRICES = """
[[price]]
provider = "acme"
model = "acme-embed"
input = 5
output = 0
"""


@both_ways
@pytest.mark.parametrize(
    ("model", "provider", "nanos"),
    [
        # $0.02 and $0.13 a million tokens, openai.com/api/pricing, read 2026-11-21.
        ("text-embedding-3-small", "openai", 6 * 20),
        ("text-embedding-3-large", "openai", 6 * 130),
        ("all-MiniLM-L6-v2", "huggingface-local", 0),
        ("zeta-embed", "house", None),
        ("text-embedding-3-small", "house", None),
        ("", "openai", None),
    ],
)
async def test_what_deciding_cost_is_known_where_the_price_is(
    model: str, provider: str, nanos: int | None, ask: Ask
) -> None:
    asking = embedder(Letters(), model=model, provider=provider)
    found = await ask(asking, JOKE)
    assert found.nanos == nanos
    assert (await ask(asking, JOKE)).nanos == 0  # remembered: nobody was asked


def test_a_price_of_the_users_own_counts(tmp_path: Any) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICES)
    router = Router(THREE, BY_MEANING, prices=PriceBook.load(file))
    model = Letters().model("acme-embed", "acme")
    nanos = QuestionEmbedder(router, model, limit_s=1).embed(JOKE).nanos
    tokens = router.counter.count_text("tell me a joke about beans", model="acme-embed").tokens
    assert tokens > 0
    assert nanos == tokens * 5_000


def test_a_decision_says_what_it_cost_itself() -> None:
    router = Router(THREE, BY_MEANING)
    asking = QuestionEmbedder(
        router, Letters().model("text-embedding-3-small", "openai"), limit_s=1
    )
    decision = router.plan(JOKE, embedded=asking.embed(JOKE)).decision
    assert decision.deciding_nanos == 120
    assert decision.to_json()["deciding_nanos"] == 120
    assert "Deciding cost $0.00000012." in decision.explain()
    free = router.plan(JOKE, embedded=Embedded(vector=(26.0, 1.0))).decision
    assert free.deciding_nanos is None
    assert "deciding_nanos" not in free.to_json()
    assert "Deciding" not in free.explain()
    assert replace(decision, deciding_nanos=None) == free  # it changes no choice


async def test_a_function_of_texts_serves_and_ours_are_free() -> None:
    class Mine:
        def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]:
            return [[float(len(text))] for text in texts]

    class Ours(Mine):
        __module__ = "frugal_chains.local._embedder"

    for kind, nanos in ((Mine, None), (Ours, 0)):
        router = Router(THREE, BY_MEANING)
        asking = QuestionEmbedder(router, EmbeddingModel.of(kind()), limit_s=1)
        assert asking.embed(request("four")) == Embedded(vector=(4.0,), nanos=nanos)
        assert await asking.aembed(request("three")) == Embedded(vector=(5.0,), nanos=nanos)


def test_a_failed_embedding_has_no_known_cost() -> None:
    asking = embedder(Letters(fails=True), model="text-embedding-3-small", provider="openai")
    assert asking.embed(JOKE).nanos is None


def test_signals_of_letters_alone_embed_nothing() -> None:
    rule = Rule(name="x", when=Keywords("joke") | SimilarTo(("a joke",)), to="specialist")
    letters = Letters()
    assert embedder(letters, RoutingPolicy(rules=(rule,))).embed(JOKE) == Embedded()
    assert letters.asked == []
