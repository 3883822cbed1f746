"""Steps of agents that reason in words: a thought with an action, and what was observed.

`ReActAgent` sends them as messages of the assistant and the user (`ReActChatFormatter`,
llama-index-core 0.14). To a memory they are a tool call and its result: they stay together, and the
user's question stays the last thing that the user has asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from frugal_chains.dispatch.memory import History
from frugal_chains.facts import MessageFacts, ToolCallFacts

_OBSERVED: Final = "Observation: "
_ACTION, _INPUT = "Action: ", "Action Input: "


def with_steps(history: History, messages: Sequence[ChatMessage]) -> History:
    """The history with steps as calls and results.

    Args:
        history: Of the messages.
        messages: All of them.
    """
    observed = {*_observations(messages)}
    if not observed:
        return history
    keys, read = [*history.keys], history.message
    for at in observed:  # other roles, and so other keys
        keys[at - 1], keys[at] = f"call:{keys[at - 1]}", f"result:{keys[at]}"

    def message(at: int) -> MessageFacts:
        facts = read(at)
        if at in observed:
            return replace(facts, role="tool", text=facts.text.removeprefix(_OBSERVED))
        return _as_call(facts) if at + 1 in observed else facts

    return replace(history, keys=keys, message=message)


def _observations(messages: Sequence[ChatMessage]) -> Iterator[int]:
    """Positions of what was observed right after an action."""
    for at in range(1, len(messages)):
        if messages[at].role == MessageRole.USER and _text(messages[at]).startswith(_OBSERVED):
            before = messages[at - 1]
            text = _text(before) if before.role == MessageRole.ASSISTANT else ""
            if f"\n{_INPUT}" in text and f"\n{_ACTION}" in f"\n{text}":
                yield at


def _text(message: ChatMessage) -> str:
    blocks = message.blocks
    return (getattr(blocks[0], "text", None) or "") if blocks else ""


def _as_call(facts: MessageFacts) -> MessageFacts:
    thought, _, action = f"\n{facts.text}".partition(f"\n{_ACTION}")
    name, _, given = action.partition(f"\n{_INPUT}")
    call = ToolCallFacts(name=name.strip(), arguments=given.strip())
    return replace(facts, text=thought.strip(), tool_calls=(call,))
