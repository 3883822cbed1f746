"""Drivers: they ask the models that a flow names, with and without `await`, whole or in pieces.

A draft is always asked for as a whole, because it may be given up. An answer is handed on as it
comes; from its first piece on nobody else is asked, whatever happens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any, Protocol, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models._compat_bridge import message_to_events
from langchain_core.runnables import RunnableConfig

from frugal_chains.routing.cascade import Step
from langchain_frugal.routing._answers import MARK, as_chunk, marked
from langchain_frugal.routing._kinds import Prepared
from langchain_frugal.routing._request import RoutedRequest
from langchain_frugal.routing._runs import Ear

Pieces = Generator[Any, None, None]
AsyncPieces = AsyncGenerator[Any, None]


def answer(request: RoutedRequest, run: CallbackManagerForChainRun) -> Any:
    """The kept answer."""
    step: Step | None = request.first()
    while step is not None:
        step = _ask(request, step, run)
    return request.kept()


async def aanswer(request: RoutedRequest, run: AsyncCallbackManagerForChainRun) -> Any:
    """As `answer`."""
    step: Step | None = request.first()
    while step is not None:
        step = await _aask(request, step, run)
    return request.kept()


def _ask(request: RoutedRequest, step: Step, run: CallbackManagerForChainRun) -> Step | None:
    try:
        ready = request.prepared(step)
        config = request.config(step, run.get_child())
        with request.following(step):
            value = request.kind.call(ready, config)
    except Exception as error:
        return request.failed(step, error)
    return request.answered(step, value)


async def _aask(
    request: RoutedRequest, step: Step, run: AsyncCallbackManagerForChainRun
) -> Step | None:
    try:
        ready = request.prepared(step)
        config = request.config(step, run.get_child())
        with request.following(step):
            value = await request.kind.acall(ready, config)
    except Exception as error:
        return request.failed(step, error)
    return await request.aanswered(step, value)


# -- in pieces ---------------------------------------------------------------------------------


class Form(Protocol):
    """What the pieces of an answer are."""

    def open(self, ready: Prepared, config: RunnableConfig) -> Iterator[Any]: ...

    def aopen(self, ready: Prepared, config: RunnableConfig) -> AsyncIterator[Any]: ...

    def dress(self, piece: Any, mark: Mapping[str, Any], *, is_first: bool) -> Any:
        """A piece, with the decision where its form has a place for it."""

    def whole(self, value: Any) -> Iterator[Any]:
        """A whole answer in pieces."""


class Chunks:
    """`stream`: chunks of messages, or of what is parsed out of them."""

    def open(self, ready: Prepared, config: RunnableConfig) -> Iterator[Any]:
        return ready.model.stream(ready.messages, config, **ready.more)

    def aopen(self, ready: Prepared, config: RunnableConfig) -> AsyncIterator[Any]:
        return ready.model.astream(ready.messages, config, **ready.more)

    def dress(self, piece: Any, mark: Mapping[str, Any], *, is_first: bool) -> Any:
        # On one chunk alone: chunks are added up, and texts in their metadata with them.
        return marked(piece, mark) if is_first else piece

    def whole(self, value: Any) -> Iterator[Any]:
        yield as_chunk(value) if hasattr(value, "response_metadata") else value


class Events:
    """`stream_events(version="v3")`: events of content blocks."""

    def open(self, ready: Prepared, config: RunnableConfig) -> Iterator[Any]:
        events = cast(Any, ready.model).stream_events(
            ready.messages, config, version="v3", **ready.more
        )
        return iter(events)

    async def aopen(self, ready: Prepared, config: RunnableConfig) -> AsyncIterator[Any]:
        events = await cast(Any, ready.model).astream_events(
            ready.messages, config, version="v3", **ready.more
        )
        async with events:  # closing it ends the task that reads the provider
            async for event in events:
                yield event

    def dress(self, piece: Any, mark: Mapping[str, Any], *, is_first: bool) -> Any:
        if piece.get("event") != "message-finish":
            return piece
        return {**piece, "metadata": {**(piece.get("metadata") or {}), MARK: dict(mark)}}

    def whole(self, value: Any) -> Iterator[Any]:
        mark = value.response_metadata.get(MARK) or {}
        for event in message_to_events(value, message_id=value.id):
            yield self.dress(event, mark, is_first=False)


def pieces(request: RoutedRequest, run: CallbackManagerForChainRun, form: Form) -> Pieces:
    """The kept answer in pieces."""
    step: Step | None = request.first()
    sent: list[bool] = []
    while step is not None:
        if request.is_whole(step):
            step = _ask(request, step, run)
        else:
            step = yield from _hand_on(request, step, run, form, lambda: sent.append(True))
    if not sent:  # else the flow may prefer a draft, and it is too late
        yield from form.whole(request.kept())


def _hand_on(
    request: RoutedRequest,
    step: Step,
    run: CallbackManagerForChainRun,
    form: Form,
    began: Callable[[], None],
) -> Generator[Any, None, Step | None]:
    ear = Ear()
    try:
        config = request.config(step, run.get_child(), [ear])
        source = form.open(request.streamed(step), config)
        with request.following(step):  # the call starts with its first piece
            first = next(source, None)
    except Exception as error:
        return request.failed(step, error)
    mark = request.mark(step)
    with closing(cast(Any, source)) if hasattr(source, "close") else _Open():
        try:
            if first is not None:
                began()
                yield form.dress(first, mark, is_first=True)
                for piece in source:
                    yield form.dress(piece, mark, is_first=False)
        except Exception as error:
            request.broke(step, error)
            raise
    return request.streamed_whole(step, ear.message)


async def apieces(
    request: RoutedRequest, run: AsyncCallbackManagerForChainRun, form: Form
) -> AsyncPieces:
    """As `pieces`."""
    step: Step | None = request.first()
    sent = False
    while step is not None:
        if request.is_whole(step):
            step = await _aask(request, step, run)
            continue
        handed = _Handed()
        async with aclosing(_ahand_on(request, step, run, form, handed)) as source:
            async for piece in source:
                sent = True
                yield piece
        step = handed.next
    if not sent:  # else the flow may prefer a draft, and it is too late
        for piece in form.whole(request.kept()):
            yield piece


class _Handed:
    """What follows handing on: async generators cannot return it."""

    next: Step | None = None


async def _ahand_on(
    request: RoutedRequest,
    step: Step,
    run: AsyncCallbackManagerForChainRun,
    form: Form,
    handed: _Handed,
) -> AsyncPieces:
    ear = Ear()
    try:
        config = request.config(step, run.get_child(), [ear])
        source = form.aopen(request.streamed(step), config)
        with request.following(step):
            first = await anext(source, None)
    except Exception as error:
        handed.next = request.failed(step, error)
        return
    mark = request.mark(step)
    async with aclosing(cast(Any, source)) if hasattr(source, "aclose") else _Open():
        try:
            if first is not None:
                yield form.dress(first, mark, is_first=True)
                async for piece in source:
                    yield form.dress(piece, mark, is_first=False)
        except Exception as error:
            request.broke(step, error)
            raise
    handed.next = request.streamed_whole(step, ear.message)


class _Open:
    """Stands where an iterator that cannot be closed would be closed."""

    def __enter__(self) -> None: ...

    def __exit__(self, *raised: object) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *raised: object) -> None: ...
