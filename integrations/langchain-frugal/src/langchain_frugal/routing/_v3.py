"""`stream_events(version="v3")` of a router: one stream over whichever model answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream

from langchain_frugal.routing._drivers import Events, Form

_NOTHING = "no event came from the model"


def event_stream(events: Callable[[Form], Iterator[Any]]) -> ChatModelStream:
    """Nothing is decided or asked before the first event is wanted."""
    stream = ChatModelStream()
    source = events(Events())

    def pump_one() -> bool:
        try:
            stream.dispatch(next(source))
        except StopIteration:
            if not stream.done:
                stream.fail(ValueError(_NOTHING))
            return False
        except BaseException as error:
            stream.fail(error)
            return False
        if stream.done:
            next(source, None)  # the run around it ends with the last event
        return True

    stream.bind_pump(pump_one)
    return stream


async def aevent_stream(events: Callable[[Form], AsyncIterator[Any]]) -> AsyncChatModelStream:
    """As `event_stream`; a task reads the provider, as in any chat model."""
    stream = AsyncChatModelStream()

    async def produce() -> None:
        try:
            async with aclosing(cast(Any, events(Events()))) as source:
                async for event in source:
                    stream.dispatch(event)
            if not stream.done:
                stream.fail(ValueError(_NOTHING))
        except asyncio.CancelledError as error:
            stream.fail(error)
            raise
        except BaseException as error:
            stream.fail(error)

    async def start() -> None:
        if stream._producer_task is None:
            stream._producer_task = asyncio.get_running_loop().create_task(produce())

    stream.set_start(start)
    return stream
