"""What validators look at, read off LlamaIndex's responses; and the decision put onto them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from pydantic import BaseModel

from frugal_chains.routing.cascade import AnswerFacts
from frugal_chains.usage import Usage
from llama_index_frugal._request import content_of, field_of, tool_calls_of
from llama_index_frugal._response import Answer, finished

NOTE: Final = "frugal"
"""The key of a response's `additional_kwargs`. Not of its message's: those go into memories, and
from there back to providers."""
_REFUSED: Final = frozenset({"refusal", "content_filter", "safety", "prohibited_content"})
"""Reasons of OpenAI, Anthropic and Gemini for having stopped."""


def answer_facts(result: Any) -> AnswerFacts:
    """A response, a structured answer, or None where a stream had no chunk."""
    if isinstance(result, BaseModel) and not isinstance(result, ChatResponse | CompletionResponse):
        return AnswerFacts(text=result.model_dump_json())
    if result is None:
        return AnswerFacts()
    message, raw = getattr(result, "message", None), result.raw
    choice = next(iter(field_of(raw, "choices") or ()), None)
    reason = _finish_reason(raw, choice, message)
    return AnswerFacts(
        text=result.text if message is None else "\n".join(content_of(_spoken(message)).texts),
        finish_reason=reason,
        refused=bool(field_of(field_of(choice, "message"), "refusal"))
        or reason.lower() in _REFUSED,
        tool_calls=() if message is None else tuple(tool_calls_of(message)),
        logprobs=_logprobs(choice, result.logprobs),
    )


def usage_in(result: Any, *, provider: str, streamed: bool) -> Usage | None:
    """What the provider says it has used, where it does."""
    if not isinstance(result, ChatResponse | CompletionResponse):
        return None
    end = finished(Answer(result), provider=provider, streamed=streamed, caches=lambda: False)
    return end.reading and end.reading.usage


def with_note(result: Any, note: Mapping[str, Any]) -> Any:
    """The response with the decision on it; a copy, because a model may keep its own answers."""
    if not isinstance(result, ChatResponse | CompletionResponse):
        return result
    more = {**result.additional_kwargs, NOTE: dict(note)}
    return result.model_copy(update={"additional_kwargs": more})


def as_one_chunk(result: Any) -> Any:
    """A whole response as the only chunk of a stream."""
    if isinstance(result, ChatResponse):
        return result.model_copy(update={"delta": result.message.content or ""})
    if isinstance(result, CompletionResponse):
        return result.model_copy(update={"delta": result.text})
    return result


def _spoken(message: Any) -> Iterable[Any]:
    """The blocks of the answer itself, without the reasoning before it."""
    return (b for b in message.blocks if getattr(b, "block_type", "") != "thinking")


def _finish_reason(raw: Any, choice: Any, message: Any) -> str:
    """OpenAI's and Gemini's word, or Anthropic's, which streams put beside the message."""
    holders = ((choice, "finish_reason"), (raw, "stop_reason"), (raw, "finish_reason"))
    for holder, name in (*holders, (getattr(message, "additional_kwargs", None), "stop_reason")):
        found = field_of(holder, name)
        if found:
            return str(getattr(found, "value", found))
    return ""


def _logprobs(choice: Any, shown: Sequence[Sequence[Any]] | None) -> tuple[float, ...] | None:
    """OpenAI's own, of the tokens it chose; else the likeliest at each place."""
    tokens = field_of(field_of(choice, "logprobs"), "content")
    if tokens:
        return tuple(float(field_of(token, "logprob")) for token in tokens)
    return tuple(float(best[0].logprob) for best in shown if best) if shown else None
