"""An LLM like another one, with shorter system prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
)
from llama_index.core.llms import LLM
from pydantic import PrivateAttr

L = TypeVar("L", bound=LLM)


class Shortens(Protocol):
    """What makes messages shorter."""

    def __call__(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]: ...

    async def acompress(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]: ...


def short_llm(llm: L, shortens: Shortens) -> L:
    """A copy of an LLM, of a class of its own below the LLM's, that asks with shorter messages.

    All ways to chat go through four methods, those with tools and structured answers too.
    """
    copy = llm.model_copy()
    kind = type(llm)
    object.__setattr__(copy, "__class__", _kind(getattr(kind, "_frugal_base", kind)))
    cast(Any, copy)._shortens = shortens
    return copy


@cache
def _kind(base: type[Any]) -> type[Any]:
    class Short(base):  # type: ignore[misc]  # of a class that is only known now
        _shortens: Any = PrivateAttr(default=None)

        @classmethod
        def class_name(cls) -> str:  # tells who the provider is
            return str(base.class_name())

        def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            return cast(ChatResponse, super().chat(self._shortens(messages), **kwargs))

        def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
            return cast(ChatResponseGen, super().stream_chat(self._shortens(messages), **kwargs))

        async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            short = await self._shortens.acompress(messages)
            return cast(ChatResponse, await super().achat(short, **kwargs))

        async def astream_chat(
            self, messages: Sequence[ChatMessage], **kwargs: Any
        ) -> ChatResponseAsyncGen:
            short = await self._shortens.acompress(messages)
            return cast(ChatResponseAsyncGen, await super().astream_chat(short, **kwargs))

    Short.__name__, Short.__qualname__ = base.__name__, base.__qualname__
    Short._frugal_base = base
    return Short
