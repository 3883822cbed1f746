"""An agent's call of its model, read for a memory; and what is asked of its model beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, NotRequired, cast

from langchain.agents.middleware import AgentState, ExtendedModelResponse, ModelRequest
from langchain.agents.middleware.types import ModelResponse, PrivateStateAttr
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command

from frugal_chains.dispatch.memory import History, SummaryRequest, Turn
from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import RequestFacts
from frugal_chains.memory import MemoryState
from langchain_frugal._around import Around, around
from langchain_frugal._facts import cache_ttl_of, message_facts
from langchain_frugal._tool_words import MARKER, marker_of
from langchain_frugal._who import facts_of_tools, who
from langchain_frugal.memory._conversations import is_wanted, named_in
from langchain_frugal.memory._messages import Pin, asked, history_of, sent

Request = ModelRequest[Any]
FIELD: Final = "frugal_memory"
"""Of the agent's state: what the memory remembers of the thread."""
_CHECKPOINTER: Final = "__pregel_checkpointer"
"""In the config of a graph's nodes (langgraph 1.2, `langgraph._internal._constants`)."""
_FREE: Final = (None, "auto", "none")
"""Values of `tool_choice` that let a model answer with text."""


class CompactionState(AgentState[Any]):
    """The agent's state, and what its memory remembers."""

    frugal_memory: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCall:
    """What a memory decides on."""

    thread: str
    """Empty: the caller has named none."""
    history: History
    state: MemoryState | None
    """As the thread's last checkpoint has it; None: there is none."""
    checkpointed: bool
    call: Around


def read_call(request: Request, pin: Pin | None) -> AgentCall | None:
    """The facts of a call; None: this run wants its history as it is."""
    config = ensure_config()
    if not is_wanted(config):
        return None
    configured: Mapping[str, Any] = config.get("configurable") or {}
    checkpointed = bool(configured.get(_CHECKPOINTER))
    return AgentCall(
        thread=named_in(config),
        history=history_in(request, request.messages, pin, ids=checkpointed),
        state=state_in(request.state),
        checkpointed=checkpointed,
        call=around(config),
    )


def history_in(
    request: Request, messages: Sequence[BaseMessage], pin: Pin | None, *, ids: bool = True
) -> History:
    """These messages, as they would be sent by such a request."""
    answers = who(request.model, request.model_settings)
    return history_of(messages, head=_head(request), answers=answers, pin=pin, ids=ids)


def state_in(values: Any) -> MemoryState | None:
    """What the agent's state says; None where it says nothing that can be read."""
    found = values.get(FIELD) if isinstance(values, Mapping) else None
    try:
        return MemoryState.from_json(found) if found else None
    except MemoryPlanError:  # another version wrote it: the history itself is not lost
        return None


def written(state: MemoryState) -> dict[str, Any]:
    """The update of the agent's state."""
    return {FIELD: state.to_json()}


def with_view(request: Request, turn: Turn) -> Request:
    """The request with what is sent of its messages; itself where that is all of them."""
    if not turn.changed:
        return request
    return request.override(messages=cast(Any, sent(turn, request.messages)))


def with_state(response: Any, turn: Turn) -> Any:
    """The handler's response, and the memory's state in the same checkpoint."""
    if turn.reason == "off":
        return response
    command: Command[Any] = Command()
    update = written(turn.state)
    if isinstance(response, ExtendedModelResponse):
        command = response.command or command
        if isinstance(command.update, Mapping):
            update = {**update, **command.update}
        elif command.update is not None:
            return response
        response = response.model_response
    if isinstance(response, AIMessage):
        response = ModelResponse(result=[response])
    return ExtendedModelResponse(model_response=response, command=replace(command, update=update))


def for_summary(
    request: Request, summary: SummaryRequest, messages: Sequence[BaseMessage]
) -> Request:
    """The agent's request, asking for a summary.

    Behind the conversation it is the same but for its last message, so that the provider's cache is
    read. What would keep a model from answering in words is left out.
    """
    shown = cast(Any, asked(summary, messages))
    if summary.kind == "flat":
        return request.override(
            messages=shown, tools=[], tool_choice=None, system_message=None, response_format=None
        )
    choice = request.tool_choice if request.tool_choice in _FREE else None
    return request.override(messages=shown, response_format=None, tool_choice=choice)


def _head(request: Request) -> RequestFacts:
    system = request.system_message
    return RequestFacts(
        messages=(message_facts(system),) if system is not None else (),
        tools=facts_of_tools(request.tools),
        cache_ttl=_ttl(request),
    )


def _ttl(request: Request) -> Literal["", "5m", "1h"]:
    """As cache markers say: in messages, in tools, or beside the messages."""
    system = [request.system_message] if request.system_message is not None else []
    return cache_ttl_of(
        [
            *(message.content for message in (*system, *request.messages)),
            [{MARKER: marker_of(tool)} for tool in request.tools],
            [request.model_settings],
        ]
    )
