"""Kinds of calls: how a model is asked for a message, for generations, or for a parsed object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
)

from langchain_frugal.routing._answers import marked
from langchain_frugal.routing._asked import Asked
from langchain_frugal.routing._candidates import Member, Model
from langchain_frugal.routing._history import history_for, kwargs_for

_SAMPLED_AT: Final = 0.7
"""The temperature of a second answer whose model has one of 0: FrugalGPT's and self-consistency's
usual one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to be asked, and the messages as it can read them."""

    model: Model
    messages: list[BaseMessage]
    more: Mapping[str, Any]
    """Keywords of the call itself."""


class Plain:
    """A message in, a message out."""

    def prepare(self, member: Member, asked: Asked, *, sample: int) -> Prepared:
        kwargs = {**member.kwargs, **kwargs_for(member.candidate, asked.kwargs)}
        if asked.stop is not None:
            kwargs["stop"] = asked.stop
        model = member.model
        assert model is not None
        if sample:
            model, kwargs = _anew(model, kwargs)
        tools = kwargs.pop("tools", None)
        if tools is not None:
            # `bind_tools` of the model itself: shapes of tools and choices are its own.
            stop = {"stop": kwargs.pop("stop")} if "stop" in kwargs else {}
            model, kwargs = cast(Any, model).bind_tools(tools, **kwargs), stop
        if member.config:
            model = model.with_config(member.config)
        return Prepared(model, history_for(member.candidate, asked.messages), kwargs)

    def streamed(self, member: Member, asked: Asked) -> Prepared:
        """For an answer in pieces."""
        return self.prepare(member, asked, sample=0)

    def call(self, ready: Prepared, config: RunnableConfig) -> Any:
        return ready.model.invoke(ready.messages, config, **ready.more)

    async def acall(self, ready: Prepared, config: RunnableConfig) -> Any:
        return await ready.model.ainvoke(ready.messages, config, **ready.more)

    def message(self, value: Any) -> BaseMessage | None:
        """The model's own words in what came back."""
        return value if isinstance(value, BaseMessage) else None

    def schema_error(self, value: Any) -> str:
        return ""

    def marked(self, value: Any, mark: Mapping[str, Any]) -> Any:
        return marked(value, mark)

    def result(self, value: Any) -> Any:
        """What the caller gets."""
        return value


class Generated(Plain):
    """Messages in, all generations out (`generate`): several where the request asks for `n`."""

    def call(self, ready: Prepared, config: RunnableConfig) -> Any:
        model, arguments = _to_generate(ready, config)
        if model is None:
            return _result_of(super().call(ready, config))
        return model.generate([ready.messages], **arguments)

    async def acall(self, ready: Prepared, config: RunnableConfig) -> Any:
        model, arguments = _to_generate(ready, config)
        if model is None:
            return _result_of(await super().acall(ready, config))
        return await model.agenerate([ready.messages], **arguments)

    def message(self, value: Any) -> BaseMessage | None:
        return next((g.message for group in value.generations for g in group), None)

    def marked(self, value: Any, mark: Mapping[str, Any]) -> Any:
        groups: Any = [
            [
                ChatGeneration(message=marked(g.message, mark), generation_info=g.generation_info)
                for g in group
            ]
            for group in value.generations
        ]
        return LLMResult(generations=groups, llm_output=value.llm_output)


class Structured(Plain):
    """A message in, an object of a schema out, by the model's own method."""

    def __init__(self, schema: Any, *, include_raw: bool, options: Mapping[str, Any]) -> None:
        self._schema, self._include_raw, self._options = schema, include_raw, options

    def prepare(self, member: Member, asked: Asked, *, sample: int) -> Prepared:
        # Always with the raw answer: its usage is learned from, its faults escalate.
        return self._prepare(member, asked, sample=sample, include_raw=True)

    def streamed(self, member: Member, asked: Asked) -> Prepared:
        return self._prepare(member, asked, sample=0, include_raw=self._include_raw)

    def _prepare(self, member: Member, asked: Asked, *, sample: int, include_raw: bool) -> Prepared:
        kwargs = {**member.kwargs, **kwargs_for(member.candidate, asked.kwargs)}
        if asked.stop is not None:
            kwargs["stop"] = asked.stop
        model = member.model
        assert model is not None
        if sample:
            model, kwargs = _anew(model, kwargs)
        parsing = cast(Any, model).with_structured_output(
            self._schema, include_raw=include_raw, **self._options
        )
        if kwargs:
            parsing = _first_bound(parsing, kwargs)
        if member.config:
            parsing = parsing.with_config(member.config)
        return Prepared(parsing, history_for(member.candidate, asked.messages), {})

    def message(self, value: Any) -> BaseMessage | None:
        return value.get("raw") if isinstance(value, Mapping) else None

    def schema_error(self, value: Any) -> str:
        if value["parsing_error"] is not None:
            return f"{type(value['parsing_error']).__name__}: {value['parsing_error']}"
        return "" if value["parsed"] is not None else "it holds no structured answer"

    def marked(self, value: Any, mark: Mapping[str, Any]) -> Any:
        return {**value, "raw": marked(value["raw"], mark)}

    def result(self, value: Any) -> Any:
        if self._include_raw:
            return value
        if value["parsing_error"] is not None:
            raise value["parsing_error"]
        return value["parsed"]


def _anew(model: Model, kwargs: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    """For an answer that may differ from the first: past every cache, and not the likeliest one."""
    if not isinstance(model, BaseChatModel):
        return model, kwargs
    fixed = kwargs.get("temperature", getattr(model, "temperature", None)) == 0
    warmer = {"temperature": _SAMPLED_AT} if fixed else {}
    return model.model_copy(update={"cache": False}), {**kwargs, **warmer}


def _to_generate(
    ready: Prepared, config: RunnableConfig
) -> tuple[BaseChatModel | None, dict[str, Any]]:
    """The model whose `generate` does it, and its arguments; a binding would drop its own."""
    model, kwargs = ready.model, dict(ready.more)
    while isinstance(model, RunnableBinding):
        kwargs, model = {**model.kwargs, **kwargs}, model.bound
    if not isinstance(model, BaseChatModel):
        return None, {}
    about = {"callbacks": config.get("callbacks"), "tags": config.get("tags")}
    return model, {**kwargs, **about, "metadata": config.get("metadata")}


def _result_of(message: AIMessage) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=message)]])


def _first_bound(parsing: Runnable[Any, Any], kwargs: Mapping[str, Any]) -> Runnable[Any, Any]:
    """With keywords for the model inside: a sequence hands them to its first step alone."""
    if not isinstance(parsing, RunnableSequence):
        return parsing.bind(**kwargs)
    first: Runnable[Any, Any] = parsing.first
    if isinstance(first, RunnableParallel):
        steps: Mapping[str, Runnable[Any, Any]] = first.steps__
        first = RunnableParallel({name: step.bind(**kwargs) for name, step in steps.items()})
    else:
        first = first.bind(**kwargs)
    rest: Sequence[Runnable[Any, Any]] = parsing.steps[1:]
    return RunnableSequence(first, *rest)
