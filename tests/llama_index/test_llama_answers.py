"""An answer that comes a second time was paid for once."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MockLLM,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.llms.openai import OpenAI

from frugal_chains import Budget, Ledger
from frugal_chains.tracking import CallEnd
from frugal_chains.usage import Usage, UsageReading
from llama_index_frugal import track_cost
from llama_index_frugal._booked_answers import _MOST, BookedAnswers
from tests.llama_index.asking import MESSAGES, only, rows
from tests.servers import ScriptedServer

Make = Callable[..., Any]


class Remembering(OpenAI):
    """What users write: an LLM that keeps its own answers."""

    kept: Any = None

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> Any:
        return self._once(str(messages), lambda: super(Remembering, self).chat(messages, **kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return self._once(prompt, lambda: super(Remembering, self).complete(prompt, **kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        ask = super().stream_chat
        yield from self._once("stream", lambda: list(ask(messages, **kwargs)))

    def _once(self, key: str, ask: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = ask()
        return self.kept[key]


ASKS: list[Callable[[Any], Any]] = [
    lambda llm: llm.chat(MESSAGES),
    lambda llm: llm.complete("how many?"),
    lambda llm: list(llm.stream_chat(MESSAGES)),
]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("budgets", [(), (Budget.usd(1),)], ids=["no budget", "budget"])
async def test_answer_from_the_llm_s_own_cache_is_free(
    budgets: Any, ask: Any, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    options = {"stream_options": {"include_usage": True}} if ask is ASKS[2] else {}
    llm = openai_llm(cls=Remembering, kept={}, additional_kwargs=options)
    with track_cost(ledger, budgets=budgets) as spent:
        for _ in range(3):
            ask(llm)
    assert len(scripted.requests) == 1
    paid, *cached = rows(ledger)
    assert (paid.status, spent.cost_usd) == ("ok", paid.cost_usd)
    assert [(row.status, row.cost_usd, row.usage.total_tokens) for row in cached] == [
        ("cached", 0, 0)
    ] * 2
    assert "earlier call" in cached[0].note


async def test_equal_answers_to_two_calls_are_paid_twice(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm, kept = openai_llm(), []
    with track_cost(ledger):
        for _ in range(3):
            kept.append(llm.chat(MESSAGES))
    assert kept[0].raw.usage == kept[1].raw.usage
    assert [row.status for row in rows(ledger)] == ["ok"] * 3


class Raw:
    """An answer as an SDK returns it: unlike a dict it can be referred to weakly."""

    usage: Any = None


class Constant(MockLLM):
    """Its raw is one object for all calls, as a pipeline that fills in its last result has it."""

    last: Any = None
    usage: Any = None

    def __init__(self, last: Any, usage: Any) -> None:
        super().__init__()
        self.last, self.usage = last, usage

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="gpt-4o-mini")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        if self.usage is not None:
            self.last.usage = {"prompt_tokens": len(prompt), "completion_tokens": 2}
        return CompletionResponse(text="some", raw=self.last)


@pytest.mark.parametrize(
    ("last", "usage"),
    [(Raw(), None), (Raw(), True), (None, None), ({}, None), (int, None)],
)
async def test_raw_that_is_no_answer_s_own_does_not_make_a_call_free(
    last: Any, usage: Any, ledger: Ledger
) -> None:
    llm = Constant(last=last, usage=usage)
    with track_cost(ledger):
        kept = [llm.complete("beans " * number) for number in (1, 2, 3)]
    assert len(kept) == 3
    assert [row.status for row in rows(ledger)] == ["ok"] * 3


def _end(tokens: int = 1, **options: Any) -> CallEnd:
    usage = Usage(input_tokens=tokens, output_tokens=tokens)
    return CallEnd(reading=UsageReading(usage=usage), **options)


def _answer(raw: Any = None) -> ChatResponse:
    return ChatResponse(message=ChatMessage(role="assistant", content="some"), raw=raw)


def test_only_the_same_object_is_the_same_answer() -> None:
    booked, answer = BookedAnswers(), _answer({"usage": 1})
    assert booked.judge(_end(), answer).status == "ok"
    assert booked.judge(_end(), answer).status == "cached"
    assert booked.judge(_end(), copy.deepcopy(answer)).status == "ok"
    assert booked.judge(_end(2), answer).status == "ok"  # the usage is another: a new call
    raw = Raw()
    assert booked.judge(_end(), _answer(raw)).status == "ok"
    assert booked.judge(_end(), _answer(raw)).status == "cached"
    failed = _answer()
    assert booked.judge(_end(status="aborted"), failed).status == "aborted"
    assert booked.judge(_end(), failed).status == "ok"


def test_answers_are_forgotten_when_nobody_holds_them() -> None:
    booked = BookedAnswers()
    for _ in range(100):  # most at the place of the one before
        assert booked.judge(_end(), _answer()).status == "ok"
    gc.collect()
    assert booked._known == {}
    held = [_answer() for _ in range(_MOST + 10)]
    for answer in held:
        booked.judge(_end(), answer)
    assert len(booked._known) == _MOST
    assert booked.judge(_end(), held[-1]).status == "cached"


async def test_answer_handed_on_by_a_wrapper_is_paid_once(openai_llm: Make, ledger: Ledger) -> None:
    """Its thread knows nothing of the wrapper, so neither call is seen inside the other."""
    import _thread

    class Threaded(OpenAI):
        @llm_chat_callback()
        def chat(self, messages: Any, **kwargs: Any) -> Any:
            done: Future[Any] = Future()

            def work() -> None:
                with track_cost(ledger):
                    done.set_result(openai_llm().chat(messages))

            _thread.start_new_thread(work, ())
            return done.result(5)

    with track_cost(ledger):
        openai_llm(cls=Threaded).chat(MESSAGES)
    assert sorted(row.status for row in rows(ledger)) == ["cached", "ok"]


def test_mock_answers_cost_what_they_cost(ledger: Ledger) -> None:
    with track_cost(ledger):
        MockLLM().chat(MESSAGES)
    assert only(ledger).status == "ok"
