"""The drivers of a run: they ask, and `Run` decides what comes next. One pair with `await`, one
without."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, Final

from frugal_chains.routing.cascade import Step
from llama_index_frugal.routing._answers import as_one_chunk
from llama_index_frugal.routing._run import Run

_STREAM: Final = "stream_"
_END: Final = object()


def answer(run: Run, *, buffered: bool = False) -> Any:
    """The whole answer; `buffered` where a stream was asked for."""
    step: Step | None = run.first()
    while step is not None:
        try:
            with run.making(step):
                _wait(run.limiter)
                result = run.put("", step)
        except Exception as error:
            step = run.failed(step, error)
        else:
            step = run.answered(step, result)
    return run.result(buffered=buffered)


async def aanswer(run: Run, *, buffered: bool = False) -> Any:
    """As `answer`."""
    step: Step | None = run.first()
    while step is not None:
        try:
            with run.making(step):
                await _await(run.limiter)
                result = await run.put("a", step)
        except Exception as error:
            step = run.failed(step, error)
        else:
            step = await run.aanswered(step, result)
    return run.result(buffered=buffered)


def stream(run: Run) -> Generator[Any, None, None]:
    """The answer in chunks, from the moment that it is asked for.

    The first model is asked here and not when the stream is read, so that its call belongs to the
    span, the tags and the blocks around the caller. Until the first chunk another one may take
    over. A cascade looks at whole answers: its stream has one chunk.
    """
    if run.may_escalate:
        whole = answer(run, buffered=True)
        return (chunk for chunk in (as_one_chunk(whole),))
    return _read(run, *_open(run, run.first()))


async def astream(run: Run) -> AsyncGenerator[Any, None]:
    """As `stream`."""
    if run.may_escalate:
        return _one(as_one_chunk(await aanswer(run, buffered=True)))
    return _aread(run, *await _aopen(run, run.first()))


# -- parts without `await` ---------------------------------------------------------------------


def _open(run: Run, step: Step | None) -> tuple[Step, Iterator[Any]]:
    """The stream of the first one that opens one."""
    while step is not None:
        try:
            with run.making(step):
                _wait(run.limiter)
                return step, iter(run.put(_STREAM, step))
        except Exception as error:
            step = run.failed(step, error)
    raise run.failure()


def _read(run: Run, step: Step, chunks: Iterator[Any]) -> Generator[Any, None, None]:
    last: Any = _END
    while last is _END:
        next_step: Step | None = None
        try:
            with run.making(step):
                last = next(chunks, None)
        except Exception as error:
            next_step = run.failed(step, error)
            if next_step is None:
                break
        if next_step is not None:
            step, chunks = _open(run, next_step)
    if last is _END:
        raise run.failure()
    begun = last
    try:
        if begun is not None:
            yield run.marked(step, begun)
            for last in chunks:
                yield run.marked(step, last)
    except Exception as error:
        run.broke(step, error)
        raise
    finally:
        _close(chunks)
    run.answered(step, last, streamed=True)


def _close(chunks: Any) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


def _wait(limiter: Any) -> None:
    if limiter is not None:
        limiter.acquire()


# -- parts with `await` ------------------------------------------------------------------------


async def _aopen(run: Run, step: Step | None) -> tuple[Step, AsyncIterator[Any]]:
    """The stream of the first one that opens one."""
    while step is not None:
        try:
            with run.making(step):
                await _await(run.limiter)
                return step, aiter(await run.put(f"a{_STREAM}", step))
        except Exception as error:
            step = run.failed(step, error)
    raise run.failure()


async def _aread(run: Run, step: Step, chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    last: Any = _END
    while last is _END:
        next_step: Step | None = None
        try:
            with run.making(step):
                last = await anext(chunks, None)
        except Exception as error:
            next_step = run.failed(step, error)
            if next_step is None:
                break
        if next_step is not None:
            step, chunks = await _aopen(run, next_step)
    if last is _END:
        raise run.failure()
    begun = last
    try:
        if begun is not None:
            yield run.marked(step, begun)
            async for last in chunks:
                yield run.marked(step, last)
    except Exception as error:
        run.broke(step, error)
        raise
    finally:
        await _aclose(chunks)
    run.answered(step, last, streamed=True)


async def _one(chunk: Any) -> AsyncGenerator[Any, None]:
    yield chunk


async def _aclose(chunks: Any) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


async def _await(limiter: Any) -> None:
    if limiter is not None:
        await limiter.async_acquire()
