"""What a recorded response answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from frugal_chains.facts import MessageFacts
from frugal_chains.replay.recorded._messages import Messages
from frugal_chains.replay.recorded._skipped import Malformed


def answer_facts(response: object) -> MessageFacts | None:
    """The assistant's message: the first one where several were asked for; None: there is none.

    Raises:
        Malformed: it has an answer that is not of the kind it has to be.
    """
    if isinstance(response, str):
        return MessageFacts(role="assistant", text=response)
    if not isinstance(response, dict):
        return None
    if isinstance(response.get("output"), list):
        return _only(_items(response["output"]))
    message = _message(response)
    return None if message is None else _only([message])


_BESIDE_CONTENT: Final = ("tool_calls", "function_call", "refusal", "audio")


def _message(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message in the response of chat completions, completions, Anthropic or a logger."""
    choices = response.get("choices")
    if choices is not None:
        if not isinstance(choices, list):
            raise Malformed("the choices of the response are no list")
        if not choices:
            return None
        if not isinstance(choices[0], dict):
            raise Malformed("a choice of the response is no object")
        inner = choices[0].get("message")
        if inner is None and "text" in choices[0]:
            inner = {"content": choices[0]["text"]}
    elif "content" in response or "tool_calls" in response:
        inner = response
    else:
        inner = response.get("message")
    if inner is None:
        return None
    if not isinstance(inner, dict):
        raise Malformed("the message of the response is no object")
    message = {"role": "assistant", "content": inner.get("content")}
    for name in _BESIDE_CONTENT:
        if inner.get(name):
            message[name] = inner[name]
    return message


def _items(output: list[Any]) -> list[Any]:
    """The items of OpenAI's responses, messages marked as such for those that left it out."""
    return [
        {"type": "message", **item} if isinstance(item, dict) and "role" in item else item
        for item in output
    ]


def _only(entries: list[Any]) -> MessageFacts | None:
    messages = Messages()
    messages.add_all(entries)
    return next((made for made in messages.made if made.role == "assistant"), None)
