"""An agent's call of its model, read for a choice of tools."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from langchain.agents.middleware import ModelRequest
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool

from frugal_chains.compression.tools import Offered
from frugal_chains.facts import RequestFacts
from langchain_frugal._around import Around, around
from langchain_frugal._facts import request_facts, thread_of
from langchain_frugal._tool_words import MARKER, ToolWords, marker_of
from langchain_frugal._who import who
from langchain_frugal.compression._tool_marks import offered_in
from langchain_frugal.compression._tool_search import FindTool, messages_of

_NO_NAMES: Final = frozenset({"auto", "any", "required", "none"})
"""Of `tool_choice`: what is no name of a tool."""


class ToolsAsked(NamedTuple):
    """What a choice is made from."""

    facts: RequestFacts
    tools: Sequence[BaseTool]
    """Of `facts.tools`, in the same places."""
    others: Sequence[Any]
    """Sent as they are: a provider's own tools."""
    conversation: str
    agent: str
    offered: Offered | None
    forced: frozenset[str]
    can_find: bool
    who: tuple[str, str]
    """Model and provider that will answer; empty: not known."""
    call: Around


def read_tools(
    request: ModelRequest[Any],
    words: ToolWords,
    *,
    always: Collection[str],
    cache_ttl: Literal["", "5m", "1h"],
) -> ToolsAsked | None:
    """The facts of a call; None: this run does not want its tools chosen."""
    config = ensure_config()
    call = around(config)
    if not call.wanted:
        return None
    told = [(tool, words.facts(tool)) for tool in request.tools if not isinstance(tool, FindTool)]
    tools = [(tool, facts) for tool, facts in told if isinstance(tool, BaseTool) and facts]
    agent = str((config.get("metadata") or {}).get("lc_agent_name") or "")
    facts = _facts(request)
    shown = tuple(each for _, each in tools)
    return ToolsAsked(
        facts=replace(facts, tools=shown, cache_ttl=facts.cache_ttl or cache_ttl),
        tools=[tool for tool, _ in tools],
        others=[tool for tool, facts in told if facts is None],
        conversation=_conversation(config, agent),
        agent=agent,
        offered=offered_in(messages_of(request.state), [each.name for each in shown], agent=agent),
        forced=frozenset((*always, *_named(request))),
        can_find=any(isinstance(tool, FindTool) for tool in request.tools),
        who=who(request.model, request.model_settings),
        call=call,
    )


def _facts(request: ModelRequest[Any]) -> RequestFacts:
    system = [request.system_message] if request.system_message is not None else []
    markers = [{MARKER: found} for tool in request.tools if (found := marker_of(tool))]
    params = {**request.model_settings, "tools": markers}
    return request_facts([*system, *request.messages], params)


def _conversation(config: RunnableConfig, agent: str) -> str:
    """Its id; empty where the caller has given none. A thread may hold those of several agents."""
    configured: Mapping[str, Any] = config.get("configurable") or {}
    thread = thread_of(config.get("metadata") or {}) or configured.get("thread_id")
    return f"{thread}:{agent}" if thread else ""


def _named(request: ModelRequest[Any]) -> list[str]:
    """The tool that `tool_choice` names, as OpenAI, Anthropic or LangChain write it."""
    choice = request.tool_choice or request.model_settings.get("tool_choice")
    if isinstance(choice, Mapping):
        function = choice.get("function")
        choice = (function if isinstance(function, Mapping) else choice).get("name")
    return [choice] if isinstance(choice, str) and choice not in _NO_NAMES else []
