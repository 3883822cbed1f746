"""The ends of calls as plain facts, read off what LangChain hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult

from frugal_chains.tracking import CallEnd, classify_error
from frugal_chains.usage import Usage, UsageReading, read_langchain_usage, read_usage
from langchain_frugal._facts import as_json, content_of

_MODEL_NAMES: Final = ("model_name", "model", "model_id")
_NOTHING: Final[Mapping[str, Any]] = {}
_REASONS_TO_FINISH: Final = ("finish_reason", "stop_reason", "status", "done_reason", "stopReason")
"""Where integrations say why an answer ended: OpenAI's and Gemini's, Anthropic's, the Responses
API's, Ollama's, Bedrock Converse's."""

_WRITTEN: Final = ("text", "reasoning", "name", "args")
"""Where the events of the v3 stream hold what the model wrote (langchain_protocol 0.0.20, read
2026-11-21). The end of a block repeats all of it."""

_STREAM_HINT: Final = (
    "the stream carried no usage: pass stream_usage=True to the chat model "
    "(ChatOpenAI leaves it off for a custom base_url)"
)
_FIRST_OF_BATCH: Final = "the usage of its whole batch, which LangChain states once"
_IN_A_BATCH: Final = "its usage stands on the first call of its batch"


def decision_end(response: Any) -> CallEnd:
    """The facts of an answered decision: its usage stands on the response itself."""
    usage = getattr(response, "usage", None)
    return CallEnd(
        reading=read_langchain_usage(usage) if usage else None,
        model=str(getattr(response, "model", None) or ""),
        output_text=lambda: str(getattr(response, "answers", None) or ""),
    )


def call_end(
    response: LLMResult, *, streamed: Callable[[], bool], batched: bool, counted: bool
) -> CallEnd:
    """The facts of a call that ended without an error. `streamed` is asked when no usage came.

    `batched`: it was one of several that a text model was asked with one request. `counted`: the
    usage of that request has been read, off the first of them.
    """
    message = _message(response)
    metadata: Mapping[str, Any] = message.response_metadata if message else {}
    usage = message.usage_metadata if message else None
    output = response.llm_output or _NOTHING
    if usage is not None and usage.get("total_cost") == 0 and response.llm_output is None:
        # LangChain marks answers out of its LLM cache with a cost of 0 and keeps their old tokens.
        return CallEnd(status="cached", model=_model(metadata, {}))
    if batched and counted and output.get("token_usage") == {}:
        nothing = UsageReading(usage=Usage())
        return CallEnd(reading=nothing, model=_model(metadata, output), note=_IN_A_BATCH)
    if usage:
        reading = read_langchain_usage(usage, response_metadata=metadata, content=_made(message))
    else:  # the provider's own usage, in its own words
        reading = read_usage(output.get("token_usage") or output.get("usage")) if output else None
    if reading is not None:
        note = _FIRST_OF_BATCH if batched else ""
        return CallEnd(
            reading=reading,
            model=_model(metadata, output),
            note=note,
            of_batch=batched,
            raw=lambda: (metadata,),
        )
    in_pieces = streamed()
    cut = in_pieces and _is_cut(metadata)
    return CallEnd(
        status="aborted" if cut else "ok",
        error_kind="cut" if cut else "",
        model=_model(metadata, output),
        output_text=lambda: _output_text(response),
        note=_STREAM_HINT if in_pieces and not cut else "",
    )


def failed_end(
    error: BaseException, response: LLMResult | None, pieces: Sequence[Any] = ()
) -> CallEnd:
    """The facts of a call that ended with an error, or was given up by its caller.

    `pieces`: what it had streamed. A provider that began to answer bills, whatever came then.
    """
    facts = classify_error(error)
    message = _message(response) if response else None
    metadata: Mapping[str, Any] = message.response_metadata if message else {}
    usage = message.usage_metadata if message else None
    return CallEnd(
        status="aborted" if facts.abandoned else "error",
        error_kind=facts.kind,
        reading=read_langchain_usage(usage, response_metadata=metadata, content=_made(message))
        if usage
        else None,
        model=_model(metadata, {}),
        output_text=lambda: (_output_text(response) if response else "") or pieces_text(pieces),
        sent=facts.sent or bool(pieces),
    )


def _made(message: AIMessage | None) -> Any:
    """What the answer is made of, calls of server-side tools included; `langchain_openai` keeps
    those apart from the content in its `output_version="v0"`."""
    if message is None:
        return None
    return message.additional_kwargs.get("tool_outputs") or message.content


def pieces_text(pieces: Sequence[Any]) -> str:
    """Everything that stands in the pieces of an answer so far."""
    return "".join(_piece_text(piece) for piece in pieces)


def _piece_text(piece: Any) -> str:
    """The text of a chunk, of an event of the v3 stream, or of a bare token."""
    if isinstance(piece, ChatGenerationChunk):
        message = piece.message
        texts = list(content_of(message.content).texts)
        for call in getattr(message, "tool_call_chunks", ()):
            texts += [str(call.get("name") or ""), str(call.get("args") or "")]
        return "".join(texts)
    if isinstance(piece, Generation):
        return piece.text
    if isinstance(piece, Mapping):
        begun = piece.get("content") if piece.get("event") == "content-block-start" else None
        block = piece.get("delta") or begun or _NOTHING
        return "".join(str(block.get(name) or "") for name in _WRITTEN)
    return "".join(content_of(piece).texts)


def _message(response: LLMResult) -> AIMessage | None:
    """The first answer: with n > 1 every other one repeats its usage."""
    first = next(chain.from_iterable(response.generations), None)
    message = getattr(first, "message", None)
    return message if isinstance(message, AIMessage) else None


def _output_text(response: LLMResult) -> str:
    """Everything the model wrote, in all its answers."""
    return "\n".join(_produced(g) for group in response.generations for g in group)


def _produced(generation: Generation) -> str:
    """Everything a generation made the model write: text, reasoning, and calls of tools."""
    if not isinstance(generation, ChatGeneration):
        return generation.text
    message = generation.message
    texts = content_of(message.content).texts
    if isinstance(message, AIMessage):
        texts += [c["name"] + as_json(c["args"]) for c in message.tool_calls]
        texts += [str(c.get("args") or "") for c in message.invalid_tool_calls]
    return "\n".join(texts)


def _model(metadata: Mapping[str, Any], output: Mapping[str, Any]) -> str:
    found = metadata.get("model_name")  # where most integrations put it
    if not found:
        places = ((place, name) for place in (metadata, output) for name in _MODEL_NAMES)
        found = next((found for place, name in places if (found := place.get(name))), "")
    name = str(found)
    # Chunks that each name their model are merged to "gpt-4ogpt-4o": the first period is the name.
    return name[: (name + name).find(name, 1)] if name else ""


def _is_cut(metadata: Mapping[str, Any]) -> bool:
    """A provider's stream that ended without saying why it finished was cut on the way.

    Both integrations accept such streams in silence. Only streams that name their provider are
    judged: test doubles give no reasons.
    """
    return "model_provider" in metadata and not any(map(metadata.get, _REASONS_TO_FINISH))
