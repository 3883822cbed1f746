"""What `RoutingChatModel.with_structured_output` returns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import Field

from langchain_frugal.routing._drivers import Chunks
from langchain_frugal.routing._kinds import Structured
from langchain_frugal.routing._runner import Call, Runner


class RoutedStructuredOutput(RunnableSerializable[LanguageModelInput, Any]):
    """Routes each request, and has the model that answers parse it by its own method."""

    router: Any = Field(exclude=True)
    wanted: Any
    include_raw: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        return self._runner.answer(self._call(input, config, stop, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        return await self._runner.aanswer(self._call(input, config, stop, kwargs))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        yield from self._runner.pieces(self._call(input, config, stop, kwargs), Chunks())

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        call = self._call(input, config, stop, kwargs)
        async with aclosing(cast(Any, self._runner.apieces(call, Chunks()))) as source:
            async for piece in source:
                yield piece

    @property
    def _runner(self) -> Runner:
        runner: Runner = self.router._runner
        return runner

    def _call(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Call:
        kind = Structured(self.wanted, include_raw=self.include_raw, options=self.options)
        call: Call = self.router._call(input, config, stop, kwargs)
        return replace(call, kind=kind, schema=self.wanted)
