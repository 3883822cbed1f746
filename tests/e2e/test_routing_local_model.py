"""Routed calls of a real model: every row has the price of the usage that the server reported.

One small model on loopback stands behind two names with two prices. What it reports is read off its
answers over HTTP, and each bill is worked out from that again, without any code of this library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from langchain_openai import ChatOpenAI
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

import langchain_frugal
import llama_index_frugal
from frugal_chains import Ledger
from frugal_chains.dispatch import UserCheck
from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Attempt
from frugal_chains.local import LocalModel
from frugal_chains.routing import Cascade, RoutingPolicy
from frugal_chains.routing.cascade import AnswerFacts
from frugal_chains.tracking import shared_prices
from langchain_frugal import RoutingChatModel
from llama_index_frugal import RoutingLLM
from tests.langchain.routers import Runs

WEAK, STRONG = "gpt-4o-mini", "gpt-4o"
# The integrations know these names; the prices are ours, in USD per million tokens.
PRICES = f"""
[[price]]
provider = "openai"
model = "{WEAK}"
input = 3.21
cache_read = 0.13
output = 9.87

[[price]]
provider = "openai"
model = "{STRONG}"
input = 41.03
cache_read = 5.7
output = 97.11
"""
NANOS_PER_TOKEN = {WEAK: (3_210, 130, 9_870), STRONG: (41_030, 5_700, 97_110)}
"""Fresh input, input read from the cache, output."""

QUESTIONS = ("What is 2 + 2? Answer with digits.", "Say hi to my cat.")
ANSWERS: dict[str, Any] = {"max_tokens": 16, "temperature": 0}


def has_a_number(text: str) -> bool:
    return any(map(str.isdigit, text))


def _holds(_: RequestFacts, answer: AnswerFacts) -> bool:
    return has_a_number(answer.text)


POLICY = RoutingPolicy(default_tier="gatekeeper", cascade=Cascade(validators=(UserCheck(_holds),)))


class Answered(NamedTuple):
    """One answer of the server, as it went over the wire."""

    model: str
    """The one that was asked for."""
    nanos: int
    cached_tokens: int
    text: str


class Wire:
    """HTTP clients that keep what the server says in each answer."""

    def __init__(self) -> None:
        self.answers: list[Answered] = []
        self.earlier: list[Answered] = []
        self.client = httpx.Client(event_hooks={"response": [self._heard]})
        self.async_client = httpx.AsyncClient(event_hooks={"response": [self._aheard]})

    def _heard(self, response: httpx.Response) -> None:
        response.read()
        self._keep(response)

    async def _aheard(self, response: httpx.Response) -> None:
        await response.aread()
        self._keep(response)

    def _keep(self, response: httpx.Response) -> None:
        asked = json.loads(response.request.content)["model"]
        lines = [line[5:] for line in response.text.splitlines() if line.startswith("data:")]
        bodies = [json.loads(b) for b in lines or [response.text] if b.strip() != "[DONE]"]
        (usage,) = [body["usage"] for body in bodies if body.get("usage")]
        parts = [choice.get("message") or choice["delta"]
                 for body in bodies for choice in body["choices"]]  # fmt: skip
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        fresh, read, written = NANOS_PER_TOKEN[asked]
        nanos = (
            (usage["prompt_tokens"] - cached) * fresh
            + cached * read
            + usage["completion_tokens"] * written
        )
        text = "".join(part.get("content") or "" for part in parts)
        self.answers.append(Answered(asked, nanos, cached, text))


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """On disk, with the prices of a `prices.toml`."""
    (tmp_path / "prices.toml").write_text(PRICES)
    monkeypatch.setenv("FRUGAL_PRICES", str(tmp_path / "prices.toml"))
    shared_prices.cache_clear()
    with Ledger.open(f"sqlite:///{tmp_path}/frugal.db") as books:
        yield books
    shared_prices.cache_clear()


def check(wire: Wire, ledger: Ledger, spent: Any, seen: int) -> list[Attempt]:
    """The rows of one routed operation, beside what the server said in the meantime.

    Args:
        seen: How many calls of a model the framework has announced meanwhile.
    """
    heard, wire.answers = wire.answers, []
    wire.earlier += heard
    (operation,) = {row.operation_id for row in list(ledger.attempts())[-len(heard) :]}
    rows = list(ledger.attempts(operation_id=operation))
    assert [row.model_asked or row.model for row in rows] == [answer.model for answer in heard]
    assert [row.price.nanos for row in rows] == [answer.nanos for answer in heard]
    assert {row.usage.source for row in rows} == {"provider"}
    assert int(spent.cost_usd * 10**9) == sum(answer.nanos for answer in heard)
    assert seen == spent.attempts == len(heard)
    # The draft holds when it has a number; else the stronger model is asked, and nobody after it.
    draft = heard[0].text
    assert [row.purpose for row in rows] == ["draft"] + ["answer"] * (not has_a_number(draft))
    assert all(dict(row.decision or {})["routing"]["candidate"] == "gatekeeper" for row in rows)
    return rows


def check_the_books(wire: Wire, ledger: Ledger, steps: list[int]) -> None:
    """The cascade has both kept a draft and given one up, and the books hold nothing else."""
    assert set(steps) == {1, 2}
    assert any(answer.cached_tokens for answer in wire.earlier)
    bills = {"draft": 0, "answer": 0}
    for answer in wire.earlier:
        bills["draft" if answer.model == WEAK else "answer"] += answer.nanos
    totals = {line.key["purpose"]: line for line in ledger.totals(["purpose"])}
    assert {purpose: line.nanos for purpose, line in totals.items()} == bills
    assert sum(line.attempts for line in totals.values()) == sum(steps)


async def _invoke(model: Any, question: str, config: Any) -> str:
    return str(model.invoke(question, config).text)


async def _ainvoke(model: Any, question: str, config: Any) -> str:
    return str((await model.ainvoke(question, config)).text)


async def _stream(model: Any, question: str, config: Any) -> str:
    return "".join(str(chunk.text) for chunk in model.stream(question, config))


async def _astream(model: Any, question: str, config: Any) -> str:
    return "".join([str(chunk.text) async for chunk in model.astream(question, config)])


@pytest.mark.parametrize("ask", [_invoke, _ainvoke, _stream, _astream])
async def test_langchain_books_what_the_server_reported(
    ask: Callable[..., Any], local_model: LocalModel, wire: Wire, ledger: Ledger
) -> None:
    def model(name: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=name, base_url=local_model.openai_base_url, api_key="none", max_retries=0,
            http_client=wire.client, http_async_client=wire.async_client, stream_usage=True,
            **ANSWERS,
        )  # fmt: skip

    router = RoutingChatModel({"gatekeeper": model(WEAK), "specialist": model(STRONG)},
                              policy=POLICY)  # fmt: skip
    steps = []
    for question in QUESTIONS:
        runs = Runs()
        with langchain_frugal.track_cost(ledger) as spent:
            said = await ask(router, question, {"callbacks": [runs]})
        kept = wire.answers[-1].text
        steps.append(len(check(wire, ledger, spent, runs.seen.count("LLM start"))))
        assert said == kept
    check_the_books(wire, ledger, steps)


class Starts(BaseEventHandler):
    """Counts the calls of models that LlamaIndex announces."""

    count: int = 0

    @classmethod
    def class_name(cls) -> str:
        return "Starts"

    def handle(self, event: Any, **_: Any) -> None:
        self.count += isinstance(event, LLMChatStartEvent)


@pytest.fixture
def starts() -> Iterator[Starts]:
    handler, root = Starts(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


async def _chat(llm: Any, messages: Any) -> str:
    return str(llm.chat(messages).message.content)


async def _achat(llm: Any, messages: Any) -> str:
    return str((await llm.achat(messages)).message.content)


async def _stream_chat(llm: Any, messages: Any) -> str:
    return "".join(chunk.delta for chunk in llm.stream_chat(messages))


async def _astream_chat(llm: Any, messages: Any) -> str:
    return "".join([chunk.delta async for chunk in await llm.astream_chat(messages)])


@pytest.mark.parametrize("ask", [_chat, _achat, _stream_chat, _astream_chat])
async def test_llama_index_books_what_the_server_reported(
    ask: Callable[..., Any], local_model: LocalModel, wire: Wire, ledger: Ledger, starts: Starts
) -> None:
    def model(name: str) -> OpenAI:
        return OpenAI(
            model=name, api_base=local_model.openai_base_url, api_key="none", max_retries=0,
            http_client=wire.client, async_http_client=wire.async_client, **ANSWERS,
        )  # fmt: skip

    router = RoutingLLM({"gatekeeper": model(WEAK), "specialist": model(STRONG)}, POLICY)
    steps = []
    for question in QUESTIONS:
        starts.count = 0
        with llama_index_frugal.track_cost(ledger) as spent:
            said = await ask(router, [ChatMessage(role="user", content=question)])
        kept = wire.answers[-1].text
        steps.append(len(check(wire, ledger, spent, starts.count)))
        assert said == kept
    check_the_books(wire, ledger, steps)
