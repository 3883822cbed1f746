"""Fingerprints of requests, for the rows of those who ask for them: keyed hashes, sizes and a
provider's own reason for a missed cache, and no text.

The key is 32 random bytes in the ledger, so that all who write to it make hashes that compare, and
nobody without it can test a guess. It is neither logged nor shown.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from frugal_chains.errors import wordless
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.ledger import Ledger
from frugal_chains.prompt_cache import (
    BlockText,
    CachePlanError,
    RequestPrint,
    fingerprints,
    from_json,
    to_json,
)
from frugal_chains.tracking._call import CallEnd, CallStart

logger = logging.getLogger("frugal_chains.tracking")

KEY_NOTE: Final = "fingerprint_key"
_KEY_BYTES: Final = 32
_FIRST_BYTES: Final = 5
"""Of the hash of the first message: it groups the requests of a conversation without a name."""
_LAST: Final = 8
_LAST_BYTES: Final = 3
"""Of the hash of each of so many last messages: what goes on from here has some of them."""
_CHARS_PER_TOKEN: Final = 4
"""Sizes say how far into a prompt a change lies; what was lost is told by the provider's counts."""
_PURPOSES_LEFT_OUT: Final = frozenset({"embed"})


class Prints:
    """Makes the fingerprints of one ledger's calls. Safe for threads.

    Args:
        ledger: Whose key is used; one is made at the first call where it has none.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = weakref.ref(ledger)
        self._key = b""

    def of(self, start: CallStart, end: CallEnd) -> Mapping[str, Any] | None:
        """Of a call's request; None where they would tell nothing: no answer, no usage of the
        provider's, or what cannot be read."""
        if (
            end.status != "ok"
            or end.reading is None
            or end.of_batch
            or start.purpose in _PURPOSES_LEFT_OUT
        ):
            return None
        try:
            stored = request_prints(start.request(), self._own_key(), start.settings())
            reason = small_reason(end.raw())
        except Exception as error:
            logger.error("a call has no fingerprints", exc_info=wordless(error))
            return None
        return stored if reason is None else {**stored, "r": reason}

    def _own_key(self) -> bytes:
        if not self._key:
            ledger = self._ledger()
            if ledger is None:
                raise RuntimeError("the ledger is gone")
            kept = ledger.store.note_once(KEY_NOTE, os.urandom(_KEY_BYTES).hex())
            self._key = bytes.fromhex(kept)
        return self._key


def request_prints(
    request: RequestFacts, key: bytes, options: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """What is kept of a request: `prompt_cache.to_json`, the time to live of its markers (`l`), and
    hashes of its first message (`f`) and of each of the last ones (`e`): they tell which requests
    are of one conversation, whatever was changed in between. The model stands on the row."""
    settings = dict(options)
    settings["images"] = str(any(message.images for message in request.messages))
    if request.output_schema:
        settings["format"] = request.output_schema
    made = fingerprints(_blocks(request), key=key, settings=settings)
    stored = to_json(made)
    if request.cache_ttl:
        stored["l"] = request.cache_ttl
    if made.messages.each:
        each = made.messages.each
        stored["f"] = base64.b85encode(each[0][:_FIRST_BYTES]).decode("ascii")
        last = b"".join(one[:_LAST_BYTES] for one in each[-_LAST:])
        stored["e"] = base64.b85encode(last).decode("ascii")
    return stored


class StoredPrints(NamedTuple):
    """What the row of an attempt keeps of its request."""

    request: RequestPrint
    """Without its model, which stands on the row."""
    ttl: str
    """The longest time to live among its markers; empty: none."""
    first: str
    """The hash of its first message, as text."""
    tail: tuple[bytes, ...]
    """Those of its last messages, the last one at the end."""
    reason: Mapping[str, Any] | None
    """The provider's own, as `prompt_cache.read_reason` takes it."""


def read_prints(stored: Mapping[str, Any]) -> StoredPrints:
    """What `Prints` has made (`Attempt.prints`).

    Raises:
        CachePlanError: something else, or of a version that is not known.
    """
    request, last, reason = from_json(stored), stored.get("e", ""), stored.get("r")
    try:
        data = base64.b85decode(last)
    except (ValueError, TypeError) as error:
        raise CachePlanError(f"no hashes of messages: {error!r}") from error
    return StoredPrints(
        request=request,
        ttl=str(stored.get("l", "")),
        first=str(stored.get("f", "")),
        tail=tuple(data[at : at + _LAST_BYTES] for at in range(0, len(data), _LAST_BYTES)),
        reason=reason if isinstance(reason, Mapping) else None,
    )


def _blocks(request: RequestFacts) -> Iterator[BlockText]:
    """Tools, the system prompt in its text blocks, then one block for each message."""
    for tool in request.tools:
        yield _block("tools", f"{tool.description}\0{tool.parameters}", tool.name)
    messages = request.messages
    leading = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    for message in messages[:leading]:
        for text in _parts(message):
            yield _block("system", text)
    for message in messages[leading:]:
        yield _block("message", _message_text(message))


def _block(kind: Any, text: str, name: str = "") -> BlockText:
    size = len(name) + len(text)
    return BlockText(kind=kind, text=text, tokens=max(1, size // _CHARS_PER_TOKEN), name=name)


def _parts(message: MessageFacts) -> Iterator[str]:
    """The text blocks of a message, which `text` has joined by newlines."""
    at = 0
    for length in message.text_lengths or (len(message.text),):
        yield message.text[at : at + length]
        at += length + 1


def _message_text(message: MessageFacts) -> str:
    calls = (f"{call.id}\2{call.name}\2{call.arguments}" for call in message.tool_calls)
    return "\1".join(
        (
            message.role,
            message.name,
            message.tool_call_id,
            f"{message.images},{message.audio}",
            message.text,
            *calls,
        )
    )


# -- the provider's own reason -----------------------------------------------------------------

_PLACES: Final = ("diagnostics", "prompt_cache_diagnostics")
_WORDS: Final = ("type", "reason")
_COUNTS: Final = ("cache_missed_input_tokens", "cache_missed_tokens")
_WORD: Final = re.compile(r"[a-z0-9_]{1,64}")
"""What a code looks like; anything else may be a text, and is not kept."""


def small_reason(responses: Iterable[object]) -> Mapping[str, Any] | None:
    """What one of the responses says of a missed cache, in the form of `prompt_cache.read_reason`,
    codes and counts alone; None: nothing."""
    for response in responses:
        for place in _PLACES:
            told, found = _field(response, place)
            if told and place == "diagnostics" and found is None and _is_set(response, place):
                return {place: None}
            if found is not None and (small := _small(found)) is not None:
                return {place: small}
    return None


def _small(found: object) -> dict[str, Any] | None:
    told, reason = _field(found, "cache_miss_reason")
    if told:
        return {"cache_miss_reason": None if reason is None else _codes(reason)}
    return _codes(found) or None


def _codes(holder: object) -> dict[str, Any]:
    codes: dict[str, Any] = {}
    for name in (*_WORDS, *_COUNTS):
        _, value = _field(holder, name)
        word = name in _WORDS and isinstance(value, str) and _WORD.fullmatch(value)
        count = name in _COUNTS and isinstance(value, int) and not isinstance(value, bool)
        if word or count:
            codes[name] = value
    return codes


def _field(holder: object, name: str) -> tuple[bool, Any]:
    """Whether it is there, and what it is: of a mapping, or of an SDK's object."""
    if isinstance(holder, Mapping):
        return name in holder, holder.get(name)
    missing = object()
    value = getattr(holder, name, missing)
    return (False, None) if value is missing else (True, value)


def _is_set(holder: object, name: str) -> bool:
    """Whether the provider has said so: a null may be the default of an SDK's object, which
    frameworks copy into their mappings."""
    return name in getattr(holder, "model_fields_set", ())
