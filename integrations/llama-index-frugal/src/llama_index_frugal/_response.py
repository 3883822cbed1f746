"""Plain facts read off LlamaIndex: what came back, or how it went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from frugal_chains.tracking import CallEnd, classify_error
from frugal_chains.usage import Usage, UsageReading, merge_anthropic_stream, read_usage
from llama_index_frugal._request import as_json, content_of

_MODEL_NAMES: Final = ("model", "model_version", "modelVersion", "model_id", "modelId")
_WRAPPERS: Final = ("response", "message")
"""Events that hold the response: OpenAI `response.completed`, Anthropic `message_start`."""

STREAM_HINT: Final = (
    "the stream carried no usage: give the LLM "
    'additional_kwargs={"stream_options": {"include_usage": True}}'
)
LOST_CACHE: Final = (
    "llama-index drops Anthropic's message_start, which alone carried the cached tokens of this "
    "stream"
)
PARTIAL: Final = "usage as of the last chunk that was read"
LAST_CHUNKS: Final = 4
"""Chunks of a stream that are kept for its end: usage may come before the last of them."""


class Answer:
    """What a call has answered so far."""

    __slots__ = ("chunks", "deltas")

    def __init__(self, *responses: Any) -> None:
        self.chunks: deque[Any] = deque(maxlen=LAST_CHUNKS)
        self.deltas: list[str] = []
        """All that was streamed: chunks repeat it, but not every integration's do at once."""
        for response in responses:
            self.add(response)

    def add(self, response: Any) -> None:
        self.chunks.append(response)
        delta = response.delta or _thinking(response)
        if delta:
            self.deltas.append(delta)

    def text(self) -> str:
        """Everything the model wrote, reasoning and calls of tools included."""
        if not self.chunks:
            return ""
        texts, calls = _written(self.chunks[-1])
        return "\n".join([max("\n".join(texts), "".join(self.deltas), key=len), *calls])


def finished(
    answer: Answer, *, provider: str, streamed: bool, caches: Callable[[], bool]
) -> CallEnd:
    """The end of a call that LlamaIndex calls finished.

    Args:
        answer: What came back; nothing, of a stream without a chunk.
        provider: Whose shape of usage it is.
        streamed: Whether the answer came in chunks.
        caches: Whether the request had markers for Anthropic's prompt cache.
    """
    chunks = answer.chunks
    reading = _reading(chunks, provider, caches)
    cut = reading is None and streamed and _is_cut(chunks)
    could_state_usage = streamed and any(map(_choices, chunks))
    return CallEnd(
        status="aborted" if cut else "ok",
        error_kind="cut" if cut else "",
        reading=reading,
        model=_model(chunks),
        output_text=answer.text,
        note=STREAM_HINT if reading is None and could_state_usage and not cut else "",
        raw=lambda: [response.raw for response in chunks],
    )


def failed(error: BaseException | None, answer: Answer, *, provider: str) -> CallEnd:
    """The end of a call that failed, or whose caller gave it up (cancel, close)."""
    if error is None:
        return _given_up("closed", answer, provider)
    facts = classify_error(error)
    if facts.abandoned:
        return _given_up(facts.kind, answer, provider)
    return CallEnd(
        status="error",
        error_kind=facts.kind,
        reading=_partial_reading(answer.chunks, provider),
        model=_model(answer.chunks),
        output_text=answer.text,
        sent=facts.sent or bool(answer.chunks),
    )


def _given_up(kind: str, answer: Answer, provider: str) -> CallEnd:
    reading = _partial_reading(answer.chunks, provider)
    return CallEnd(
        status="aborted",
        error_kind=kind,
        reading=reading,
        model=_model(answer.chunks),
        output_text=answer.text,
        note=PARTIAL if reading is not None and reading.usage.source == "mixed" else "",
    )


# -- usage -------------------------------------------------------------------------------------


def _reading(
    chunks: Sequence[Any], provider: str, caches: Callable[[], bool]
) -> UsageReading | None:
    """The last word of the provider. Some say it in a chunk before the last (Gemini, whose chunks
    without parts LlamaIndex skips)."""
    for response in reversed(chunks):
        delta = _anthropic_delta(response)
        if delta is not None:
            return _anthropic_reading(response, delta, caches)
        for place in (response.raw, response.additional_kwargs):
            reading = read_usage(place, provider=provider) if place else None
            if reading is not None:
                return reading
    return None


def _partial_reading(chunks: Sequence[Any], provider: str) -> UsageReading | None:
    """What a provider said before the stream broke off: its last word only if it had finished."""
    reading = _reading(chunks, provider, lambda: False)
    if reading is None or any(map(_reason, chunks)):
        return reading
    return reading._replace(usage=reading.usage._replace(source="mixed"))


def _anthropic_delta(response: Any) -> Any:
    """The usage of Anthropic's `message_delta`, when that is the chunk."""
    raw = response.raw
    if isinstance(raw, Mapping) and raw.get("type") == "message_delta":
        return raw.get("usage")
    return None


def _anthropic_reading(
    response: Any, delta: Any, caches: Callable[[], bool]
) -> UsageReading | None:
    """The usage of an Anthropic stream.

    LlamaIndex keeps `message_start`'s input and output counts in the message and writes that input
    into the delta, but drops its cache counts (llama-index-llms-anthropic 0.12.3 `base.py`, "Modify
    r.usage.input_tokens"). What the provider itself put into the delta is in `model_fields_set`.
    """
    started = response.message.additional_kwargs.get("usage")
    reading = read_usage(merge_anthropic_stream(started, delta), provider="anthropic")
    stated = getattr(delta, "model_fields_set", {"cache_read_input_tokens"})
    if reading is None or "cache_read_input_tokens" in stated or not caches():
        return reading
    # Zero input makes the tracker count it: what was fresh is not all that was sent.
    shown = Usage(output_tokens=reading.usage.output_tokens, source="mixed")
    return reading._replace(usage=shown, problems=(*reading.problems, LOST_CACHE))


# -- the rest ----------------------------------------------------------------------------------


def _is_cut(chunks: Sequence[Any]) -> bool:
    """Whether a stream ended without its provider saying why: it was cut on the way.

    The SDKs accept such streams in silence. Only shapes that always give a reason are judged.
    """
    return any(map(_gives_reasons, chunks)) and not any(map(_reason, chunks))


def _gives_reasons(response: Any) -> bool:
    return bool(_choices(response)) or "stop_reason" in _message_extras(response)


def _reason(response: Any) -> Any:
    reasons = [getattr(choice, "finish_reason", None) for choice in _choices(response)]
    completed = getattr(response.raw, "type", "") == "response.completed"  # OpenAI responses
    return completed or any(reasons) or _message_extras(response).get("stop_reason")


def _choices(response: Any) -> Sequence[Any]:
    return getattr(response.raw, "choices", None) or ()


def _message_extras(response: Any) -> Mapping[str, Any]:
    message = getattr(response, "message", None)
    return message.additional_kwargs if message is not None else {}


def _model(chunks: Sequence[Any]) -> str:
    """The model that answered, where a response says so."""
    for response in reversed(chunks):
        for holder in (response.raw, *(_value(response.raw, name) for name in _WRAPPERS)):
            for name in _MODEL_NAMES:
                if isinstance(found := _value(holder, name), str) and found:
                    return found
    return ""


def _value(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _thinking(response: Any) -> str:
    """A piece of reasoning: OpenAI's class puts it beside the response, Anthropic's beside the
    message."""
    for extras in (response.additional_kwargs, _message_extras(response)):
        if isinstance(found := extras.get("thinking_delta"), str):
            return found
    return ""


def _written(response: Any) -> tuple[list[str], list[str]]:
    """The texts of a response, and its calls of tools."""
    message = getattr(response, "message", None)
    if message is None:
        return [str(response.text)], []
    texts = content_of(message.blocks).texts
    tools = [b for b in message.blocks if getattr(b, "block_type", "") == "tool_call"]
    return texts, [tool.tool_name + as_json(tool.tool_kwargs) for tool in tools]
