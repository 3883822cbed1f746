"""Who will answer: read off whatever LangChain calls a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableBinding
from langchain_core.runnables.fallbacks import RunnableWithFallbacks
from langchain_core.tools import BaseTool

from frugal_chains.facts import ToolFacts
from frugal_chains.providers import provider_id
from langchain_frugal._facts import tool_facts
from langchain_frugal._tool_words import ToolWords

_ROUTER = "frugal"
"""The provider of a model that asks others: whom, it decides later."""
_WORDS = ToolWords()


class Who(NamedTuple):
    """A model as price lists and cache rules know it; empty: not known."""

    model: str = ""
    provider: str = ""


def who(model: Any, settings: Mapping[str, Any] | None = None) -> Who:
    """Who will answer.

    Args:
        model: A chat model, with whatever was bound to it, or a name: `gpt-5.1`, `openai:gpt-5.1`.
        settings: Of the call; they may name another model of the same client.
    """
    if isinstance(model, str):
        provider, colon, name = model.partition(":")
        known = provider_id(provider) if colon else ""
        return Who(name, known) if known and "/" not in provider else Who(model)
    named = dict(settings or {})
    while isinstance(model, RunnableBinding | RunnableWithFallbacks):
        if isinstance(model, RunnableBinding):
            named = {**model.kwargs, **named}
            model = model.bound
        else:
            model = model.runnable
    told = {"model": named["model"]} if "model" in named else {}
    try:
        params: Mapping[str, Any] = model._get_ls_params(**told)
        provider = provider_id(str(params.get("ls_provider") or ""))
        name = str(params.get("ls_model_name") or "")
    except Exception:  # it is no model of LangChain's own making
        return Who()
    return Who() if provider == _ROUTER else Who(name, provider)


def models_of(model: Any) -> list[Any]:
    """The chat models that may answer: the one that was bound to something, those that are asked
    where it fails."""
    if isinstance(model, RunnableBinding):
        return models_of(model.bound)
    if isinstance(model, RunnableWithFallbacks):
        return [each for one in model.runnables for each in models_of(one)]
    return [model]


def bound_tools(model: Any) -> tuple[ToolFacts, ...]:
    """The tools that were bound to a model."""
    while isinstance(model, RunnableBinding | RunnableWithFallbacks):
        if isinstance(model, RunnableWithFallbacks):
            model = model.runnable
            continue
        tools = model.kwargs.get("tools")
        if tools:
            return facts_of_tools(tools)
        model = model.bound
    return ()


def facts_of_tools(tools: Sequence[Any]) -> tuple[ToolFacts, ...]:
    """What a provider is told of tools."""
    return tuple(_tool(tool) for tool in tools)


def _tool(tool: Any) -> ToolFacts:
    if not isinstance(tool, BaseTool):
        return tool_facts(tool)
    return _WORDS.facts(tool) or ToolFacts(name=tool.name, description=tool.description)
