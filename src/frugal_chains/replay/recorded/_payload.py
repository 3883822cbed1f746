"""Request and response in one line of a recording, whatever they are wrapped in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from frugal_chains.replay.recorded._names import (
    INNER,
    MESSAGES,
    MODEL,
    PARAMETERS,
    first,
)
from frugal_chains.replay.recorded._skipped import NO_CALL, Malformed

_NOTHING: Final[Mapping[str, Any]] = {}
_RESPONSE_OBJECTS: Final = frozenset({"chat.completion", "text_completion", "response"})
"""`object` of OpenAI's responses, which may stand in a line of their own."""
_RESPONSE_NAMES: Final = ("choices", "content", "usage", "output")


class Payload(NamedTuple):
    """What was sent and what came back, as the provider shapes them."""

    request: Mapping[str, Any]
    """Empty: not recorded."""
    response: Any
    """A mapping, a text, or None."""
    outcome: Mapping[str, Any]
    """What wraps the response and says how it went: `status_code`, `type`, `error`."""
    batch: bool = False


def payload_of(line: Mapping[str, Any], said: Mapping[str, Any]) -> Payload:
    """The payload of a line, of which `said` is what it is about.

    Raises:
        Malformed: there is neither a request nor a response in it.
    """
    if _is_response(line):
        sent = line if "messages" in line else _NOTHING
        return Payload(sent, line, _NOTHING)
    request = _request(line, said)
    response = _decoded(said.get("response"))
    if isinstance(response, list):
        response = _whole(response)
    if not isinstance(response, dict | str | None):
        raise Malformed("the response is no object")
    if not request and response is None and not _says_sizes(line, said):
        raise Malformed(NO_CALL)
    outcome = response if isinstance(response, dict) else _NOTHING
    return Payload(request, _unwrapped(response), outcome, "custom_id" in line)


_EVENTS: Final = ("message_", "content_block_", "response.")
"""How the types of stream events begin, at Anthropic and in OpenAI's responses."""


def _whole(entries: list[Any]) -> dict[str, Any]:
    """A list is what OpenAI's responses call `output`; of a stream it is the pieces."""
    head = entries[0] if entries else None
    kind = head.get("type") if isinstance(head, dict) else None
    if (isinstance(kind, str) and kind.startswith(_EVENTS)) or (
        isinstance(head, dict) and "choices" in head
    ):
        raise Malformed("the response is the events of a stream: record the whole response")
    return {"output": entries}


def _is_response(line: Mapping[str, Any]) -> bool:
    if line.get("type") == "message" and isinstance(line.get("content"), list):
        return True
    kind = line.get("object")
    return isinstance(kind, str) and kind in _RESPONSE_OBJECTS


def _request(line: Mapping[str, Any], said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's body; where it stands in the line itself, with the settings beside it."""
    request = _decoded(said.get("request"))
    if isinstance(request, list | str):
        return {**_settings(line), "messages": request}
    if request is None and first(line, MESSAGES) is not None:
        return {**_settings(line), "messages": _decoded(first(line, MESSAGES))}
    if request is None:
        return _NOTHING
    if not isinstance(request, dict):
        raise Malformed("the request is no object")
    return request if first(request, MESSAGES) is not None else _body_of(request)


def _body_of(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body inside the request of an HTTP client; the request itself when there is none."""
    inner = _decoded(first(request, INNER))
    return inner if isinstance(inner, dict) else request


_BESIDE: Final = (
    "tools", "functions", "system", "instructions", "response_format", "text", "output_config",
    "service_tier", "previous_response_id",
)  # fmt: skip
"""What belongs to a request whose messages stand in the line itself."""


def _settings(line: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: line[name] for name in _BESIDE if name in line}
    given = _decoded(first(line, PARAMETERS))
    settings.update(given if isinstance(given, dict) else {})
    settings["model"] = first(line, MODEL)
    return settings


def _unwrapped(response: Any) -> Any:
    """The response without the wrapper of an HTTP client or a batch."""
    if not isinstance(response, dict) or first(response, _RESPONSE_NAMES) is not None:
        return response
    inner = _decoded(first(response, INNER))
    return inner if isinstance(inner, dict) and "role" not in inner else _message(response)


def _message(response: Mapping[str, Any]) -> Any:
    """Of a batch of Anthropic's the message is the whole response, with model and usage; of
    Ollama's chat it is a part of it."""
    message = response.get("message")
    whole = isinstance(message, dict) and "usage" in message
    return message if whole else response


def _says_sizes(line: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether the line is a call of which only names and sizes are kept."""
    return "model" in said and first(line, _SIZES) is not None


_SIZES: Final = ("usage", "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def _decoded(value: Any) -> Any:
    """A payload that was recorded as JSON text, read; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
