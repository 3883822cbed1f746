"""What an agent's running step tells a tool retriever, which is only handed the question."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from llama_index.core.agent.workflow import CodeActAgent, ToolCall
from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.workflow import Context
from llama_index_instrumentation.dispatcher import active_instrument_tags

from frugal_chains.compression.tools import Action, Offered
from frugal_chains.errors import wordless
from frugal_chains.facts import MessageFacts, RequestFacts
from llama_index_frugal._request import as_json, tool_calls_of

logger = logging.getLogger("llama_index_frugal")

STATE: Final = "frugal_tools"
"""Under this key of a context's store stands what each agent has been offered, as plain JSON."""
_QUESTION: Final = "user_msg_str"
_CALLS: Final = "current_tool_calls"
"""Where agents of all kinds keep the question, and the calls of the turn under way."""
_RUN_TAG: Final = "llamaindex.run_id"
_STEP_TAG: Final = "llamaindex.step.input_event"
"""Tags that workflows put around their steps."""
_ACTIONS: Final[tuple[Action, ...]] = ("leave", "slim", "prune")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of an agent's workflow."""

    calls_tool: bool = False
    """A tool is looked up to be called; else tools are asked for to be offered."""
    can_choose: bool = False
    """Whether enough is seen of the conversation, and the agent can run `find_tool`."""
    store: Any = None
    agent: str = ""
    """Its name; empty for one that is alone."""
    offered: Offered | None = None
    """What this agent was offered last in this context."""
    messages: Sequence[ChatMessage] = ()
    """Of the model's next call."""
    conversation: str = ""
    llm: LLM | None = None
    forced: tuple[str, ...] = ()

    async def keep(self, offered: Offered) -> None:
        """Put what this agent is offered into the context, which may be saved."""
        own = {**asdict(offered), "names": [*offered.names]}
        try:
            every = _mapping(await self.store.get(STATE, default=None))
            await self.store.set(STATE, {**every, self.agent: own})
        except Exception as error:  # a store with fields of its own
            logger.warning(
                "a context does not keep which tools were offered", exc_info=wordless(error)
            )

    def asking(self, question: str, request: RequestFacts) -> RequestFacts:
        """The request with the question as the last message of the user.

        Agents write their state around a question, and ask for another try in the user's name.
        """
        before = request.messages
        asked = [n for n, m in enumerate(before) if m.role == "user" and question in m.text]
        last = asked[-1] if asked else len(before)
        if not question:
            return request
        after = [
            replace(m, role="assistant") if m.role == "user" else m for m in before[last + 1 :]
        ]
        known = before[last] if asked else MessageFacts(role="user")
        own = replace(known, text=question)
        return replace(request, messages=(*before[:last], own, *after))


async def step_around(asked: str) -> Step | None:
    """The step in which this code runs; None outside of agents, and in a tool's own code.

    Args:
        asked: What the retriever is handed: the question, or the name of a tool that is called.
    """
    tags, context, work = active_instrument_tags.get(), _context(), _work()
    event = getattr(work, "event", None)
    if isinstance(event, ToolCall) and event.tool_name != asked:
        return None
    if context is None:
        return Step() if work is not None or _RUN_TAG in tags else None
    store = context.store
    if await store.get(_QUESTION, default=None) is None:
        return None
    name = await store.get("current_agent_name", default=None) or ""
    offered = _offered(_mapping(await store.get(STATE, default=None)).get(name))
    if isinstance(event, ToolCall) or tags.get(_STEP_TAG) == ToolCall.__name__:
        return Step(calls_tool=True, store=store, agent=name, offered=offered)
    agent, memory = _agent(context, name), await store.get("memory", default=None)
    llm, forced = getattr(agent, "llm", None), getattr(agent, "initial_tool_choice", None)
    return Step(
        can_choose=not isinstance(agent, CodeActAgent),
        store=store,
        agent=name,
        offered=offered,
        messages=await _messages(event, store, memory, getattr(agent, "scratchpad_key", "")),
        conversation=_conversation(memory, name),
        llm=llm if isinstance(llm, LLM) else None,
        forced=(forced,) if isinstance(forced, str) else (),
    )


def with_names(messages: Sequence[MessageFacts]) -> tuple[MessageFacts, ...]:
    """The same, with the name of the tool on what it returned: LlamaIndex only gives the call's."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return tuple(
        replace(message, name=names.get(message.tool_call_id, ""))
        if message.role == "tool" and not message.name
        else message
        for message in messages
    )


def _offered(kept: Any) -> Offered | None:
    """What was offered before. It may come from a file, or another version: None where it makes no
    sense."""
    kept = _mapping(kept)
    action, names = kept.get("action"), kept.get("names")
    if action not in _ACTIONS or not isinstance(names, list):
        return None
    if not all(isinstance(name, str) for name in names):
        return None
    return Offered(
        action=action,
        names=tuple(names),
        slim=kept.get("slim") is True,
        find_tool=kept.get("find_tool") is True,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _conversation(memory: Any, agent: str) -> str:
    """Its id, where the memory has one; several agents may share it."""
    session = getattr(memory, "session_id", None)
    return f"{session}:{agent}" if session else ""


def _context() -> Any:
    """The running step's context; None outside of steps, and before workflows 2.18."""
    find = getattr(Context, "get_step_context", None)
    try:
        return find() if find is not None else None
    except Exception:
        return None


def _work() -> Any:
    """What the running step works on. Its event holds what the model will be sent, the system
    prompt too. No public name leads to it; without it the memory is read."""
    try:
        from workflows.runtime.types.results import StepWorkerStateContextVar

        return StepWorkerStateContextVar.get()
    except (ImportError, LookupError):
        return None


def _agent(context: Any, name: str) -> Any:
    """The agent, of which no public name leads here either; None: its model is not known."""
    flow = getattr(getattr(context, "_face", context), "_workflow", None)
    agents = getattr(flow, "agents", None)
    return agents.get(name) if isinstance(agents, Mapping) else flow


async def _messages(event: Any, store: Any, memory: Any, scratchpad: str) -> list[ChatMessage]:
    """What the model will be sent: the conversation, then the turn under way."""
    sent = getattr(event, "input", None)
    if not isinstance(sent, list):
        sent = await memory.aget_all() if memory is not None else []
    turn = await store.get(scratchpad, default=None) if scratchpad else None
    if turn:
        return [*sent, *turn]
    known = {call.id for message in sent for call in tool_calls_of(message)}
    return [*sent, *_called(await store.get(_CALLS, default=None) or (), known)]


def _called(results: Iterable[Any], known: set[str]) -> Iterator[ChatMessage]:
    """Calls and their outputs as messages, for agents that keep them as texts (`ReActAgent`)."""
    for each in results:
        if each.tool_id in known:
            continue
        call = {"name": each.tool_name, "arguments": as_json(each.tool_kwargs)}
        calls = [{"id": each.tool_id, "function": call}]
        yield ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": calls})
        of = {"tool_call_id": each.tool_id, "name": each.tool_name}
        yield ChatMessage(role="tool", content=each.tool_output.content, additional_kwargs=of)
