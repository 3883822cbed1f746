"""`Marking`: requests in, the same requests out with markers for their provider's cache."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index_instrumentation.dispatcher import active_instrument_tags

from frugal_chains.dispatch import CacheKeeper
from frugal_chains.errors import wordless
from frugal_chains.providers import cache_controls, tokenizer_facts
from frugal_chains.tracking import Tracker, current_lever
from llama_index_frugal._about import is_large
from llama_index_frugal._around import around
from llama_index_frugal.prompt_cache import _anthropic, _openai
from llama_index_frugal.prompt_cache._messages import SystemPart, system_parts
from llama_index_frugal.prompt_cache._wire import Request, Volatile

logger = logging.getLogger("llama_index_frugal")

SWITCH: Final = "prompt_cache"
"""A tag of `instrument_tags`: False sends requests inside the block as they are."""
THREADS: Final = ("thread_id", "conversation_id", "session_id")
"""Tags that name the conversation, as `RoutingLLM` takes them; the first that is there does."""
_ASKED: Final = frozenset({"messages", "input"})
"""Where a request has its messages; what has none is a text to be completed."""
_END: Final = object()

Form = Literal["anthropic", "openai"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is known of a request where its chat is asked for."""

    wanted: bool = True
    conversation: str = ""
    operation_id: str = ""
    trackers: tuple[Tracker, ...] = ()
    system: tuple[SystemPart, ...] = ()
    one_system: bool = True
    """The texts of the system prompt come from one message."""
    large: bool = True
    """Work on it may hold up an event loop."""

    @classmethod
    def now(cls, messages: Sequence[ChatMessage] = ()) -> Call:
        """Read off the tags and spans around this code."""
        tags, place = active_instrument_tags.get(), around()
        return cls(
            wanted=tags.get(SWITCH) is not False,
            conversation=next((str(tags[name]) for name in THREADS if tags.get(name)), ""),
            operation_id=place.operation_id,
            trackers=place.trackers,
            system=tuple(system_parts(messages)),
            one_system=sum(m.role == MessageRole.SYSTEM for m in messages) <= 1,
            large=is_large(messages),
        )


def _asks_for_summary() -> bool:
    """Of a conversation, which does not go on from there."""
    lever = current_lever()
    return lever is not None and lever.purpose == "summary"


_CALL: ContextVar[Call | None] = ContextVar("frugal_prompt_cache_call", default=None)


@contextmanager
def within(call: Call) -> Iterator[None]:
    """Requests that are sent inside the block belong to this call."""
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)


def steps(call: Call, chunks: Any) -> Generator[Any, None, None]:
    """The same stream. Some LLM classes send their request when it is read first, wherever that may
    be: it belongs to this call still."""
    try:
        with within(call):
            first = next(chunks, _END)
        if first is not _END:
            yield first
            yield from chunks
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


async def asteps(call: Call, chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """As `steps`."""
    try:
        with within(call):
            first = await anext(chunks, _END)
        if first is not _END:
            yield first
            async for chunk in chunks:
                yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


class Marking:
    """The requests of one LLM. Safe for threads and tasks.

    Args:
        keeper: Plans the markers.
        form: In which the LLM's client takes requests.
        provider: Who answers.
        ttl: What every marker is to have; None: what pays.
        volatile: The caller's word on what changes.
        may_reorder: Texts of one system message that stay the same may be put first.
    """

    def __init__(
        self,
        keeper: CacheKeeper,
        form: Form,
        provider: str,
        *,
        ttl: str | None = None,
        volatile: Volatile | None = None,
        may_reorder: bool = True,
    ) -> None:
        self._keeper, self.form, self._provider = keeper, form, provider
        self._volatile, self._may_reorder = volatile, may_reorder
        self.ttl = (ttl or "5m") if form == "anthropic" else ""
        """Of the markers, as far as it is known before they are planned; empty: no write is billed
        that would not be anyway."""

    def marked(self, request: Mapping[str, Any]) -> Request:
        """The request as it is sent: itself where there is nothing to do, or anything fails."""
        call = _CALL.get() or Call.now()
        try:
            return self._marked(request, call) if call.wanted else request
        except Exception as error:
            logger.warning("prompt cache: the request is sent as it was", exc_info=wordless(error))
            return request

    async def amarked(self, request: Mapping[str, Any]) -> Request:
        """As `marked`."""
        call = _CALL.get()
        if call is None or call.large:
            return await asyncio.to_thread(self.marked, request)
        return self.marked(request)

    def __deepcopy__(self, memo: object) -> Marking:
        return self

    def _marked(self, request: Request, call: Call) -> Request:
        model = str(request.get("model") or "")
        controls = cache_controls(self._provider, model)
        anthropic = self.form == "anthropic"
        if not model or controls.control == "none" or request.keys().isdisjoint(_ASKED):
            return request
        media = tokenizer_facts(model).image_tokens
        if anthropic:
            found = _anthropic.read(
                request, controls=controls, system=call.system, media_tokens=media,
                volatile=self._volatile,
            )  # fmt: skip
        else:
            found = _openai.read(
                request, controls=controls, media_tokens=media, volatile=self._volatile
            )
        plan = self._keeper.plan(
            found.blocks, model=model, provider=self._provider, conversation=call.conversation,
            settings=(_anthropic if anthropic else _openai).settings(found),
            may_reorder=anthropic and self._may_reorder and call.one_system,
            reads_only=_asks_for_summary(), operation_id=call.operation_id, trackers=call.trackers,
        )  # fmt: skip
        if anthropic:
            return _anthropic.applied(plan, found, request, controls)
        return _openai.applied(plan, found, request, controls, keyed=_openai.takes_key(model))
