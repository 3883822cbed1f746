"""What an error means for the bill, and how a call that ends without a word is found."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import openai
import pytest

from frugal_chains import BudgetExceeded
from frugal_chains.tracking import CallWatch, classify_error

ZERO = Decimal(0)
REQUEST = httpx.Request("POST", "http://127.0.0.1/v1")


def _status(kind: Any, status: int, body: object = None) -> BaseException:
    response = httpx.Response(status, request=REQUEST)
    error: BaseException = kind("no", response=response, body=body)
    return error


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _event(body: object) -> BaseException:
    """What OpenAI's SDK raises for an error inside a stream."""
    return openai.APIError("in the stream", request=REQUEST, body=body)


ERRORS: list[tuple[BaseException, str, bool, bool]] = [
    # error, kind, given up by its caller, may be billed
    (_status(openai.RateLimitError, 429), "rate_limit", False, False),
    (_status(openai.BadRequestError, 400), "invalid_request", False, False),
    (_status(openai.AuthenticationError, 401), "auth", False, False),
    (_status(openai.NotFoundError, 404), "not_found", False, False),
    (_status(openai.InternalServerError, 500), "server", False, False),
    (_status(anthropic.APIStatusError, 529), "overloaded", False, False),
    (_status(anthropic.RateLimitError, 429), "rate_limit", False, False),
    (openai.APITimeoutError(REQUEST), "timeout", False, True),
    (anthropic.APITimeoutError(REQUEST), "timeout", False, True),
    (_caused(openai.APIConnectionError(request=REQUEST), httpx.ConnectError("refused")),
     "connection", False, False),
    (_caused(openai.APIConnectionError(request=REQUEST), httpx.ReadError("reset")),
     "connection", False, True),
    (_event({"message": "The server had an error", "type": "server_error", "code": None}),
     "server", False, True),
    (_event({"message": "Slow down", "type": "tokens", "code": "rate_limit_exceeded"}),
     "rate_limit", False, True),
    (_status(anthropic.APIStatusError, 200, {
        "type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
     "overloaded", False, True),
    (_event("no words"), "other", False, True),
    (httpx.RemoteProtocolError("peer closed"), "connection", False, True),
    (TimeoutError(), "timeout", False, True),
    (asyncio.CancelledError(), "cancelled", True, True),
    (GeneratorExit(), "closed", True, True),
    (KeyboardInterrupt(), "interrupted", True, True),
    (BudgetExceeded(scope="day", spent_usd=ZERO, limit_usd=ZERO), "budget", False, False),
    (ValueError("no idea"), "other", False, True),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "abandoned", "sent"), ERRORS, ids=lambda v: str(v)[:40])
def test_errors_of_the_real_sdks_are_told_apart(
    error: BaseException, kind: str, abandoned: bool, sent: bool
) -> None:
    facts = classify_error(error)
    assert (facts.kind, facts.abandoned, facts.sent) == (kind, abandoned, sent)


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify_error(first).kind == "other"


# -- the watch ---------------------------------------------------------------------------------

SOON_S = 0.9  # within a second
LOOKS_S = 0.3  # six looks, where it looks more often


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frugal_chains.tracking._watch.LOOK_EVERY_S", 0.05)


async def _call(key: str, lost: list[str], seconds: float) -> None:
    """A call like LangChain's: announced in one frame, done in tasks of `gather`."""
    watch = CallWatch.of_running_loop()
    watch.add(key, sys._getframe(), lost.append)
    await asyncio.gather(asyncio.sleep(seconds))
    watch.remove(key)


async def _stream(key: str, lost: list[str], seconds: float) -> AsyncIterator[int]:
    yield 1
    await _call(key, lost, seconds)
    yield 2


async def _read(key: str, lost: list[str], seconds: float) -> None:
    async for _ in _stream(key, lost, seconds):
        pass


@pytest.mark.usefixtures("_looks_often")
@pytest.mark.parametrize("make", [_call, _read])
async def test_a_call_that_goes_on_is_left_alone(make: Any) -> None:
    lost: list[str] = []
    await make("k", lost, LOOKS_S)
    assert lost == []


@pytest.mark.parametrize("make", [_call, _read])
async def test_a_cancelled_task_is_noticed_at_once(make: Any) -> None:
    lost: list[str] = []
    task = asyncio.create_task(make("k", lost, 9))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0.02)
    assert lost == ["k"]


@pytest.mark.parametrize("make", [_call, _read])
async def test_a_timeout_within_a_task_is_noticed_within_a_second(make: Any) -> None:
    lost: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await make("k", lost, 9)
    await asyncio.sleep(SOON_S)
    assert lost == ["k"]


@pytest.mark.usefixtures("_looks_often")
async def test_each_loss_is_told_once_and_the_watch_goes_to_sleep() -> None:
    lost: list[str] = []
    for key in "ab":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_call(key, lost, 9), 0.02)
    await asyncio.sleep(LOOKS_S)
    await asyncio.sleep(LOOKS_S)
    assert sorted(lost) == ["a", "b"]
    assert not CallWatch.of_running_loop().watching


@pytest.mark.usefixtures("_looks_often")
async def test_other_calls_of_the_same_task_are_not_drawn_along() -> None:
    lost: list[str] = []

    async def two() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await _call("given up", lost, 9)
        await _call("goes on", lost, LOOKS_S)

    await two()
    assert lost == ["given up"]


async def _watched_by(goners: list[Any], seconds: float) -> None:
    """A call of which several are told, one of them twice."""
    watch = CallWatch.of_running_loop()
    for gone in goners:
        watch.add("k", sys._getframe(), gone)
    await asyncio.gather(asyncio.sleep(seconds))
    for _ in goners:
        watch.remove("k")


@pytest.mark.usefixtures("_looks_often")
@pytest.mark.parametrize("how", ["task", "timeout"])
async def test_all_who_watch_a_call_hear_of_its_loss_once(how: str) -> None:
    first: list[str] = []
    second: list[str] = []
    call = _watched_by([first.append, second.append, first.append], 9)
    if how == "task":
        task = asyncio.create_task(call)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.sleep(0.02)
    else:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await call
        await asyncio.sleep(LOOKS_S)
    assert (first, second) == (["k"], ["k"])


async def test_a_call_that_several_watch_leaves_nothing_at_its_task() -> None:
    class Frame:  # stands for what a call's frame holds: prompts, answers
        pass

    async def call() -> weakref.ref[Frame]:
        held = Frame()
        await _watched_by([lost.append, held_by.append], 0)
        return weakref.ref(held)

    lost: list[str] = []
    held_by: list[str] = []
    task: Any = asyncio.current_task()
    before = len(task._callbacks or ())
    held = await call()
    assert len(task._callbacks or ()) == before
    gc.collect()
    assert held() is None
    assert (lost, held_by) == ([], [])


def test_event_loops_are_not_kept_by_their_watch() -> None:
    loops = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(_call("k", [], 0))
        loop.close()
        loops.append(weakref.ref(loop))
    del loop
    gc.collect()
    assert [reference() for reference in loops] == [None] * 3


def test_the_status_may_stand_on_the_response_of_an_error_alone() -> None:
    response = httpx.Response(429, request=REQUEST)
    facts = classify_error(httpx.HTTPStatusError("no", request=REQUEST, response=response))
    assert (facts.kind, facts.sent) == ("rate_limit", False)
