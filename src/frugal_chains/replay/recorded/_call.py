"""One line of a recording as a `RecordedCall`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay.recorded._answer import answer_facts
from frugal_chains.replay.recorded._content import word
from frugal_chains.replay.recorded._conversations import Conversations
from frugal_chains.replay.recorded._names import (
    AT,
    MODEL,
    PURPOSES,
    STATUS,
    STATUSES,
    TAGS,
    TASK,
    TIERS_ASKED,
    WHOLE_TAGS,
    about,
    first,
    ident,
    label,
)
from frugal_chains.replay.recorded._payload import Payload, payload_of
from frugal_chains.replay.recorded._request import Tools, request_facts
from frugal_chains.replay.recorded._when import microseconds_of, nanos_of
from frugal_chains.usage import UsageReading, read_usage


class Calls:
    """Reads lines one after the other; remembers tools, and how conversations ended."""

    __slots__ = ("_conversations", "_tools")

    def __init__(self) -> None:
        self._tools = Tools()
        self._conversations = Conversations()

    def read(self, line: Mapping[str, Any], number: int) -> RecordedCall:
        """The call in a line.

        Raises:
            Malformed: there is none, or a part of it is not of the kind that it has to be.
        """
        said = about(line)
        payload = payload_of(line, said)
        request = request_facts(payload.request, self._tools) if payload.request else None
        answer = answer_facts(payload.response)
        response = payload.response if isinstance(payload.response, dict) else {}
        provider = label(said.get("provider"))
        reading = read_usage(response, provider=provider) if response else None
        if reading is None:  # some keep the counts beside the response
            reading = read_usage(line, provider=provider)
        asked = ident(first(payload.request, MODEL)) or ident(said.get("model"))
        return RecordedCall(
            model=ident(response.get("model")) or asked,
            provider=provider,
            tier=_tier(payload, reading),
            at_us=_at(said, response),
            conversation=_conversation(said, payload.request)
            or self._conversations.of(
                request,
                answer,
                model=asked,
                line=number,
                response_id=_continuable(response),
                previous_id=payload.request.get("previous_response_id"),
            ),
            operation=ident(said.get("operation")),
            task=label(said.get("task")) or _task(line, payload.request),
            purpose=_purpose(said, response),
            status=_status(line, said, payload, response),
            request=request,
            answer=answer,
            usage=reading.usage if reading is not None else None,
            nanos=_nanos(said, reading),
            line=number,
        )


def identity(line: Mapping[str, Any]) -> bool:
    """Whether the line says which call it is: two that are the same and both say so are one."""
    response = first(line, ("response", "response_body", "result"))
    within = isinstance(response, dict) and "id" in response
    return within or "id" in line or "custom_id" in line or first(line, AT) is not None


def _continuable(response: Mapping[str, Any]) -> object:
    """The id by which a later request may name this response: OpenAI's responses have one."""
    return response.get("id") if "output" in response else None


def _at(said: Mapping[str, Any], response: Mapping[str, Any]) -> int | None:
    """When it was sent; else when the response was made, as OpenAI's say to the second."""
    at = microseconds_of(said.get("at"))
    if at is None and ("created" in response or "created_at" in response):
        at = microseconds_of(first(response, ("created", "created_at")))
    return at


def _conversation(said: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    stated = said.get("conversation")
    return ident(request.get("conversation") if stated is None else stated)


def _task(line: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """The task among the tags; a list of tags is one tag, in order."""
    for fields in (line, request):
        for name in TAGS:
            tags = fields.get(name)
            if isinstance(tags, dict):
                found = label(first(tags, TASK))
            elif tags and name in WHOLE_TAGS:
                listed = tags if isinstance(tags, list) else [tags]
                found = label(",".join(sorted(tag for tag in listed if isinstance(tag, str))))
            else:
                continue
            if found:
                return found
    return ""


def _purpose(said: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    stated = word(said.get("purpose"))
    if stated in PURPOSES:
        return stated
    # A list of embeddings: openai 2.54.0, types/create_embedding_response.py.
    return "embed" if response.get("object") == "list" and "data" in response else "answer"


def _status(
    line: Mapping[str, Any],
    said: Mapping[str, Any],
    payload: Payload,
    response: Mapping[str, Any],
) -> str:
    """How it ended: the worst that is said of it by the line, the wrapper and the response."""
    if line.get("cache_hit") is True:
        return "cached"
    outcome = payload.outcome
    found = [_status_of(said.get("status")), _status_of(response.get("status"))]
    found.append(STATUSES.get(word(outcome.get("type")), ""))
    if outcome is not response:
        found.append(_status_of(first(outcome, STATUS)))
    if said.get("error") or response.get("error") or outcome.get("error"):
        found.append("error")
    for bad in ("aborted", "cached", "error"):
        if bad in found:
            return bad
    return "ok"


def _status_of(stated: object) -> str:
    if stated is None:
        return ""
    if isinstance(stated, str):
        return STATUSES.get(stated.lower(), "") or ("error" if stated[:1] in "45" else "")
    if isinstance(stated, int) and not isinstance(stated, bool):
        return "error" if stated >= 400 else "ok"
    return ""


def _tier(payload: Payload, reading: UsageReading | None) -> str:
    """That of the service; a batch's answers say no more than that they were standard."""
    if payload.batch:
        return "batch"
    served = reading.service_tier if reading is not None else ""
    return served or TIERS_ASKED.get(word(payload.request.get("service_tier")), "standard")


def _nanos(said: Mapping[str, Any], reading: UsageReading | None) -> int | None:
    if reading is not None and reading.billed_usd is not None:
        return nanos_of(reading.billed_usd)
    return nanos_of(said.get("cost"))
